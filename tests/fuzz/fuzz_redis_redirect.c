/* An error reply of Redis: a redirection names a slot and a port that exist;
 * and any bytes are a key that has a slot. */

#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tracker/redis_redirect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span in = {data, size};
	struct redis_redirect r;

	require(redis_slot_of(in) < REDIS_SLOTS);
	if (redis_redirect_parse(in, &r))
		require(r.slot < REDIS_SLOTS && r.port != 0 &&
			memchr(r.host, 0, sizeof(r.host)));
	return 0;
}
