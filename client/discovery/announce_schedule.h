#ifndef CLIENT_DISCOVERY_ANNOUNCE_SCHEDULE_H
#define CLIENT_DISCOVERY_ANNOUNCE_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce.h"

/* Which tracker of a torrent is told what, and when.  Pure: the time (in
 * milliseconds on any clock that does not go backwards) and the dice come in
 * as numbers, and somebody else does the asking.
 *
 * Trackers are gone through in order: by tier, shuffled within one, later
 * tiers only when all before have failed; the one that answers moves to the
 * front of its tier, and all is quiet until its interval is over (BEP 12).  One
 * that has not answered after 3 s is waited for, but the next one has its turn
 * meanwhile: a tracker that hangs holds up no other.  While no peers are to be
 * had, those are asked too that have not been, one every 20 s, and then all in
 * turn.
 *
 * A tracker that fails waits 15 s, doubling to 1 h, or as long as it says
 * (BEP 31), and whatever trackers say there are never more than 4 announces
 * and scrapes in 12 s, nor 5 in the first 20 s.  What is said at the end waits
 * for no limit.  An announce counts as one, although the one who sends it may
 * do so over each address family.
 *
 * A tracker "knows us" once it has answered a `started`; only such ones are
 * told `completed` and `stopped`.
 *
 * Threads: the caller sees to it that there is one call at a time. */
struct announce_schedule;

enum { ANNOUNCE_SCHEDULE_AT_ONCE = 8 }; /* trackers asked, at most */

struct announce_schedule_tracker {
	unsigned tier;  /* smaller ones first */
	uint32_t dice;  /* random: the order within the tier */
	bool can_count; /* it can be asked for its counts (a scrape) */
};

/* `count` may be 0: then there is never anything to do.  The first announce is
 * due at `now_ms`.  NULL: out of memory. */
struct announce_schedule *announce_schedule_create(
	const struct announce_schedule_tracker *trackers, size_t count,
	uint64_t now_ms);

/* NULL is allowed. */
void announce_schedule_destroy(struct announce_schedule *s);

/* From now on there is one tracker at a time, and another only when that one
 * has failed: as a private torrent has it (BEP 27).  Who has been left so is
 * not told of anything any more. */
void announce_schedule_one_at_a_time(struct announce_schedule *s);

enum announce_schedule_step {
	ANNOUNCE_SCHEDULE_ASK,   /* `tracker`, now; then say how it went */
	ANNOUNCE_SCHEDULE_COUNT, /* the same with a scrape */
	ANNOUNCE_SCHEDULE_WAIT,  /* until `at_ms`, or until this was told
				  * something */
	ANNOUNCE_SCHEDULE_END,   /* stopped, and everybody was told */
};

struct announce_turn {
	size_t tracker; /* index in what create was given */
	enum announce_event event;
	size_t left;    /* while stopping: how many times as long as this one
			 * what is still to come may take */
	uint64_t at_ms; /* UINT64_MAX: never by itself */
};

/* What to do at `now_ms`.  A tracker that is to be asked is under way until
 * one of answered, failed (ASK) and counted (COUNT) is called for it; others
 * may have their turns meanwhile. */
enum announce_schedule_step announce_schedule_next(struct announce_schedule *s,
	uint64_t now_ms, struct announce_turn *ret);

/* How asking `tracker` went; seconds are as it said them, 0 if it did not.
 * `counted`: it said how many peers there are.  A failure reason is a failure;
 * `retry_s` UINT32_MAX means never. */
void announce_schedule_answered(struct announce_schedule *s, size_t tracker,
	uint64_t now_ms, uint32_t interval_s, uint32_t min_interval_s,
	bool counted);
void announce_schedule_failed(struct announce_schedule *s, size_t tracker,
	uint64_t now_ms, uint32_t retry_s);

/* The scrape is over, however it went. */
void announce_schedule_counted(
	struct announce_schedule *s, size_t tracker, uint64_t now_ms);

/* The download is complete: whoever knows us is to be told so, once.  A
 * `started` that is under way counts if it is answered. */
void announce_schedule_completed(struct announce_schedule *s);

/* Whether more peers are wanted, from now on: then the next announce need wait
 * for 60 s only, and others are asked, too; but none within its own min
 * interval. */
void announce_schedule_hungry(struct announce_schedule *s, bool hungry);

/* What trackers were told is no longer true: the next announce need wait for
 * the min interval of the one that answered last only, and 60 s at least. */
void announce_schedule_renew(struct announce_schedule *s);

/* It is of interest how many peers there are: of the tracker that answered
 * last, if that is not known from the last 5 minutes. */
void announce_schedule_count(struct announce_schedule *s);

/* From now on there is only what is owed to those who know us: a `completed`
 * not sent yet, then `stopped`, each tried once and without waiting.  If the
 * download is complete before anybody was asked, one is told that much. */
void announce_schedule_stop(struct announce_schedule *s);

#endif
