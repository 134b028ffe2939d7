#include <criterion/criterion.h>
#include <string.h>

#include "shared/announce_udp.h"
#include "shared/reader.h"
#include "shared/writer.h"
#include "tests/unit/guarded.h"

enum { ID = 0x5eed, TRANSACTION = 0x01020304 };

static uint8_t packet[8192];
static struct writer w;

static struct writer *fresh(void)
{
	w = writer_of(packet, sizeof(packet));
	return &w;
}

/* What was written, or its first `len` bytes. */
static struct span written(void)
{
	cr_assert_not(w.bad);
	return guarded_span(packet, writer_len(&w));
}

static struct span cut_at(size_t len) { return guarded_span(packet, len); }

static struct announce sample(void)
{
	struct announce a = {
		.peer = {.port = 6881},
		.uploaded = 1,
		.downloaded = UINT64_MAX,
		.left = 3ULL << 40,
		.event = ANNOUNCE_STARTED,
		.numwant = 80,
		.numwant_named = true,
		.key = 0x0badcafe,
	};

	endpoint_parse_ip("9.8.7.6", &a.peer);
	a.peer.port = 6881;
	for (unsigned i = 0; i < INFO_HASH_SIZE; i++) {
		a.info_hash.bytes[i] = (uint8_t)(i * 13);
		a.peer_id[i] = (uint8_t)(255 - i);
	}
	return a;
}

static const struct span no_data;

/* --- Questions --- */

Test(announce_udp, the_bytes_are_those_of_the_bep)
{
	static const uint8_t connect[] = {
		0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4};
	struct announce a = sample();

	announce_udp_write_connect(fresh(), TRANSACTION);
	cr_assert_eq(writer_len(&w), ANNOUNCE_UDP_CONNECT_SIZE);
	cr_expect_eq(memcmp(packet, connect, sizeof(connect)), 0);

	announce_udp_write_announce(fresh(), ID, TRANSACTION, &a, no_data);
	cr_assert_eq(writer_len(&w), ANNOUNCE_UDP_ANNOUNCE_SIZE);
	cr_expect_eq(
		memcmp(packet, "\0\0\0\0\0\0\x5e\xed\0\0\0\1\1\2\3\4", 16), 0);
	cr_expect_eq(memcmp(packet + 16, a.info_hash.bytes, 20), 0);
	cr_expect_eq(memcmp(packet + 36, a.peer_id, 20), 0);
	cr_expect_eq(
		memcmp(packet + 56, "\xff\xff\xff\xff\xff\xff\xff\xff", 8), 0);
	cr_expect_eq(memcmp(packet + 64, "\0\0\3\0\0\0\0\0", 8), 0);
	cr_expect_eq(memcmp(packet + 72, "\0\0\0\0\0\0\0\1", 8), 0);
	cr_expect_eq(memcmp(packet + 80,
			     "\0\0\0\2"         /* event */
			     "\0\0\0\0"         /* address */
			     "\x0b\xad\xca\xfe" /* key */
			     "\0\0\0\x50"       /* numwant */
			     "\x1a\xe1",
			     18),
		0);
}

Test(announce_udp, a_connect_is_understood)
{
	struct announce_udp_head head;

	announce_udp_write_connect(fresh(), TRANSACTION);
	for (size_t len = 0; len <= writer_len(&w); len++) {
		struct reader r = reader_of_span(cut_at(len));

		cr_expect_eq(announce_udp_parse_head(&r, &head),
			len == ANNOUNCE_UDP_CONNECT_SIZE, "%zu bytes", len);
	}
	cr_expect_eq(head.action, ANNOUNCE_UDP_CONNECT);
	cr_expect_eq(head.transaction, TRANSACTION);

	writer_u8(&w, 0); /* a later BEP may say more */
	struct reader r = reader_of_span(written());
	cr_expect(announce_udp_parse_head(&r, &head));
}

