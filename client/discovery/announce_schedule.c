#include "client/discovery/announce_schedule.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	MIN_INTERVAL_S = 60,
	DEFAULT_INTERVAL_S = 1800,
	MAX_INTERVAL_S = 24 * 60 * 60,

	FIRST_RETRY_S = 15,
	MAX_RETRY_S = 60 * 60,

	/* No more than BURST announces in any BURST_MS, whatever the trackers
	 * say and however many there are; and no more than START_BURST while
	 * the torrent is younger than START_MS.  The time is a little longer
	 * than promised, since a request takes a while to arrive. */
	BURST = 4,
	BURST_MS = 12500,
	START_BURST = 5,
	START_MS = 20500,
};

static const uint64_t NEVER = UINT64_MAX;

struct tracker {
	size_t index; /* as create was given it */
	unsigned tier;
	uint32_t dice;

	bool knows_us;
	bool owed_completed;
	unsigned failures;      /* in a row */
	uint64_t not_before_ms; /* after a failure; NEVER: told to stay away */
	/* Times asked since any tracker answered: all have their turn before
	 * one is tried again, however many are dead. */
	unsigned turns;
};

struct announce_schedule {
	uint64_t start_ms;
	uint64_t due_ms;    /* the next regular announce */
	uint64_t hungry_ms; /* the same when we are hungry */
	bool hungry;
	bool completed;
	bool stopping;

	/* The announce under way; NULL: none. */
	struct tracker *asked;
	enum announce_event asked_event;
	bool completed_when_asked;

	size_t ask_count;
	uint64_t asked_ms[BURST]; /* the last ones, a ring */

	size_t count;
	struct tracker trackers[]; /* in the order they are gone through */
};

static uint64_t earlier(uint64_t a, uint64_t b) { return a < b ? a : b; }
static uint64_t later(uint64_t a, uint64_t b) { return a > b ? a : b; }

static uint64_t clamp_s(uint64_t s, uint64_t min, uint64_t max)
{
	return earlier(later(s, min), max);
}

static int compare(const void *left, const void *right)
{
	const struct tracker *a = left, *b = right;

	if (a->tier != b->tier)
		return a->tier < b->tier ? -1 : 1;
	if (a->dice != b->dice)
		return a->dice < b->dice ? -1 : 1;
	return (a->index > b->index) - (a->index < b->index);
}

struct announce_schedule *announce_schedule_create(
	const struct announce_schedule_tracker *trackers, size_t count,
	uint64_t now_ms)
{
	struct announce_schedule *s =
		calloc(1, sizeof(*s) + count * sizeof(s->trackers[0]));

	if (s == NULL)
		return NULL;
	s->start_ms = now_ms;
	s->due_ms = now_ms;
	s->hungry_ms = now_ms;
	s->count = count;
	for (size_t i = 0; i < count; i++) {
		s->trackers[i].index = i;
		s->trackers[i].tier = trackers[i].tier;
		s->trackers[i].dice = trackers[i].dice;
	}
	qsort(s->trackers, count, sizeof(s->trackers[0]), compare);
	return s;
}

void announce_schedule_destroy(struct announce_schedule *s) { free(s); }

/* When the limits on all announces together allow the next one. */
static uint64_t allowed_ms(const struct announce_schedule *s)
{
	uint64_t at = s->start_ms;

	if (s->ask_count >= BURST)
		at = s->asked_ms[s->ask_count % BURST] + BURST_MS;
	if (s->ask_count >= START_BURST)
		at = later(at, s->start_ms + START_MS);
	return at;
}

/* The tracker whom the regular announce is to ask, and when. */
static struct tracker *next_regular(
	struct announce_schedule *s, uint64_t now_ms, uint64_t *ret_ms)
{
	uint64_t due = s->hungry ? earlier(s->due_ms, s->hungry_ms) : s->due_ms;
	struct tracker *best = NULL;
	uint64_t best_ms = NEVER;

	for (size_t i = 0; i < s->count; i++) {
		struct tracker *t = &s->trackers[i];
		uint64_t at = later(later(due, t->not_before_ms), now_ms);

		if (at < best_ms ||
			(best != NULL && at == best_ms &&
				t->turns < best->turns)) {
			best = t;
			best_ms = at;
		}
	}
	*ret_ms = best_ms;
	return best;
}

/* The tracker to tell that the download is complete, and when. */
static struct tracker *next_completed(
	struct announce_schedule *s, uint64_t now_ms, uint64_t *ret_ms)
{
	struct tracker *best = NULL;
	uint64_t best_ms = NEVER;

	for (size_t i = 0; i < s->count; i++) {
		struct tracker *t = &s->trackers[i];
		uint64_t at = later(t->not_before_ms, now_ms);

		if (t->owed_completed && at < best_ms) {
			best = t;
			best_ms = at;
		}
	}
	*ret_ms = best_ms;
	return best;
}

static enum announce_event event_for(const struct tracker *t)
{
	if (!t->knows_us)
		return ANNOUNCE_STARTED;
	return t->owed_completed ? ANNOUNCE_COMPLETED : ANNOUNCE_NONE;
}

static enum announce_schedule_step ask(struct announce_schedule *s,
	uint64_t now_ms, struct tracker *t, enum announce_event event,
	struct announce_turn *ret)
{
	s->asked = t;
	s->asked_event = event;
	s->completed_when_asked = s->completed;
	s->asked_ms[s->ask_count % BURST] = now_ms;
	s->ask_count++;
	t->turns++;

