#include <string.h>

#include "shared/announce_http_reply.h"
#include "tests/fuzz/fuzz.h"

/* Whatever a tracker says, to an announce or a scrape: what we take from it is
 * within its bounds. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct announce_reply reply;
	struct scrape_entry entry;
	struct error err;

	memset(entry.info_hash.bytes, 'a', INFO_HASH_SIZE);
	(void)announce_http_parse_scraped(
		(struct span){bytes, len}, &entry, &err);
	if (!announce_http_parse_reply((struct span){bytes, len}, &reply, &err))
		return 0;
	require(reply.peer_count <= ANNOUNCE_REPLY_MAX_PEERS &&
		memchr(reply.failure, '\0', sizeof(reply.failure)) &&
		memchr(reply.warning, '\0', sizeof(reply.warning)) &&
		reply.tracker_id_len <= sizeof(reply.tracker_id));
	for (size_t i = 0; i < reply.peer_count; i++)
		require(endpoint_dialable(&reply.peers[i]));
	return 0;
}
