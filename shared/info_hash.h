#ifndef SHARED_INFO_HASH_H
#define SHARED_INFO_HASH_H

#include <stdbool.h>
#include <stdint.h>

/* What a torrent is called on the wire, in announces and in handshakes: 20
 * bytes.  For v1 it is the SHA-1 of the info dictionary (BEP 3), for v2 the
 * first 20 bytes of its SHA-256 (BEP 52).  Compare with memcmp. */
enum { INFO_HASH_SIZE = 20, INFO_HASH_HEX_SIZE = 41 };

struct info_hash {
	uint8_t bytes[INFO_HASH_SIZE];
};

bool info_hash_equal(const struct info_hash *a, const struct info_hash *b);

/* 40 lower-case digits and a NUL. */
void info_hash_hex(const struct info_hash *hash, char ret[INFO_HASH_HEX_SIZE]);

/* Exactly 40 hexadecimal digits, of either case, or false. */
bool info_hash_from_hex(const char *text, struct info_hash *ret);

#endif
