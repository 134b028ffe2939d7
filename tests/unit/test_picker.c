/* The counters of the picker are private; the checker below recomputes them,
 * so these tests see the module from within. */
#include "client/torrent/picker.c"

#include <criterion/criterion.h>
#include <string.h>

enum { MAX_ASKED = 64, MAX_FULL = 64, MAX_PIECES = 100 };

/* A peer with its list of requests, as a conversation keeps it. */
struct tester {
	struct picker_peer pick;
	struct block_id asked[MAX_ASKED];
	bool released[MAX_ASKED]; /* given back, but may still come */
	bool joined;
};

/* Each test is a process of its own. */
static struct metainfo torrent;
static struct block_pool *pool;
static struct picker *picker;
static bool shrunk;            /* the budget, with more open than that */
static uint64_t full_bytes;    /* of pieces that are with finishers */
static bool ended[MAX_PIECES]; /* it was full before, whatever came of it */

/* `blocks` blocks a piece, `last` bytes in the last one. */
static void begin(uint32_t pieces, uint32_t blocks, uint32_t last,
	enum piece_order order, uint64_t budget)
{
	torrent = (struct metainfo){
		.piece_length = blocks * BLOCK_SIZE,
		.piece_count = pieces,
		.length = (uint64_t)(pieces - 1) * blocks * BLOCK_SIZE + last,
	};
	memset(ended, 0, sizeof(ended));
	pool = block_pool_create();
	picker = picker_create(&torrent, pool, order, budget, 7);
	cr_assert(pool && picker);
}

