/* The functions of OpenSSL 1.1.  EVP, which is to take their place, asks for
 * memory at each beginning, and a thread that checks pieces has no way to say
 * that there was none; and what it has to set up takes longer than all the
 * hashing of a small torrent.  The code below both is the same. */
#define OPENSSL_API_COMPAT 10101

#include "shared/digest.h"

#include <openssl/sha.h>
#include <stdlib.h>

struct digest {
	enum digest_kind kind;
	union {
		SHA_CTX sha1;
		SHA256_CTX sha256;
	} of;
};

struct digest *digest_create(void) { return calloc(1, sizeof(struct digest)); }

void digest_destroy(struct digest *d) { free(d); }

void digest_begin(struct digest *d, enum digest_kind kind)
{
	d->kind = kind;
	switch (kind) {
	case DIGEST_SHA1:
		SHA1_Init(&d->of.sha1);
		break;
	case DIGEST_SHA256:
		SHA256_Init(&d->of.sha256);
		break;
	}
}

void digest_update(struct digest *d, const void *bytes, size_t len)
{
	switch (d->kind) {
	case DIGEST_SHA1:
		SHA1_Update(&d->of.sha1, bytes, len);
		break;
	case DIGEST_SHA256:
		SHA256_Update(&d->of.sha256, bytes, len);
		break;
	}
}

void digest_end(struct digest *d, uint8_t *ret)
{
	switch (d->kind) {
	case DIGEST_SHA1:
		SHA1_Final(ret, &d->of.sha1);
		break;
	case DIGEST_SHA256:
		SHA256_Final(ret, &d->of.sha256);
		break;
	}
}

void digest_sha1(const void *bytes, size_t len, uint8_t ret[SHA1_SIZE])
{
	struct digest d;

	digest_begin(&d, DIGEST_SHA1);
	digest_update(&d, bytes, len);
	digest_end(&d, ret);
}
