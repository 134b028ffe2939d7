#include "shared/announce_udp.h"

#include <stdio.h>
#include <string.h>

#include "shared/reader.h"
#include "shared/text.h"
#include "shared/writer.h"

/* What stands where a `connect` has no connection id yet. */
static const uint64_t PROTOCOL_ID = 0x41727101980;

/* Options behind an announce (BEP 41): type, length, data. */
enum {
	OPTION_END,
	OPTION_NOTHING, /* has no length either */
	OPTION_URL_DATA,

	OPTION_HEAD = 2,
	OPTION_MAX_LEN = 255,
};

_Static_assert(ANNOUNCE_UDP_ANNOUNCE_SIZE + ANNOUNCE_UDP_MAX_URL_DATA +
			OPTION_HEAD *
				((ANNOUNCE_UDP_MAX_URL_DATA + OPTION_MAX_LEN -
					 1) /
					OPTION_MAX_LEN) <=
		ANNOUNCE_UDP_MAX_PACKET,
	"the largest announce");

/* --- The client asks --- */

static void write_head(struct writer *w, uint64_t connection_id,
	enum announce_udp_action action, uint32_t transaction)
{
	writer_u64(w, connection_id);
	writer_u32(w, (uint32_t)action);
	writer_u32(w, transaction);
}

void announce_udp_write_connect(struct writer *w, uint32_t transaction)
{
	write_head(w, PROTOCOL_ID, ANNOUNCE_UDP_CONNECT, transaction);
}

/* The end of the packet is the end of the options. */
static void write_url_data(struct writer *w, struct span data)
{
	while (data.len > 0) {
		size_t len =
			data.len < OPTION_MAX_LEN ? data.len : OPTION_MAX_LEN;

		writer_u8(w, OPTION_URL_DATA);
		writer_u8(w, (uint8_t)len);
		writer_bytes(w, data.at, len);
		data.at += len;
		data.len -= len;
	}
}

void announce_udp_write_announce(struct writer *w, uint64_t connection_id,
	uint32_t transaction, const struct announce *a, struct span url_data)
{
	write_head(w, connection_id, ANNOUNCE_UDP_ANNOUNCE, transaction);
	writer_bytes(w, a->info_hash.bytes, INFO_HASH_SIZE);
	writer_bytes(w, a->peer_id, PEER_ID_SIZE);
	writer_u64(w, a->downloaded);
	writer_u64(w, a->left);
	writer_u64(w, a->uploaded);
	writer_u32(w, (uint32_t)a->event);
	writer_u32(w, 0); /* our address: the one that the tracker sees */
	writer_u32(w, a->key);
	/* A signed number there; -1: the tracker chooses. */
	uint32_t numwant = a->numwant < INT32_MAX ? a->numwant : INT32_MAX;
	writer_u32(w, a->numwant_named ? numwant : UINT32_MAX);
	writer_u16(w, a->peer.port);
	write_url_data(w, url_data);
}

void announce_udp_write_scrape(struct writer *w, uint64_t connection_id,
	uint32_t transaction, const struct info_hash *hashes, size_t count)
{
	write_head(w, connection_id, ANNOUNCE_UDP_SCRAPE, transaction);
	for (size_t i = 0; i < count; i++)
		writer_bytes(w, hashes[i].bytes, INFO_HASH_SIZE);
}

/* --- The client understands --- */

/* The start of an answer. */
static bool is_answer(
	struct reader *r, enum announce_udp_action action, uint32_t transaction)
{
	uint32_t its_action = reader_u32(r);
	uint32_t its_transaction = reader_u32(r);

	return !r->bad && its_action == (uint32_t)action &&
		its_transaction == transaction;
}

bool announce_udp_parse_connected(
	struct span packet, uint32_t transaction, uint64_t *ret_connection_id)
{
	struct reader r = reader_of_span(packet);

	if (!is_answer(&r, ANNOUNCE_UDP_CONNECT, transaction))
		return false;

