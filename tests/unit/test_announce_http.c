#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shared/announce_http.h"
#include "tests/unit/guarded.h"

/* --- Queries --- */

#define HASH "aaaaaaaaaaaaaaaaaaaa"
#define ID "-TB0001-bbbbbbbbbbbb"
#define GOOD "info_hash=" HASH "&peer_id=" ID "&port=6881"

static struct announce sample(void)
{
	struct announce a = {
		.peer = {.port = 6881},
		.uploaded = 1,
		.downloaded = 2,
		.left = 3,
		.event = ANNOUNCE_STARTED,
		.numwant = 80,
		.numwant_named = true,
		.key = 0x0badcafe,
		.compact = true,
	};

	for (unsigned i = 0; i < INFO_HASH_SIZE; i++) {
		a.info_hash.bytes[i] = (uint8_t)(i * 13);
		a.peer_id[i] = (uint8_t)(255 - i);
	}
	return a;
}

static void expect_same(const struct announce *a, const struct announce *b)
{
	cr_expect(info_hash_equal(&a->info_hash, &b->info_hash));
	cr_expect_eq(memcmp(a->peer_id, b->peer_id, PEER_ID_SIZE), 0);
	cr_expect_eq(a->peer.port, b->peer.port);
	cr_expect_eq(a->uploaded, b->uploaded);
	cr_expect_eq(a->downloaded, b->downloaded);
	cr_expect_eq(a->left, b->left);
	cr_expect_eq(a->event, b->event);
	cr_expect_eq(a->numwant, b->numwant);
	cr_expect_eq(a->key, b->key);
	cr_expect_eq(a->compact, b->compact);
	cr_expect_eq(a->no_peer_id, b->no_peer_id);
}

static void there_and_back(const struct announce *a)
{
	uint8_t url[ANNOUNCE_HTTP_MAX_URL];
	struct writer w = writer_of(url, sizeof(url));
	struct announce back = {0};
	struct error err = {""};

	cr_assert(
		announce_http_url("http://t/a", a, (struct span){NULL, 0}, &w));
	cr_assert_eq(memcmp(url, "http://t/a?", 11), 0);
	cr_assert(announce_http_parse_query(
			  guarded_span(url + 11, writer_len(&w) - 11), &back,
			  &err),
		"%s", err.text);
	expect_same(a, &back);
}

Test(announce_http, every_announce_is_understood_as_it_was_meant)
{
	static const enum announce_event events[] = {ANNOUNCE_NONE,
		ANNOUNCE_COMPLETED, ANNOUNCE_STARTED, ANNOUNCE_STOPPED};
	static const uint64_t numbers[] = {0, 1, UINT32_MAX, UINT64_MAX};
	struct announce a = sample();

	there_and_back(&a);
	for (size_t i = 0; i < 4; i++) {
		a = sample();
		a.event = events[i];
		there_and_back(&a);

		a.uploaded = a.downloaded = a.left = numbers[i];
		a.numwant = a.key = (uint32_t)numbers[i];
		there_and_back(&a);
	}
	a.compact = false;
	a.no_peer_id = true;
	a.peer.port = 65535;
	there_and_back(&a);

	/* Each byte there is, in a place that must be escaped rightly. */
	for (unsigned byte = 0; byte < 256; byte++) {
		memset(a.info_hash.bytes, (int)byte, INFO_HASH_SIZE);
		there_and_back(&a);
	}
}

Test(announce_http, a_partial_seed_is_paused_when_there_is_no_event)
{
	struct announce a = sample();
	uint8_t url[ANNOUNCE_HTTP_MAX_URL + 1];

	a.partial_seed = true;
	for (unsigned i = 0; i < 2; i++) {
		struct writer w = writer_of(url, sizeof(url) - 1);

		a.event = i == 0 ? ANNOUNCE_NONE : ANNOUNCE_COMPLETED;
		cr_assert(announce_http_url(
			"http://t/a", &a, (struct span){NULL, 0}, &w));
		url[writer_len(&w)] = '\0';
		cr_expect(strstr((char *)url,
			i == 0 ? "&event=paused" : "&event=completed"));
	}
}

