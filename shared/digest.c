#include "shared/digest.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

/* EVP looks an algorithm up by name at every use unless it is fetched; the
 * look-up takes a lock and longer than a short message's hash. */
static pthread_once_t fetched = PTHREAD_ONCE_INIT;
static EVP_MD *algorithms[2]; /* by enum digest_kind; kept until exit */

static void fetch(void)
{
	algorithms[DIGEST_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
	algorithms[DIGEST_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
}

struct digest {
	/* One for each kind, made ready at birth: a context asks for memory
	 * when it changes its kind, and begin has no way to fail. */
	EVP_MD_CTX *contexts[2];
	EVP_MD_CTX *current;
};

/* What OpenSSL cannot refuse once a context is ready.  Going on would take a
 * wrong digest for a right one. */
static void must(int done)
{
	if (done != 1)
		abort();
}

struct digest *digest_create(void)
{
	struct digest *d = calloc(1, sizeof(*d));

	pthread_once(&fetched, fetch);
	if (!d)
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		d->contexts[i] = EVP_MD_CTX_new();
		if (!d->contexts[i] || !algorithms[i] ||
			EVP_DigestInit_ex2(
				d->contexts[i], algorithms[i], NULL) != 1) {
			digest_destroy(d);
			return NULL;
		}
	}
	d->current = d->contexts[DIGEST_SHA1];
	return d;
}

void digest_destroy(struct digest *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < 2; i++)
		EVP_MD_CTX_free(d->contexts[i]);
	free(d);
}

void digest_begin(struct digest *d, enum digest_kind kind)
{
	d->current = d->contexts[kind];
	must(EVP_DigestInit_ex2(d->current, NULL, NULL));
}

void digest_update(struct digest *d, const void *bytes, size_t len)
{
	must(EVP_DigestUpdate(d->current, bytes, len));
}

void digest_end(struct digest *d, uint8_t *ret)
{
	must(EVP_DigestFinal_ex(d->current, ret, NULL));
}

void digest_sha1(const void *bytes, size_t len, uint8_t ret[SHA1_SIZE])
{
	pthread_once(&fetched, fetch);
	must(EVP_Digest(bytes, len, ret, NULL, algorithms[DIGEST_SHA1], NULL));
}
