#ifndef TRACKER_PEER_ARRAY_H
#define TRACKER_PEER_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* The peers of one address family in one swarm, close together: leechers
 * first, then seeders, in no order among themselves.  An entry takes 10 bytes
 * (IPv4) or 22 (IPv6); a large array has an index beside it, so that no call
 * but a growing one costs more when the swarm is larger.
 *
 * Zeroed memory is an empty array.  Positions are good until the next change.
 * Not thread-safe: store_memory's shards have the locks. */
struct peer_array {
	uint8_t *entries;
	uint32_t *index; /* slots with position + 1, or 0; NULL while small */
	uint32_t count;
	uint32_t leechers; /* entries[0..leechers) */
	uint32_t capacity;
	uint32_t index_size; /* a power of two */
};

/* What a caller must say each time, because it is the same for thousands. */
struct peer_family {
	bool v6;
	uint64_t seed; /* of the index's hash: random, foreign keys go in */
};

struct peer_state {
	uint32_t seen_s; /* below 2^31 */
	bool seeder;
	bool completed; /* it has said `completed` and was counted */
};

#define PEER_ARRAY_NONE UINT32_MAX

/* The position of that address and port, or PEER_ARRAY_NONE. */
uint32_t peer_array_find(const struct peer_array *p,
	const struct peer_family *family, const struct endpoint *peer);

/* Add a peer that is not there yet.  False: out of memory, nothing changed. */
bool peer_array_add(struct peer_array *p, const struct peer_family *family,
	const struct endpoint *peer, const struct peer_state *state);

/* Change what is known of one.  Returns its new position. */
uint32_t peer_array_update(struct peer_array *p,
	const struct peer_family *family, uint32_t at,
	const struct peer_state *state);

/* Take one out.  Only positions from `at` on change, so a walk from the end
 * down to 0 may remove as it goes. */
void peer_array_remove(
	struct peer_array *p, const struct peer_family *family, uint32_t at);

struct endpoint peer_array_peer(const struct peer_array *p,
	const struct peer_family *family, uint32_t at);
struct peer_state peer_array_state(const struct peer_array *p,
	const struct peer_family *family, uint32_t at);

/* Free what it holds; it is empty then. */
void peer_array_finish(struct peer_array *p);

#endif