Test(announce_http, the_query_is_added_where_the_url_has_its_place)
{
	static const struct {
		const char *url;
		const char *start;
	} cases[] = {
		{"http://t/a", "http://t/a?info_hash="},
		{"http://t/a?", "http://t/a?info_hash="},
		{"http://t/a?key=1", "http://t/a?key=1&info_hash="},
		{"http://t/a?key=1&", "http://t/a?key=1&info_hash="},
		{"http://t/a#part", "http://t/a?info_hash="},
		{"http://t/a?k#?&", "http://t/a?k&info_hash="},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char url[2000] = "";
		struct writer w = writer_of(url, sizeof(url) - 1);
		struct announce a = sample();

		cr_expect(announce_http_url(cases[i].url, &a,
			(struct span){(const uint8_t *)"a&b", 3}, &w));
		cr_expect_eq(
			strncmp(url, cases[i].start, strlen(cases[i].start)), 0,
			"%s", url);
		cr_expect(strstr(url, "&trackerid=a%26b"), "%s", url);
	}
}

Test(announce_http, a_scrape_has_the_url_that_bep_48_gives_it)
{
	static const struct {
		const char *url;
		const char *start; /* NULL: it cannot be scraped */
	} cases[] = {
		{"http://t/announce", "http://t/scrape?info_hash="},
		{"http://t/x/announce", "http://t/x/scrape?info_hash="},
		{"http://t/announce.php", "http://t/scrape.php?info_hash="},
		{"http://t/announce?x2%0644",
			"http://t/scrape?x2%0644&info_hash="},
		{"http://t/announce#a/b", "http://t/scrape?info_hash="},
		{"http://announce/announce", "http://announce/scrape?info"},
		{"http://t/announce/announce", "http://t/announce/scrape?"},
		{"http://t/a", NULL},
		{"http://t/announce?x=2/4", NULL},
		{"http://t/x%064announce", NULL},
		{"http://t/announce/", NULL},
		{"http://announce", NULL},
		{"http://t", NULL},
		{"", NULL},
	};
	const struct info_hash hash = {"aaaaaaaaaaaaaaaaaaa\xff"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char url[2000] = "";
		struct writer w = writer_of(url, sizeof(url) - 1);
		const char *start = cases[i].start;

		cr_expect_eq(announce_http_scrape_url(cases[i].url, &hash, &w),
			start != NULL, "%s", cases[i].url);
		if (start == NULL)
			continue;
		cr_expect_eq(strncmp(url, start, strlen(start)), 0, "%s", url);
		cr_expect_not_null(
			strstr(url, "info_hash=aaaaaaaaaaaaaaaaaaa%FF"), "%s",
			url);
	}
}

Test(announce_http, a_url_too_long_is_refused)
{
	char long_url[ANNOUNCE_HTTP_MAX_URL + 1];
	uint8_t out[2 * ANNOUNCE_HTTP_MAX_URL];
	struct announce a = sample();

	memset(long_url, 'a', sizeof(long_url));
	long_url[sizeof(long_url) - 1] = '\0';
	struct writer w = writer_of(out, sizeof(out));
	cr_expect_not(
		announce_http_url(long_url, &a, (struct span){NULL, 0}, &w));
	w = writer_of(out, 100);
	cr_expect_not(
		announce_http_url("http://t/", &a, (struct span){NULL, 0}, &w));
	memcpy(long_url, "http://t/announce?", 18);
	w = writer_of(out, sizeof(out));
	cr_expect_not(announce_http_scrape_url(long_url, &a.info_hash, &w));
	w = writer_of(out, 50);
	cr_expect_not(announce_http_scrape_url(
		"http://t/announce", &a.info_hash, &w));
}

