#include <criterion/criterion.h>
#include <string.h>

#include "client/discovery/lsd.h"

enum { START_MS = 1000000 };

static struct info_hash hash(unsigned number)
{
	struct info_hash h = {{(uint8_t)(number >> 8), (uint8_t)number}};

	return h;
}

static struct endpoint at(const char *text)
{
	struct endpoint e = {0};

	cr_assert(endpoint_parse(text, &e) || endpoint_parse_ip(text, &e), "%s",
		text);
	return e;
}

static struct lsd *machine(size_t torrents)
{
	struct lsd *l = lsd_create(torrents, 0x12345678);

	cr_assert_not_null(l);
	for (unsigned i = 0; i < torrents; i++) {
		struct info_hash h = hash(i);
		cr_assert(lsd_want(l, &h, START_MS));
	}
	return l;
}

static struct lsd_message message(uint16_t port, unsigned torrent)
{
	return (struct lsd_message){
		.port = port, .count = 1, .torrents = {hash(torrent)}};
}

Test(lsd, a_torrent_is_told_at_once_a_minute_later_and_then_every_five)
{
	struct lsd *l = machine(1);
	struct lsd_message m;
	uint64_t due_ms, now_ms = START_MS;
	static const uint64_t waits_ms[] = {
		LSD_COLLECT_MS, LSD_GAP_MS, LSD_INTERVAL_MS, LSD_INTERVAL_MS};

	for (size_t i = 0; i < 4; i++) {
		cr_expect_not(lsd_next(l, now_ms, &m, &due_ms));
		cr_expect_eq(due_ms, now_ms + waits_ms[i], "%zu", i);
		now_ms += waits_ms[i];
		cr_expect_not(lsd_next(l, now_ms - 1, &m, &due_ms));
		cr_expect(lsd_next(l, now_ms, &m, &due_ms));
		cr_expect_eq(m.count, 1);
		cr_expect_str_eq(m.cookie, "12345678");
	}
	lsd_destroy(l);
}

Test(lsd, with_nothing_to_tell_nothing_is_told)
{
	struct lsd *l = machine(1);
	struct info_hash h = hash(0), other = hash(7);
	struct lsd_message m;
	uint64_t due_ms = 0;

	cr_expect_not(lsd_want(l, &other, START_MS)); /* no room */
	cr_expect(lsd_want(l, &h, START_MS));         /* known already */
	lsd_forget(l, &other);
	lsd_forget(l, &h);
	cr_expect_not(lsd_next(l, START_MS + 999999, &m, &due_ms));
	cr_expect_eq(due_ms, UINT64_MAX);
	lsd_destroy(l);
}

Test(lsd, there_is_never_more_than_one_message_a_minute)
{
	struct lsd *l = machine(100);
	struct lsd_message m;
	uint64_t due_ms, last_ms = 0, messages = 0;
	struct endpoint from = at("10.0.0.7");
	struct info_hash ours[LSD_TORRENTS_MAX];
	unsigned times[100] = {0};

	for (uint64_t t = START_MS; t < START_MS + 20 * 60 * 1000; t += 500) {
		struct lsd_message theirs =
			message((uint16_t)(t % 60000 + 1), (unsigned)(t % 100));
		lsd_heard(l, &from, &theirs, t, ours);
		if (t % 7000 == 0)
			lsd_network_changed(l, t);
		if (!lsd_next(l, t, &m, &due_ms))
			continue;
		cr_expect(last_ms == 0 || t - last_ms >= LSD_GAP_MS);
		last_ms = t;
		messages++;
		cr_expect_leq(m.count, LSD_TOLD_MAX);
		for (size_t i = 0; i < m.count; i++)
			times[m.torrents[i].bytes[1]]++;
	}
	cr_expect_eq(messages, 20);
	for (size_t i = 0; i < 100; i++)
		cr_expect_geq(times[i], 3, "%zu", i);
	lsd_destroy(l);
}

Test(lsd, each_torrent_is_the_first_of_a_message_in_its_turn)
{
	struct lsd *l = machine(3);
	struct lsd_message m;
	uint64_t due_ms, now_ms = START_MS;
	bool first[3] = {false};

	for (int i = 0; i < 9; i++) {
		now_ms += LSD_INTERVAL_MS;
		cr_assert(lsd_next(l, now_ms, &m, &due_ms));
		cr_assert_eq(m.count, 3);
		first[m.torrents[0].bytes[1]] = true;
	}
	cr_expect(first[0] && first[1] && first[2]);
	lsd_destroy(l);
}

