#include "client/session/web_seed_turns.h"

#include <criterion/criterion.h>

enum { NOW = 1000000, FIRST = WEB_SEED_BACK_OFF_MS };

/* Take one that is there. */
static size_t take(struct web_seed_turns *t, uint64_t now_ms)
{
	uint64_t due_ms;

	return web_seed_turns_take(t, now_ms, &due_ms);
}

static void nobody_before(
	struct web_seed_turns *t, uint64_t now_ms, uint64_t due_ms)
{
	uint64_t got_ms = 0;

	cr_expect_eq(web_seed_turns_take(t, now_ms, &got_ms), WEB_SEED_NOBODY);
	cr_expect_eq(got_ms, due_ms);
}

Test(web_seed_turns, each_is_taken_once_in_order)
{
	struct web_seed_turns t;

	web_seed_turns_init(&t, METAINFO_MAX_WEB_SEEDS);
	for (size_t i = 0; i < METAINFO_MAX_WEB_SEEDS; i++)
		cr_expect_eq(take(&t, 0), i);
	nobody_before(&t, 0, UINT64_MAX);
	web_seed_turns_init(&t, 0);
	nobody_before(&t, 0, UINT64_MAX);
}

Test(web_seed_turns, who_fails_makes_room_for_those_not_used_yet)
{
	struct web_seed_turns t;

	web_seed_turns_init(&t, 3);
	for (size_t i = 0; i < 3; i++) {
		cr_expect_eq(take(&t, NOW), i);
		cr_expect(web_seed_turns_later(&t, i, NOW + i, 0));
	}
	nobody_before(&t, NOW + FIRST - 1, NOW + FIRST);
	cr_expect_eq(take(&t, NOW + FIRST + 2), 0, "who waits longest");
	cr_expect_eq(take(&t, NOW + FIRST + 2), 1);
	cr_expect_eq(take(&t, NOW + FIRST + 2), 2);
}

Test(web_seed_turns, the_wait_doubles_until_something_was_given)
{
	static const uint64_t waits_s[] = {
		5, 10, 20, 40, 80, 160, 320, 600, 600};
	struct web_seed_turns t;
	uint64_t now = NOW;

	web_seed_turns_init(&t, 1);
	for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]); i++) {
		cr_assert_eq(take(&t, now), 0);
		cr_expect_eq(web_seed_turns_later(&t, 0, now, 0), i == 0);
		nobody_before(&t, now, now + waits_s[i] * 1000);
		now += waits_s[i] * 1000;
	}
	cr_assert_eq(take(&t, now), 0);
	web_seed_turns_good(&t, 0);
	cr_expect(web_seed_turns_later(&t, 0, now, 0));
	nobody_before(&t, now, now + FIRST);
}

Test(web_seed_turns, a_longer_wait_that_it_asked_for_is_kept_within_bounds)
{
	static const struct {
		uint64_t asked_ms, wait_ms;
	} cases[] = {
		{0, FIRST},
		{FIRST - 1, FIRST},
		{FIRST + 1, FIRST + 1},
		{60 * 1000, 60 * 1000},
		{WEB_SEED_MAX_BACK_OFF_MS + 1, WEB_SEED_MAX_BACK_OFF_MS},
		{UINT64_MAX, WEB_SEED_MAX_BACK_OFF_MS},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct web_seed_turns t;

		web_seed_turns_init(&t, 1);
		cr_expect_eq(take(&t, NOW), 0);
		web_seed_turns_later(&t, 0, NOW, cases[i].asked_ms);
		nobody_before(&t, NOW, NOW + cases[i].wait_ms);
	}
}

Test(web_seed_turns, who_is_none_has_no_turn_any_more)
{
	struct web_seed_turns t;

	web_seed_turns_init(&t, 2);
	cr_expect_eq(take(&t, NOW), 0);
	web_seed_turns_over(&t, 0);
	cr_expect_eq(take(&t, NOW), 1);
	nobody_before(&t, NOW, UINT64_MAX);
	web_seed_turns_later(&t, 1, NOW, 0);
	nobody_before(&t, NOW, NOW + FIRST);
}

Test(web_seed_turns, a_place_has_an_address_of_nobody)
{
	static const char *const others[] = {
		"::", "100::", "100::11", "100::1:1", "::1", "127.0.0.1"};
	char text[ENDPOINT_TEXT_SIZE];
	struct endpoint e;
	size_t place;

	for (size_t i = 0; i < METAINFO_MAX_WEB_SEEDS; i++) {
		e = web_seed_place_address(i);
		cr_expect_not(endpoint_dialable(&e));
		cr_assert(web_seed_place_of(&e, &place));
		cr_expect_eq(place, i);
	}
	e = web_seed_place_address(15);
	cr_expect_str_eq(endpoint_print(&e, text), "[100::10]:0");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		cr_assert(endpoint_parse_ip(others[i], &e), "%s", others[i]);
		cr_expect_not(web_seed_place_of(&e, &place), "%s", others[i]);
	}
	e = web_seed_place_address(0);
	e.port = 80;
	cr_expect_not(web_seed_place_of(&e, &place));
}
