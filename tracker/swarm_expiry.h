#ifndef TRACKER_SWARM_EXPIRY_H
#define TRACKER_SWARM_EXPIRY_H

#include <stdint.h>

struct swarm_table;

/* Forget every peer not heard of since `before_s`, and swarms without peers.
 * No shard is held for longer than a fraction of a millisecond.  One call at a
 * time; the caller holds no lock. */
void swarm_expiry_run(struct swarm_table *t, uint64_t before_s);

#endif
