#ifndef SHARED_DIGEST_H
#define SHARED_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* SHA-1 (BEP 3) and SHA-256 (BEP 52), by OpenSSL.  A digest that is there asks
 * for nothing more, so that nothing below can fail. */
enum digest_kind { DIGEST_SHA1, DIGEST_SHA256 };

enum { SHA1_SIZE = 20, SHA256_SIZE = 32, DIGEST_MAX_SIZE = 32 };

/* One digest under way.  Used by one thread at a time; may be begun again and
 * again. */
struct digest;

/* NULL: out of memory. */
struct digest *digest_create(void);
void digest_destroy(struct digest *d);

void digest_begin(struct digest *d, enum digest_kind kind);
void digest_update(struct digest *d, const void *bytes, size_t len);

/* Writes 20 or 32 bytes, by the kind. */
void digest_end(struct digest *d, uint8_t *ret);

/* All at once. */
void digest_sha1(const void *bytes, size_t len, uint8_t ret[SHA1_SIZE]);

#endif
