#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* Each target has this one function; libFuzzer calls it, or replay_main.c. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* What must hold whatever came. */
static inline void require(bool truth)
{
	if (!truth)
		abort();
}

#endif
