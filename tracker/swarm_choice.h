#ifndef TRACKER_SWARM_CHOICE_H
#define TRACKER_SWARM_CHOICE_H

struct announce;
struct swarm;
struct swarm_reply;
struct swarm_shard;
struct swarm_spot;
struct swarm_table;

/* Choose peers of a swarm for who has announced itself and is at `self` now, as
 * swarm_store_announce() says, and add them to a reply that has none.  The
 * shard's lock is held. */
void swarm_choice_put(struct swarm_table *t, struct swarm_shard *s,
	const struct swarm *w, const struct announce *a,
	const struct swarm_spot *self, struct swarm_reply *ret);

#endif