Test(announce_udp, what_is_no_question_is_refused)
{
	static const struct {
		uint64_t id;
		uint32_t action;
		bool ok;
	} cases[] = {
		{0x41727101980, 0, true},
		{0x41727101981, 0, false},
		{0, 0, false},
		{0, 1, true},
		{UINT64_MAX, 2, true},
		{0x41727101980, 3, false},
		{0x41727101980, UINT32_MAX, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct announce_udp_head head;

		writer_u64(fresh(), cases[i].id);
		writer_u32(&w, cases[i].action);
		writer_u32(&w, TRANSACTION);
		struct reader r = reader_of_span(written());
		cr_expect_eq(announce_udp_parse_head(&r, &head), cases[i].ok,
			"case %zu", i);
	}
}

/* Head and rest of an announce. */
static bool take_announce(struct span bytes, struct announce *ret)
{
	struct reader r = reader_of_span(bytes);
	struct announce_udp_head head;
	struct error err;

	if (!announce_udp_parse_head(&r, &head))
		return false;
	cr_expect_eq(head.action, ANNOUNCE_UDP_ANNOUNCE);
	cr_expect_eq(head.connection_id, ID);
	cr_expect_eq(head.transaction, TRANSACTION);
	return announce_udp_parse_announce(&r, ret, &err);
}

static void expect_same(const struct announce *a, const struct announce *b)
{
	cr_expect(info_hash_equal(&a->info_hash, &b->info_hash));
	cr_expect_eq(memcmp(a->peer_id, b->peer_id, PEER_ID_SIZE), 0);
	cr_expect(endpoint_equal(&a->peer, &b->peer));
	cr_expect_eq(a->uploaded, b->uploaded);
	cr_expect_eq(a->downloaded, b->downloaded);
	cr_expect_eq(a->left, b->left);
	cr_expect_eq(a->event, b->event);
	cr_expect_eq(a->numwant, b->numwant);
	cr_expect_eq(a->key, b->key);
}

Test(announce_udp, an_announce_goes_there_and_back)
{
	struct announce a = sample();

	for (int event = ANNOUNCE_NONE; event <= ANNOUNCE_STOPPED; event++) {
		struct announce got = {.peer = {.port = 1}};

		a.event = (enum announce_event)event;
		announce_udp_write_announce(
			fresh(), ID, TRANSACTION, &a, no_data);
		memcpy(got.peer.ip, a.peer.ip, sizeof(got.peer.ip));
		cr_assert(take_announce(written(), &got));
		expect_same(&a, &got);
	}
}

Test(announce_udp, an_announce_cut_short_is_refused)
{
	struct announce a = sample();

	announce_udp_write_announce(fresh(), ID, TRANSACTION, &a, no_data);
	for (size_t len = 0; len < writer_len(&w); len++) {
		struct announce got = {.left = 77};

		cr_expect_not(
			take_announce(cut_at(len), &got), "%zu bytes", len);
		cr_expect_eq(got.left, 77);
	}
}

Test(announce_udp, a_port_of_0_is_refused)
{
	struct announce a = sample();

	a.peer.port = 0;
	announce_udp_write_announce(fresh(), ID, TRANSACTION, &a, no_data);
	cr_expect_not(take_announce(written(), &a));
}

Test(announce_udp, numwant_may_be_left_to_the_tracker)
{
	static const struct {
		uint32_t sent;
		uint32_t got;
		bool named;
	} cases[] = {
		{0, 0, true}, {1, 1, true}, {200, 200, true},
		{INT32_MAX, INT32_MAX, true},
		{0x80000000, ANNOUNCE_DEFAULT_NUMWANT, false},
		{UINT32_MAX, ANNOUNCE_DEFAULT_NUMWANT, false}, /* -1 */
	};
	struct announce a = sample();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct announce got = {0};
		struct writer number;

		announce_udp_write_announce(
			fresh(), ID, TRANSACTION, &a, no_data);
		number = writer_of(packet + 92, 4);
		writer_u32(&number, cases[i].sent);
		cr_assert(take_announce(written(), &got));
		cr_expect_eq(got.numwant, cases[i].got, "case %zu", i);
		cr_expect_eq(got.numwant_named, cases[i].named, "case %zu", i);
		cr_expect(got.one_family);
	}

	/* The client never sends a negative one. */
	struct announce got = {0};
	a.numwant = UINT32_MAX;
	announce_udp_write_announce(fresh(), ID, TRANSACTION, &a, no_data);
	cr_assert(take_announce(written(), &got));
	cr_expect_eq(got.numwant, INT32_MAX);
}

