/* When a tracker is asked for its counts (a scrape), and how that goes with its
 * announces. */

#include "tests/unit/announce_schedule_lab.h"

static void expect_count(
	struct announce_schedule *s, uint64_t now, size_t tracker)
{
	struct announce_turn turn = {.tracker = MAX};

	announce_schedule_count(s);
	cr_expect_eq(announce_schedule_next(s, now, &turn),
		ANNOUNCE_SCHEDULE_COUNT, "at %f s", (double)now / 1000);
	cr_expect_eq(turn.tracker, tracker);
}

Test(announce_schedule_counts, counts_are_asked_for_when_the_answer_had_none)
{
	struct announce_schedule *s = schedule((unsigned[]){0, 1}, 2);

	announce_schedule_count(s); /* nobody knows us yet */
	announce_schedule_failed(s, ask_at(s, 0).tracker, 0, 3600);
	announce_schedule_answered(s, ask_at(s, 0).tracker, 0, 600, 0, false);
	expect_step(s, 10 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 600 * SECOND);
	expect_count(s, 10 * SECOND, 1);
	/* It may hang, too. */
	announce_schedule_count(s);
	expect_step(s, 20 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 3600 * SECOND);
	announce_schedule_counted(s, 1, 35 * SECOND);
	/* New for five minutes, whatever it said. */
	announce_schedule_count(s);
	expect_step(s, 335 * SECOND - 1, ANNOUNCE_SCHEDULE_WAIT, 600 * SECOND);
	expect_count(s, 335 * SECOND, 1);
	announce_schedule_counted(s, 1, 336 * SECOND);
	announce_schedule_answered(
		s, ask_at(s, 600).tracker, 600 * SECOND, 1800, 0, true);
	announce_schedule_count(s);
	expect_step(s, 900 * SECOND - 1, ANNOUNCE_SCHEDULE_WAIT, 2400 * SECOND);
	expect_count(s, 900 * SECOND, 1);
	announce_schedule_destroy(s);
}

Test(announce_schedule_counts,
	counts_are_not_asked_of_those_that_cannot_or_fail)
{
	static const struct announce_schedule_tracker cannot = {0, 0, false};
	struct announce_schedule *s = announce_schedule_create(&cannot, 1, 0);

	announce_schedule_answered(s, ask_at(s, 0).tracker, 0, 600, 0, false);
	announce_schedule_count(s);
	expect_step(s, 10 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 600 * SECOND);
	announce_schedule_destroy(s);

	s = one_tracker();
	announce_schedule_answered(s, ask_at(s, 0).tracker, 0, 600, 0, false);
	announce_schedule_failed(s, ask_at(s, 600).tracker, 600 * SECOND, 0);
	announce_schedule_count(s);
	expect_step(s, 601 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 615 * SECOND);
	announce_schedule_destroy(s);
}

Test(announce_schedule_counts, scrapes_count_like_announces)
{
	struct announce_schedule *s = schedule((unsigned[]){0, 0, 0, 0, 0}, 5);

	for (size_t i = 0; i < 3; i++)
		announce_schedule_failed(s, ask_at(s, 0).tracker, 0, 0);
	announce_schedule_answered(s, ask_at(s, 0).tracker, 0, 60, 0, false);
	announce_schedule_count(s);
	expect_step(s, 0, ANNOUNCE_SCHEDULE_WAIT, 12500);
	expect_count(s, 12500, 3);
	announce_schedule_counted(s, 3, 12500);
	announce_schedule_destroy(s);
}

Test(announce_schedule_counts, a_scrape_is_not_a_turn)
{
	struct announce_schedule *s = schedule((unsigned[]){0, 1}, 2);

	announce_schedule_answered(s, ask_at(s, 0).tracker, 0, 600, 0, false);
	expect_count(s, 10 * SECOND, 0);
	announce_schedule_counted(s, 0, 11 * SECOND);
	expect_step(s, 11 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 600 * SECOND);
	cr_expect_eq(ask_at(s, 600).tracker, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule_counts, a_scrape_under_way_holds_the_announce_up_for_3_s)
{
	static const struct {
		uint64_t over_ms; /* 0: it hangs */
		uint64_t at_ms;
		size_t tracker;
	} cases[] = {
		{60999, 60999, 0},
		{61999, 61999, 0},
		{0, 62000, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct announce_schedule *s = schedule((unsigned[]){0, 1}, 2);
		struct announce_turn turn = {.tracker = MAX};

		announce_schedule_answered(
			s, ask_at(s, 0).tracker, 0, 60, 0, false);
		expect_count(s, 59 * SECOND, 0);
		expect_step(s, 60 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 62000);
		if (cases[i].over_ms != 0)
			announce_schedule_counted(s, 0, cases[i].over_ms);
		cr_expect_eq(announce_schedule_next(s, cases[i].at_ms, &turn),
			ANNOUNCE_SCHEDULE_ASK, "case %zu", i);
		cr_expect_eq(turn.tracker, cases[i].tracker, "case %zu", i);
		announce_schedule_destroy(s);
	}
}
