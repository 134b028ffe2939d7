/* Whom to announce to, what, and when: told as stories, line by line, or step
 * by step where several are under way. */

#include "tests/unit/announce_schedule_lab.h"

/* A line of a story: first a sign from outside, if any; then at `at_s` this is
 * to be asked; then it goes like this. */
struct line {
	double at_s;
	enum { NO_SIGN, COMPLETED, HUNGRY, SATED, RENEW, STOP } sign;
	size_t tracker;
	enum announce_event event;
	enum { ANSWERED, FAILED } result;
	uint32_t interval_s, min_s; /* min_s: retry_s when FAILED */
};

static void give_sign(struct announce_schedule *s, const struct line *l)
{
	switch (l->sign) {
	case NO_SIGN:
		break;
	case COMPLETED:
		announce_schedule_completed(s);
		break;
	case HUNGRY:
		announce_schedule_hungry(s, true);
		break;
	case SATED:
		announce_schedule_hungry(s, false);
		break;
	case RENEW:
		announce_schedule_renew(s);
		break;
	case STOP:
		announce_schedule_stop(s);
		break;
	}
}

static void give_result(struct announce_schedule *s, const struct line *l)
{
	uint64_t now = (uint64_t)(l->at_s * 1000);

	if (l->result == ANSWERED)
		announce_schedule_answered(
			s, l->tracker, now, l->interval_s, l->min_s, false);
	else
		announce_schedule_failed(s, l->tracker, now, l->min_s);
}

/* The sign is given right after the line before; until its time there must be
 * nothing to do. */
static void tell(
	struct announce_schedule *s, const struct line *lines, size_t count)
{
	uint64_t before = 0;

	for (size_t i = 0; i < count; i++) {
		const struct line *l = &lines[i];
		uint64_t now = (uint64_t)(l->at_s * 1000);
		struct announce_turn turn;

		give_sign(s, l);
		if (now > before) {
			cr_assert_eq(announce_schedule_next(s, before, &turn),
				ANNOUNCE_SCHEDULE_WAIT, "line %zu", i);
			cr_expect_eq(turn.at_ms, now, "line %zu: %f s", i,
				(double)turn.at_ms / 1000);
			cr_assert_eq(announce_schedule_next(s, now - 1, &turn),
				ANNOUNCE_SCHEDULE_WAIT, "line %zu", i);
		}
		cr_assert_eq(announce_schedule_next(s, now, &turn),
			ANNOUNCE_SCHEDULE_ASK, "line %zu", i);
		cr_expect_eq(turn.tracker, l->tracker, "line %zu: %zu", i,
			turn.tracker);
		cr_expect_eq(turn.event, l->event, "line %zu: %d", i,
			(int)turn.event);
		give_result(s, l);
		before = now;
	}
}

#define TELL(s, lines) tell(s, lines, sizeof(lines) / sizeof((lines)[0]))

Test(announce_schedule, tells_one_tracker_its_whole_story)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		{100, 0, 0, ANNOUNCE_NONE, ANSWERED, 100, 0},
		{100, COMPLETED, 0, ANNOUNCE_COMPLETED, ANSWERED, 200, 0},
		{300, COMPLETED, 0, ANNOUNCE_NONE, ANSWERED, 200, 0},
		{300, STOP, 0, ANNOUNCE_STOPPED, ANSWERED, 200, 0},
	};
	struct announce_schedule *s = one_tracker();

	TELL(s, lines);
	expect_step(s, 300 * SECOND, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, keeps_intervals_between_a_minute_and_a_day)
{
	static const struct {
		uint32_t interval_s, min_s;
		uint64_t wait_s;
	} cases[] = {
		{0, 0, 1800},
		{0, 3600, 3600},
		{1, 0, 60},
		{59, 0, 60},
		{60, 1, 60},
		{61, 0, 61},
		{1800, 900, 1800},
		{900, 1800, 1800},
		{86400, 0, 86400},
		{86401, 0, 86400},
		{UINT32_MAX, UINT32_MAX, 86400},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct announce_schedule *s = one_tracker();
		struct announce_turn turn;

		announce_schedule_next(s, 0, &turn);
		announce_schedule_answered(
			s, 0, 500, cases[i].interval_s, cases[i].min_s, false);
		cr_expect_eq(announce_schedule_next(s, 500, &turn),
			ANNOUNCE_SCHEDULE_WAIT);
		cr_expect_eq(turn.at_ms, 500 + cases[i].wait_s * 1000,
			"case %zu", i);
		announce_schedule_destroy(s);
	}
}

