/* Blocks that are asked for more than once: in the endgame, after they were
 * given back, and when their piece was bad. */

#include "tests/unit/picker_lab.h"

/* ---- endgame ---- */

Test(picker_again, in_the_endgame_no_block_has_more_than_max_askers)
{
	enum { PROVEN = PICKER_MAX_ASKERS, ALL };
	struct tester peers[ALL + 1];

	begin(1, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	for (uint8_t i = 0; i <= ALL; i++) {
		join_seed(&peers[i], i + 1);
		peers[i].pick.proven = i >= PROVEN;
		/* One of these may ask once more. */
		cr_expect_eq(reserve(&peers[i], 9),
			i < PICKER_MAX_ASKERS - 1 || i == PROVEN ? 4 : 0);
		cr_expect_eq(reserve(&peers[i], 9), 0); /* of the same peer */
	}
	release_at(&peers[0], 1, false);
	cr_expect_eq(reserve(&peers[PROVEN - 1], 9), 0);
	cr_expect_eq(reserve(&peers[ALL], 9), 1);
	expect_asked(&peers[ALL], 0, 0, 1);

	struct receipt r = receive_at(&peers[1], 0);
	cr_expect_eq(r.is, PICKER_TAKEN);
	cr_expect(r.others);
	cr_expect_not(picker_wants(picker, &peers[2].asked[0]));
	cr_expect(picker_wants(picker, &peers[2].asked[1]));
	r = receive_at(&peers[2], 0);
	cr_expect_eq(r.is, PICKER_NOT_WANTED);
	for (size_t i = 0; i <= ALL; i++)
		leave(&peers[i]);
	end();
}

Test(picker_again,
	where_only_memory_is_lacking_one_block_at_a_time_is_asked_again)
{
	static const struct {
		uint32_t pieces; /* that the budget would hold */
		size_t again;    /* asked again, of four */
	} cases[] = {{1, 1}, {4, 4}};

	for (size_t i = 0; i < 2; i++) {
		struct tester a, b;

		begin(4, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL,
			cases[i].pieces * 4ULL * BLOCK_SIZE);
		join_seed(&a, 1);
		join_seed(&b, 2);
		reserve(&a, 16);
		cr_expect_eq(reserve(&b, 4), cases[i].again);
		cr_expect_eq(reserve(&b, 4) > 0, cases[i].again > 1);
		leave(&a);
		leave(&b);
		end();
	}
}

Test(picker_again, blocks_with_the_fewest_askers_are_asked_again_first)
{
	struct tester a, b, c;

	begin(1, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	join_seed(&c, 3);
	reserve(&a, 4);
	reserve(&b, 2);
	cr_expect_eq(reserve(&c, 4), 2);
	expect_asked(&c, 0, 0, 2);
	cr_expect_eq(reserve(&c, 4), 2);
	expect_asked(&c, 2, 0, 0);
	leave(&a);
	leave(&b);
	leave(&c);
	end();
}

Test(picker_again, nothing_is_asked_twice_while_there_is_more_to_open)
{
	struct tester a, b;

	begin_small();
	join_seed(&a, 1);
	join_with(&b, 2);
	bitfield_set(&b.pick.has, 0);
	picker_count_piece(picker, 0);
	reserve(&a, 4);
	cr_expect_eq(reserve(&b, 4), 0);
	reserve(&a, 12); /* now all are open */
	cr_expect_eq(reserve(&b, 4), 4);
	leave(&a);
	leave(&b);
	end();
}

Test(picker_again, nothing_is_asked_twice_while_a_piece_is_with_a_finisher)
{
	struct tester a, b;

	begin(2, 1, BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 2);
	struct receipt r = receive_at(&a, 0);
	cr_expect_eq(reserve(&b, 2), 0);
	end_piece(r.full, GOOD);
	cr_expect_eq(reserve(&b, 2), 1);
	leave(&a);
	leave(&b);
	end();
}

Test(picker_again, a_peer_with_much_under_way_is_asked_for_nothing_twice)
{
	struct tester a, b;

	begin(2, 32, 32 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 32);
	reserve(&b, 32);
	cr_expect_eq(reserve(&b, 32), 0);
	receive_all(&b, GOOD);
	cr_expect_eq(reserve(&b, 32), ENDGAME_DEPTH);
	cr_expect_eq(reserve(&b, 32), 0);
	leave(&a);
	leave(&b);
	end();
}

/* ---- late, twice, and from another life ---- */

Test(picker_again, a_block_given_back_is_of_use_when_it_comes_all_the_same)
{
	struct tester a, b;

	begin(1, 2, 2 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 2);
	release_at(&a, 0, true);
	release_at(&a, 1, true);
	reserve(&b, 1); /* block 0 */

	struct receipt r = receive_at(&a, 0);
	cr_expect_eq(r.is, PICKER_TAKEN);
	cr_expect(r.others); /* b's can be cancelled */
	r = receive_at(&a, 0);
	cr_expect_eq(r.is, PICKER_FULL);
	cr_expect_not(r.others);
	cr_expect_not(find(picker, 0));
	end_piece(r.full, GOOD);
	cr_expect_eq(receive_at(&b, 0).is, PICKER_NOT_WANTED);
	leave(&a);
	leave(&b);
	end();
}

Test(picker_again, the_same_peer_may_be_asked_again_for_what_it_gave_back)
{
	struct tester a;

	begin(1, 2, 2 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	reserve(&a, 2);
	release_at(&a, 0, true);
	reserve(&a, 1);
	cr_expect_eq(a.pick.asked_count, 3);
	cr_expect_eq(receive_at(&a, 0).is, PICKER_TAKEN);
	cr_expect_eq(receive_at(&a, 1).is, PICKER_NOT_WANTED);
	struct receipt r = receive_at(&a, 0);
	cr_assert_eq(r.is, PICKER_FULL);
	end_piece(r.full, GOOD);
	leave(&a);
	end();
}

/* b's request outlives the piece it was for: when it is taken back it counts
 * down c's, and c's block comes while nobody seems to have been asked. */
Test(picker_again, requests_from_before_a_piece_failed_do_no_harm)
{
	struct tester a, b, c;

	begin(1, 2, 2 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	join_seed(&c, 3);
	reserve(&a, 2);
	reserve(&b, 2);
	receive_all(&a, BAD);
	reserve(&c, 2);
	release_at(&b, 0, false);
	cr_expect_eq(receive_at(&c, 0).is, PICKER_TAKEN);
	release_at(&b, 0, false);
	cr_expect_eq(reserve(&a, 9), 0);
	struct receipt r = receive_at(&c, 0);
	cr_assert_eq(r.is, PICKER_FULL);
	end_piece(r.full, GOOD);
	leave(&a);
	leave(&b);
	leave(&c);
	end();
}

/* ---- failure ---- */

Test(picker_again, a_piece_that_failed_is_fetched_from_one_peer_only)
{
	struct tester a, b;

	begin(1, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 2);
	reserve(&b, 2);
	receive_all(&a, BAD);
	receive_all(&b, BAD);
	cr_expect_eq(reserve(&b, 1), 1);
	cr_expect_eq(reserve(&a, 4), 0); /* not shared */
	reserve(&b, 3);
	cr_expect_eq(reserve(&a, 4), 0); /* not asked twice either */
	receive_all(&b, GOOD);
	cr_expect(bitfield_full(picker_have(picker)));

	/* Right at last, it is a piece as any other. */
	picker_clear_have(picker, 0);
	reserve(&a, 1);
	cr_expect_eq(reserve(&b, 1), 1);
	leave(&a);
	leave(&b);
	end();
}

Test(picker_again, who_goes_on_with_a_failed_piece_begins_it_anew)
{
	struct tester a, b;

	begin(1, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 4);
	receive_all(&a, BAD);
	reserve(&a, 2);
	receive_at(&a, 0);
	picker_rest(picker, &a.pick);
	cr_expect_eq(reserve(&b, 8), 4);
	for (uint32_t i = 0; i < 4; i++)
		expect_asked(&b, i, 0, i);
	cr_expect_eq(receive_at(&a, 0).is, PICKER_NOT_WANTED);
	receive_all(&b, GOOD);
	cr_expect(bitfield_full(picker_have(picker)));
	leave(&a);
	leave(&b);
	end();
}

Test(picker_again, a_proven_peer_takes_a_failed_piece_over_in_the_endgame)
{
	struct tester a, b, c;

	begin(2, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	join_seed(&c, 3);
	reserve(&a, 4);
	receive_all(&a, BAD);
	reserve(&a, 3);
	b.pick.proven = c.pick.proven = true;
	/* Not before there is nothing else to do. */
	cr_expect_eq(reserve(&b, 4), 4);
	expect_asked(&b, 0, 1, 0);
	receive_at(&a, 0);
	cr_expect_eq(reserve(&c, 4), 4);
	expect_asked(&c, 0, 1, 0); /* the usual endgame comes first */
	receive_all(&b, GOOD);

	/* From the beginning, and what the other still sends does not count. */
	cr_expect_eq(reserve(&b, 9), 4);
	expect_asked(&b, 0, 0, 0);
	cr_expect_eq(receive_at(&a, 0).is, PICKER_NOT_WANTED);
	cr_expect_eq(reserve(&a, 9), 0);
	/* Once: who is proven is not replaced. */
	release_at(&c, 0, false);
	cr_expect_eq(reserve(&c, 9), 0);
	receive_all(&b, GOOD);
	cr_expect(bitfield_full(picker_have(picker)));
	leave(&a);
	leave(&b);
	leave(&c);
	end();
}

Test(picker_again, a_failed_piece_is_not_mixed_with_what_comes_late)
{
	struct tester a, b;

	begin(1, 2, 2 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 2);
	reserve(&b, 2);
	receive_all(&a, BAD);
	reserve(&a, 2);
	cr_expect_eq(receive_at(&b, 0).is, PICKER_NOT_WANTED);
	receive_all(&a, GOOD);
	cr_expect(bitfield_full(picker_have(picker)));
	leave(&a);
	leave(&b);
	end();
}

Test(picker_again, whoever_is_left_takes_up_a_failed_piece)
{
	struct tester a, b;

	begin(1, 2, 2 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 2);
	receive_all(&a, BAD);
	reserve(&a, 1);
	cr_expect_eq(reserve(&b, 2), 0);
	leave(&a);
	cr_expect_eq(reserve(&b, 2), 2);
	leave(&b);
	end();
}

/* ---- whoever is slow with a piece that failed ---- */

enum { TIME_MS = 10 * 1000 };

/* Seeds, of one piece that failed and is asked of the first of them again. */
static void begin_failed(struct tester *seeds, uint8_t count)
{
	begin(1, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	for (uint8_t i = 0; i < count; i++)
		join_seed(&seeds[i], i + 1);
	reserve(&seeds[0], 4);
	receive_all(&seeds[0], BAD);
	reserve(&seeds[0], 4);
}

static bool lapses(struct tester *t, uint64_t now_ms)
{
	struct endpoint who;
	bool lapsed = picker_lapse(picker, now_ms, &who);

	if (lapsed) {
		cr_expect(endpoint_equal(&who, &t->pick.address));
		t->pick.lapses++;
	}
	check();
	return lapsed;
}

Test(picker_again, who_is_slow_with_a_failed_piece_gives_way_after_a_while)
{
	struct tester seeds[2];
	uint64_t begun = 5000;

	begin_failed(seeds, 2);
	cr_expect_not(lapses(&seeds[0], begun));
	receive_at(&seeds[0], 0); /* a block now and then does not help */
	cr_expect_not(lapses(&seeds[0], begun + TIME_MS - 1));
	cr_expect_eq(reserve(&seeds[1], 9), 0);
	cr_expect(lapses(&seeds[0], begun + TIME_MS));
	cr_expect_eq(reserve(&seeds[1], 9), 4); /* from the beginning */
	cr_expect_eq(receive_at(&seeds[0], 0).is, PICKER_NOT_WANTED);
	cr_expect_eq(reserve(&seeds[0], 9), 0); /* not at once again */
	receive_all(&seeds[1], GOOD);
	cr_expect(bitfield_full(picker_have(picker)));
	leave(&seeds[0]);
	leave(&seeds[1]);
	end();
}

Test(picker_again, who_brings_a_block_a_second_is_not_slow)
{
	struct tester seeds[2];
	uint64_t now;

	begin(1, 40, 40 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&seeds[0], 1);
	join_seed(&seeds[1], 2);
	reserve(&seeds[0], 40);
	receive_all(&seeds[0], BAD);
	reserve(&seeds[0], 40);
	for (now = 0; now < 30000; now += 1000) {
		cr_expect_not(lapses(&seeds[0], 1 + now));
		receive_at(&seeds[0], 0);
	}
	cr_expect_not(lapses(&seeds[0], 1 + now));
	cr_expect(lapses(&seeds[0], 2 + now));
	leave(&seeds[0]);
	leave(&seeds[1]);
	end();
}

Test(picker_again, with_nobody_else_there_a_slow_peer_goes_on)
{
	struct tester seeds[1];

	begin_failed(seeds, 1);
	for (uint64_t now = 1; now < 10 * TIME_MS; now += 500)
		lapses(&seeds[0], now);
	cr_expect_gt(seeds[0].pick.lapses, 1);
	receive_all(&seeds[0], GOOD);
	cr_expect(bitfield_full(picker_have(picker)));
	leave(&seeds[0]);
	end();
}

/* Two that are slow, neither of them by ill will: each must have it for long
 * enough at last. */
Test(picker_again, slow_peers_have_twice_as_long_each_time)
{
	struct tester seeds[2];
	uint64_t since = 1, longest = 0;
	size_t holder = 0;

	begin_failed(seeds, 2);
	for (uint64_t now = 1; now < 20 * TIME_MS; now += 500) {
		lapses(&seeds[holder], now);
		if (reserve(&seeds[!holder], 9) == 0)
			continue;
		longest = now - since > longest ? now - since : longest;
		since = now;
		holder = !holder;
	}
	cr_expect_gt(longest, 4 * TIME_MS);
	cr_expect_leq(seeds[0].pick.lapses, 5);
	cr_expect_leq(seeds[1].pick.lapses, 5);
	leave(&seeds[0]);
	leave(&seeds[1]);
	end();
}

Test(picker_again, who_came_right_before_may_be_slow_too)
{
	struct tester seeds[2];

	begin_failed(seeds, 1);
	seeds[0].pick.proven = true;
	leave(&seeds[0]);
	join_seed(&seeds[0], 1);
	join_seed(&seeds[1], 2);
	seeds[0].pick.proven = seeds[1].pick.proven = true;
	reserve(&seeds[0], 4);
	lapses(&seeds[0], 1);
	cr_expect_eq(reserve(&seeds[1], 9), 0);
	cr_expect(lapses(&seeds[0], 2 * TIME_MS));
	cr_expect_eq(reserve(&seeds[1], 9), 4);
	leave(&seeds[0]);
	leave(&seeds[1]);
	end();
}
