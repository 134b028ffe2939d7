#include "client/torrent/piece_order.h"

#include <criterion/criterion.h>

static struct bitfield all(uint32_t count)
{
	struct bitfield b;

	cr_assert(bitfield_init(&b, count));
	bitfield_set_all(&b);
	return b;
}

static struct bitfield none(uint32_t count)
{
	struct bitfield b;

	cr_assert(bitfield_init(&b, count));
	return b;
}

static void finish3(struct bitfield *a, struct bitfield *b, struct bitfield *c)
{
	bitfield_finish(a);
	bitfield_finish(b);
	bitfield_finish(c);
}

Test(piece_order, sequential_is_the_first_that_can_be_had)
{
	enum { COUNT = 130 };
	struct bitfield has = all(COUNT), have = none(COUNT),
			taken = none(COUNT);
	struct piece_order_state s;

	cr_assert(piece_order_init(&s, PIECE_ORDER_SEQUENTIAL, COUNT, 32, 1));
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), 0);
	bitfield_set(&have, 0);
	bitfield_set(&taken, 1);
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), 2);
	bitfield_clear(&has, 2);
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), 3);
	bitfield_clear(&taken, 1); /* it failed */
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), 1);
	for (uint32_t i = 0; i < COUNT - 1; i++)
		bitfield_set(&have, i);
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), COUNT - 1);
	bitfield_set(&taken, COUNT - 1);
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), BITFIELD_NONE);
	bitfield_set(&have, COUNT - 1);
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), BITFIELD_NONE);
	piece_order_finish(&s);
	finish3(&has, &have, &taken);
}

Test(piece_order, the_rarest_that_can_be_had_is_opened)
{
	enum { COUNT = 100 };
	struct bitfield has = all(COUNT), have = none(COUNT),
			taken = none(COUNT);

	for (uint64_t seed = 0; seed < 50; seed++) {
		struct piece_order_state s;

		cr_assert(piece_order_init(
			&s, PIECE_ORDER_RAREST, COUNT, 32, seed));
		for (uint32_t i = 0; i < COUNT; i++) {
			/* 40 rarest, then 41, then 39, then 42 ... */
			uint32_t far = i > 40 ? 2 * (i - 40) - 1 : 2 * (40 - i);
			for (uint32_t n = 0; n <= far; n++)
				piece_order_count_piece(&s, i);
		}
		cr_expect_eq(piece_order_next(&s, &has, &have, &taken), 40);
		bitfield_set(&have, 40);
		cr_expect_eq(piece_order_next(&s, &has, &have, &taken), 41);
		bitfield_set(&taken, 41);
		cr_expect_eq(piece_order_next(&s, &has, &have, &taken), 39);
		bitfield_clear(&has, 39);
		cr_expect_eq(piece_order_next(&s, &has, &have, &taken), 42);
		bitfield_clear(&have, 40);
		bitfield_clear(&taken, 41);
		bitfield_set(&has, 39);
		piece_order_finish(&s);
	}
	finish3(&has, &have, &taken);
}

Test(piece_order, among_equals_the_choice_varies)
{
	enum { COUNT = 64, TRIES = 2000 };
	struct bitfield has = all(COUNT), have = none(COUNT),
			taken = none(COUNT);
	unsigned chosen[COUNT] = {0};
	struct piece_order_state s;

	cr_assert(piece_order_init(&s, PIECE_ORDER_RAREST, COUNT, 32, 3));
	for (uint32_t i = 0; i < COUNT; i++)
		piece_order_count_piece(&s, i);
	for (unsigned i = 0; i < TRIES; i++)
		chosen[piece_order_next(&s, &has, &have, &taken)]++;
	for (uint32_t i = 0; i < COUNT; i++)
		cr_expect(chosen[i] > 0 && chosen[i] < TRIES / 10,
			"%u: %u times", i, chosen[i]);
	piece_order_finish(&s);
	finish3(&has, &have, &taken);
}

Test(piece_order, nothing_to_open_is_none)
{
	static const uint32_t counts[] = {1, 64, 65};

	for (size_t i = 0; i < 3; i++) {
		struct bitfield has = none(counts[i]), have = none(counts[i]),
				taken = none(counts[i]);
		struct piece_order_state s;

		cr_assert(piece_order_init(
			&s, PIECE_ORDER_RAREST, counts[i], 32, 1));
		cr_expect_eq(piece_order_next(&s, &has, &have, &taken),
			BITFIELD_NONE);
		bitfield_set(&has, counts[i] - 1);
		cr_expect_eq(piece_order_next(&s, &has, &have, &taken),
			counts[i] - 1);
		bitfield_set(&taken, counts[i] - 1);
		cr_expect_eq(piece_order_next(&s, &has, &have, &taken),
			BITFIELD_NONE);
		piece_order_finish(&s);
		finish3(&has, &have, &taken);
	}
}

