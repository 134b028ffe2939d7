#include "client/discovery/announce_schedule.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
	MIN_INTERVAL_S = 60,
	DEFAULT_INTERVAL_S = 1800,
	MAX_INTERVAL_S = 24 * 60 * 60,

	/* One that is silent so long lets the next one have its turn. */
	OVERTAKE_MS = 3 * 1000,
	/* While no peers are to be had, one more is asked so long after an
	 * answer that brought none. */
	OTHERS_MS = 20 * 1000,

	COUNT_AGE_MS = 5 * 60 * 1000, /* counts are new for so long */

	FIRST_RETRY_S = 15,
	MAX_RETRY_S = 60 * 60,

	/* No more than BURST announces and scrapes in any BURST_MS,
	 * whatever the trackers say and however many there are; and no more
	 * than START_BURST while the torrent is younger than START_MS.  The
	 * time is a little longer than promised, since a request takes a while
	 * to arrive. */
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
	bool can_count;

	bool knows_us;
	bool owed_completed;
	unsigned failures;      /* in a row */
	uint64_t not_before_ms; /* after a failure; NEVER: told to stay away */
	/* Announces to it since any tracker answered: all have their turn
	 * before one is tried again, however many are dead. */
	unsigned turns;
	uint64_t answered_ms; /* the last time */
	uint64_t min_ms;      /* the end of its min interval */
	uint64_t counts_ms;   /* when its counts are not new any more */

	/* What it is asked now. */
	bool under_way;
	uint64_t asked_ms;
	enum announce_event event;
	bool completed_when_asked;
	unsigned renewals_when_asked;
};

struct announce_schedule {
	uint64_t start_ms;
	uint64_t due_ms;    /* the next regular announce */
	uint64_t hungry_ms; /* the same when we are hungry, ... */
	uint64_t others_ms; /* ... to a tracker that does not know us */
	bool one_at_a_time;
	bool hungry;
	bool count_wanted;
	bool completed;
	bool stopping;
	unsigned renewals;

	size_t under_way; /* trackers */

	size_t ask_count;
	uint64_t asked_ms[BURST]; /* the last ones, a ring */

	size_t count;
	struct tracker trackers[]; /* in the order they are gone through */
};

/* Something that may be done next. */
struct choice {
	struct tracker *tracker; /* NULL: nothing */
	uint64_t at_ms;
	bool counting;
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
	s->others_ms = now_ms;
	s->count = count;
	for (size_t i = 0; i < count; i++) {
		s->trackers[i].index = i;
		s->trackers[i].tier = trackers[i].tier;
		s->trackers[i].dice = trackers[i].dice;
		s->trackers[i].can_count = trackers[i].can_count;
	}
	qsort(s->trackers, count, sizeof(s->trackers[0]), compare);
	return s;
}

void announce_schedule_destroy(struct announce_schedule *s) { free(s); }

void announce_schedule_one_at_a_time(struct announce_schedule *s)
{
	s->one_at_a_time = true;
}

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

/* When those under way have had their time to answer before others. */
static uint64_t overtaken_ms(const struct announce_schedule *s)
{
	uint64_t at = 0;

	for (size_t i = 0; i < s->count; i++) {
		const struct tracker *t = &s->trackers[i];

		if (t->under_way)
			at = later(at, t->asked_ms + OVERTAKE_MS);
	}
	return at;
}

static uint64_t regular_ms(
	const struct announce_schedule *s, const struct tracker *t)
{
	uint64_t at = s->due_ms;

	if (s->hungry)
		at = earlier(at, t->knows_us ? s->hungry_ms : s->others_ms);
	return later(later(at, t->min_ms), t->not_before_ms);
}

/* Which of two that are due at the same time; else their order counts. */
static bool goes_before(const struct announce_schedule *s,
	const struct tracker *a, const struct tracker *b)
{
	if (a->turns != b->turns)
		return a->turns < b->turns;
	/* Who is hungry hears more by going round. */
	return s->hungry && a->knows_us && b->knows_us &&
		a->answered_ms < b->answered_ms;
}

/* Of those who know us; NULL: nobody does. */
static struct tracker *answered_last(struct announce_schedule *s)
{
	struct tracker *last = NULL;

	for (size_t i = 0; i < s->count; i++) {
		struct tracker *t = &s->trackers[i];

		if (t->knows_us &&
			(last == NULL || t->answered_ms > last->answered_ms))
			last = t;
	}
	return last;
}

/* The only one that may be asked; NULL: any. */
static const struct tracker *only_one(struct announce_schedule *s)
{
	const struct tracker *t = s->one_at_a_time ? answered_last(s) : NULL;

	return t != NULL && t->failures == 0 ? t : NULL;
}

