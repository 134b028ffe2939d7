#ifndef SHARED_DIGEST_PAIR_H
#define SHARED_DIGEST_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include "shared/digest.h"

/* SHA-1 (BEP 3) of two messages of the same length, side by side.
 *
 * SHA-1 is one long chain of steps, each of which waits for the one before.  A
 * processor with instructions for it has room for a second chain in the gaps:
 * on Zen 4 two together run at 2.8 GB/s, one after another by OpenSSL at 1.6,
 * and OpenSSL has no call for two.  Where those instructions are missing each
 * is left to OpenSSL.
 *
 * Used by one thread at a time; may be begun again and again. */
struct digest_pair;

enum { DIGEST_PAIR_BLOCK = 64 }; /* bytes */

/* NULL: out of memory. */
struct digest_pair *digest_pair_create(void);

/* The same without those instructions. */
struct digest_pair *digest_pair_create_portable(void);

void digest_pair_destroy(struct digest_pair *p);

void digest_pair_begin(struct digest_pair *p);

/* `len` more bytes of each: a multiple of DIGEST_PAIR_BLOCK. */
void digest_pair_update(
	struct digest_pair *p, const void *a, const void *b, size_t len);

void digest_pair_end(struct digest_pair *p, uint8_t ret_a[SHA1_SIZE],
	uint8_t ret_b[SHA1_SIZE]);

#endif
