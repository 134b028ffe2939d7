#include "shared/digest_pair.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "shared/sha1_two.h"
#include "shared/writer.h"

struct digest_pair {
	/* By our own function, ... */
	uint64_t len;
	uint32_t states[2][SHA1_WORDS];

	/* ... or, if these are there, by OpenSSL. */
	struct digest *digests[2];
};

struct digest_pair *digest_pair_create(void)
{
	return sha1_two_works() ? calloc(1, sizeof(struct digest_pair))
				: digest_pair_create_portable();
}

struct digest_pair *digest_pair_create_portable(void)
{
	struct digest_pair *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->digests[0] = digest_create();
	p->digests[1] = digest_create();
	if (p->digests[0] && p->digests[1])
		return p;
	digest_pair_destroy(p);
	return NULL;
}

void digest_pair_destroy(struct digest_pair *p)
{
	if (!p)
		return;
	digest_destroy(p->digests[0]);
	digest_destroy(p->digests[1]);
	free(p);
}

void digest_pair_begin(struct digest_pair *p)
{
	static const uint32_t start[SHA1_WORDS] = {0x67452301, 0xefcdab89,
		0x98badcfe, 0x10325476, 0xc3d2e1f0}; /* FIPS 180-4, 5.3.1 */

	p->len = 0;
	for (size_t i = 0; i < 2; i++) {
		memcpy(p->states[i], start, sizeof(start));
		if (p->digests[i])
			digest_begin(p->digests[i], DIGEST_SHA1);
	}
}

void digest_pair_update(
	struct digest_pair *p, const void *a, const void *b, size_t len)
{
	assert(len % DIGEST_PAIR_BLOCK == 0);
	if (p->digests[0]) {
		digest_update(p->digests[0], a, len);
		digest_update(p->digests[1], b, len);
		return;
	}
	p->len += len;
	sha1_two_blocks(p->states, a, b, len / DIGEST_PAIR_BLOCK);
}

/* The message ends with a block of its own: a bit, zeros, its length. */
static void pad(struct digest_pair *p)
{
	uint8_t block[DIGEST_PAIR_BLOCK] = {0x80};
	struct writer w = writer_of(block + sizeof(block) - 8, 8);

	writer_u64(&w, p->len * 8);
	sha1_two_blocks(p->states, block, block, 1);
}

void digest_pair_end(struct digest_pair *p, uint8_t ret_a[SHA1_SIZE],
	uint8_t ret_b[SHA1_SIZE])
{
	uint8_t *const ret[2] = {ret_a, ret_b};

	if (!p->digests[0])
		pad(p);
	for (size_t i = 0; i < 2; i++) {
		struct writer w = writer_of(ret[i], SHA1_SIZE);

		if (p->digests[i])
			digest_end(p->digests[i], ret[i]);
		for (size_t j = 0; !p->digests[i] && j < SHA1_WORDS; j++)
			writer_u32(&w, p->states[i][j]);
	}
}
