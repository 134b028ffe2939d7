/* The Content-Range header of a web seed, whatever it sends. */

#include "client/discovery/web_seed_url.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct content_range range;

	if (content_range_read((struct span){data, size}, &range))
		require(range.first <= range.last && range.last < range.total);
	return 0;
}
