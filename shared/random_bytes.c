#include "shared/random_bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

void random_bytes(void *ret, size_t len)
{
	uint8_t *at = ret;

	while (len > 0) {
		ssize_t n = getrandom(at, len, 0);

		/* Ids and hash seeds that can be guessed are worse than no
		 * program; every kernel since 3.17 has the call. */
		if (n < 0 && errno != EINTR)
			abort();
		if (n > 0) {
			at += n;
			len -= (size_t)n;
		}
	}
}

uint32_t random_u32(void)
{
	uint32_t value;

	random_bytes(&value, sizeof(value));
	return value;
}

uint64_t random_u64(void)
{
	uint64_t value;

	random_bytes(&value, sizeof(value));
	return value;
}