Test(announce_udp, the_address_and_odd_events_of_an_announce_are_ignored)
{
	struct announce a = sample(), got = {.peer = a.peer};

	announce_udp_write_announce(fresh(), ID, TRANSACTION, &a, no_data);
	memcpy(packet + 80, "\xff\xff\xff\xff", 4);
	memcpy(packet + 84, "\x01\x02\x03\x04", 4);
	cr_assert(take_announce(written(), &got));
	cr_expect_eq(got.event, ANNOUNCE_NONE);
	cr_expect(endpoint_same_ip(&got.peer, &a.peer));
}

Test(announce_udp, url_data_is_told_in_pieces_of_255)
{
	static const struct {
		size_t len;
		size_t pieces;
	} cases[] = {{0, 0}, {1, 1}, {255, 1}, {256, 2}, {510, 2}, {511, 3},
		{ANNOUNCE_UDP_MAX_URL_DATA, 6}};
	static char data[ANNOUNCE_UDP_MAX_URL_DATA];
	struct announce a = sample(), got;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)('a' + i % 26);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span url_data = {(const uint8_t *)data, cases[i].len};
		char joined[sizeof(data)];
		size_t len = 0, pieces = 0;

		announce_udp_write_announce(
			fresh(), ID, TRANSACTION, &a, url_data);
		cr_expect_leq(writer_len(&w), ANNOUNCE_UDP_MAX_PACKET);
		got = (struct announce){.peer = a.peer};
		cr_expect(take_announce(written(), &got));
		expect_same(&a, &got);

		struct reader r = reader_of_span(written());
		reader_take(&r, ANNOUNCE_UDP_ANNOUNCE_SIZE);
		for (; reader_left(&r) > 0; pieces++) {
			cr_expect_eq(reader_u8(&r), 2);
			size_t piece_len = reader_u8(&r);
			const uint8_t *piece = reader_take(&r, piece_len);
			cr_assert_not_null(piece);
			memcpy(joined + len, piece, piece_len);
			len += piece_len;
		}
		cr_expect_eq(pieces, cases[i].pieces, "case %zu", i);
		cr_expect_eq(len, cases[i].len, "case %zu", i);
		cr_expect_eq(memcmp(joined, data, len), 0);
	}
}

Test(announce_udp, odd_options_harm_nothing)
{
	static const struct {
		const char *bytes;
		size_t len;
	} cases[] = {
		{"\0", 1},         /* EndOfOptions */
		{"\1\1\1", 3},     /* NOPs */
		{"\2", 1},         /* no length */
		{"\2\xff/a", 4},   /* longer than the packet */
		{"\x99\2zz\1", 5}, /* unknown */
	};
	struct announce a = sample();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct announce got = {.peer = a.peer};

		announce_udp_write_announce(
			fresh(), ID, TRANSACTION, &a, no_data);
		writer_bytes(&w, cases[i].bytes, cases[i].len);
		cr_expect(take_announce(written(), &got), "case %zu", i);
		expect_same(&a, &got);
	}
}

Test(announce_udp, a_scrape_goes_there_and_back)
{
	static const struct {
		size_t count; /* hashes */
		size_t more;  /* bytes behind them */
		size_t got;   /* 0: refused */
	} cases[] = {{0, 0, 0}, {0, 19, 0}, {1, 0, 1}, {1, 19, 1}, {3, 0, 3},
		{4, 0, 3}};
	struct info_hash hashes[4], got[3];

	memset(hashes, 7, sizeof(hashes));
	hashes[2].bytes[19] = 9;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct announce_udp_head head;
		struct error err;
		size_t count = 0;

		announce_udp_write_scrape(
			fresh(), ID, TRANSACTION, hashes, cases[i].count);
		for (size_t k = 0; k < cases[i].more; k++)
			writer_u8(&w, 0);
		struct reader r = reader_of_span(written());
		cr_assert(announce_udp_parse_head(&r, &head));
		cr_expect_eq(head.action, ANNOUNCE_UDP_SCRAPE);
		cr_expect_eq(
			announce_udp_parse_scrape(&r, got, 3, &count, &err),
			cases[i].got > 0, "case %zu", i);
		cr_expect_eq(count, cases[i].got, "case %zu", i);
		cr_expect_eq(memcmp(got, hashes, count * sizeof(hashes[0])), 0);
	}
}

