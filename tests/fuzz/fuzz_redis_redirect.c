/* An error reply of Redis: a redirection names a slot and a port that exist;
 * and any bytes are a key that has a slot. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tracker/redis_redirect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {data, size};
	struct redis_redirect r;

	if (redis_slot_of(in) >= REDIS_SLOTS)
		abort();
	if (redis_redirect_parse(in, &r) &&
		(r.slot >= REDIS_SLOTS || r.port == 0 ||
			!memchr(r.host, 0, sizeof(r.host))))
		abort();
	return 0;
}
