#ifndef TRACKER_STORE_MEMORY_H
#define TRACKER_STORE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_walk;
struct swarm_part;
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

/* Ages of peers are known in steps of so many seconds. */
uint32_t store_memory_step_s(const struct swarm_store *store);

/* The next peers of a swarm, and their ages as of `now_s`.  Holds a shard for
 * some microseconds.  What other threads change meanwhile may be missed or be
 * given twice; while they rest, the walk gives each peer once.  False: that was
 * all, `ret` is void. */
bool store_memory_next(struct swarm_store *store, struct store_walk *at,
	uint64_t now_s, struct swarm_part *ret);

/* Take peers in that are not there yet; `now_s` - age may be before 0.  Returns
 * how many: fewer when the store is full. */
size_t store_memory_restore(struct swarm_store *store,
	const struct swarm_part *part, uint64_t now_s);

#endif
