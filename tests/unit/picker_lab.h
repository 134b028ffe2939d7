#ifndef TESTS_UNIT_PICKER_LAB_H
#define TESTS_UNIT_PICKER_LAB_H

#include "client/torrent/picker.c"

#include <criterion/criterion.h>
#include <string.h>

/* A picker, peers who are asked for what it chooses, and a checker that counts
 * anew, after each thing that happens, what the picker counts.  Its counters
 * are private: that is why its source is included. */

enum { MAX_ASKED = 64, MAX_PIECES = 100 };

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
static inline void begin(uint32_t pieces, uint32_t blocks, uint32_t last,
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
static inline void begin_small(void)
{
	begin(4, 4, 4 * BLOCK_SIZE, PIECE_ORDER_SEQUENTIAL, 1 << 30);
}

static inline void join_with(struct tester *t, uint8_t number)
{
	*t = (struct tester){.joined = true};
	t->pick.address.ip[15] = number;
	t->pick.asked = t->asked;
	cr_assert(bitfield_init(&t->pick.has, torrent.piece_count));
}

static inline void join_seed(struct tester *t, uint8_t number)
{
	join_with(t, number);
	bitfield_set_all(&t->pick.has);
	picker_count_peer(picker, &t->pick, true);
}

/* ---- the invariants ---- */

static inline void check_piece(const struct open_piece *o)
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

static inline void check_list(const struct piece_list *list, bool to_ask,
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

static inline void check(void)
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

static inline size_t place_of(
	const struct tester *t, const struct block_id *block)
{
	size_t i = 0;

	while (i < t->pick.asked_count &&
		(t->asked[i].piece != block->piece ||
			t->asked[i].index != block->index))
		i++;
	return i;
}

static inline size_t reserve(struct tester *t, size_t max)
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

static inline void remove_at(struct tester *t, size_t place)
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

static inline struct receipt receive_block(
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
static inline struct receipt receive_at(struct tester *t, size_t place)
{
	struct block_id block = t->asked[place];
	bool asked = !t->released[place];

	remove_at(t, place);
	return receive_block(t, block, asked);
}

static inline void release_at(struct tester *t, size_t place, bool may_come)
{
	if (!t->released[place])
		picker_release(picker, &t->pick, &t->asked[place], 1);
	t->released[place] = true;
	if (!may_come)
		remove_at(t, place);
	check();
}

static inline void leave(struct tester *t)
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

static inline void end_piece(struct open_piece *piece, enum fate fate)
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
static inline void receive_all(struct tester *t, enum fate fate)
{
	while (t->pick.asked_count > 0) {
		struct receipt r = receive_at(t, 0);
		if (r.is == PICKER_FULL)
			end_piece(r.full, fate);
	}
}

static inline void expect_asked(
	const struct tester *t, size_t place, uint32_t piece, uint32_t index)
{
	cr_assert_lt(place, t->pick.asked_count);
	cr_expect_eq(t->asked[place].piece, piece);
	cr_expect_eq(t->asked[place].index, index);
}

static inline void end(void)
{
	picker_destroy(picker);
	/* Dies if a block is missing. */
	block_pool_destroy(pool);
}

#endif