Test(announce_http, a_query_is_refused_with_the_reason)
{
	static const struct {
		const char *query;
		const char *reason; /* NULL: fine */
	} cases[] = {
		{GOOD, NULL},
		{"&&" GOOD "&&x&=&x=y&=z", NULL},
		{GOOD "&ip=6.6.6.6&ipv4=1.1.1.1:5&ipv6=::1", NULL},
		{GOOD "&port=1", NULL},
		{GOOD "&%zz=1", "broken %-escape in the query"},
		{GOOD "&x=%", "broken %-escape in the query"},
		{GOOD "&x=%4", "broken %-escape in the query"},
		{GOOD "&x=%4&y=1", "broken %-escape in the query"},
		{GOOD "&x=%+1", "broken %-escape in the query"},
		{"", "info_hash is missing"},
		{"info_hash", "info_hash is not 20 bytes"},
		{"info_hash=" HASH, "peer_id is missing"},
		{"info_hash=" HASH "&peer_id=" ID, "port is missing"},
		{"peer_id=" ID "&port=1", "info_hash is missing"},
		{"info_hash=a", "info_hash is not 20 bytes"},
		{"info_hash=" HASH "a", "info_hash is not 20 bytes"},
		{"info_hash=" HASH "%00", "info_hash is not 20 bytes"},
		{GOOD "&info_hash=a", "info_hash is not 20 bytes"},
		{GOOD "&peer_id=", "peer_id is not 20 bytes"},
		{GOOD "&peer_id=" ID "a", "peer_id is not 20 bytes"},
		{GOOD "&port=", "port is not a number from 1 to 65535"},
		{GOOD "&port=0", "port is not a number from 1 to 65535"},
		{GOOD "&port=65535", NULL},
		{GOOD "&port=65536", "port is not a number from 1 to 65535"},
		{GOOD "&port=-1", "port is not a number from 1 to 65535"},
		{GOOD "&port=6881x", "port is not a number from 1 to 65535"},
		{GOOD "&port=6881%00", "port is not a number from 1 to 65535"},
		{GOOD "&port=%36881", NULL},
		{GOOD "&left=18446744073709551615", NULL},
		{GOOD "&left=18446744073709551616", "left is not a number"},
		{GOOD "&left=-1", "left is not a number"},
		{GOOD "&left=1.5", "left is not a number"},
		{GOOD "&uploaded=x", "uploaded is not a number"},
		{GOOD "&downloaded=0x10", "downloaded is not a number"},
		{GOOD "&downloaded="
		      "00000000000000000000000000000000000000000000",
			"downloaded is not a number"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct announce a = {0};
		struct error err = {""};
		bool ok = announce_http_parse_query(
			guarded_text(cases[i].query), &a, &err);

		cr_expect_eq(ok, !cases[i].reason, "%s: %s", cases[i].query,
			err.text);
		if (!ok && cases[i].reason)
			cr_expect_str_eq(err.text, cases[i].reason, "%s",
				cases[i].query);
	}
}

Test(announce_http, what_a_query_leaves_out_has_a_default)
{
	struct announce a = {.peer = {.ip = {1, 2, 3}}, .key = 7};
	struct error err;

	cr_assert(announce_http_parse_query(guarded_text(GOOD), &a, &err));
	cr_expect_eq(a.peer.ip[2], 3); /* known from the connection only */
	cr_expect_eq(a.peer.port, 6881);
	cr_expect_eq(a.left, UINT64_MAX); /* so it is no seeder */
	cr_expect_eq(a.numwant, ANNOUNCE_DEFAULT_NUMWANT);
	cr_expect_not(a.numwant_named);
	cr_expect_not(a.one_family);
	cr_expect_eq(a.event, ANNOUNCE_NONE);
	cr_expect_eq(a.key, 0);
	cr_expect_not(a.compact);
}

Test(announce_http, odd_values_of_small_matters_are_mended)
{
	static const struct {
		const char *more;
		enum announce_event event;
		uint32_t numwant;
		uint32_t key;
		bool compact;
	} cases[] = {
		{"&event=stopped", ANNOUNCE_STOPPED, 50, 0, false},
		{"&event=", ANNOUNCE_NONE, 50, 0, false},
		{"&event=paused", ANNOUNCE_NONE, 50, 0, false},
		{"&event=stopped%00", ANNOUNCE_NONE, 50, 0, false},
		{"&event=started&event=stopped", ANNOUNCE_STOPPED, 50, 0,
			false},
		{"&numwant=0", ANNOUNCE_NONE, 0, 0, false},
		{"&numwant=-1", ANNOUNCE_NONE, 50, 0, false},
		{"&numwant=x", ANNOUNCE_NONE, 50, 0, false},
		{"&numwant=5000000000", ANNOUNCE_NONE, UINT32_MAX, 0, false},
		{"&key=0BADCAFE", ANNOUNCE_NONE, 50, 0x0badcafe, false},
		{"&key=word", ANNOUNCE_NONE, 50, 0, false},
		{"&key=0badcafg", ANNOUNCE_NONE, 50, 0, false},
		{"&compact=1", ANNOUNCE_NONE, 50, 0, true},
		{"&compact=0", ANNOUNCE_NONE, 50, 0, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char query[300];
		struct announce a = {0};
		struct error err = {""};

		snprintf(query, sizeof(query), GOOD "%s", cases[i].more);
		cr_assert(announce_http_parse_query(
				  guarded_text(query), &a, &err),
			"%s: %s", query, err.text);
		cr_expect_eq(a.event, cases[i].event, "%s", query);
		cr_expect_eq(a.numwant, cases[i].numwant, "%s", query);
		cr_expect_eq(a.key, cases[i].key, "%s", query);
		cr_expect_eq(a.compact, cases[i].compact, "%s", query);
	}
}

Test(announce_http, a_number_of_peers_is_named_or_left_to_the_tracker)
{
	static const struct {
		const char *more;
		bool named;
	} cases[] = {
		{"&numwant=0", true}, {"&numwant=50", true},
		{"&numwant=-1", false}, {"&numwant=", false},
		{"&numwant=50&numwant=x", false}, /* the last one counts */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char query[300];
		struct announce a = {0};
		struct error err = {""};

		snprintf(query, sizeof(query), GOOD "%s", cases[i].more);
		cr_assert(announce_http_parse_query(
			guarded_text(query), &a, &err));
		cr_expect_eq(a.numwant_named, cases[i].named, "%s", query);
	}
}

Test(announce_http, a_scrape_names_each_hash_once_and_sorted)
{
	struct info_hash hashes[2];
	size_t count = 0;
	struct error err;

#define B "info_hash=bbbbbbbbbbbbbbbbbbbb"
#define A "&info_hash=%61aaaaaaaaaaaaaaaaaaa"
	cr_assert(announce_http_parse_scrape(
		guarded_text(B A), hashes, 2, &count, &err));
	cr_expect_eq(count, 2);
	cr_expect_eq(hashes[0].bytes[0], 'a');
	cr_expect_eq(hashes[1].bytes[19], 'b');

	cr_assert(announce_http_parse_scrape(
		guarded_text(B "&" B A), hashes, 2, &count, &err));
	cr_expect_eq(count, 1); /* the third is beyond `max` */

	static const char *const bad[] = {
		"", "x=y", "info_hash=", "info_hash=a", B "b", B "&x=%"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		cr_expect_not(announce_http_parse_scrape(guarded_text(bad[i]),
				      hashes, 2, &count, &err),
			"%s", bad[i]);
}

/* --- Replies --- */

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

Test(announce_http, every_reply_is_understood_as_it_was_meant)
{
	static struct announce_reply reply;
	struct announce a = sample();

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

Test(announce_http, the_largest_reply_of_our_tracker_fits)
{
	static struct announce_reply reply;
	struct announce a = sample();

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

Test(announce_http, compact_replies_are_written_as_the_beps_say)
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

Test(announce_http, a_failure_is_an_answer)
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

Test(announce_http, a_scrape_reply_has_the_counts_of_each)
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

Test(announce_http, a_scrape_is_understood_as_it_was_meant)
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

Test(announce_http, odd_replies_to_a_scrape_are_used_as_far_as_they_make_sense)
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

Test(announce_http, what_is_no_answer_of_a_tracker_is_refused)
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

Test(announce_http, hostile_replies_are_used_as_far_as_they_make_sense)
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

Test(announce_http, peers_beyond_a_thousand_are_left_out)
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

Test(announce_http, texts_of_a_tracker_are_cut_and_made_whole)
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

Test(announce_http, a_tracker_id_too_long_is_none)
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