/* --- Answers --- */

Test(announce_udp, connected_goes_there_and_back)
{
	uint64_t id = 77;

	announce_udp_write_connected(fresh(), TRANSACTION, UINT64_MAX - 1);
	cr_expect_eq(writer_len(&w), ANNOUNCE_UDP_CONNECT_SIZE);
	for (size_t len = 0; len < writer_len(&w); len++)
		cr_expect_not(announce_udp_parse_connected(
			cut_at(len), TRANSACTION, &id));
	cr_expect_not(
		announce_udp_parse_connected(written(), TRANSACTION + 1, &id));
	cr_expect_eq(id, 77);
	cr_expect(announce_udp_parse_connected(written(), TRANSACTION, &id));
	cr_expect_eq(id, UINT64_MAX - 1);
}

static struct announce_reply replies[2];

/* `count` peers, every other one in IPv6. */
static void mixed_peers(struct announce_reply *ret, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		endpoint_parse_ip(
			i % 2 == 0 ? "1.2.3.4" : "2001:db8::1", &ret->peers[i]);
		ret->peers[i].port = (uint16_t)(1000 + i);
	}
	ret->peer_count = count;
}

Test(announce_udp, a_reply_has_the_peers_of_the_askers_family)
{
	struct announce_reply *sent = &replies[0], *got = &replies[1];
	struct announce a = sample();

	mixed_peers(sent, 5);
	sent->interval_s = 1800;
	sent->leechers = UINT32_MAX;
	sent->seeders = 0x80000000;

	announce_udp_write_reply(fresh(), TRANSACTION, &a, sent);
	cr_expect_eq(writer_len(&w), 20 + 3 * 6);
	cr_assert(announce_udp_parse_reply(written(), TRANSACTION, true, got));
	cr_expect_eq(got->interval_s, 1800);
	cr_expect_eq(got->leechers, UINT32_MAX);
	cr_expect_eq(got->seeders, 0x80000000);
	cr_assert_eq(got->peer_count, 3);
	cr_expect(endpoint_equal(&got->peers[2], &sent->peers[4]));

	endpoint_parse_ip("2001:db8::9", &a.peer);
	announce_udp_write_reply(fresh(), TRANSACTION, &a, sent);
	cr_expect_eq(writer_len(&w), 20 + 2 * 18);
	cr_assert(announce_udp_parse_reply(written(), TRANSACTION, false, got));
	cr_assert_eq(got->peer_count, 2);
	cr_expect(endpoint_equal(&got->peers[1], &sent->peers[3]));
}

Test(announce_udp, a_reply_has_as_many_peers_as_fit)
{
	static const struct {
		const char *ip;
		size_t size;
		size_t peers;
	} cases[] = {
		{"1.2.3.4", ANNOUNCE_UDP_MAX_PACKET, 242},
		{"2001:db8::1", ANNOUNCE_UDP_MAX_PACKET_V6, 79},
	};
	struct announce_reply *sent = &replies[0], *got = &replies[1];

	for (size_t i = 0; i < 2; i++) {
		struct announce a = {0};

		endpoint_parse_ip(cases[i].ip, &a.peer);
		for (size_t k = 0; k < ANNOUNCE_REPLY_MAX_PEERS; k++) {
			sent->peers[k] = a.peer;
			sent->peers[k].port = (uint16_t)(k + 1);
		}
		sent->peer_count = ANNOUNCE_REPLY_MAX_PEERS;
		w = writer_of(packet, cases[i].size);
		announce_udp_write_reply(&w, TRANSACTION, &a, sent);
		cr_assert(announce_udp_parse_reply(
			written(), TRANSACTION, endpoint_is_v4(&a.peer), got));
		cr_expect_eq(got->peer_count, cases[i].peers);
	}
}

