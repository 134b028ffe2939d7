/* Whom the picker asks for what: the order, what leeches offer, what is wanted,
 * and how much may be open. */

#include "tests/unit/picker_lab.h"

/* ---- order ---- */

Test(picker, one_peer_is_asked_for_everything_in_order)
{
	struct tester a;
	uint32_t next = 0;

	begin_small();
	join_seed(&a, 1);
	while (reserve(&a, 3) > 0) {
		for (size_t i = 0; i < a.pick.asked_count; i++, next++)
			expect_asked(&a, i, next / 4, next % 4);
		receive_all(&a, GOOD);
	}
	cr_expect_eq(next, 16);
	cr_expect(bitfield_full(picker_have(picker)));
	leave(&a);
	end();
}

Test(picker, several_peers_each_finish_the_piece_they_began)
{
	struct tester peers[3];

	begin_small();
	for (uint8_t i = 0; i < 3; i++)
		join_seed(&peers[i], i + 1);
	for (uint32_t turn = 0; turn < 4; turn++) {
		for (uint32_t i = 0; i < 3; i++) {
			cr_assert_eq(reserve(&peers[i], 1), 1);
			expect_asked(&peers[i], turn, i, turn);
		}
	}
	cr_expect_eq(reserve(&peers[1], 4), 4);
	expect_asked(&peers[1], 4, 3, 0);
	for (uint32_t i = 0; i < 3; i++)
		leave(&peers[i]);
	end();
}

Test(picker, one_request_list_may_span_pieces)
{
	struct tester a;

	begin_small();
	join_seed(&a, 1);
	cr_expect_eq(reserve(&a, 6), 6);
	expect_asked(&a, 5, 1, 1);
	cr_expect_eq(reserve(&a, 60), 10);
	cr_expect_eq(reserve(&a, 40), 0); /* never twice of the same peer */
	leave(&a);
	end();
}

Test(picker, abandoned_pieces_are_taken_up_before_new_ones_are_opened)
{
	struct tester a, b, c;

	begin_small();
	join_seed(&a, 1);
	join_seed(&b, 2);
	join_seed(&c, 3);
	reserve(&a, 2);
	reserve(&b, 2);
	receive_at(&a, 0);
	leave(&a); /* piece 0: block 0 is there */
	reserve(&c, 5);
	expect_asked(&c, 0, 0, 1);
	expect_asked(&c, 2, 0, 3);
	expect_asked(&c, 3, 2, 0); /* piece 1 is still b's */
	leave(&b);
	leave(&c);
	end();
}

Test(picker, a_resting_peer_leaves_its_piece_to_others)
{
	struct tester a, b;

	begin_small();
	join_seed(&a, 1);
	join_seed(&b, 2);
	cr_expect_not(picker_rest(picker, &a.pick)); /* it had none */
	reserve(&a, 1);
	cr_expect(picker_rest(picker, &a.pick));
	cr_expect_not(picker_rest(picker, &a.pick));
	reserve(&b, 1);
	expect_asked(&b, 0, 0, 1);
	leave(&a);
	leave(&b);
	end();
}

Test(picker, rejected_blocks_are_asked_of_anybody_before_new_ones)
{
	struct tester a, b;

	begin_small();
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 6);
	release_at(&a, 2, false);
	reserve(&b, 2);
	expect_asked(&b, 0, 0, 2);
	expect_asked(&b, 1, 2, 0);
	leave(&a);
	leave(&b);
	end();
}

Test(picker, only_pieces_that_the_peer_has_are_asked_of_it)
{
	struct tester a;

	begin_small();
	join_with(&a, 1);
	cr_expect_eq(reserve(&a, 4), 0);
	bitfield_set(&a.pick.has, 3);
	picker_count_piece(picker, 3);
	bitfield_set(&a.pick.has, 1);
	picker_count_piece(picker, 1);
	picker_set_have(picker, 1);
	cr_expect_eq(reserve(&a, 9), 4);
	expect_asked(&a, 0, 3, 0);
	leave(&a);
	end();
}

Test(picker, a_lost_piece_is_fetched_again)
{
	struct tester a;

	begin_small();
	for (uint32_t i = 0; i < 4; i++)
		picker_set_have(picker, i);
	join_seed(&a, 1);
	cr_expect_eq(reserve(&a, 4), 0);
	picker_clear_have(picker, 2);
	cr_expect_eq(reserve(&a, 5), 4);
	expect_asked(&a, 0, 2, 0);
	receive_all(&a, GOOD);
	picker_clear_have(picker, 0);
	cr_expect_eq(reserve(&a, 5), 4);
	expect_asked(&a, 0, 0, 0);
	leave(&a);
	end();
}