/* Four pieces of four blocks, and memory for all. */
static void begin_small(void)
{
	begin(4, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
}

static void join_with(struct tester *t, uint8_t number)
{
	*t = (struct tester){.joined = true};
	t->pick.address.ip[15] = number;
	t->pick.asked = t->asked;
	cr_assert(bitfield_init(&t->pick.has, torrent.piece_count));
}

static void join_seed(struct tester *t, uint8_t number)
{
	join_with(t, number);
	bitfield_set_all(&t->pick.has);
	picker_count_peer(picker, &t->pick, true);
}

/* ---- the invariants ---- */

static void check_piece(const struct open_piece *o)
{
	uint32_t received = 0, unasked = 0, asked = 0;

	for (uint32_t i = 0; i < o->block_count; i++) {
		cr_assert_leq(o->askers[i], PICKER_MAX_ASKERS);
		asked += o->askers[i];
		if (o->blocks[i]) {
			received++;
		} else if (o->askers[i] == 0) {
			unasked++;
			cr_assert_geq(i, o->first_unasked);
		}
	}
	cr_assert_eq(o->received, received);
	cr_assert_eq(o->unasked, unasked);
	cr_assert_eq(o->asked, asked);
	cr_assert_lt(received, o->block_count);
	cr_assert(!o->owner || o->owner->current == o->index);
	cr_assert(bitfield_has(&picker->open, o->index));
	cr_assert_not(bitfield_has(&picker->have, o->index));
	cr_assert_eq(find(picker, o->index), o);
}

static void check_list(const struct piece_list *list, bool to_ask,
	uint32_t *count, uint64_t *bytes)
{
	const struct open_piece *older = NULL;

	for (const struct open_piece *o = list->oldest; o; o = o->newer) {
		check_piece(o);
		cr_assert_eq(o->unasked > 0, to_ask);
		cr_assert(to_ask || !o->owner);
		cr_assert_eq(o->older, older);
		older = o;
		*bytes += o->size;
		++*count;
	}
	cr_assert_eq(list->newest, older);
}

static void check(void)
{
	uint64_t bytes = full_bytes;
	uint32_t count = picker->full;

	check_list(&picker->to_ask, true, &count, &bytes);
	check_list(&picker->all_asked, false, &count, &bytes);
	cr_assert_eq(picker->open.set, count);
	cr_assert_eq(picker_open_bytes(picker), bytes);
	cr_assert(bytes <= picker->budget || count == 1 || shrunk);
}

/* ---- what peers do ---- */

static size_t place_of(const struct tester *t, const struct block_id *block)
{
	size_t i = 0;

	while (i < t->pick.asked_count &&
		(t->asked[i].piece != block->piece ||
			t->asked[i].index != block->index))
		i++;
	return i;
}

static size_t reserve(struct tester *t, size_t max)
{
	struct block_id *ret = t->asked + t->pick.asked_count;
	size_t count = picker_reserve(picker, &t->pick, ret, max);

	cr_assert_leq(count, max);
	for (size_t i = 0; i < count; i++) {
		size_t before = place_of(t, &ret[i]);

		cr_assert(picker_wants(picker, &ret[i]));
		cr_assert(bitfield_has(&t->pick.has, ret[i].piece));
		/* Twice of the same peer only what it gave back, or still owes
		 * from when the piece was open before. */
		cr_assert(before == t->pick.asked_count ||
			t->released[before] || ended[ret[i].piece]);
		t->released[t->pick.asked_count++] = false;
	}
	check();
	return count;
}

static void remove_at(struct tester *t, size_t place)
{
	size_t after = t->pick.asked_count - place - 1;

	memmove(t->asked + place, t->asked + place + 1,
		after * sizeof(t->asked[0]));
	memmove(t->released + place, t->released + place + 1,
		after * sizeof(t->released[0]));
	t->pick.asked_count--;
}

struct receipt {
	enum picker_receipt is;
	bool others;
	struct open_piece *full;
};

static struct receipt receive_block(
	struct tester *t, struct block_id block, bool asked)
{
	struct receipt r = {.others = false};
	uint8_t *memory;

	cr_assert_eq(block_pool_take(pool, &memory, 1), 1);
	r.is = picker_receive(
		picker, &t->pick, &block, memory, asked, &r.others, &r.full);
	if (r.is == PICKER_NOT_WANTED)
		block_pool_give(pool, &memory, 1);
	if (r.is == PICKER_FULL)
		full_bytes += r.full->size;
	check();
	return r;
}

/* What was asked at this place of its list comes. */
static struct receipt receive_at(struct tester *t, size_t place)
{
	struct block_id block = t->asked[place];
	bool asked = !t->released[place];

	remove_at(t, place);
	return receive_block(t, block, asked);
}

static void release_at(struct tester *t, size_t place, bool may_come)
{
	if (!t->released[place])
		picker_release(picker, &t->pick, &t->asked[place], 1);
	t->released[place] = true;
	if (!may_come)
		remove_at(t, place);
	check();
}

static void leave(struct tester *t)
{
	while (t->pick.asked_count > 0)
		release_at(t, 0, false);
	picker_rest(picker, &t->pick);
	picker_count_peer(picker, &t->pick, false);
	bitfield_finish(&t->pick.has);
	/* Whoever still points here is found out. */
	memset(t, 0x5a, sizeof(*t));
	t->joined = false;
	check();
}

enum fate { GOOD, BAD, ABANDONED };

static void end_piece(struct open_piece *piece, enum fate fate)
{
	uint32_t index = piece->index;

	ended[index] = true;
	block_pool_give(pool, piece->blocks, piece->block_count);
	full_bytes -= piece->size;
	if (fate == ABANDONED)
		picker_abandon(picker, piece);
	else
		picker_finish(picker, piece, fate == GOOD);
	cr_assert_eq(bitfield_has(picker_have(picker), index), fate == GOOD);
	check();
}

/* All that was asked of it comes; full pieces have this fate. */
static void receive_all(struct tester *t, enum fate fate)
{
	while (t->pick.asked_count > 0) {
		struct receipt r = receive_at(t, 0);
		if (r.is == PICKER_FULL)
			end_piece(r.full, fate);
	}
}

static void expect_asked(
	const struct tester *t, size_t place, uint32_t piece, uint32_t index)
{
	cr_assert_lt(place, t->pick.asked_count);
	cr_expect_eq(t->asked[place].piece, piece);
	cr_expect_eq(t->asked[place].index, index);
}

static void end(void)
{
	picker_destroy(picker);
	/* Dies if a block is missing. */
	block_pool_destroy(pool);
}

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

/* ---- endgame ---- */

Test(picker, in_the_endgame_no_block_has_more_than_max_askers)
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

Test(picker, blocks_with_the_fewest_askers_are_asked_again_first)
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

Test(picker, nothing_is_asked_twice_while_there_is_more_to_open)
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

Test(picker, nothing_is_asked_twice_while_a_piece_is_with_a_finisher)
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

Test(picker, a_peer_with_much_under_way_is_asked_for_nothing_twice)
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

Test(picker, a_block_given_back_is_of_use_when_it_comes_all_the_same)
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

Test(picker, the_same_peer_may_be_asked_again_for_what_it_gave_back)
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
Test(picker, requests_from_before_a_piece_failed_do_no_harm)
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

Test(picker, a_piece_that_failed_is_fetched_from_one_peer_only)
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

Test(picker, who_goes_on_with_a_failed_piece_begins_it_anew)
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

Test(picker, a_proven_peer_takes_a_failed_piece_over_in_the_endgame)
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

Test(picker, a_failed_piece_is_not_mixed_with_what_comes_late)
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

Test(picker, whoever_is_left_takes_up_a_failed_piece)
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

/* ---- anything, in any order ---- */

enum { PEERS = 6, OPERATIONS = 100000 };

static struct tester peers[PEERS];
static struct open_piece *full[MAX_FULL];
static size_t full_count;
static uint64_t dice = 12345;

static uint32_t roll(uint32_t below)
{
	dice = dice * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(dice >> 33) % below;
}

/* Nobody is left idle while there is something that it could be asked. */
static void check_idle(const struct tester *t)
{
	for (const struct open_piece *o = picker->to_ask.oldest; o;
		o = o->newer)
		cr_assert(!bitfield_has(&t->pick.has, o->index) ||
			(o->owner && o->careful));
	if (room_for(picker, torrent.piece_length))
		cr_assert_eq(bitfield_find(&t->pick.has, &picker->have,
				     &picker->open, 0, torrent.piece_count),
			BITFIELD_NONE);
}

static void random_reserve(struct tester *t)
{
	size_t room = MAX_ASKED - t->pick.asked_count;
	size_t max = 1 + roll(8);

	if (room > 0 && reserve(t, max < room ? max : room) == 0)
		check_idle(t);
}

static void keep_full(struct receipt r)
{
	if (r.is != PICKER_FULL)
		return;
	cr_assert_lt(full_count, MAX_FULL);
	full[full_count++] = r.full;
}

static void random_join(struct tester *t)
{
	join_with(t, (uint8_t)(1 + roll(4)));
	t->pick.proven = roll(2);
	for (uint32_t i = 0; i < torrent.piece_count; i++) {
		if (roll(3) == 0)
			bitfield_set(&t->pick.has, i);
	}
	picker_count_peer(picker, &t->pick, true);
}

static void random_has(struct tester *t)
{
	uint32_t piece = roll(torrent.piece_count);

	if (bitfield_has(&t->pick.has, piece))
		return;
	bitfield_set(&t->pick.has, piece);
	picker_count_piece(picker, piece);
}

static void random_stray(struct tester *t)
{
	struct block_id block = {roll(torrent.piece_count), 0};
	uint32_t size = metainfo_piece_size(&torrent, block.piece);

	block.index = roll((size + BLOCK_SIZE - 1) / BLOCK_SIZE);
	if (place_of(t, &block) == t->pick.asked_count)
		keep_full(receive_block(t, block, false));
}

static void random_finish(void)
{
	if (full_count == 0)
		return;
	size_t i = roll((uint32_t)full_count);
	struct open_piece *piece = full[i];
	uint32_t luck = roll(8);

	full[i] = full[--full_count];
	end_piece(piece, luck == 0 ? ABANDONED : luck < 3 ? BAD : GOOD);
}

static void random_operation(void)
{
	struct tester *t = &peers[roll(PEERS)];
	uint32_t what = roll(100);
	uint32_t count;

	if (!t->joined) {
		random_join(t);
		return;
	}
	count = (uint32_t)t->pick.asked_count;
	if (what < 30)
		random_reserve(t);
	else if (what < 65 && count > 0)
		keep_full(receive_at(t, roll(4) ? 0 : roll(count)));
	else if (what < 72 && count > 0)
		release_at(t, roll(count), roll(2));
	else if (what < 74)
		picker_rest(picker, &t->pick);
	else if (what < 76)
		leave(t);
	else if (what < 80)
		random_has(t);
	else if (what < 81)
		picker_offer(picker, &t->pick, roll(torrent.piece_count));
	else if (what < 82)
		random_stray(t);
	else if (what < 97)
		random_finish();
	else if (picker->have.set > 0 && full_count == 0)
		picker_clear_have(picker,
			bitfield_find(&picker->have, NULL, NULL, 0,
				torrent.piece_count));
	check();
}

/* One seed and patience: it must come to an end. */
static void complete(void)
{
	struct tester seed;

	while (full_count > 0)
		random_finish();
	for (size_t i = 0; i < PEERS; i++) {
		if (peers[i].joined)
			leave(&peers[i]);
	}
	join_seed(&seed, 9);
	while (reserve(&seed, 8) > 0)
		receive_all(&seed, GOOD);
	cr_assert(bitfield_full(picker_have(picker)));
	cr_assert_eq(picker_open_bytes(picker), 0);
	leave(&seed);
}

static void anything_goes(
	uint32_t pieces, uint32_t blocks, uint32_t last, uint32_t budget)
{
	for (unsigned order = 0; order < 2; order++) {
		begin(pieces, blocks, last, (enum piece_order)order,
			(uint64_t)budget * blocks * BLOCK_SIZE);
		memset(peers, 0, sizeof(peers));
		for (unsigned i = 0; i < OPERATIONS / 8; i++)
			random_operation();
		complete();
		end();
	}
}

Test(picker, counters_hold_whatever_peers_do)
{
	anything_goes(30, 4, 3 * BLOCK_SIZE + 7, 8);
	anything_goes(8, 3, 1, 100);
	anything_goes(80, 1, BLOCK_SIZE, 12);
	anything_goes(5, 16, BLOCK_SIZE + 1, 1);
}
