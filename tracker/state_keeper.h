#ifndef TRACKER_STATE_KEEPER_H
#define TRACKER_STATE_KEEPER_H

#include <stdint.h>

struct swarm_store;

/* A thread that saves a store's swarms every now and then (state_file.h), so
 * that after a crash not all of them are gone.  What it cannot save it warns of
 * and tries again the next time. */
struct state_keeper;

/* `path` and `store` must outlive it.  NULL: it cannot be started. */
struct state_keeper *state_keeper_start(
	const char *path, struct swarm_store *store, uint64_t interval_s);

/* Cut short what it is doing, and join it.  NULL is allowed. */
void state_keeper_stop(struct state_keeper *k);

#endif