Test(picker, speaks_of_pieces_nobody_opened)
{
	struct tester a;
	struct block_id block = {2, 1};

	begin_small();
	join_seed(&a, 1);
	cr_expect(picker_wants(picker, &block));
	picker_release(picker, &a.pick, &block, 1);
	cr_expect_eq(receive_block(&a, block, true).is, PICKER_NOT_WANTED);
	picker_set_have(picker, 2);
	cr_expect_not(picker_wants(picker, &block));
	leave(&a);
	end();
}

/* ---- what leeches offer ---- */

static void gets_piece(struct tester *t, uint32_t piece)
{
	bitfield_set(&t->pick.has, piece);
	picker_count_piece(picker, piece);
}

static bool elsewhere(const struct tester *t, uint32_t piece)
{
	return picker_elsewhere(picker, &t->pick, &(struct block_id){piece, 0});
}

/* The seed was asked for pieces 0 and 1 when the leech got 1; it has given back
 * what it still owed of that. */
static void offer(struct tester *seed, struct tester *leech)
{
	begin_small();
	join_seed(seed, 1);
	join_with(leech, 2);
	reserve(seed, 8);
	gets_piece(leech, 1);
	leech->pick.proven = true;
	cr_expect(picker_offer(picker, &leech->pick, 1));
	check();
	cr_expect(elsewhere(seed, 1));
	cr_expect_not(elsewhere(seed, 0));
	cr_expect_not(elsewhere(leech, 1));
	while (seed->pick.asked_count > 4)
		release_at(seed, 4, false);
}

Test(picker, what_a_leech_offers_is_left_to_it_by_seeds)
{
	struct tester seed, leech;

	offer(&seed, &leech);
	reserve(&seed, 1);
	expect_asked(&seed, 4, 2, 0);
	cr_expect_eq(reserve(&leech, 8), 4);
	for (uint32_t i = 0; i < 4; i++)
		expect_asked(&leech, i, 1, i);
	cr_expect_not(elsewhere(&seed, 1)); /* it has its taker */
	leave(&seed);
	leave(&leech);
	end();
}

Test(picker, an_offer_that_nobody_takes_is_asked_of_seeds_at_last)
{
	struct tester seed, leech;

	offer(&seed, &leech);
	cr_expect_eq(reserve(&seed, 16), 12);
	expect_asked(&seed, 4, 2, 0);
	expect_asked(&seed, 8, 3, 0);
	expect_asked(&seed, 12, 1, 0);
	leave(&seed);
	leave(&leech);
	end();
}

Test(picker, an_offer_ends_when_the_peer_rests)
{
	struct tester seed, leech;

	offer(&seed, &leech);
	picker_rest(picker, &leech.pick);
	cr_expect_not(elsewhere(&seed, 1));
	reserve(&seed, 1);
	expect_asked(&seed, 4, 1, 0);
	leave(&seed);
	leave(&leech);
	end();
}

Test(picker, what_is_needed_next_is_asked_of_seeds_though_it_was_offered)
{
	struct tester seed, leech;

	offer(&seed, &leech);
	for (uint32_t i = 0; i < 4; i++) {
		struct receipt r = receive_at(&seed, 0);
		if (r.is == PICKER_FULL)
			end_piece(r.full, GOOD);
	}
	reserve(&seed, 1);
	expect_asked(&seed, 0, 1, 0);
	leave(&seed);
	leave(&leech);
	end();
}

Test(picker, only_what_waits_for_a_seed_and_is_not_next_can_be_offered)
{
	struct tester seed, other, leech, unproven;

	begin(6, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&seed, 1);
	join_seed(&other, 2);
	join_with(&leech, 3);
	join_with(&unproven, 4);
	leech.pick.proven = other.pick.proven = true;
	reserve(&seed, 12); /* 0, 1 and 2 */
	gets_piece(&unproven, 3);
	reserve(&unproven, 2);
	for (uint32_t i = 0; i < 5; i++)
		gets_piece(&leech, i);
	cr_expect_not(picker_offer(picker, &leech.pick, 0)); /* next */
	cr_expect(picker_offer(picker, &leech.pick, 1));
	cr_expect_not(picker_offer(picker, &unproven.pick, 2));
	cr_expect_not(picker_offer(picker, &leech.pick, 3)); /* of a leech */
	cr_expect_not(picker_offer(picker, &leech.pick, 4)); /* not asked */
	cr_expect_not(picker_offer(picker, &other.pick, 1)); /* a seed */

	/* Seeds that have nothing else to do may as well go on. */
	reserve(&other, 8);
	cr_expect_not(picker_offer(picker, &leech.pick, 2));
	leave(&seed);
	leave(&other);
	leave(&leech);
	leave(&unproven);
	end();
}