Test(announce_schedule, hunger_is_stilled_at_the_min_interval)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, ANSWERED, 1800, 300},
		{300, HUNGRY, 0, ANNOUNCE_NONE, ANSWERED, 1800, 0},
		{360, 0, 0, ANNOUNCE_NONE, ANSWERED, 1800, 10},
		{420, 0, 0, ANNOUNCE_NONE, ANSWERED, 1800, 0},
		{2220, SATED, 0, ANNOUNCE_NONE, ANSWERED, 1800, 0},
	};
	struct announce_schedule *s = one_tracker();

	TELL(s, lines);
	announce_schedule_destroy(s);
}

Test(announce_schedule, a_dead_tracker_is_tried_ever_less)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{15, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{45, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{105, HUNGRY, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{225, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{465, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{945, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{1905, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{3825, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{7425, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0}, /* an hour */
		{11025, 0, 0, ANNOUNCE_STARTED, ANSWERED, 600, 0},
		{11625, SATED, 0, ANNOUNCE_NONE, FAILED, 0, 0},
		{11640, 0, 0, ANNOUNCE_NONE, FAILED, 0, 0}, /* from the start */
	};
	struct announce_schedule *s = one_tracker();

	TELL(s, lines);
	announce_schedule_destroy(s);
}

Test(announce_schedule, a_tracker_may_say_when_to_try_again)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 1},
		{15, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 300},
		{315, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 3601},
		{3915, 0, 0, ANNOUNCE_STARTED, FAILED, 0, UINT32_MAX - 1},
		{7515, 0, 0, ANNOUNCE_STARTED, FAILED, 0, UINT32_MAX},
	};
	struct announce_schedule *s = one_tracker();

	TELL(s, lines);
	expect_step(s, 7515 * SECOND, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_hungry(s, true);
	announce_schedule_completed(s);
	expect_step(s, 99999 * SECOND, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_stop(s);
	expect_step(s, 99999 * SECOND, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, the_dice_decide_within_a_tier_only)
{
	static const struct announce_schedule_tracker trackers[] = {
		{1, 0, true}, {0, 9, true}, {0, 3, true}, {0, 5, true}};
	static const struct line lines[] = {
		{0, 0, 2, ANNOUNCE_STARTED, FAILED, 0, 0},
		{0, 0, 3, ANNOUNCE_STARTED, FAILED, 0, 0},
		{0, 0, 1, ANNOUNCE_STARTED, FAILED, 0, 0},
		{0, 0, 0, ANNOUNCE_STARTED, ANSWERED, 0, 0},
	};
	struct announce_schedule *s = announce_schedule_create(trackers, 4, 0);

	TELL(s, lines);
	announce_schedule_destroy(s);
}

Test(announce_schedule, what_answers_moves_to_the_front_of_its_tier)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{0, 0, 1, ANNOUNCE_STARTED, FAILED, 0, 0},
		{0, 0, 2, ANNOUNCE_STARTED, FAILED, 0, 0},
		{0, 0, 3, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		/* Tier 0 comes first again, 3 is now before 2. */
		{100, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{100, 0, 1, ANNOUNCE_STARTED, FAILED, 0, 0},
		{100, 0, 3, ANNOUNCE_NONE, FAILED, 0, 0},
		{100, 0, 2, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		{200, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{200, 0, 1, ANNOUNCE_STARTED, ANSWERED, 200, 0},
		{400, 0, 1, ANNOUNCE_NONE, FAILED, 0, 0},
		{400, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{400, 0, 2, ANNOUNCE_NONE, ANSWERED, 200, 0},
	};
	struct announce_schedule *s = schedule((unsigned[]){0, 0, 1, 1}, 4);

	TELL(s, lines);
	announce_schedule_destroy(s);
}

Test(announce_schedule, completed_goes_once_to_all_who_know_us)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{0, 0, 1, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		{100, 0, 0, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		{100, COMPLETED, 0, ANNOUNCE_COMPLETED, ANSWERED, 100, 0},
		{100, 0, 1, ANNOUNCE_COMPLETED, FAILED, 0, 0},
		{115, 0, 1, ANNOUNCE_COMPLETED, ANSWERED, 100, 0},
		{215, 0, 0, ANNOUNCE_NONE, FAILED, 0, 0},
		{215, 0, 1, ANNOUNCE_NONE, FAILED, 0, 0},
		{215, 0, 2, ANNOUNCE_STARTED, ANSWERED, 100, 0}, /* a seed */
	};
	struct announce_schedule *s = schedule((unsigned[]){0, 1, 2}, 3);

	TELL(s, lines);
	announce_schedule_destroy(s);
}

Test(announce_schedule, completion_during_started_counts_if_it_arrives)
{
	static const struct line arrived[] = {
		{0, 0, 0, ANNOUNCE_COMPLETED, ANSWERED, 100, 0},
		{100, 0, 0, ANNOUNCE_NONE, ANSWERED, 100, 0},
	};
	static const struct line lost[] = {
		{15, 0, 0, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		{115, 0, 0, ANNOUNCE_NONE, ANSWERED, 100, 0},
	};
	struct announce_schedule *s = one_tracker();
	struct announce_turn turn;

	announce_schedule_next(s, 0, &turn);
	announce_schedule_completed(s);
	announce_schedule_answered(s, 0, 0, 100, 0, false);
	TELL(s, arrived);
	announce_schedule_destroy(s);

	s = one_tracker();
	announce_schedule_next(s, 0, &turn);
	announce_schedule_completed(s);
	announce_schedule_failed(s, 0, 0, 0);
	TELL(s, lost);
	announce_schedule_destroy(s);
}

Test(announce_schedule, only_those_who_know_us_are_told_that_we_go)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		{100, 0, 0, ANNOUNCE_NONE, FAILED, 0, 0},
		{100, 0, 1, ANNOUNCE_STARTED, FAILED, 0, 0},
		{100, 0, 2, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		/* The one that failed last comes last. */
		{100, STOP, 2, ANNOUNCE_STOPPED, FAILED, 0, 0},
		{100, 0, 0, ANNOUNCE_STOPPED, ANSWERED, 100, 0},
	};
	struct announce_schedule *s = schedule((unsigned[]){0, 0, 0}, 3);

	TELL(s, lines);
	expect_step(s, 100 * SECOND, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, a_completed_that_is_owed_goes_before_stopped)
{
	struct announce_schedule *s = one_tracker();
	struct announce_turn turn;

	announce_schedule_next(s, 0, &turn);
	announce_schedule_answered(s, 0, 0, 100, 0, false);
	announce_schedule_completed(s);
	announce_schedule_stop(s);

	cr_expect_eq(
		announce_schedule_next(s, 0, &turn), ANNOUNCE_SCHEDULE_ASK);
	cr_expect_eq(turn.event, ANNOUNCE_COMPLETED);
	cr_expect_eq(turn.left, 1);
	announce_schedule_failed(s, 0, 0, 0); /* no second try */
	cr_expect_eq(
		announce_schedule_next(s, 0, &turn), ANNOUNCE_SCHEDULE_ASK);
	cr_expect_eq(turn.event, ANNOUNCE_STOPPED);
	cr_expect_eq(turn.left, 0);
	announce_schedule_failed(s, 0, 0, 0);
	expect_step(s, 0, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, a_download_that_nobody_heard_of_is_told_to_one)
{
	static const struct line lines[] = {
		{0, STOP, 0, ANNOUNCE_STARTED, ANSWERED, 100, 0},
		{0, 0, 0, ANNOUNCE_STOPPED, ANSWERED, 100, 0},
	};
	struct announce_schedule *s = schedule((unsigned[]){0, 1}, 2);

	announce_schedule_completed(s);
	TELL(s, lines);
	expect_step(s, 0, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);

	s = one_tracker(); /* not complete */
	announce_schedule_stop(s);
	expect_step(s, 0, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, without_trackers_there_is_nothing_to_do)
{
	struct announce_schedule *s = schedule(NULL, 0);

	expect_step(s, 0, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_hungry(s, true);
	announce_schedule_completed(s);
	expect_step(s, 1, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_stop(s);
	expect_step(s, 2, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, a_tracker_that_hangs_holds_up_no_other)
{
	struct announce_schedule *s = schedule((unsigned[]){0, 1, 1}, 3);

	cr_expect_eq(ask_at(s, 0).tracker, 0);
	expect_step(s, 0, ANNOUNCE_SCHEDULE_WAIT, 3 * SECOND);
	cr_expect_eq(ask_at(s, 3).tracker, 1);
	expect_step(s, 3 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 6 * SECOND);
	/* One answers, and all is quiet; the other may do so yet. */
	announce_schedule_answered(s, 1, 4 * SECOND, 100, 0, false);
	expect_step(s, 4 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 104 * SECOND);
	announce_schedule_answered(s, 0, 24 * SECOND, 200, 0, false);
	expect_step(s, 24 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 224 * SECOND);
	/* Both know us. */
	announce_schedule_stop(s);
	cr_expect_eq(ask_at(s, 30).event, ANNOUNCE_STOPPED);
	cr_expect_eq(ask_at(s, 30).event, ANNOUNCE_STOPPED);
	expect_step(s, 30 * SECOND, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_failed(s, 0, 31 * SECOND, 0);
	announce_schedule_failed(s, 1, 31 * SECOND, 0);
	expect_step(s, 31 * SECOND, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, one_that_was_overtaken_and_fails_waits_like_others)
{
	struct announce_schedule *s = schedule((unsigned[]){0, 1}, 2);

	ask_at(s, 0);
	announce_schedule_failed(s, ask_at(s, 3).tracker, 4 * SECOND, 0);
	/* There is nobody but the second until the first is over. */
	expect_step(s, 4 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 19 * SECOND);
	announce_schedule_failed(s, 0, 10 * SECOND, 0);
	expect_step(s, 10 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 19 * SECOND);
	announce_schedule_failed(s, ask_at(s, 19).tracker, 19 * SECOND, 0);
	cr_expect_eq(ask_at(s, 25).tracker, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, no_more_than_eight_are_under_way)
{
	static const double at_s[] = {0, 3, 6, 9, 12.5, 20.5, 23.5, 26.5};
	struct announce_schedule *s = schedule((unsigned[MAX]){0}, MAX);

	for (size_t i = 0; i < ANNOUNCE_SCHEDULE_AT_ONCE; i++)
		cr_expect_eq(ask_at(s, at_s[i]).tracker, i);
	expect_step(s, 100 * SECOND, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_failed(s, 3, 100 * SECOND, 0);
	cr_expect_eq(ask_at(s, 100).tracker, 8);
	announce_schedule_destroy(s);
}

Test(announce_schedule, completed_waits_for_nobody)
{
	struct announce_schedule *s = schedule((unsigned[]){0, 1, 2}, 3);

	announce_schedule_failed(s, ask_at(s, 0).tracker, 0, 3600);
	announce_schedule_answered(s, ask_at(s, 0).tracker, 0, 100, 0, false);
	cr_expect_eq(ask_at(s, 100).tracker, 1);
	announce_schedule_failed(s, 1, 100 * SECOND, 0);
	cr_expect_eq(ask_at(s, 100).tracker, 2); /* and hangs */
	announce_schedule_completed(s);
	expect_step(s, 101 * SECOND, ANNOUNCE_SCHEDULE_WAIT, 115 * SECOND);
	cr_expect_eq(ask_at(s, 115).event, ANNOUNCE_COMPLETED);
	announce_schedule_destroy(s);
}

Test(announce_schedule, the_hungry_ask_those_that_do_not_know_us_too)
{
	static const struct line lines[] = {
		{0, HUNGRY, 0, ANNOUNCE_STARTED, ANSWERED, 1800, 0},
		{20, 0, 1, ANNOUNCE_STARTED, FAILED, 0, 0},
		{20, 0, 2, ANNOUNCE_STARTED, ANSWERED, 1800, 0},
		{40, 0, 1, ANNOUNCE_STARTED, ANSWERED, 1800, 0},
		/* All know us by now, and have their turns. */
		{100, 0, 0, ANNOUNCE_NONE, ANSWERED, 900, 0},
		{160, 0, 2, ANNOUNCE_NONE, ANSWERED, 900, 0},
		{220, 0, 1, ANNOUNCE_NONE, ANSWERED, 900, 0},
		{280, 0, 0, ANNOUNCE_NONE, ANSWERED, 900, 0},
		{1180, SATED, 0, ANNOUNCE_NONE, ANSWERED, 900, 0},
		{2080, 0, 0, ANNOUNCE_NONE, ANSWERED, 900, 0},
	};
	struct announce_schedule *s = schedule((unsigned[]){0, 1, 2}, 3);

	TELL(s, lines);
	announce_schedule_destroy(s);
}

Test(announce_schedule, each_has_its_own_min_interval)
{
	static const struct line patient_first[] = {
		{0, HUNGRY, 0, ANNOUNCE_STARTED, ANSWERED, 1800, 1800},
		{20, 0, 1, ANNOUNCE_STARTED, ANSWERED, 1800, 0},
		{80, 0, 1, ANNOUNCE_NONE, ANSWERED, 1800, 900},
		{980, 0, 1, ANNOUNCE_NONE, ANSWERED, 1800, 900},
		{1800, 0, 0, ANNOUNCE_NONE, ANSWERED, 1800, 1800},
		{1880, 0, 1, ANNOUNCE_NONE, ANSWERED, 1800, 900},
	};
	static const struct line patient_last[] = {
		{0, HUNGRY, 0, ANNOUNCE_STARTED, ANSWERED, 1800, 0},
		{20, 0, 1, ANNOUNCE_STARTED, ANSWERED, 1800, 1800},
		{80, 0, 0, ANNOUNCE_NONE, ANSWERED, 1800, 0},
		{140, 0, 0, ANNOUNCE_NONE, ANSWERED, 200, 0},
		{340, SATED, 0, ANNOUNCE_NONE, FAILED, 0, 0},
		{355, 0, 0, ANNOUNCE_NONE, FAILED, 0, 1465},
		{1820, 0, 1, ANNOUNCE_NONE, ANSWERED, 1800, 900},
	};
	/* These are not for their peers. */
	static const struct line exempt[] = {
		{0, 0, 0, ANNOUNCE_STARTED, ANSWERED, 1800, 1800},
		{0, COMPLETED, 0, ANNOUNCE_COMPLETED, ANSWERED, 1800, 1800},
		{0, STOP, 0, ANNOUNCE_STOPPED, ANSWERED, 1800, 1800},
	};
	struct announce_schedule *s = schedule((unsigned[]){0, 1}, 2);

	TELL(s, patient_first);
	announce_schedule_destroy(s);

	s = schedule((unsigned[]){0, 1}, 2);
	TELL(s, patient_last);
	announce_schedule_destroy(s);

	s = one_tracker();
	TELL(s, exempt);
	announce_schedule_destroy(s);
}

Test(announce_schedule, what_changed_is_told_to_the_one_that_answered)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, ANSWERED, 1800, 300},
		{300, RENEW, 0, ANNOUNCE_NONE, ANSWERED, 1800, 0},
	};
	struct announce_schedule *s = schedule((unsigned[]){0, 1}, 2);

	TELL(s, lines);
	announce_schedule_destroy(s);
}

Test(announce_schedule, what_changed_is_told_at_the_min_interval)
{
	static const struct line lines[] = {
		{0, 0, 0, ANNOUNCE_STARTED, ANSWERED, 1800, 300},
		{300, RENEW, 0, ANNOUNCE_NONE, ANSWERED, 1800, 0},
		{2100, 0, 0, ANNOUNCE_NONE, ANSWERED, 1800, 0},
	};
	struct announce_schedule *s = one_tracker();

	TELL(s, lines);
	announce_schedule_destroy(s);

	/* Changed while it was being told. */
	s = one_tracker();
	ask_at(s, 0);
	announce_schedule_renew(s);
	announce_schedule_answered(s, 0, 0, 1800, 300, false);
	expect_step(s, 0, ANNOUNCE_SCHEDULE_WAIT, 300 * SECOND);
	announce_schedule_destroy(s);
}

/* Ask whenever allowed, always hungry, until `end`; returns how many times,
 * and when. */
static size_t play(struct announce_schedule *s, uint64_t end, bool answers,
	uint64_t *ret_ms, size_t max, unsigned asked[MAX])
{
	struct announce_turn turn;
	size_t count = 0;
	uint64_t now = 0;

	while (now < end && count < max) {
		announce_schedule_hungry(s, true);
		announce_schedule_completed(s);
		if (announce_schedule_next(s, now, &turn) ==
			ANNOUNCE_SCHEDULE_WAIT) {
			cr_assert_gt(turn.at_ms, now, "it spins");
			now = turn.at_ms;
			continue;
		}
		ret_ms[count++] = now;
		asked[turn.tracker]++;
		if (answers)
			announce_schedule_answered(
				s, turn.tracker, now, 1, 1, false);
		else
			announce_schedule_failed(s, turn.tracker, now, 1);
	}
	return count;
}

static void expect_polite(const uint64_t *at_ms, size_t count)
{
	for (size_t i = 4; i < count; i++)
		cr_expect_gt(at_ms[i] - at_ms[i - 4], 12 * SECOND);
	if (count > 5)
		cr_expect_gt(at_ms[5], 20 * SECOND);
}

Test(announce_schedule, a_hundred_dead_trackers_are_tried_slowly_and_fairly)
{
	static uint64_t at_ms[2000];
	static const unsigned tiers[MAX];
	unsigned asked[MAX] = {0};
	struct announce_schedule *s = schedule(tiers, MAX);
	size_t count = play(s, 900 * SECOND, false, at_ms, 2000, asked);

	expect_polite(at_ms, count);
	for (size_t i = 0; i < MAX; i++)
		cr_expect(asked[i] == 2 || asked[i] == 3, "%u", asked[i]);
	announce_schedule_destroy(s);
}

Test(announce_schedule, an_impatient_tracker_does_not_make_us_a_flood)
{
	static uint64_t at_ms[100];
	unsigned asked[MAX] = {0};
	struct announce_schedule *s = one_tracker();
	size_t count = play(s, 3600 * SECOND, true, at_ms, 100, asked);

	expect_polite(at_ms, count);
	cr_expect_eq(count, 60);
	announce_schedule_destroy(s);
}

/* ---- one at a time (BEP 27) ---- */

static struct announce_schedule *private_schedule(
	const unsigned *tiers, size_t count)
{
	struct announce_schedule *s = schedule(tiers, count);

	announce_schedule_one_at_a_time(s);
	return s;
}

Test(announce_schedule, a_private_torrent_stays_with_the_one_that_answers)
{
	static const struct line lines[] = {
		{0, HUNGRY, 0, ANNOUNCE_STARTED, ANSWERED, 1800, 300},
		{300, 0, 0, ANNOUNCE_NONE, ANSWERED, 1800, 300},
		{2100, SATED, 0, ANNOUNCE_NONE, FAILED, 0, 0},
		{2100, 0, 1, ANNOUNCE_STARTED, ANSWERED, 600, 0},
		{2700, 0, 1, ANNOUNCE_NONE, ANSWERED, 600, 0},
		{3300, 0, 1, ANNOUNCE_NONE, FAILED, 0, 0},
		{3300, 0, 0, ANNOUNCE_STARTED, FAILED, 0, 0},
		{3300, 0, 2, ANNOUNCE_STARTED, ANSWERED, 600, 0},
		{3300, COMPLETED, 2, ANNOUNCE_COMPLETED, ANSWERED, 600, 0},
		{3300, STOP, 2, ANNOUNCE_STOPPED, ANSWERED, 600, 0},
	};
	struct announce_schedule *s =
		private_schedule((const unsigned[]){0, 0, 1}, 3);

	TELL(s, lines);
	expect_step(s, 3300 * SECOND, ANNOUNCE_SCHEDULE_END, 0);
	announce_schedule_destroy(s);
}

Test(announce_schedule, a_private_torrent_waits_for_one_that_hangs)
{
	struct announce_schedule *s =
		private_schedule((const unsigned[]){0, 1}, 2);

	cr_expect_eq(ask_at(s, 0).tracker, 0);
	announce_schedule_completed(s);
	expect_step(s, 24 * SECOND, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_failed(s, 0, 25 * SECOND, 0);
	cr_expect_eq(ask_at(s, 25).tracker, 1);
	announce_schedule_destroy(s);
}

/* As its metadata says, which came by a magnet link. */
Test(announce_schedule, what_turns_out_to_be_private_asks_nobody_else)
{
	struct announce_schedule *s = schedule((const unsigned[]){0, 1, 2}, 3);

	ask_at(s, 0);
	ask_at(s, 3);
	announce_schedule_one_at_a_time(s);
	expect_step(s, 10 * SECOND, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_failed(s, 1, 10 * SECOND, 0);
	expect_step(s, 10 * SECOND, ANNOUNCE_SCHEDULE_WAIT, NEVER);
	announce_schedule_failed(s, 0, 11 * SECOND, 0);
	cr_expect_eq(ask_at(s, 11).tracker, 2);
	announce_schedule_destroy(s);
}
