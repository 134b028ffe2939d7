#ifndef SHARED_SHA1_TWO_H
#define SHARED_SHA1_TWO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The compression function of SHA-1 (FIPS 180-4, 6.1.2) on two messages at a
 * time, by the SHA instructions of x86 processors; for digest_pair. */

enum { SHA1_WORDS = 5 };

/* Whether this processor has them.  Without, sha1_two_blocks() must not be
 * called. */
bool sha1_two_works(void);

/* Work `blocks` blocks of 64 bytes of each message into its state, of which
 * there are two.  (Declared as an array of two, gcc takes it for one too small
 * when it optimizes at link time.) */
void sha1_two_blocks(uint32_t (*states)[SHA1_WORDS], const uint8_t *a,
	const uint8_t *b, size_t blocks);

#endif
