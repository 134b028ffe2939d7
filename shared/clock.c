#include "shared/clock.h"

#include <time.h>

uint64_t clock_us(void)
{
	struct timespec t;

	/* Cannot fail: the clock exists and the address is ours. */
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

uint64_t clock_ms(void) { return clock_us() / 1000; }

double clock_wall(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t); /* as above */
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
