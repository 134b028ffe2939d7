#ifndef TRACKER_ADDRESS_GROUP_H
#define TRACKER_ADDRESS_GROUP_H

#include <stdint.h>
#include <xxhash.h>

#include "shared/endpoint.h"

/* Who is behind an address, as a number: for IPv6 it is the /64 that counts,
 * since a client has all of one.  `seed` is random: anybody may choose
 * addresses. */
static inline uint64_t address_group_hash(
	const struct endpoint *e, uint64_t seed)
{
	/* Of IPv6 the first half; IPv4 is in the second one. */
	const uint8_t *at = e->ip + (endpoint_is_v4(e) ? 8 : 0);

	return XXH3_64bits_withSeed(at, 8, seed);
}

#endif
