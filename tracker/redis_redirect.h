#ifndef TRACKER_REDIS_REDIRECT_H
#define TRACKER_REDIS_REDIRECT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/span.h"
#include "tracker/redis_url.h"

/* How a Redis Cluster shares out keys: each belongs to a slot, each slot to a
 * node, and a node that is asked for another's slot names that one (the Redis
 * Cluster specification). */

enum { REDIS_SLOTS = 16384 };

/* The slot of a key: by what is between its first { and the next }, if that is
 * something, or else by all of it. */
unsigned redis_slot_of(struct span key);

/* "Not here, but there." */
struct redis_redirect {
	bool ask; /* only this once (ASK), and after ASKING; or for good (MOVED)
		   */
	unsigned slot;
	char host[REDIS_HOST_SIZE]; /* "": the host that was asked */
	uint16_t port;
};

/* An error reply that is such a thing; false: it is another one. */
bool redis_redirect_parse(struct span error, struct redis_redirect *ret);

#endif