Test(announce_udp, a_reply_cut_short_loses_torn_peers_only)
{
	struct announce_reply *sent = &replies[0], *got = &replies[1];
	struct announce a = sample();

	mixed_peers(sent, 6);
	announce_udp_write_reply(fresh(), TRANSACTION, &a, sent);
	for (size_t len = 0; len <= writer_len(&w); len++) {
		got->peer_count = 77;
		bool ok = announce_udp_parse_reply(
			cut_at(len), TRANSACTION, true, got);

		cr_expect_eq(ok, len >= 20, "%zu bytes", len);
		cr_expect_eq(got->peer_count, ok ? (len - 20) / 6 : 77,
			"%zu bytes", len);
	}
}

Test(announce_udp, a_reply_is_for_its_transaction_only)
{
	struct announce a = sample();
	char text[ANNOUNCE_TEXT_SIZE];
	uint64_t id;

	announce_udp_write_reply(fresh(), TRANSACTION, &a, &replies[0]);
	cr_expect_not(announce_udp_parse_reply(
		written(), TRANSACTION + 1, true, &replies[1]));
	cr_expect_not(
		announce_udp_parse_connected(written(), TRANSACTION, &id));
	cr_expect_not(announce_udp_parse_error(written(), TRANSACTION, text));
}

Test(announce_udp, no_more_than_1000_peers_are_taken_and_bad_ones_skipped)
{
	struct announce_reply *got = &replies[1];
	static uint8_t big[20 + 1003 * 6];

	w = writer_of(big, sizeof(big));
	writer_u32(&w, ANNOUNCE_UDP_ANNOUNCE);
	writer_u32(&w, TRANSACTION);
	for (unsigned i = 0; i < 3; i++)
		writer_u32(&w, UINT32_MAX);
	writer_bytes(&w, "\0\0\0\0\0\1", 6);     /* nowhere */
	writer_bytes(&w, "\1\2\3\4\0\0", 6);     /* no port */
	writer_bytes(&w, "\xe0\0\0\1\x1a\1", 6); /* multicast */
	for (unsigned i = 0; i < 1000; i++)
		writer_bytes(&w, "\1\2\3\4\5\6", 6);
	cr_assert(announce_udp_parse_reply(
		(struct span){big, writer_len(&w)}, TRANSACTION, true, got));
	cr_expect_eq(got->peer_count, 1000);
	cr_expect_eq(got->peers[0].port, 0x506);

	w = writer_of(packet, sizeof(packet));
	writer_bytes(&w, big, 20);
	for (unsigned i = 0; i < 1100; i++)
		writer_bytes(&w, "\1\2\3\4\5\6", 6);
	cr_assert(announce_udp_parse_reply(
		(struct span){packet, writer_len(&w)}, TRANSACTION, true, got));
	cr_expect_eq(got->peer_count, ANNOUNCE_REPLY_MAX_PEERS);
}

Test(announce_udp, scraped_goes_there_and_back)
{
	const struct scrape_entry sent[2] = {
		{.seeders = 1, .leechers = 2, .completed = 3},
		{.seeders = UINT32_MAX, .leechers = 0, .completed = 5},
	};
	struct scrape_entry got[3] = {0};

	announce_udp_write_scraped(fresh(), TRANSACTION, sent, 2);
	cr_expect_eq(writer_len(&w), 8 + 2 * 12);
	for (size_t len = 0; len < writer_len(&w); len++)
		cr_expect_not(announce_udp_parse_scraped(
			cut_at(len), TRANSACTION, got, 2));
	cr_expect_not(announce_udp_parse_scraped(
		written(), TRANSACTION, got, SIZE_MAX));
	cr_expect_not(
		announce_udp_parse_scraped(written(), TRANSACTION, got, 3));
	cr_expect_eq(got[0].seeders, 0);
	cr_assert(announce_udp_parse_scraped(written(), TRANSACTION, got, 2));
	cr_expect_eq(memcmp(got, sent, sizeof(sent)), 0);
	cr_expect(announce_udp_parse_scraped(written(), TRANSACTION, got, 1));
}

