#include <string.h>

#include "shared/announce_udp.h"
#include "shared/reader.h"
#include "shared/writer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/same_announce.h"

/* Whatever comes to a UDP tracker: an announce that is accepted makes sense,
 * and is understood in the same way when it is written and read again. */

static void check_announce(
	const struct announce_udp_head *head, const struct announce *a)
{
	uint8_t packet[ANNOUNCE_UDP_ANNOUNCE_SIZE];
	struct writer w = writer_of(packet, sizeof(packet));
	struct announce_udp_head head_again;
	struct announce again = {.peer = a->peer};
	struct error err;

	require(a->peer.port != 0 && a->numwant <= INT32_MAX &&
		a->event <= ANNOUNCE_STOPPED);
	announce_udp_write_announce(&w, head->connection_id, head->transaction,
		a, (struct span){NULL, 0});
	struct reader r = reader_of(packet, writer_len(&w));
	require(!w.bad && announce_udp_parse_head(&r, &head_again) &&
		announce_udp_parse_announce(&r, &again, &err));
	require_same(&again, a);
	require(head_again.transaction == head->transaction &&
		head_again.connection_id == head->connection_id);
}

/* The URL is no longer than what it was in. */
static void check_url_data(struct reader *options)
{
	uint8_t url[ANNOUNCE_UDP_MAX_PACKET];
	struct writer w = writer_of(url, sizeof(url));
	size_t len = reader_left(options);

	if (announce_udp_parse_url_data(options, &w))
		require(writer_len(&w) <= len);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct reader r = reader_of(bytes, len);
	struct announce_udp_head head;
	struct info_hash hashes[8];
	struct announce a = {0};
	struct error err;
	size_t count = 0;

	if (!announce_udp_parse_head(&r, &head))
		return 0;
	switch (head.action) {
	case ANNOUNCE_UDP_CONNECT:
	case ANNOUNCE_UDP_ERROR:
		break;
	case ANNOUNCE_UDP_ANNOUNCE:
		if (announce_udp_parse_announce(&r, &a, &err)) {
			check_announce(&head, &a);
			check_url_data(&r);
		}
		break;
	case ANNOUNCE_UDP_SCRAPE:
		if (announce_udp_parse_scrape(&r, hashes, 8, &count, &err))
			require(count > 0 && count <= 8);
		break;
	}
	return 0;
}
