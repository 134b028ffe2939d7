#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shared/announce_http_query.h"
#include "tests/unit/guarded.h"

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

Test(announce_http_query, every_announce_is_understood_as_it_was_meant)
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

Test(announce_http_query, a_partial_seed_is_paused_when_there_is_no_event)
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

Test(announce_http_query, the_query_is_added_where_the_url_has_its_place)
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

Test(announce_http_query, a_scrape_has_the_url_that_bep_48_gives_it)
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

Test(announce_http_query, a_url_too_long_is_refused)
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

Test(announce_http_query, a_query_is_refused_with_the_reason)
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

Test(announce_http_query, what_a_query_leaves_out_has_a_default)
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

static struct announce parse_good_and(const char *more)
{
	char query[300];
	struct announce a = {0};
	struct error err = {""};

	snprintf(query, sizeof(query), GOOD "%s", more);
	cr_assert(announce_http_parse_query(guarded_text(query), &a, &err),
		"%s: %s", query, err.text);
	return a;
}

Test(announce_http_query, odd_values_of_small_matters_are_mended)
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
		const char *more = cases[i].more;
		struct announce a = parse_good_and(more);

		cr_expect_eq(a.event, cases[i].event, "%s", more);
		cr_expect_eq(a.numwant, cases[i].numwant, "%s", more);
		cr_expect_eq(a.key, cases[i].key, "%s", more);
		cr_expect_eq(a.compact, cases[i].compact, "%s", more);
	}
}

Test(announce_http_query, a_number_of_peers_is_named_or_left_to_the_tracker)
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
		struct announce a = parse_good_and(cases[i].more);

		cr_expect_eq(
			a.numwant_named, cases[i].named, "%s", cases[i].more);
	}
}

Test(announce_http_query, a_scrape_names_each_hash_once_and_sorted)
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
