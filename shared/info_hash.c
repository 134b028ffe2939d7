#include "shared/info_hash.h"

#include <string.h>

#include "shared/text.h"

bool info_hash_equal(const struct info_hash *a, const struct info_hash *b)
{
	return memcmp(a->bytes, b->bytes, INFO_HASH_SIZE) == 0;
}

void info_hash_hex(const struct info_hash *hash, char ret[INFO_HASH_HEX_SIZE])
{
	text_hex_encode(hash->bytes, INFO_HASH_SIZE, ret);
}

bool info_hash_from_hex(const char *text, struct info_hash *ret)
{
	return text_hex_decode(text, ret->bytes, INFO_HASH_SIZE);
}
