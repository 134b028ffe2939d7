#ifndef TESTS_UNIT_NUMBERED_PEERS_H
#define TESTS_UNIT_NUMBERED_PEERS_H

#include "tracker/peer_array.h"

/* Both families of peers, and an address in each for every number of 24 bits.
 */
static const struct peer_family families[] = {
	{.v6 = false, .seed = 1},
	{.v6 = true, .seed = 2},
};

static inline struct endpoint nth(const struct peer_family *family, uint32_t n)
{
	struct endpoint e = {.port = 1};

	if (!family->v6)
		e.ip[10] = e.ip[11] = 0xff;
	e.ip[13] = (uint8_t)(n >> 16);
	e.ip[14] = (uint8_t)(n >> 8);
	e.ip[15] = (uint8_t)n;
	return e;
}

static inline uint32_t number_of(const struct endpoint *e)
{
	return (uint32_t)e->ip[13] << 16 | (uint32_t)e->ip[14] << 8 | e->ip[15];
}

#endif