	uint64_t id = reader_u64(&r);
	if (r.bad)
		return false;
	*ret_connection_id = id;
	return true;
}

static void read_peers(struct reader *r, bool v4, struct announce_reply *ret)
{
	size_t entry_size = v4 ? ENDPOINT_V4_SIZE : ENDPOINT_V6_SIZE;

	while (ret->peer_count < ANNOUNCE_REPLY_MAX_PEERS &&
		reader_left(r) >= entry_size) {
		struct endpoint e =
			v4 ? endpoint_read_v4(r) : endpoint_read_v6(r);

		if (endpoint_dialable(&e))
			ret->peers[ret->peer_count++] = e;
	}
}

bool announce_udp_parse_reply(struct span packet, uint32_t transaction, bool v4,
	struct announce_reply *ret)
{
	struct reader r = reader_of_span(packet);

	if (!is_answer(&r, ANNOUNCE_UDP_ANNOUNCE, transaction))
		return false;

	uint32_t interval_s = reader_u32(&r);
	uint32_t leechers = reader_u32(&r);
	uint32_t seeders = reader_u32(&r);
	if (r.bad)
		return false;
	*ret = (struct announce_reply){
		.interval_s = interval_s,
		.counted = true,
		.leechers = leechers,
		.seeders = seeders,
	};
	read_peers(&r, v4, ret);
	return true;
}

bool announce_udp_parse_scraped(struct span packet, uint32_t transaction,
	struct scrape_entry *ret, size_t count)
{
	struct reader r = reader_of_span(packet);

	if (!is_answer(&r, ANNOUNCE_UDP_SCRAPE, transaction) ||
		reader_left(&r) / 12 < count)
		return false;
	for (size_t i = 0; i < count; i++) {
		ret[i].seeders = reader_u32(&r);
		ret[i].completed = reader_u32(&r);
		ret[i].leechers = reader_u32(&r);
	}
	return true;
}

bool announce_udp_parse_error(
	struct span packet, uint32_t transaction, char ret[ANNOUNCE_TEXT_SIZE])
{
	struct reader r = reader_of_span(packet);

	if (!is_answer(&r, ANNOUNCE_UDP_ERROR, transaction))
		return false;

	/* Some trackers send the NUL of their C string as well. */
	struct span reason = reader_rest(&r);
	while (reason.len > 0 && reason.at[reason.len - 1] == '\0')
		reason.len--;
	if (text_utf8_repair(reason, ret, ANNOUNCE_TEXT_SIZE) == 0)
		snprintf(ret, ANNOUNCE_TEXT_SIZE, "no reason given");
	return true;
}

/* --- The tracker understands --- */

bool announce_udp_parse_head(struct reader *r, struct announce_udp_head *ret)
{
	uint64_t connection_id = reader_u64(r);
	uint32_t action = reader_u32(r);
	uint32_t transaction = reader_u32(r);

	if (r->bad || action > ANNOUNCE_UDP_SCRAPE ||
		(action == ANNOUNCE_UDP_CONNECT &&
			connection_id != PROTOCOL_ID))
		return false;
	*ret = (struct announce_udp_head){
		.connection_id = connection_id,
		.action = (enum announce_udp_action)action,
		.transaction = transaction,
	};
	return true;
}

static enum announce_event event_of(uint32_t number)
{
	return number <= ANNOUNCE_STOPPED ? (enum announce_event)number
					  : ANNOUNCE_NONE;
}

bool announce_udp_parse_announce(
	struct reader *r, struct announce *ret, struct error *err)
{
	struct announce a = {
		.peer = ret->peer, .one_family = true, .compact = true};
	const uint8_t *info_hash = reader_take(r, INFO_HASH_SIZE);
	const uint8_t *peer_id = reader_take(r, PEER_ID_SIZE);

