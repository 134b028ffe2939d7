#include "shared/info_hash.h"

#include <string.h>

bool info_hash_equal(const struct info_hash *a, const struct info_hash *b)
{
	return memcmp(a->bytes, b->bytes, INFO_HASH_SIZE) == 0;
}

void info_hash_hex(const struct info_hash *hash, char ret[INFO_HASH_HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < INFO_HASH_SIZE; i++) {
		ret[2 * i] = digits[hash->bytes[i] >> 4];
		ret[2 * i + 1] = digits[hash->bytes[i] & 15];
	}
	ret[INFO_HASH_HEX_SIZE - 1] = '\0';
}

/* -1: no hexadecimal digit. */
static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool info_hash_from_hex(const char *text, struct info_hash *ret)
{
	struct info_hash hash;

	if (strlen(text) != INFO_HASH_HEX_SIZE - 1)
		return false;
	for (size_t i = 0; i < INFO_HASH_SIZE; i++) {
		int high = digit(text[2 * i]);
		int low = digit(text[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		hash.bytes[i] = (uint8_t)(high << 4 | low);
	}
	*ret = hash;
	return true;
}
