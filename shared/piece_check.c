#include "shared/piece_check.h"

#include <stdlib.h>
#include <string.h>

#include "shared/digest.h"
#include "shared/metainfo.h"

struct piece_check {
	struct digest *digest;
	const uint8_t *expected; /* SHA1_SIZE bytes in the metainfo */
	size_t missing;          /* bytes of the piece still to come */
	bool too_long;
};

struct piece_check *piece_check_create(void)
{
	struct piece_check *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->digest = digest_create();
	if (!c->digest) {
		free(c);
		return NULL;
	}
	return c;
}

void piece_check_destroy(struct piece_check *c)
{
	if (!c)
		return;
	digest_destroy(c->digest);
	free(c);
}

void piece_check_begin(
	struct piece_check *c, const struct metainfo *m, uint32_t index)
{
	c->expected = m->piece_hashes + (size_t)index * SHA1_SIZE;
	c->missing = metainfo_piece_size(m, index);
	c->too_long = false;
	digest_begin(c->digest, DIGEST_SHA1);
}

void piece_check_update(struct piece_check *c, const void *bytes, size_t len)
{
	if (len > c->missing) {
		c->too_long = true;
		return;
	}
	c->missing -= len;
	digest_update(c->digest, bytes, len);
}

bool piece_check_end(struct piece_check *c)
{
	uint8_t hash[SHA1_SIZE];

	digest_end(c->digest, hash);
	return !c->too_long && c->missing == 0 &&
		memcmp(hash, c->expected, SHA1_SIZE) == 0;
}
