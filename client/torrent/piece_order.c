#include "client/torrent/piece_order.h"

#include <stdlib.h>

#include "shared/dice.h"

/* How many candidates are compared for one choice: all, in torrents of usual
 * size; in huge ones a sample, so that a choice takes microseconds. */
enum { RAREST_SAMPLE = 1024 };

bool piece_order_init(struct piece_order_state *s, enum piece_order order,
	uint32_t piece_count, uint32_t window, uint64_t seed)
{
	*s = (struct piece_order_state){
		.order = order, .window = window, .dice = seed};
	s->availability = calloc(piece_count, sizeof(*s->availability));
	return s->availability != NULL;
}

void piece_order_finish(struct piece_order_state *s)
{
	free(s->availability);
	*s = (struct piece_order_state){0};
}

void piece_order_count_piece(struct piece_order_state *s, uint32_t piece)
{
	if (s->availability && s->availability[piece] < UINT16_MAX)
		s->availability[piece]++;
}

static void count_one(uint16_t *copies, bool came)
{
	if (came && *copies < UINT16_MAX)
		++*copies;
	else if (!came && *copies > 0)
		--*copies;
}

void piece_order_count_peer(
	struct piece_order_state *s, const struct bitfield *has, bool came)
{
	/* Whoever has everything makes no piece rarer than another.  (Who came
	 * to have it piece by piece leaves one count in each: no difference
	 * either.) */
	if (!s->availability || bitfield_full(has))
		return;
	/* Word by word: a peer may send a bitfield as often as it likes. */
	for (uint32_t at = 0; at < has->count; at += 64) {
		for (uint64_t bits = has->words[at / 64]; bits != 0;) {
			uint32_t first = (uint32_t)__builtin_clzll(bits);

			bits ^= UINT64_C(1) << (63 - first);
			count_one(&s->availability[at + first], came);
		}
	}
}

/* The rarest of the pieces [first, end). */
static uint32_t rarest(struct piece_order_state *s, const struct bitfield *has,
	const struct bitfield *have, const struct bitfield *taken,
	uint32_t first, uint32_t end)
{
	uint32_t start = first + dice_below(&s->dice, end - first);
	uint32_t best = BITFIELD_NONE;

	/* From a random place once round, so that equals are chosen evenly
	 * enough and two clients do not choose alike. */
	for (uint32_t lap = 0, seen = 0; lap < 2; lap++) {
		uint32_t at = lap ? first : start;
		uint32_t upto = lap ? start : end;

		for (; seen < RAREST_SAMPLE; seen++, at++) {
			at = bitfield_find(has, have, taken, at, upto);
			if (at == BITFIELD_NONE)
				break;
			if (best == BITFIELD_NONE ||
				s->availability[at] < s->availability[best])
				best = at;
			if (s->availability[best] == 0)
				return best; /* nothing is rarer */
		}
	}
	return best;
}

bool piece_order_is_next(const struct piece_order_state *s,
	const struct bitfield *have, uint32_t piece)
{
	return s->order == PIECE_ORDER_SEQUENTIAL &&
		piece ==
		bitfield_find(NULL, have, NULL, s->first_missing, have->count);
}

uint32_t piece_order_next(struct piece_order_state *s,
	const struct bitfield *has, const struct bitfield *have,
	const struct bitfield *taken)
{
	uint32_t count = have->count;

	if (s->order == PIECE_ORDER_RAREST)
		return rarest(s, has, have, taken, 0, count);

	uint32_t first =
		bitfield_find(NULL, have, NULL, s->first_missing, count);
	if (first == BITFIELD_NONE)
		return BITFIELD_NONE;
	s->first_missing = first;
	if (s->company > 0) {
		uint32_t end =
			s->window < count - first ? first + s->window : count;
		uint32_t best = rarest(s, has, have, taken, first, end);
		if (best != BITFIELD_NONE)
			return best;
		first = end;
	}
	return bitfield_find(has, have, taken, first, count);
}
