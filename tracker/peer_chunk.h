#ifndef TRACKER_PEER_CHUNK_H
#define TRACKER_PEER_CHUNK_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "shared/endpoint.h"
#include "tracker/peer_array.h"

/* What is inside of a peer array, for peer_array.c and peer_choice.c alone. */

struct peer_chunk {
	uint32_t count;
	uint8_t entries[]; /* address, port, moment and COMPLETED_BIT; at their
			    * end is one byte more, see find_v4() */
};

static inline size_t key_size(const struct peer_family *family)
{
	return family->v6 ? ENDPOINT_V6_SIZE : ENDPOINT_V4_SIZE;
}

static inline size_t entry_size(const struct peer_family *family)
{
	return key_size(family) + 1;
}

/* --- Entries of a chunk --- */

static inline uint8_t *entry_at(const struct peer_family *family,
	struct peer_chunk *chunk, uint32_t slot)
{
	return chunk->entries + slot * entry_size(family);
}

/* Straight to its place: put together elsewhere and copied, it would be read
 * before the pieces have left the processor, which then waits. */
static inline void put_endpoint(const struct peer_family *family,
	const uint8_t *entry, struct endpoint *ret)
{
	static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

	if (family->v6) {
		memcpy(ret->ip, entry, 16);
		memcpy(&ret->port, entry + 16, sizeof(ret->port));
	} else {
		memcpy(ret->ip, v4_prefix, sizeof(v4_prefix));
		memcpy(ret->ip + sizeof(v4_prefix), entry, 4);
		memcpy(&ret->port, entry + 4, sizeof(ret->port));
	}
}

/* --- Chunks --- */

/* For who only reads the array. */
static inline struct peer_chunk *chunk_of(
	const struct peer_array *p, uint32_t number)
{
	return p->chunk_count > 1 ? p->many[number] : p->one;
}

/* The largest power of two that is not above `n` > 0. */
static inline uint32_t power_below(uint32_t n)
{
	return UINT32_C(1) << (31 - __builtin_clz(n));
}

/* Linear hashing: of `chunk_count` chunks those from the power of two on, and
 * those which they were split from, go by one bit of the hash more. */
static inline uint32_t number_of(uint32_t chunk_count, uint64_t hash)
{
	uint32_t power = power_below(chunk_count);
	uint32_t number = (uint32_t)hash & (2 * power - 1);

	return number < chunk_count ? number : number - power;
}

#endif
