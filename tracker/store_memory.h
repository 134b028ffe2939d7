#ifndef TRACKER_STORE_MEMORY_H
#define TRACKER_STORE_MEMORY_H

#include <stddef.h>

struct swarm_store;

/* A store in this process's memory, gone with it.  A swarm with one peer takes
 * about 200 bytes, each further peer 10 (IPv4) or 22 (IPv6) and, in swarms of
 * more than a few, its share of an index.
 *
 * `max_peers` (> 0) is the most it keeps over all.  When it is reached,
 * announces for new swarms are refused; those for known ones are answered, but
 * a new peer is not kept.  NULL: out of memory. */
struct swarm_store *store_memory_create(size_t max_peers);

#endif
