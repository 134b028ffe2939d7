#ifndef TRACKER_SIPHASH_H
#define TRACKER_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

enum { SIPHASH_KEY_SIZE = 16 };

/* SipHash-2-4 (Aumasson, Bernstein 2012): 64 bits that nobody without the key
 * can guess, from a short message, and quicker than any digest. */
uint64_t siphash(
	const uint8_t key[SIPHASH_KEY_SIZE], const void *message, size_t len);

#endif
