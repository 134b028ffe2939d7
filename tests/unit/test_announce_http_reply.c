#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shared/announce_http_reply.h"
#include "tests/unit/guarded.h"

#define HASH "aaaaaaaaaaaaaaaaaaaa"

static void add(struct announce_reply *reply, const char *address)
{
	cr_assert(endpoint_parse(address, &reply->peers[reply->peer_count++]));
}

static bool has(const struct announce_reply *reply, const struct endpoint *e)
{
	for (size_t i = 0; i < reply->peer_count; i++) {
		if (endpoint_equal(&reply->peers[i], e))
			return true;
	}
	return false;
}

static void reply_there_and_back(
	const struct announce *a, const struct announce_reply *reply)
{
	static uint8_t bytes[ANNOUNCE_HTTP_MAX_REPLY];
	static struct announce_reply back;
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct error err = {""};

	announce_http_write_reply(&w, a, reply);
	cr_assert_not(w.bad);
	cr_assert(announce_http_parse_reply(
			  (struct span){bytes, writer_len(&w)}, &back, &err),
		"%s", err.text);
	cr_expect_str_eq(back.failure, "");
	cr_expect_str_eq(back.warning, reply->warning);
	cr_expect_eq(back.interval_s, reply->interval_s);
	cr_expect_eq(back.min_interval_s, reply->min_interval_s);
	cr_expect_eq(back.seeders, reply->seeders);
	cr_expect_eq(back.leechers, reply->leechers);
	cr_expect_eq(back.completed, reply->completed);
	cr_expect_eq(back.tracker_id_len, reply->tracker_id_len);
	cr_expect_eq(
		memcmp(back.tracker_id, reply->tracker_id, back.tracker_id_len),
		0);
	cr_assert_eq(back.peer_count, reply->peer_count);
	for (size_t i = 0; i < reply->peer_count; i++)
		cr_expect(has(&back, &reply->peers[i]));
}

Test(announce_http_reply, every_reply_is_understood_as_it_was_meant)
{
	static struct announce_reply reply;
	struct announce a = {0};

	cr_assert(endpoint_parse("10.0.0.1:6881", &a.peer));
	for (int compact = 0; compact < 2; compact++) {
		a.compact = compact;
		reply = (struct announce_reply){.interval_s = 1800};
		reply_there_and_back(&a, &reply); /* no peers */

		add(&reply, "1.2.3.4:5");
		reply_there_and_back(&a, &reply);
		add(&reply, "[2001:db8::1]:6");
		add(&reply, "[::1]:65535");
		reply.seeders = UINT32_MAX;
		reply.leechers = 2;
		reply.completed = 3;
		reply.min_interval_s = 60;
		reply.tracker_id_len = sizeof(reply.tracker_id);
		memset(reply.tracker_id, 0, sizeof(reply.tracker_id));
		snprintf(reply.warning, sizeof(reply.warning), "slow down");
		reply_there_and_back(&a, &reply);
	}
}

Test(announce_http_reply, the_largest_reply_of_our_tracker_fits)
{
	static struct announce_reply reply;
	struct announce a = {0};

	reply = (struct announce_reply){
		.interval_s = UINT32_MAX, .min_interval_s = UINT32_MAX};
	memset(reply.warning, 'w', sizeof(reply.warning) - 1);
	for (unsigned i = 0; i < ANNOUNCE_MAX_PEERS; i++) {
		add(&reply, "[2001:db8:1111:2222:3333:4444:5555:6666]:65535");
		reply.peers[i].ip[15] = (uint8_t)i;
	}
	for (int compact = 0; compact < 2; compact++) {
		a.compact = compact;
		reply_there_and_back(&a, &reply);
	}
}