/* The tracker whom the regular announce is to ask, and when. */
static struct choice next_regular(struct announce_schedule *s, uint64_t now_ms)
{
	uint64_t free_ms = later(overtaken_ms(s), now_ms);
	const struct tracker *only = only_one(s);
	struct choice best = {.at_ms = NEVER};

	for (size_t i = 0; i < s->count; i++) {
		struct tracker *t = &s->trackers[i];
		uint64_t at = later(regular_ms(s, t), free_ms);

		if (t->under_way || (only != NULL && t != only))
			continue;
		if (at < best.at_ms ||
			(best.tracker != NULL && at == best.at_ms &&
				goes_before(s, t, best.tracker)))
			best = (struct choice){t, at, false};
	}
	return best;
}

/* The tracker to tell that the download is complete, and when. */
static struct choice next_completed(
	struct announce_schedule *s, uint64_t now_ms)
{
	struct choice best = {.at_ms = NEVER};

	for (size_t i = 0; i < s->count; i++) {
		struct tracker *t = &s->trackers[i];
		uint64_t at = later(t->not_before_ms, now_ms);

		if (t->owed_completed && !t->under_way && at < best.at_ms)
			best = (struct choice){t, at, false};
	}
	return best;
}

/* The tracker whose counts are wanted, if they can be had. */
static struct choice next_count(struct announce_schedule *s, uint64_t now_ms)
{
	struct tracker *t = s->count_wanted ? answered_last(s) : NULL;

	s->count_wanted = t != NULL && t->can_count && t->failures == 0 &&
		!t->under_way && now_ms >= t->counts_ms;
	if (!s->count_wanted)
		return (struct choice){.at_ms = NEVER};
	return (struct choice){t, now_ms, true};
}

static enum announce_event event_for(const struct tracker *t)
{
	if (!t->knows_us)
		return ANNOUNCE_STARTED;
	return t->owed_completed ? ANNOUNCE_COMPLETED : ANNOUNCE_NONE;
}

static void ask(struct announce_schedule *s, uint64_t now_ms, struct tracker *t,
	enum announce_event event, struct announce_turn *ret)
{
	t->under_way = true;
	t->asked_ms = now_ms;
	t->event = event;
	t->completed_when_asked = s->completed;
	t->renewals_when_asked = s->renewals;
	s->under_way++;
	s->asked_ms[s->ask_count % BURST] = now_ms;
	s->ask_count++;

	*ret = (struct announce_turn){
		.tracker = t->index,
		.event = event,
		.at_ms = now_ms,
	};
}

static enum announce_schedule_step take(struct announce_schedule *s,
	uint64_t now_ms, const struct choice *c, struct announce_turn *ret)
{
	struct tracker *t = c->tracker;

	ask(s, now_ms, t, c->counting ? ANNOUNCE_NONE : event_for(t), ret);
	if (!c->counting) {
		t->turns++;
		return ANNOUNCE_SCHEDULE_ASK;
	}
	s->count_wanted = false;
	return ANNOUNCE_SCHEDULE_COUNT;
}

static enum announce_schedule_step wait_until(
	uint64_t at_ms, struct announce_turn *ret)
{
	*ret = (struct announce_turn){.at_ms = at_ms};
	return ANNOUNCE_SCHEDULE_WAIT;
}

/* Those that answered last come first: a dead one may eat up the time. */
static struct tracker *next_to_leave(struct announce_schedule *s)
{
	struct tracker *best = NULL;