/* ---- some pieces only ---- */

/* Of four pieces only the last two are wanted. */
static void leave_out_two(struct bitfield *unwanted)
{
	cr_assert(bitfield_init(unwanted, 4));
	bitfield_set(unwanted, 0);
	bitfield_set(unwanted, 1);
	cr_assert(picker_leave_out(picker, unwanted));
}

Test(picker, unwanted_pieces_are_not_asked_for)
{
	static const enum piece_order orders[] = {
		PIECE_ORDER_SEQUENTIAL, PIECE_ORDER_RAREST};

	for (size_t i = 0; i < 2; i++) {
		struct bitfield unwanted;
		struct tester a;

		begin(4, 4, 4 * BLOCK_SIZE, orders[i], 1 << 30);
		leave_out_two(&unwanted);
		join_seed(&a, 1);
		cr_expect_eq(reserve(&a, 20), 8);
		for (size_t j = 0; j < a.pick.asked_count; j++)
			cr_expect_geq(a.asked[j].piece, 2);
		receive_all(&a, GOOD);
		cr_expect_eq(reserve(&a, 20), 0);
		leave(&a);
		end();
		bitfield_finish(&unwanted);
	}
}

Test(picker, a_lost_piece_that_is_unwanted_is_not_fetched_again)
{
	struct bitfield unwanted;
	struct tester a;

	begin_small();
	leave_out_two(&unwanted);
	for (uint32_t i = 0; i < 4; i++)
		picker_set_have(picker, i);
	join_seed(&a, 1);
	picker_clear_have(picker, 0);
	cr_expect_eq(reserve(&a, 9), 0);
	picker_clear_have(picker, 3);
	cr_expect_eq(reserve(&a, 9), 4);
	expect_asked(&a, 0, 3, 0);
	leave(&a);
	end();
	bitfield_finish(&unwanted);
}

Test(picker, the_endgame_is_when_all_wanted_pieces_are_asked_for)
{
	struct bitfield unwanted;
	struct tester a, b;

	begin_small();
	leave_out_two(&unwanted);
	join_seed(&a, 1);
	join_seed(&b, 2);
	cr_expect_eq(reserve(&a, 8), 8);
	cr_expect_eq(reserve(&b, 8), 8);
	leave(&a);
	leave(&b);
	end();
	bitfield_finish(&unwanted);
}

/* ---- sizes ---- */

Test(picker, the_last_piece_has_as_many_blocks_as_it_needs)
{
	static const struct {
		uint32_t last;
		size_t blocks;
	} cases[] = {
		{1, 1},
		{BLOCK_SIZE - 1, 1},
		{BLOCK_SIZE, 1},
		{BLOCK_SIZE + 1, 2},
		{4 * BLOCK_SIZE - 1, 4},
		{4 * BLOCK_SIZE, 4},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tester a;

		begin(2, 4, cases[i].last, PIECE_ORDER_SEQUENTIAL, 1 << 30);
		join_seed(&a, 1);
		picker_set_have(picker, 0);
		cr_expect_eq(reserve(&a, 9), cases[i].blocks, "%zu", i);
		receive_all(&a, GOOD);
		cr_expect(bitfield_full(picker_have(picker)));
		cr_expect_eq(picker_open_bytes(picker), 0);
		leave(&a);
		end();
	}
}

Test(picker, pieces_may_be_one_block)
{
	struct tester a, b;

	begin(100, 1, 5, PIECE_ORDER_SEQUENTIAL, 8);
	join_seed(&a, 1);
	join_seed(&b, 2);
	while (!bitfield_full(picker_have(picker))) {
		size_t count = reserve(&a, 3) + reserve(&b, 2);
		cr_assert_gt(count, 0);
		receive_all(&a, GOOD);
		receive_all(&b, GOOD);
	}
	leave(&a);
	leave(&b);
	end();
}

/* ---- memory ---- */

Test(picker, a_piece_is_shared_only_when_no_other_can_be_opened)
{
	static const struct {
		uint32_t budget; /* in pieces */
		uint32_t then;   /* the piece that the second peer gets */
	} cases[] = {{1, 0}, {2, 1}, {4, 1}};

	for (size_t i = 0; i < 3; i++) {
		struct tester a, b;

		begin(4, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL,
			cases[i].budget * 4ULL * BLOCK_SIZE);
		join_seed(&a, 1);
		join_seed(&b, 2);
		reserve(&a, 1);
		reserve(&b, 1);
		expect_asked(&b, 0, cases[i].then, cases[i].then ? 0 : 1);
		leave(&a);
		leave(&b);
		end();
	}
}

