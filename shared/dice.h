#ifndef SHARED_DICE_H
#define SHARED_DICE_H

#include <stdint.h>

/* Quick dice to choose peers with and to break ties (splitmix64).  The state is
 * seeded from the system's dice; nothing secret depends on it. */
static inline uint64_t dice_roll(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* 32 bits of a roll, made a number in [0, bound), bound > 0. */
static inline uint32_t dice_scale(uint64_t bits, uint32_t bound)
{
	return (uint32_t)(bits * bound >> 32);
}

static inline uint32_t dice_below(uint64_t *state, uint32_t bound)
{
	return dice_scale(dice_roll(state) >> 32, bound);
}

#endif
