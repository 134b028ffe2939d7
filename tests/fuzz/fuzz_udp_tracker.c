#include <string.h>

#include "shared/announce_udp.h"
#include "shared/reader.h"
#include "tests/fuzz/fuzz.h"

/* Whatever comes from a UDP tracker: what we take from it is within its
 * bounds. */

static void check_reply(struct span packet, uint32_t transaction, bool v4)
{
	static struct announce_reply reply;

	if (!announce_udp_parse_reply(packet, transaction, v4, &reply))
		return;
	require(reply.peer_count <= ANNOUNCE_REPLY_MAX_PEERS &&
		reply.peer_count <= packet.len / ENDPOINT_V4_SIZE);
	for (size_t i = 0; i < reply.peer_count; i++)
		require(endpoint_dialable(&reply.peers[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct span packet = {bytes, len};
	struct reader r = reader_of_span(packet);
	struct scrape_entry entries[3];
	char text[ANNOUNCE_TEXT_SIZE];
	uint64_t id;

	/* As if it were the answer to what we asked. */
	(void)reader_u32(&r);
	uint32_t transaction = reader_u32(&r);

	(void)announce_udp_parse_connected(packet, transaction, &id);
	check_reply(packet, transaction, true);
	check_reply(packet, transaction, false);
	(void)announce_udp_parse_scraped(packet, transaction, entries, 3);
	if (announce_udp_parse_error(packet, transaction, text))
		require(text[0] != '\0' && memchr(text, '\0', sizeof(text)));
	return 0;
}
