#ifndef TESTS_UNIT_ANNOUNCE_SCHEDULE_LAB_H
#define TESTS_UNIT_ANNOUNCE_SCHEDULE_LAB_H

#include <criterion/criterion.h>

#include "client/discovery/announce_schedule.h"

/* Schedules that start at 0, and what they are expected to say. */

enum { MAX = 100 };

static const uint64_t SECOND = 1000;
static const uint64_t NEVER = UINT64_MAX;

/* Tracker i has the tier tiers[i] and comes after those before it. */
static inline struct announce_schedule *schedule(
	const unsigned *tiers, size_t count)
{
	struct announce_schedule_tracker t[MAX] = {0};

	for (size_t i = 0; i < count; i++)
		t[i] = (struct announce_schedule_tracker){
			tiers[i], (uint32_t)i, true};
	return announce_schedule_create(t, count, 0);
}

static inline struct announce_schedule *one_tracker(void)
{
	return schedule((const unsigned[]){0}, 1);
}

static inline void expect_step(struct announce_schedule *s, uint64_t now,
	enum announce_schedule_step step, uint64_t at)
{
	struct announce_turn turn = {0};

	cr_expect_eq(announce_schedule_next(s, now, &turn), step);
	if (step == ANNOUNCE_SCHEDULE_WAIT)
		cr_expect_eq(turn.at_ms, at);
}

static inline struct announce_turn ask_at(
	struct announce_schedule *s, double at_s)
{
	struct announce_turn turn = {.tracker = MAX};

	cr_assert_eq(announce_schedule_next(s, (uint64_t)(at_s * 1000), &turn),
		ANNOUNCE_SCHEDULE_ASK, "at %f s", at_s);
	return turn;
}

#endif