Test(announce_http_reply, compact_replies_are_written_as_the_beps_say)
{
	char bytes[1000] = "";
	struct writer w = writer_of(bytes, sizeof(bytes) - 1);
	struct announce a = {.compact = true};
	static struct announce_reply reply;

	reply.interval_s = 1800;
	reply.seeders = 1;
	cr_assert(endpoint_parse("97.98.99.100:1", &a.peer));
	add(&reply, "97.97.97.97:25186"); /* "aaaabb" */
	announce_http_write_reply(&w, &a, &reply);
	cr_expect_str_eq(bytes,
		"d8:completei1e10:downloadedi0e11:external ip4:abcd"
		"10:incompletei0e8:intervali1800e5:peers6:aaaabbe");
}

Test(announce_http_reply, a_failure_is_an_answer)
{
	static const struct {
		uint32_t retry_s;
		uint32_t understood_s;
		const char *bytes;
	} cases[] = {
		{0, 0, "d14:failure reason4:gonee"},
		{60, 60, "d14:failure reason4:gone8:retry ini1ee"},
		{61, 120, "d14:failure reason4:gone8:retry ini2ee"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char bytes[100] = "";
		struct writer w = writer_of(bytes, sizeof(bytes) - 1);
		static struct announce_reply reply;
		struct error err;

		announce_http_write_failure(&w, "gone", cases[i].retry_s);
		cr_expect_str_eq(bytes, cases[i].bytes);
		cr_assert(announce_http_parse_reply(
			guarded_text(bytes), &reply, &err));
		cr_expect_str_eq(reply.failure, "gone");
		cr_expect_eq(reply.retry_s, cases[i].understood_s);
	}
}

Test(announce_http_reply, a_scrape_reply_has_the_counts_of_each)
{
	char bytes[300] = "";
	struct writer w = writer_of(bytes, sizeof(bytes) - 1);
	struct scrape_entry entry = {
		.seeders = 1, .leechers = 2, .completed = 3};

	memset(entry.info_hash.bytes, 'a', INFO_HASH_SIZE);
	announce_http_write_scrape(&w, &entry, 1);
	cr_expect_str_eq(bytes,
		"d5:filesd20:" HASH "d8:completei1e10:downloadedi3e"
		"10:incompletei2eeee");
}

Test(announce_http_reply, a_scrape_is_understood_as_it_was_meant)
{
	char bytes[600] = "";
	struct scrape_entry entries[3] = {
		{.seeders = 1},
		{.seeders = 7, .leechers = UINT32_MAX, .completed = 9},
		{.seeders = 3},
	};
	struct error err;

	for (size_t i = 0; i < 3; i++)
		memset(entries[i].info_hash.bytes, 'a' + (int)i,
			INFO_HASH_SIZE);
	struct writer w = writer_of(bytes, sizeof(bytes) - 1);
	announce_http_write_scrape(&w, entries, 3);

	struct scrape_entry got = {.info_hash = entries[1].info_hash};
	cr_assert(announce_http_parse_scraped(guarded_text(bytes), &got, &err),
		"%s", err.text);
	cr_expect_eq(got.seeders, 7);
	cr_expect_eq(got.leechers, UINT32_MAX);
	cr_expect_eq(got.completed, 9);
}

Test(announce_http_reply,
	odd_replies_to_a_scrape_are_used_as_far_as_they_make_sense)
{
	static const char lacks[] = "the tracker does not count it";
	static const char no_answer[] = "not a tracker's answer";
	static const struct {
		const char *body;
		const char *error; /* NULL: understood, with so many: */
		uint32_t seeders, leechers;
	} cases[] = {
		{"d5:filesd20:" HASH "d8:completei5eeee", NULL, 5, 0},
		{"d5:filesd20:" HASH "deee", NULL, 0, 0},
		{"d5:filesd20:" HASH "d8:complete1:510:incompletei-1eeee", NULL,
			0, 0},
		{"d5:filesd20:" HASH "d8:completei99999999999eeee", NULL,
			UINT32_MAX, 0},
		{"d5:filesd1:ade20:" HASH "d10:incompletei2eeee", NULL, 0, 2},
		{"d5:filesd20:" HASH "i5eee", lacks, 0, 0},
		{"d5:filesdee", lacks, 0, 0},
		{"d5:filesi5ee", lacks, 0, 0},
		{"d5:filesle5:otheri1ee", lacks, 0, 0},
		{"de", lacks, 0, 0},
		{"d14:failure reason4:no!!e", "no!!", 0, 0},
		{"d14:failure reasoni5e5:filesdee", lacks, 0, 0},
		{"", no_answer, 0, 0},
		{"le", no_answer, 0, 0},
		{"d5:filesd20:" HASH, no_answer, 0, 0},
		{"<html>", no_answer, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct scrape_entry got = {.seeders = 77};
		struct error err = {""};
		const char *error = cases[i].error;

		memset(got.info_hash.bytes, 'a', INFO_HASH_SIZE);
		cr_expect_eq(announce_http_parse_scraped(
				     guarded_text(cases[i].body), &got, &err),
			error == NULL, "'%s'", cases[i].body);
		cr_expect_str_eq(err.text, error != NULL ? error : "", "'%s'",
			cases[i].body);
		cr_expect_eq(got.seeders, error ? 77 : cases[i].seeders, "'%s'",
			cases[i].body);
		cr_expect_eq(
			got.leechers, cases[i].leechers, "'%s'", cases[i].body);
	}
}

Test(announce_http_reply, what_is_no_answer_of_a_tracker_is_refused)
{
	static const char *const bodies[] = {
		"",
		"d",
		"de",
		"le",
		"i5e",
		"<html>404</html>",
		"d8:interval",
		"d8:intervali5e",
		"d8:intervali05ee",
		"d5:peers99999999999999999999:e",
		"d5:peers6:abcde",
		"di5e1:ae",
		"d8:completei1ee",
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		static struct announce_reply reply;
		struct error err = {""};

		reply.interval_s = 77;
		cr_expect_not(announce_http_parse_reply(
				      guarded_text(bodies[i]), &reply, &err),
			"'%s'", bodies[i]);
		cr_expect_str_eq(err.text, "not a tracker's answer");
		cr_expect_eq(reply.interval_s, 77, "'%s'", bodies[i]);
	}
}

Test(announce_http_reply, hostile_replies_are_used_as_far_as_they_make_sense)
{
	static const struct {
		const char *body;
		uint32_t interval_s;
		size_t peer_count;
	} cases[] = {
		{"d8:intervali1800e5:peers0:e\n", 1800, 0},
		{"d8:intervali-5ee", 0, 0},
		{"d8:intervali4294967295ee", UINT32_MAX, 0},
		{"d8:intervali4294967296ee", UINT32_MAX, 0},
		{"d8:intervali9223372036854775807ee", UINT32_MAX, 0},
		{"d8:interval4:1800e", 0, 0},
		{"d8:intervalli1eee", 0, 0},
		{"d5:peersi7ee", 0, 0},
		{"d5:peersdee", 0, 0},
		{"d5:peers5:aaaab6:peers617:aaaaaaaaaaaaaaaabe", 0, 0},
		{"d5:peers7:aaaabbae", 0, 1},
		{"d5:peers13:aaaabbccccddae", 0, 2},
		{"d6:peers619:aaaaaaaaaaaaaaaabbxe", 0, 1},
		{"d6:peers6lee", 0, 0},
		{"d5:peersle6:peers6i1ee", 0, 0},
		{"d5:peersld2:ip7:1.2.3.44:porti80eeee", 0, 1},
		{"d5:peersld2:ip3:::14:porti80eeee", 0, 1},
		{"d5:peersld2:ip7:1.2.3.44:porti0eeee", 0, 0},
		{"d5:peersld2:ip7:1.2.3.44:porti65536eeee", 0, 0},
		{"d5:peersld2:ip7:1.2.3.44:porti-1eeee", 0, 0},
		{"d5:peersld2:ip7:0.0.0.04:porti80eeee", 0, 0},
		{"d5:peersld2:ip9:localhost4:porti80eeee", 0, 0},
		{"d5:peersld2:ip0:4:porti80eeee", 0, 0},
		{"d5:peersld2:ipi5e4:porti80eeee", 0, 0},
		{"d5:peersld2:ip7:1.2.3.44:port2:80eee", 0, 0},
		{"d5:peersld4:porti80eed2:ip7:1.2.3.4ei5e0:ledeee", 0, 0},
		{"d5:peersli5ed2:ip7:1.2.3.44:porti80eeleee", 0, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct announce_reply reply;
		struct error err = {""};
		bool ok = announce_http_parse_reply(
			guarded_text(cases[i].body), &reply, &err);

		cr_expect(ok, "'%s'", cases[i].body);
		cr_expect_eq(reply.interval_s, cases[i].interval_s, "'%s'",
			cases[i].body);
		cr_expect_eq(reply.peer_count, cases[i].peer_count, "'%s'",
			cases[i].body);
		cr_expect_str_eq(reply.failure, "");
	}
}

Test(announce_http_reply, peers_beyond_a_thousand_are_left_out)
{
	static const size_t counts[] = {999, 1000, 1001, 3000};
	static uint8_t body[64 * 1024];
	static struct announce_reply reply;
	struct error err;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t used = counts[i] < 1000 ? counts[i] : 1000;
		struct writer w = writer_of(body, sizeof(body));

		writer_format(&w, "d5:peers%zu:", 6 * counts[i]);
		for (size_t k = 0; k < counts[i]; k++)
			writer_text(&w, "abcdef");
		writer_text(&w, "e");
		cr_assert(announce_http_parse_reply(
			(struct span){body, writer_len(&w)}, &reply, &err));
		cr_expect_eq(reply.peer_count, used);

		w = writer_of(body, sizeof(body));
		writer_text(&w, "d5:peersl");
		for (size_t k = 0; k < counts[i] / 3; k++)
			writer_text(&w,
				"i5ed2:ip1:x4:porti1eed2:ip3:::24:porti1ee");
		writer_text(&w, "ee");
		cr_assert(announce_http_parse_reply(
			(struct span){body, writer_len(&w)}, &reply, &err));
		cr_expect_eq(reply.peer_count, counts[i] / 3);
	}
}

Test(announce_http_reply, texts_of_a_tracker_are_cut_and_made_whole)
{
	static struct announce_reply reply;
	static char body[2000];
	struct error err;

	memset(body, 0, sizeof(body));
	int n = snprintf(body, sizeof(body), "d14:failure reason1000:");
	memset(body + n, 'f', 1000);
	body[n + 1000] = 'e';
	cr_assert(announce_http_parse_reply(guarded_text(body), &reply, &err));
	cr_expect_eq(strlen(reply.failure), 200);

	cr_assert(announce_http_parse_reply(
		guarded_text("d14:failure reason0:e"), &reply, &err));
	cr_expect_str_eq(reply.failure, "no reason given");
	cr_assert(announce_http_parse_reply(
		guarded_text("d14:failure reasoni5ee"), &reply, &err));
	cr_expect_str_eq(reply.failure, "no reason given");
	cr_assert(announce_http_parse_reply(
		guarded_text("d14:failure reason3:a\xff"
			     "be"),
		&reply, &err));
	cr_expect_str_eq(reply.failure,
		"a\xef\xbf\xbd"
		"b");
	cr_assert(announce_http_parse_reply(
		guarded_text("d14:failure reason1:x8:retry in5:nevere"), &reply,
		&err));
	cr_expect_eq(reply.retry_s, UINT32_MAX);
}

Test(announce_http_reply, a_tracker_id_too_long_is_none)
{
	static const struct {
		size_t len;
		size_t kept;
	} cases[] = {{0, 0}, {1, 1}, {100, 100}, {101, 0}, {300, 0}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		static struct announce_reply reply;
		static uint8_t body[500];
		struct writer w = writer_of(body, sizeof(body));
		struct error err;

		writer_format(
			&w, "d8:intervali1e10:tracker id%zu:", cases[i].len);
		for (size_t k = 0; k < cases[i].len; k++)
			writer_u8(&w, 'i');
		writer_text(&w, "e");
		cr_assert(announce_http_parse_reply(
			(struct span){body, writer_len(&w)}, &reply, &err));
		cr_expect_eq(reply.tracker_id_len, cases[i].kept);
	}
}