Test(lsd, only_torrents_of_ours_are_heard_of)
{
	struct lsd *l = machine(2);
	struct endpoint from = at("10.0.0.7");
	struct lsd_message m = {.port = 5,
		.count = 4,
		.torrents = {hash(9), hash(1), hash(8), hash(0)}};
	struct info_hash ours[LSD_TORRENTS_MAX];

	cr_expect_eq(lsd_heard(l, &from, &m, START_MS, ours), 2);
	cr_expect_eq(ours[0].bytes[1], 1);
	cr_expect_eq(ours[1].bytes[1], 0);
	strcpy(m.cookie, "12345678"); /* our own word */
	cr_expect_eq(lsd_heard(l, &from, &m, START_MS, ours), 0);
	strcpy(m.cookie, "12345679");
	cr_expect_eq(lsd_heard(l, &from, &m, START_MS, ours), 2);
	lsd_destroy(l);
}

Test(lsd, a_newcomer_is_answered_soon_and_once)
{
	struct lsd *l = machine(1);
	struct endpoint from = at("10.0.0.7");
	struct lsd_message m, theirs = message(5, 0);
	struct info_hash ours[LSD_TORRENTS_MAX];
	uint64_t due_ms, now_ms = START_MS;

	/* Two messages, then all is quiet. */
	cr_assert(lsd_next(l, now_ms += LSD_GAP_MS, &m, &due_ms));
	cr_assert(lsd_next(l, now_ms += LSD_GAP_MS, &m, &due_ms));

	now_ms += LSD_GAP_MS;
	cr_expect_eq(lsd_heard(l, &from, &theirs, now_ms, ours), 1);
	cr_expect_not(lsd_next(l, now_ms, &m, &due_ms));
	cr_expect_geq(due_ms, now_ms + LSD_ANSWER_MS);
	cr_expect_lt(due_ms, now_ms + LSD_ANSWER_MS + LSD_SPREAD_MS);
	cr_assert(lsd_next(l, due_ms, &m, &due_ms));

	/* Else two would answer each other for ever. */
	now_ms += 2 * LSD_GAP_MS;
	cr_expect_eq(lsd_heard(l, &from, &theirs, now_ms, ours), 1);
	cr_expect_not(lsd_next(l, now_ms, &m, &due_ms));
	cr_expect_gt(due_ms, now_ms + 60 * 1000);
	lsd_destroy(l);
}

Test(lsd, a_flood_is_heard_in_part_only)
{
	struct lsd *l = machine(1);
	struct endpoint from = at("10.0.0.7");
	struct info_hash ours[LSD_TORRENTS_MAX];
	size_t heard = 0;

	for (unsigned i = 0; i < 50000; i++) {
		struct lsd_message m = message((uint16_t)(i + 1), 0);
		heard += lsd_heard(l, &from, &m, START_MS + i / 5, ours);
	}
	/* 10 s of it. */
	cr_expect_geq(heard, LSD_HEARD_BURST + 9 * LSD_HEARD_PER_S);
	cr_expect_leq(heard, LSD_HEARD_BURST + 10 * LSD_HEARD_PER_S);
	lsd_destroy(l);
}

Test(lsd, messages_are_of_the_network_or_the_site)
{
	static const struct {
		const char *from;
		bool near;
	} cases[] = {
		{"203.0.113.129", true},
		{"203.0.113.255", true},
		{"203.0.113.127", false},
		{"203.0.114.129", false},
		{"10.1.2.3", true},
		{"172.16.0.1", true},
		{"172.32.0.1", false},
		{"192.168.7.7", true},
		{"192.169.0.1", false},
		{"169.254.1.1", true},
		{"100.64.0.1", true},
		{"100.128.0.1", false},
		{"8.8.8.8", false},
		{"127.0.0.1", false},
		{"2001:db8:1:2::9", true},
		{"2001:db8:1:3::9", false},
		{"fd12::1", true},
		{"fe80::1", false}, /* cannot be dialled */
		{"::1", false},
	};
	const struct lsd_link links[] = {
		{at("203.0.113.200"), 96 + 25}, {at("2001:db8:1:2::1"), 64},
		{at("2001:db8:9::1"), 129}, /* no such thing */
	};
	const struct lsd_link loopback = {at("127.0.0.1"), 96 + 8};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint from = at(cases[i].from);
		cr_expect_eq(lsd_is_near(&from, links, 3), cases[i].near, "%s",
			cases[i].from);
	}
	struct endpoint from = at("127.8.9.10");
	cr_expect(lsd_is_near(&from, &loopback, 1));
	cr_expect_not(lsd_is_near(&from, &loopback, 0));
}