/* In a huge torrent the choice is the rarest of a sample: never a piece that
 * cannot be had, and a rare one within few tries. */
Test(piece_order, a_sample_will_do_in_huge_torrents)
{
	enum { COUNT = 200000, RARE = 123 };
	struct bitfield has = all(COUNT), have = none(COUNT),
			taken = none(COUNT);
	struct piece_order_state s;
	unsigned tries = 0;

	cr_assert(piece_order_init(&s, PIECE_ORDER_RAREST, COUNT, 32, 5));
	bitfield_clear(&has, RARE);
	for (int n = 0; n < 2; n++)
		piece_order_count_peer(&s, &has, true);
	bitfield_set(&has, RARE);
	while (piece_order_next(&s, &has, &have, &taken) != RARE)
		cr_assert_lt(++tries, 5000);
	cr_expect_gt(tries, 0);
	piece_order_finish(&s);
	finish3(&has, &have, &taken);
}

Test(piece_order, peers_that_come_and_go_leave_nothing_behind)
{
	enum { COUNT = 70 };
	struct bitfield few = none(COUNT), seed = all(COUNT),
			nothing = none(COUNT);
	struct piece_order_state s;

	cr_assert(piece_order_init(&s, PIECE_ORDER_RAREST, COUNT, 32, 9));
	bitfield_set(&few, 0);
	bitfield_set(&few, 69);
	piece_order_count_peer(&s, &seed, true);
	piece_order_count_peer(&s, &few, true);
	cr_expect_eq(s.availability[0], s.availability[1] + 1);
	cr_expect_eq(s.availability[69], s.availability[1] + 1);
	bitfield_set(&few, 1);
	piece_order_count_piece(&s, 1);
	piece_order_count_peer(&s, &seed, false);
	piece_order_count_peer(&s, &few, false);
	for (uint32_t i = 0; i < COUNT; i++)
		cr_expect_eq(s.availability[i], 0, "%u", i);
	piece_order_count_peer(&s, &few, false); /* never below 0 */
	cr_expect_eq(s.availability[0], 0);

	/* Who came with nothing and left with all makes no difference. */
	piece_order_count_peer(&s, &nothing, true);
	for (uint32_t i = 0; i < COUNT; i++)
		piece_order_count_piece(&s, i);
	piece_order_count_peer(&s, &seed, false);
	for (uint32_t i = 0; i < COUNT; i++)
		cr_expect_eq(s.availability[i], s.availability[0], "%u", i);
	piece_order_finish(&s);
	finish3(&few, &seed, &nothing);
}

Test(piece_order, availability_stops_at_its_largest_number)
{
	struct piece_order_state s;

	cr_assert(piece_order_init(&s, PIECE_ORDER_RAREST, 1, 32, 1));
	for (uint32_t i = 0; i < UINT16_MAX + 2; i++)
		piece_order_count_piece(&s, 0);
	cr_expect_eq(s.availability[0], UINT16_MAX);
	piece_order_finish(&s);
	piece_order_finish(&s);
}

Test(piece_order, in_company_sequential_varies_within_its_window)
{
	enum { COUNT = 300, WINDOW = 32, FIRST = 10 };
	struct bitfield has = all(COUNT), have = none(COUNT),
			taken = none(COUNT);
	bool seen[COUNT] = {false};
	struct piece_order_state s;
	unsigned different = 0;

	cr_assert(piece_order_init(
		&s, PIECE_ORDER_SEQUENTIAL, COUNT, WINDOW, 77));
	s.company = 1;
	for (uint32_t i = 0; i < FIRST; i++)
		bitfield_set(&have, i);
	for (int i = 0; i < 500; i++) {
		uint32_t next = piece_order_next(&s, &has, &have, &taken);

		cr_assert(next >= FIRST && next < FIRST + WINDOW, "%u", next);
		different += !seen[next];
		seen[next] = true;
	}
	cr_expect_eq(different, WINDOW);

	/* What others have is left to be had of them. */
	for (uint32_t i = FIRST; i < FIRST + WINDOW; i++) {
		if (i != FIRST + 7)
			piece_order_count_piece(&s, i);
	}
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), FIRST + 7);

	/* Nothing left in the window: the first one behind it. */
	for (uint32_t i = FIRST; i < FIRST + WINDOW; i++)
		bitfield_set(&taken, i);
	cr_expect_eq(piece_order_next(&s, &has, &have, &taken), FIRST + WINDOW);
	piece_order_finish(&s);
	finish3(&has, &have, &taken);
}
