#include <string.h>

#include "shared/announce_http_query.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/same_announce.h"

/* An announce that is accepted makes sense, and is understood in the same way
 * when it is written and read again. */

static void check_announce(const struct announce *a)
{
	static uint8_t url[ANNOUNCE_HTTP_MAX_URL];
	struct writer w = writer_of(url, sizeof(url));
	struct announce again = {.peer = a->peer};
	struct span none = {NULL, 0};
	struct error err;

	require(a->peer.port != 0);
	require(announce_http_url("?", a, none, &w));
	require(announce_http_parse_query(
		(struct span){url + 1, writer_len(&w) - 1}, &again, &err));
	require_same(&again, a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct span query = {bytes, len};
	struct announce a = {0};
	struct info_hash hashes[8];
	size_t count = 0;
	struct error err;

	if (announce_http_parse_query(query, &a, &err))
		check_announce(&a);
	if (announce_http_parse_scrape(query, hashes, 8, &count, &err))
		require(count > 0 && count <= 8);
	return 0;
}
