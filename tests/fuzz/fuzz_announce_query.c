#include <string.h>

#include "shared/announce_http_query.h"

/* An announce that is accepted makes sense, and is understood in the same way
 * when it is written and read again. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check_announce(const struct announce *a)
{
	static uint8_t url[ANNOUNCE_HTTP_MAX_URL];
	struct writer w = writer_of(url, sizeof(url));
	struct announce again = {.peer = a->peer};
	struct span none = {NULL, 0};
	struct error err;

	if (a->peer.port == 0)
		__builtin_trap();
	if (!announce_http_url("?", a, none, &w))
		__builtin_trap();
	if (!announce_http_parse_query(
		    (struct span){url + 1, writer_len(&w) - 1}, &again, &err))
		__builtin_trap();
	if (again.left != a->left || again.uploaded != a->uploaded ||
		again.downloaded != a->downloaded || again.key != a->key ||
		again.event != a->event || again.numwant != a->numwant ||
		!info_hash_equal(&again.info_hash, &a->info_hash) ||
		memcmp(again.peer_id, a->peer_id, PEER_ID_SIZE) != 0 ||
		!endpoint_equal(&again.peer, &a->peer))
		__builtin_trap();
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
	if (announce_http_parse_scrape(query, hashes, 8, &count, &err) &&
		(count == 0 || count > 8))
		__builtin_trap();
	return 0;
}
