#include "tracker/address_limit.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tracker/address_group.h"

enum {
	SET_SIZE = 8, /* one cache line: all that an announce touches */
	SETS = ADDRESS_LIMIT_BYTES / (SET_SIZE * 8),

	TIME_BITS = 44, /* of an entry; the others are of the address's hash */
};

static const uint64_t US_A_SECOND = 1000000;
static const uint64_t US_A_MINUTE = 60 * 1000000;
static const uint64_t TIME_MASK = (UINT64_C(1) << TIME_BITS) - 1;

/* An entry is a tag of the address and the moment, in microseconds, at which
 * all that it did would be paid for at the allowed rate (as in ATM's GCRA): it
 * may do more as long as that is less than a minute ahead.  When it is past,
 * the entry says nothing and may be had by another address.
 *
 * Written without a lock: when two threads meet at an entry, one of the two is
 * not counted. */
struct address_limit {
	uint64_t step_us; /* for each time */
	bool spare_private;
	uint64_t seed;
	_Alignas(64) atomic_uint_fast64_t sets[SETS][SET_SIZE];
};

struct address_limit *address_limit_create(
	const struct address_limit_options *o)
{
	struct address_limit *limit =
		aligned_alloc(_Alignof(struct address_limit), sizeof(*limit));

	if (!limit)
		return NULL;
	memset(limit, 0, sizeof(*limit));
	limit->step_us = US_A_MINUTE / o->per_minute;
	limit->spare_private = o->spare_private;
	limit->seed = o->seed;
	return limit;
}

void address_limit_destroy(struct address_limit *limit) { free(limit); }

/* RFC 1918, 6598, 3927; RFC 4193, 4291. */
static bool is_private(const struct endpoint *e)
{
	const uint8_t *ip = e->ip;

	if (endpoint_is_loopback(e))
		return true;
	if (!endpoint_is_v4(e))
		return (ip[0] & 0xfe) == 0xfc ||
			(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
	ip += 12;
	return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
		(ip[0] == 192 && ip[1] == 168) ||
		(ip[0] == 100 && (ip[1] & 0xc0) == 64) ||
		(ip[0] == 169 && ip[1] == 254);
}

/* Where an address is, or would be. */
struct place {
	atomic_uint_fast64_t *entry;
	uint64_t tag;      /* in its place, above the time */
	uint64_t ahead_us; /* what it did is paid for in so long */
};

/* How far ahead of `now_us` an entry is; 0 when it is past.  Times go round;
 * what is further ahead than any can be is long past. */
static uint64_t ahead_of(
	const struct address_limit *limit, uint64_t entry, uint64_t now_us)
{
	uint64_t ahead = ((entry & TIME_MASK) - now_us) & TIME_MASK;

	return ahead <= US_A_MINUTE + limit->step_us ? ahead : 0;
}

static struct place find(struct address_limit *limit,
	const struct endpoint *who, uint64_t now_us)
{
	uint64_t hash = address_group_hash(who, limit->seed);
	atomic_uint_fast64_t *set = limit->sets[hash % SETS];
	struct place place = {.tag = hash & ~TIME_MASK, .ahead_us = UINT64_MAX};

	for (int i = 0; i < SET_SIZE; i++) {
		uint64_t entry =
			atomic_load_explicit(&set[i], memory_order_relaxed);
		uint64_t ahead = ahead_of(limit, entry, now_us);

		if ((entry & ~TIME_MASK) == place.tag) {
			place.entry = &set[i];
			place.ahead_us = ahead;
			return place;
		}
		if (ahead < place.ahead_us) {
			place.entry = &set[i]; /* the quietest so far */
			place.ahead_us = ahead;
		}
	}
	place.ahead_us = 0;
	return place;
}

static bool is_free(
	const struct address_limit *limit, const struct endpoint *who)
{
	return !limit || (limit->spare_private && is_private(who));
}

bool address_limit_ask(struct address_limit *limit, const struct endpoint *who,
	uint64_t now_s, uint32_t *ret_retry_s)
{
	if (is_free(limit, who))
		return true;

	struct place place = find(limit, who, now_s * US_A_SECOND);
	uint64_t then_us = place.ahead_us + limit->step_us;
	if (then_us <= US_A_MINUTE)
		return true;
	*ret_retry_s = (uint32_t)((then_us - US_A_MINUTE + US_A_SECOND - 1) /
		US_A_SECOND);
	return false;
}

void address_limit_count(
	struct address_limit *limit, const struct endpoint *who, uint64_t now_s)
{
	uint64_t now_us = now_s * US_A_SECOND;

	if (is_free(limit, who))
		return;

	struct place place = find(limit, who, now_us);
	uint64_t paid_us = now_us + place.ahead_us + limit->step_us;
	atomic_store_explicit(place.entry, place.tag | (paid_us & TIME_MASK),
		memory_order_relaxed);
}