Test(picker, the_last_piece_is_shared)
{
	struct tester a, b;

	begin_small();
	for (uint32_t i = 0; i < 3; i++)
		picker_set_have(picker, i);
	join_seed(&a, 1);
	join_seed(&b, 2);
	reserve(&a, 1);
	reserve(&b, 1);
	expect_asked(&b, 0, 3, 1);
	reserve(&a, 1);
	expect_asked(&a, 1, 3, 2);
	leave(&a);
	leave(&b);
	end();
}

Test(picker, one_piece_is_open_even_if_it_exceeds_the_budget)
{
	struct tester a;

	for (uint32_t budget = 0; budget <= BLOCK_SIZE; budget += BLOCK_SIZE) {
		begin(3, 4, BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, budget);
		join_seed(&a, 1);
		cr_expect_eq(reserve(&a, 9), 4);
		receive_all(&a, GOOD);
		cr_expect_eq(reserve(&a, 9), 4);
		receive_all(&a, GOOD);
		cr_expect_eq(reserve(&a, 9), 1);
		receive_all(&a, GOOD);
		cr_expect(bitfield_full(picker_have(picker)));
		leave(&a);
		end();
	}
}

Test(picker, torrents_share_the_budget_and_each_has_its_part)
{
	static const struct {
		unsigned sharers; /* besides */
		uint32_t others;  /* pieces that they have open */
		uint32_t then;    /* pieces that may be open here */
	} cases[] = {
		{0, 0, 8},
		{1, 0, 8},
		{1, 1, 7},
		{1, 3, 5},
		{1, 4, 4},
		{1, 8, 4},
		{3, 5, 3},
		{3, 6, 2},
		{3, 24, 2},
		{99, 8, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct tester a;
		uint32_t piece = 2 * BLOCK_SIZE;

		begin(9, 2, piece, PIECE_ORDER_SEQUENTIAL, 8ULL * piece);
		for (unsigned n = 0; n < cases[i].sharers; n++)
			block_pool_join(pool);
		block_pool_add_open(pool, (int64_t)cases[i].others * piece);
		join_seed(&a, 1);
		cr_expect_eq(reserve(&a, 64), 2 * cases[i].then, "case %zu", i);
		leave(&a);
		end();
	}
}

Test(picker, a_smaller_budget_lets_what_is_open_come_to_its_end)
{
	struct tester a;

	begin(4, 2, 2 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	join_seed(&a, 1);
	cr_expect_eq(reserve(&a, 3), 3); /* in two pieces */
	picker_set_budget(picker, 0);
	shrunk = true;
	cr_expect_eq(reserve(&a, 9), 1);
	receive_all(&a, GOOD);
	shrunk = false;
	cr_expect_eq(reserve(&a, 9), 2, "one piece may be open");
	picker_set_budget(picker, 1 << 30);
	cr_expect_eq(reserve(&a, 9), 2);
	receive_all(&a, GOOD);
	cr_expect(bitfield_full(picker_have(picker)));
	leave(&a);
	end();
}

Test(picker, a_full_piece_counts_until_it_is_finished)
{
	struct tester a;

	begin(3, 1, BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, BLOCK_SIZE);
	join_seed(&a, 1);
	reserve(&a, 9);
	struct receipt r = receive_at(&a, 0);
	cr_assert_eq(r.is, PICKER_FULL);
	cr_expect_eq(reserve(&a, 9), 0);
	cr_expect_not(picker_wants(picker, &(struct block_id){0, 0}));
	end_piece(r.full, ABANDONED);
	cr_expect(picker_wants(picker, &(struct block_id){0, 0}));
	cr_expect_eq(reserve(&a, 9), 1);
	expect_asked(&a, 0, 0, 0);
	leave(&a);
	end();
}

Test(picker, what_only_departed_peers_had_is_given_up_for_what_can_be_got)
{
	struct tester a, b, c;

	begin(3, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 8 * BLOCK_SIZE);
	join_seed(&a, 1);
	join_seed(&c, 3);
	join_with(&b, 2);
	bitfield_set(&b.pick.has, 2);
	picker_count_piece(picker, 2);
	reserve(&a, 3);
	reserve(&c, 1);
	receive_at(&a, 0);
	receive_at(&a, 0);
	cr_expect_eq(reserve(&b, 4), 0); /* others work on them */
	leave(&c);
	cr_expect_eq(reserve(&b, 4), 4); /* piece 1 had the least */
	expect_asked(&b, 0, 2, 0);
	cr_expect(find(picker, 0));
	cr_expect_null(find(picker, 1));
	leave(&a);
	leave(&b);
	end();
}
