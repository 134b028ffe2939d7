#include "shared/piece_check.h"

#include <stdlib.h>
#include <string.h>

#include "shared/digest.h"
#include "shared/digest_pair.h"
#include "shared/metainfo.h"

struct piece_check {
	struct digest *digest;
	struct digest_pair *pair;
	const uint8_t *expected[2]; /* SHA1_SIZE bytes in the metainfo */
	size_t missing;             /* bytes of each piece still to come */
	bool too_long;

	uint32_t zeros_size; /* 0: zeros were not hashed yet */
	uint8_t zeros_hash[SHA1_SIZE];
};

struct piece_check *piece_check_create(void)
{
	struct piece_check *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->digest = digest_create();
	c->pair = digest_pair_create();
	if (c->digest && c->pair)
		return c;
	piece_check_destroy(c);
	return NULL;
}

void piece_check_destroy(struct piece_check *c)
{
	if (!c)
		return;
	digest_destroy(c->digest);
	digest_pair_destroy(c->pair);
	free(c);
}

static const uint8_t *hash_of(const struct metainfo *m, uint32_t index)
{
	return m->piece_hashes + (size_t)index * SHA1_SIZE;
}

void piece_check_begin(
	struct piece_check *c, const struct metainfo *m, uint32_t index)
{
	c->expected[0] = hash_of(m, index);
	c->missing = metainfo_piece_size(m, index);
	c->too_long = false;
	digest_begin(c->digest, DIGEST_SHA1);
}

/* False: more than there are in the piece. */
static bool count(struct piece_check *c, size_t len)
{
	if (len > c->missing) {
		c->too_long = true;
		return false;
	}
	c->missing -= len;
	return true;
}

void piece_check_update(struct piece_check *c, const void *bytes, size_t len)
{
	if (count(c, len))
		digest_update(c->digest, bytes, len);
}

static bool proven(const struct piece_check *c, size_t i, const uint8_t *hash)
{
	return !c->too_long && c->missing == 0 &&
		memcmp(hash, c->expected[i], SHA1_SIZE) == 0;
}

bool piece_check_end(struct piece_check *c)
{
	uint8_t hash[SHA1_SIZE];

	digest_end(c->digest, hash);
	return proven(c, 0, hash);
}

bool piece_check_can_pair(const struct metainfo *m, uint32_t a, uint32_t b)
{
	return metainfo_piece_size(m, a) == m->piece_length &&
		metainfo_piece_size(m, b) == m->piece_length &&
		m->piece_length % DIGEST_PAIR_BLOCK == 0;
}

void piece_check_begin_two(
	struct piece_check *c, const struct metainfo *m, uint32_t a, uint32_t b)
{
	c->expected[0] = hash_of(m, a);
	c->expected[1] = hash_of(m, b);
	c->missing = m->piece_length;
	c->too_long = false;
	digest_pair_begin(c->pair);
}

void piece_check_update_two(
	struct piece_check *c, const void *a, const void *b, size_t len)
{
	if (count(c, len))
		digest_pair_update(c->pair, a, b, len);
}

void piece_check_end_two(struct piece_check *c, bool ret_good[2])
{
	uint8_t hashes[2][SHA1_SIZE];

	digest_pair_end(c->pair, hashes[0], hashes[1]);
	for (size_t i = 0; i < 2; i++)
		ret_good[i] = proven(c, i, hashes[i]);
}

static void hash_zeros(struct piece_check *c, uint32_t size)
{
	static const uint8_t zeros[16 * 1024];

	digest_begin(c->digest, DIGEST_SHA1);
	for (uint32_t left = size, len; left > 0; left -= len) {
		len = left < sizeof(zeros) ? left : sizeof(zeros);
		digest_update(c->digest, zeros, len);
	}
	digest_end(c->digest, c->zeros_hash);
	c->zeros_size = size;
}

bool piece_check_is_zeros(
	struct piece_check *c, const struct metainfo *m, uint32_t index)
{
	uint32_t size = metainfo_piece_size(m, index);

	if (size != c->zeros_size)
		hash_zeros(c, size);
	return memcmp(c->zeros_hash, hash_of(m, index), SHA1_SIZE) == 0;
}
