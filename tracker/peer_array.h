#ifndef TRACKER_PEER_ARRAY_H
#define TRACKER_PEER_ARRAY_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* Peers of one kind in one swarm, close together: 7 bytes each (IPv4) or 19
 * (IPv6), and less than half a byte of order.  They lie in chunks of some
 * hundreds by a keyed hash of their address.  When there are more peers one
 * chunk is split in two, when there are fewer two are made one (linear
 * hashing), so that no call costs more when the swarm is larger.
 *
 * Zeroed memory is an empty array.  Places are good until the next change.
 * Not thread-safe: the shards of swarm_table.h have the locks. */
struct peer_array {
	union {
		struct peer_chunk *one;   /* chunk_count <= 1 */
		struct peer_chunk **many; /* the others */
	};
	uint32_t count;
	uint32_t chunk_count;
};

/* What a caller must say each time, because it is the same for thousands. */
struct peer_family {
	bool v6;
	uint64_t seed; /* of the hash: random, foreign keys go in */
};

struct peer_place {
	uint32_t chunk;
	uint32_t slot;
};

/* Moments are numbers below this one and go round: of two, the later is the
 * one that comes less than half the way round after the other. */
enum { PEER_MOMENTS = 1 << 7 };

struct peer_state {
	uint16_t seen;  /* moment */
	bool completed; /* it has said `completed` and was counted */
};

/* Where that address and port is.  False: nowhere. */
bool peer_array_find(const struct peer_array *p,
	const struct peer_family *family, const struct endpoint *peer,
	struct peer_place *ret);

/* Add a peer that is not there yet.  False: out of memory, nothing changed. */
bool peer_array_add(struct peer_array *p, const struct peer_family *family,
	const struct endpoint *peer, const struct peer_state *state,
	struct peer_place *ret);

struct peer_state peer_array_state(const struct peer_array *p,
	const struct peer_family *family, const struct peer_place *at);
void peer_array_set_state(struct peer_array *p,
	const struct peer_family *family, const struct peer_place *at,
	const struct peer_state *state);

void peer_array_remove(struct peer_array *p, const struct peer_family *family,
	const struct peer_place *at);

/* Copy peers of one chunk, from its `slot`-th on, at most `max`; returns how
 * many: 0 behind the last.  Only the chunks below chunk_count are there. */
struct peer_record {
	struct endpoint address;
	struct peer_state state;
};
uint32_t peer_array_copy(const struct peer_array *p,
	const struct peer_family *family, const struct peer_place *from,
	uint32_t max, struct peer_record *ret);

/* Take those of one chunk out that were seen before that moment; returns how
 * many.  Only chunks from `chunk` on change, but for what they are joined to,
 * so a walk from the last chunk down to 0 sees all. */
uint32_t peer_array_expire(struct peer_array *p,
	const struct peer_family *family, uint32_t chunk, uint16_t before);

/* Free what it holds; it is empty then. */
void peer_array_finish(struct peer_array *p);

#endif