Test(announce_udp, an_error_says_something_that_can_be_shown)
{
	static const struct {
		const char *sent;
		size_t len;
		const char *got;
	} cases[] = {
		{"go away", 7, "go away"},
		{"go away\0", 8, "go away"},
		{"", 0, "no reason given"},
		{"\0\0", 2, "no reason given"},
		{"a\xff", 2, "a\xef\xbf\xbd"},
	};
	char text[ANNOUNCE_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		announce_udp_write_error(fresh(), TRANSACTION, "");
		writer_bytes(&w, cases[i].sent, cases[i].len);
		cr_assert(
			announce_udp_parse_error(written(), TRANSACTION, text));
		cr_expect_str_eq(text, cases[i].got, "case %zu", i);
		for (size_t len = 0; len < 8; len++)
			cr_expect_not(announce_udp_parse_error(
				cut_at(len), TRANSACTION, text));
	}
}

Test(announce_udp, a_long_error_is_cut_on_both_sides)
{
	char reason[3001], text[ANNOUNCE_TEXT_SIZE];

	memset(reason, 'x', 3000);
	reason[3000] = '\0';
	announce_udp_write_error(fresh(), TRANSACTION, reason);
	cr_expect_eq(writer_len(&w), 3008);
	cr_assert(announce_udp_parse_error(written(), TRANSACTION, text));
	cr_expect_eq(strlen(text), ANNOUNCE_TEXT_SIZE - 1);

	w = writer_of(packet, 16);
	announce_udp_write_error(&w, TRANSACTION, reason);
	cr_expect_eq(written().len, 16);
}

/* --- Options --- */

/* The URL's data in the options `bytes`; -1: torn. */
static int url_data_of(const char *bytes, size_t len, char ret[])
{
	struct reader r = guarded(bytes, len);
	uint8_t memory[ANNOUNCE_UDP_MAX_PACKET];
	struct writer out = writer_of(memory, sizeof(memory));

	if (!announce_udp_parse_url_data(&r, &out))
		return -1;
	memcpy(ret, memory, writer_len(&out));
	ret[writer_len(&out)] = '\0';
	return (int)writer_len(&out);
}

Test(announce_udp, the_url_is_put_together_from_its_options)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *url; /* NULL: torn */
	} cases[] = {
		{"", 0, ""},
		{"\0", 1, ""},
		{"\1\1\1", 3, ""},
		{"\2\0", 2, ""},
		{"\2\2/a", 4, "/a"},
		{"\2\2/a\0\2\1x", 8, "/a"},
		{"\1\2\2/a\1\2\1b", 9, "/ab"},
		{"\7\3xyz\2\2/a", 9, "/a"}, /* of a kind to come */
		{"\2", 1, NULL},
		{"\2\2/", 3, NULL},
		{"\2\xff/a", 4, NULL},
		{"\7\1", 2, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char url[ANNOUNCE_UDP_MAX_PACKET + 1];
		int len = url_data_of(cases[i].bytes, cases[i].len, url);

		cr_expect_eq(len >= 0, cases[i].url != NULL, "case %zu", i);
		if (cases[i].url)
			cr_expect_str_eq(url, cases[i].url);
	}
}

Test(announce_udp, the_longest_url_comes_back)
{
	static uint8_t sent[ANNOUNCE_UDP_MAX_URL_DATA];
	static const size_t lengths[] = {
		1, 255, 256, 510, ANNOUNCE_UDP_MAX_URL_DATA};
	struct announce a = sample();

	memset(sent, 'u', sizeof(sent));
	sent[0] = '/';
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct announce_udp_head head;
		uint8_t memory[ANNOUNCE_UDP_MAX_PACKET];
		struct writer out = writer_of(memory, sizeof(memory));
		struct error err;

		announce_udp_write_announce(fresh(), ID, TRANSACTION, &a,
			(struct span){sent, lengths[i]});
		struct reader r = reader_of_span(written());
		cr_assert(announce_udp_parse_head(&r, &head));
		cr_assert(announce_udp_parse_announce(&r, &a, &err));
		cr_assert(announce_udp_parse_url_data(&r, &out));
		cr_expect_eq(writer_len(&out), lengths[i]);
		cr_expect_eq(memcmp(memory, sent, lengths[i]), 0);
	}
}