	a.downloaded = reader_u64(r);
	a.left = reader_u64(r);
	a.uploaded = reader_u64(r);
	a.event = event_of(reader_u32(r));
	(void)reader_u32(r); /* the address that it would like to have */
	a.key = reader_u32(r);
	a.numwant = reader_u32(r);
	a.peer.port = reader_u16(r);

	if (r->bad)
		return error_set(err, "announce too short");
	if (a.peer.port == 0)
		return error_set(err, "port must be 1 to 65535");
	a.numwant_named = a.numwant <= INT32_MAX;
	if (!a.numwant_named)
		a.numwant = ANNOUNCE_DEFAULT_NUMWANT;
	memcpy(a.info_hash.bytes, info_hash, INFO_HASH_SIZE);
	memcpy(a.peer_id, peer_id, PEER_ID_SIZE);
	*ret = a;
	return true;
}

bool announce_udp_parse_url_data(struct reader *r, struct writer *w)
{
	while (!r->bad && reader_left(r) > 0) {
		uint8_t type = reader_u8(r);

		if (type == OPTION_END)
			break;
		if (type == OPTION_NOTHING)
			continue;

		size_t len = reader_u8(r);
		const uint8_t *data = reader_take(r, len);
		if (data && type == OPTION_URL_DATA)
			writer_bytes(w, data, len);
	}
	return !r->bad && !w->bad;
}

bool announce_udp_parse_scrape(struct reader *r, struct info_hash *ret,
	size_t max, size_t *ret_count, struct error *err)
{
	size_t count = reader_left(r) / INFO_HASH_SIZE;

	if (count == 0)
		return error_set(err, "scrape without an info hash");
	if (count > max)
		count = max;
	for (size_t i = 0; i < count; i++)
		memcpy(ret[i].bytes, reader_take(r, INFO_HASH_SIZE),
			INFO_HASH_SIZE);
	*ret_count = count;
	return true;
}

/* --- The tracker answers --- */

static void write_answer(
	struct writer *w, enum announce_udp_action action, uint32_t transaction)
{
	writer_u32(w, (uint32_t)action);
	writer_u32(w, transaction);
}

void announce_udp_write_connected(
	struct writer *w, uint32_t transaction, uint64_t connection_id)
{
	write_answer(w, ANNOUNCE_UDP_CONNECT, transaction);
	writer_u64(w, connection_id);
}

void announce_udp_write_reply(struct writer *w, uint32_t transaction,
	const struct announce *a, const struct announce_reply *reply)
{
	bool v4 = endpoint_is_v4(&a->peer);
	size_t entry_size = v4 ? ENDPOINT_V4_SIZE : ENDPOINT_V6_SIZE;

	write_answer(w, ANNOUNCE_UDP_ANNOUNCE, transaction);
	writer_u32(w, reply->interval_s);
	writer_u32(w, reply->leechers);
	writer_u32(w, reply->seeders);
	for (size_t i = 0;
		i < reply->peer_count && writer_left(w) >= entry_size; i++) {
		const struct endpoint *e = &reply->peers[i];

		if (endpoint_is_v4(e) != v4)
			continue;
		if (v4)
			endpoint_write_v4(w, e);
		else
			endpoint_write_v6(w, e);
	}
}

void announce_udp_write_scraped(struct writer *w, uint32_t transaction,
	const struct scrape_entry *entries, size_t count)
{
	write_answer(w, ANNOUNCE_UDP_SCRAPE, transaction);
	for (size_t i = 0; i < count; i++) {
		writer_u32(w, entries[i].seeders);
		writer_u32(w, entries[i].completed);
		writer_u32(w, entries[i].leechers);
	}
}

void announce_udp_write_error(
	struct writer *w, uint32_t transaction, const char *reason)
{
	write_answer(w, ANNOUNCE_UDP_ERROR, transaction);

	size_t len = strlen(reason);
	writer_bytes(w, reason, len < writer_left(w) ? len : writer_left(w));
}
