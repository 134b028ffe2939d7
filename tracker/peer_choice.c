#include "tracker/peer_choice.h"

#include <stdbool.h>

#include "shared/dice.h"
#include "tracker/peer_array.h"
#include "tracker/peer_chunk.h"

enum {
	/* Up to so many chunks each is looked at; beyond, only those that are
	 * chosen. */
	FEW_CHUNKS = 8,

	NEIGHBOURS = 8,
};

/* --- Places --- */

struct peer_places peer_places_of(
	struct endpoint *at, uint32_t count, uint64_t *dice)
{
	enum { STEP = 113, OTHER_STEP = 127 }; /* primes */
	uint32_t step = count % STEP != 0 ? STEP : OTHER_STEP;

	return (struct peer_places){
		.at = at,
		.count = count,
		.next = dice_below(dice, count),
		.step = step % count,
	};
}

static struct endpoint *next_place(struct peer_places *to)
{
	struct endpoint *place = to->at + to->next;

	to->next += to->step;
	if (to->next >= to->count)
		to->next -= to->count;
	return place;
}

/* --- Choosing --- */

/* What is chosen from, and whom not. */
struct source {
	const struct peer_array *array;
	const struct peer_family *family;
	const struct peer_place *without;
	const uint8_t *skipped; /* entry of `without`, or NULL */
	uint32_t total;         /* of the others */
};

static struct source source_of(const struct peer_array *p,
	const struct peer_family *family, const struct peer_place *without)
{
	return (struct source){
		.array = p,
		.family = family,
		.without = without,
		.skipped = without
			? entry_at(family, chunk_of(p, without->chunk),
				  without->slot)
			: NULL,
		.total = without ? p->count - 1 : p->count,
	};
}

/* How many come before `without`. */
static uint32_t skipped_number(const struct source *s)
{
	uint32_t n;

	if (!s->without)
		return UINT32_MAX;
	n = s->without->slot;
	for (uint32_t i = 0; i < s->without->chunk; i++)
		n += chunk_of(s->array, i)->count;
	return n;
}

/* Where the n-th peer is, counted from the first chunk on. */
static struct peer_place place_of(const struct peer_array *p, uint32_t n)
{
	struct peer_place at = {.chunk = 0};

	while (n >= chunk_of(p, at.chunk)->count)
		n -= chunk_of(p, at.chunk++)->count;
	at.slot = n;
	return at;
}

/* Up to `count` peers of a chunk, from a slot on; returns how many. */
static uint32_t put_slots(const struct source *s, struct peer_chunk *chunk,
	uint32_t slot, uint32_t count, struct peer_places *to)
{
	const uint8_t *entry = entry_at(s->family, chunk, slot);
	const uint8_t *end = entry_at(s->family, chunk, chunk->count);
	const uint8_t *skipped = s->skipped;
	/* In registers: what is put might be these, for all a compiler knows.
	 */
	const struct peer_family family = *s->family;
	struct peer_places places = *to;
	uint32_t left = count;

	for (; entry < end && left > 0; entry += entry_size(&family)) {
		if (entry == skipped)
			continue;
		put_endpoint(&family, entry, next_place(&places));
		left--;
	}
	*to = places;
	return count - left;
}

/* `count` peers from the n-th on, through all chunks and round. */
static void put_run(const struct source *s, uint32_t n, uint32_t count,
	struct peer_places *to)
{
	struct peer_place at = place_of(s->array, n);

	while (count > 0) {
		count -= put_slots(
			s, chunk_of(s->array, at.chunk), at.slot, count, to);
		at.slot = 0;
		at.chunk =
			at.chunk + 1 < s->array->chunk_count ? at.chunk + 1 : 0;
	}
}

/* All peers in a ring, and in it, from a random place on, runs of neighbours
 * with gaps of random lengths between them.  However the runs lie to each
 * other, the place where they begin makes each peer as likely. */
static void choose_runs(const struct source *s, uint32_t wanted, uint64_t *dice,
	struct peer_places *to)
{
	uint32_t skipped = skipped_number(s);
	uint32_t runs = wanted < s->total
		? (wanted + NEIGHBOURS - 1) / NEIGHBOURS
		: 1; /* all */
	uint32_t gap = (s->total - wanted) / runs;
	uint32_t n = dice_below(dice, s->total);

	for (uint32_t i = 0; i < runs; i++) {
		uint32_t len = wanted / runs + (i < wanted % runs);
		uint32_t skip = dice_below(dice, gap + 1);

		n += skip;
		if (n >= s->total)
			n -= s->total;
		put_run(s, n >= skipped ? n + 1 : n, len, to);
		n += len + gap - skip;
		if (n >= s->total)
			n -= s->total;
	}
}

static bool is_among(const uint32_t *numbers, uint32_t count, uint32_t wanted)
{
	for (uint32_t i = 0; i < count; i++) {
		if (numbers[i] == wanted)
			return true;
	}
	return false;
}

/* Up to `count` peers of a chunk from a random one on, and round. */
static uint32_t put_neighbours(const struct source *s, struct peer_chunk *chunk,
	uint32_t count, uint64_t *dice, struct peer_places *to)
{
	uint32_t slot = dice_below(dice, chunk->count);
	uint32_t others = chunk->count;
	uint32_t put;

	if (s->skipped && chunk_of(s->array, s->without->chunk) == chunk)
		others--;
	if (count > others)
		count = others;
	put = put_slots(s, chunk, slot, count, to);
	return put + put_slots(s, chunk, 0, count - put, to);
}

/* Some neighbours each from several chunks.  Hashes hit a chunk that is not
 * split yet twice as often as others; beyond that one is taken the more likely
 * the fuller it is, so every peer is as likely.  False: by very bad luck there
 * were not enough. */
static bool choose_by_chunks(const struct source *s, uint32_t wanted,
	uint64_t *dice, struct peer_places *to)
{
	enum { TRIES = 2000 }; /* a dozen or two are what it takes */
	const struct peer_array *p = s->array;
	uint32_t power = power_below(p->chunk_count);
	/* Half as many again as they have on the average: one with more, which
	 * is rare, is chosen as if it had so many. */
	uint32_t unsplit_limit = p->count / power + p->count / power / 2;
	uint32_t a_chunk = wanted / (p->chunk_count / 2) + 1;
	uint32_t used[PEER_CHOICE_MAX];
	uint32_t used_count = 0;
	uint32_t left = wanted;

	if (a_chunk < NEIGHBOURS)
		a_chunk = NEIGHBOURS;
	for (uint32_t i = 0; left > 0 && i < TRIES; i++) {
		uint64_t roll = dice_roll(dice);
		uint32_t number = number_of(p->chunk_count, roll);
		bool split = number >= power || number < p->chunk_count - power;
		struct peer_chunk *chunk = chunk_of(p, number);

		if (dice_scale(roll >> 32, unsplit_limit >> split) >=
				chunk->count ||
			is_among(used, used_count, number))
			continue;
		uint32_t put = put_neighbours(
			s, chunk, left < a_chunk ? left : a_chunk, dice, to);
		if (put > 0)
			used[used_count++] = number;
		left -= put;
	}
	return left == 0;
}

void peer_choice_put(const struct peer_array *p,
	const struct peer_family *family, const struct peer_place *without,
	uint32_t wanted, uint64_t *dice, struct peer_places *to)
{
	const struct source s = source_of(p, family, without);
	const struct peer_places begin = *to;

	if (p->chunk_count > FEW_CHUNKS) {
		if (choose_by_chunks(&s, wanted, dice, to))
			return;
		*to = begin;
	}
	choose_runs(&s, wanted, dice, to);
}
