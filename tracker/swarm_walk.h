#ifndef TRACKER_SWARM_WALK_H
#define TRACKER_SWARM_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct store_walk;
struct swarm_part;
struct swarm_table;

/* Copying all swarms out of a table, and taking them in again, as
 * store_memory_next() and store_memory_restore() say.  The caller holds no
 * lock. */
bool swarm_walk_next(struct swarm_table *t, struct store_walk *at,
	uint64_t now_s, struct swarm_part *ret);
size_t swarm_walk_restore(
	struct swarm_table *t, const struct swarm_part *part, uint64_t now_s);

#endif