	for (size_t i = 0; i < s->count; i++) {
		struct tracker *t = &s->trackers[i];

		if (t->knows_us && !t->under_way &&
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

	/* A download so short that nobody has heard of it. */
	if (s->ask_count == 0 && s->completed && s->count > 0) {
		ask(s, now_ms, &s->trackers[0], ANNOUNCE_STARTED, ret);
		ret->left = 1; /* `stopped` */
		return ANNOUNCE_SCHEDULE_ASK;
	}
	if (t == NULL && s->under_way == 0)
		return ANNOUNCE_SCHEDULE_END;
	if (t == NULL || s->under_way == ANNOUNCE_SCHEDULE_AT_ONCE)
		return wait_until(NEVER, ret);

	/* Whether it arrives or not, there is no second try. */
	if (t->owed_completed) {
		event = ANNOUNCE_COMPLETED;
		t->owed_completed = false;
	} else {
		event = ANNOUNCE_STOPPED;
		t->knows_us = false;
	}
	ask(s, now_ms, t, event, ret);
	ret->left = announces_left(s) / ANNOUNCE_SCHEDULE_AT_ONCE;
	if (event == ANNOUNCE_COMPLETED && ret->left == 0)
		ret->left = 1; /* its own `stopped` */
	return ANNOUNCE_SCHEDULE_ASK;
}

enum announce_schedule_step announce_schedule_next(
	struct announce_schedule *s, uint64_t now_ms, struct announce_turn *ret)
{
	if (s->stopping)
		return next_stopping(s, now_ms, ret);
	if (s->under_way >= (s->one_at_a_time ? 1 : ANNOUNCE_SCHEDULE_AT_ONCE))
		return wait_until(NEVER, ret);

	/* Of what is due, what comes first here goes first. */
	struct choice choices[] = {
		next_completed(s, now_ms),
		next_regular(s, now_ms),
		next_count(s, now_ms),
	};
	struct choice *first = &choices[0];
	for (size_t i = 1; i < sizeof(choices) / sizeof(choices[0]); i++) {
		if (choices[i].at_ms < first->at_ms)
			first = &choices[i];
	}
	uint64_t at = later(first->at_ms, allowed_ms(s));
	if (first->tracker == NULL || at > now_ms)
		return wait_until(at, ret);
	return take(s, now_ms, first, ret);
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
	switch (t->event) {
	case ANNOUNCE_STARTED:
		t->knows_us = true;
		/* It was told of a leecher, which has become a seeder. */
		t->owed_completed = s->completed && !t->completed_when_asked;
		break;
	case ANNOUNCE_COMPLETED:
		t->owed_completed = false;
		break;
	case ANNOUNCE_NONE:
	case ANNOUNCE_STOPPED:
		break;
	}
}

/* The tracker that was asked; it is not any more. */
static struct tracker *asked(struct announce_schedule *s, size_t tracker)
{
	struct tracker *t = s->trackers;

	while (t->index != tracker)
		t++;
	assert(t->under_way);
	t->under_way = false;
	s->under_way--;
	return t;
}

/* Nothing more is owed to it. */
static void leave(struct tracker *t)
{
	t->knows_us = false;
	t->owed_completed = false;
}

void announce_schedule_answered(struct announce_schedule *s, size_t tracker,
	uint64_t now_ms, uint32_t interval_s, uint32_t min_interval_s,
	bool counted)
{
	struct tracker *t = asked(s, tracker);
	uint64_t min_s =
		clamp_s(min_interval_s, MIN_INTERVAL_S, MAX_INTERVAL_S);
	uint64_t wait_s =
		clamp_s(interval_s != 0 ? interval_s : DEFAULT_INTERVAL_S,
			min_s, MAX_INTERVAL_S);

	s->due_ms = now_ms + wait_s * 1000;
	s->hungry_ms = now_ms + (uint64_t)MIN_INTERVAL_S * 1000;
	s->others_ms = now_ms + OTHERS_MS;
	t->min_ms = now_ms + min_s * 1000;
	if (t->renewals_when_asked != s->renewals)
		s->due_ms = t->min_ms; /* it was told what is not true */

	t->failures = 0;
	t->not_before_ms = 0;
	t->answered_ms = now_ms;
	if (counted)
		t->counts_ms = now_ms + COUNT_AGE_MS;
	now_known(s, t);
	for (size_t i = 0; i < s->count; i++) {
		s->trackers[i].turns = 0;
		if (s->one_at_a_time && &s->trackers[i] != t)
			leave(&s->trackers[i]);
	}
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

void announce_schedule_failed(struct announce_schedule *s, size_t tracker,
	uint64_t now_ms, uint32_t retry_s)
{
	struct tracker *t = asked(s, tracker);

	t->failures++;
	if (retry_s == UINT32_MAX) {
		t->not_before_ms = NEVER;
		leave(t);
		return;
	}
	t->not_before_ms = now_ms + retry_wait_s(t->failures, retry_s) * 1000;
}

void announce_schedule_counted(
	struct announce_schedule *s, size_t tracker, uint64_t now_ms)
{
	asked(s, tracker)->counts_ms = now_ms + COUNT_AGE_MS;
}

void announce_schedule_completed(struct announce_schedule *s)
{
	if (s->completed)
		return;
	s->completed = true;
	for (size_t i = 0; i < s->count; i++)
		s->trackers[i].owed_completed = s->trackers[i].knows_us;
}

void announce_schedule_hungry(struct announce_schedule *s, bool hungry)
{
	s->hungry = hungry;
}

void announce_schedule_renew(struct announce_schedule *s)
{
	const struct tracker *told = answered_last(s);

	s->renewals++;
	if (told != NULL)
		s->due_ms = earlier(s->due_ms, told->min_ms);
}

void announce_schedule_count(struct announce_schedule *s)
{
	s->count_wanted = true;
}

void announce_schedule_stop(struct announce_schedule *s) { s->stopping = true; }
