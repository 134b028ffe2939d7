#ifndef CLIENT_PEER_WANTED_H
#define CLIENT_PEER_WANTED_H

#include <stdbool.h>
#include <stddef.h>

#include "client/peer/request.h"

/* A peer's requests that wait to be served, in the order they came.  Whether
 * they may be, and are sane, was found out before.  Belongs to one worker. */

enum { WANTED_MAX = 500 }; /* what we tell a peer as `reqq` */

struct wanted {
	size_t head, count; /* of a ring */
	struct block_ref ring[WANTED_MAX];
};

/* False: there are WANTED_MAX already. */
bool wanted_add(struct wanted *w, const struct block_ref *block);

/* Take out those that are exactly `block`; returns how many. */
size_t wanted_cancel(struct wanted *w, const struct block_ref *block);

/* Take out the next ones, at most `max` and together at most `max_bytes` (at
 * least one). */
size_t wanted_take(
	struct wanted *w, struct block_ref *ret, size_t max, size_t max_bytes);

/* Bytes of the blocks that it would give. */
size_t wanted_bytes(const struct wanted *w, size_t max, size_t max_bytes);

#endif
