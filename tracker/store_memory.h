#ifndef TRACKER_STORE_MEMORY_H
#define TRACKER_STORE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct swarm_store;

/* A store in this process's memory, gone with it.  A swarm with one peer takes
 * about 200 bytes, each further peer about 8 (IPv4) or 20 (IPv6).
 *
 * `max_peers` (> 0) is the most it keeps over all.  When it is reached,
 * announces for new swarms are refused; those for known ones are answered, but
 * a new peer is not kept.
 *
 * `keep_s`: peers unheard of for so long will be expired, and at least once in
 * that time.  They go up to a 32nd of it, and a second, later than asked for,
 * and no two times may lie twice as far apart.
 *
 * NULL: out of memory. */
struct swarm_store *store_memory_create(size_t max_peers, uint64_t keep_s);

#endif