	ret->tracker = t->index;
	ret->event = event;
	ret->left = 0;
	ret->at_ms = now_ms;
	return ANNOUNCE_SCHEDULE_ASK;
}

/* Those that answered last come first: a dead one may eat up the time. */
static struct tracker *next_to_leave(struct announce_schedule *s)
{
	struct tracker *best = NULL;

	for (size_t i = 0; i < s->count; i++) {
		struct tracker *t = &s->trackers[i];

		if (t->knows_us &&
			(best == NULL || t->failures < best->failures))
			best = t;
	}
	return best;
}

static size_t announces_left(const struct announce_schedule *s)
{
	size_t left = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct tracker *t = &s->trackers[i];

		left += (size_t)t->knows_us + t->owed_completed;
	}
	return left;
}

static enum announce_schedule_step next_stopping(
	struct announce_schedule *s, uint64_t now_ms, struct announce_turn *ret)
{
	struct tracker *t = next_to_leave(s);
	enum announce_event event;

	if (t == NULL)
		return ANNOUNCE_SCHEDULE_END;

	/* Whether it arrives or not, there is no second try. */
	if (t->owed_completed) {
		event = ANNOUNCE_COMPLETED;
		t->owed_completed = false;
	} else {
		event = ANNOUNCE_STOPPED;
		t->knows_us = false;
	}
	ask(s, now_ms, t, event, ret);
	ret->left = announces_left(s);
	return ANNOUNCE_SCHEDULE_ASK;
}

enum announce_schedule_step announce_schedule_next(
	struct announce_schedule *s, uint64_t now_ms, struct announce_turn *ret)
{
	uint64_t regular_ms, completed_ms;

	assert(s->asked == NULL);
	if (s->stopping)
		return next_stopping(s, now_ms, ret);

	struct tracker *regular = next_regular(s, now_ms, &regular_ms);
	struct tracker *completed = next_completed(s, now_ms, &completed_ms);
	struct tracker *t = completed_ms <= regular_ms ? completed : regular;
	uint64_t at = earlier(completed_ms, regular_ms);

	if (t != NULL && later(at, allowed_ms(s)) <= now_ms)
		return ask(s, now_ms, t, event_for(t), ret);
	*ret = (struct announce_turn){
		.at_ms = later(at, allowed_ms(s)),
	};
	return ANNOUNCE_SCHEDULE_WAIT;
}

/* BEP 12: what answered is the first of its tier from now on. */
static void move_to_front(struct announce_schedule *s, struct tracker *t)
{
	struct tracker moved = *t;
	struct tracker *front = t;

	while (front > s->trackers && front[-1].tier == moved.tier)
		front--;
	memmove(front + 1, front, (size_t)(t - front) * sizeof(*front));
	*front = moved;
}

static void now_known(struct announce_schedule *s, struct tracker *t)
{
	switch (s->asked_event) {
	case ANNOUNCE_STARTED:
		t->knows_us = true;
		/* It was told of a leecher, which has become a seeder. */
		t->owed_completed = s->completed && !s->completed_when_asked;
		break;
	case ANNOUNCE_COMPLETED:
		t->owed_completed = false;
		break;
	case ANNOUNCE_NONE:
	case ANNOUNCE_STOPPED:
		break;
	}
}

void announce_schedule_answered(struct announce_schedule *s, uint64_t now_ms,
	uint32_t interval_s, uint32_t min_interval_s)
{
	struct tracker *t = s->asked;
	uint64_t min_s =
		clamp_s(min_interval_s, MIN_INTERVAL_S, MAX_INTERVAL_S);
	uint64_t wait_s =
		clamp_s(interval_s != 0 ? interval_s : DEFAULT_INTERVAL_S,
			min_s, MAX_INTERVAL_S);

	assert(t != NULL);
	s->asked = NULL;
	s->hungry = false;
	s->due_ms = now_ms + wait_s * 1000;
	s->hungry_ms = now_ms + min_s * 1000;

	t->failures = 0;
	t->not_before_ms = 0;
	now_known(s, t);
	for (size_t i = 0; i < s->count; i++)
		s->trackers[i].turns = 0;
	move_to_front(s, t);
}

static uint64_t retry_wait_s(unsigned failures, uint32_t said_s)
{
	uint64_t wait_s = FIRST_RETRY_S;

	if (said_s != 0)
		return clamp_s(said_s, FIRST_RETRY_S, MAX_RETRY_S);
	for (unsigned i = 1; i < failures && wait_s < MAX_RETRY_S; i++)
		wait_s *= 2;
	return earlier(wait_s, MAX_RETRY_S);
}

void announce_schedule_failed(
	struct announce_schedule *s, uint64_t now_ms, uint32_t retry_s)
{
	struct tracker *t = s->asked;

	assert(t != NULL);
	s->asked = NULL;
	t->failures++;
	if (retry_s == UINT32_MAX) {
		t->not_before_ms = NEVER;
		t->knows_us = false;
		t->owed_completed = false;
		return;
	}
	t->not_before_ms = now_ms + retry_wait_s(t->failures, retry_s) * 1000;
}

void announce_schedule_completed(struct announce_schedule *s)
{
	if (s->completed)
		return;
	s->completed = true;
	for (size_t i = 0; i < s->count; i++)
		s->trackers[i].owed_completed = s->trackers[i].knows_us;
}

void announce_schedule_hungry(struct announce_schedule *s) { s->hungry = true; }

void announce_schedule_stop(struct announce_schedule *s) { s->stopping = true; }
