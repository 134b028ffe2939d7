/* Peers who do anything, in any order: the picker's counters hold, nobody is
 * left idle, and one seed completes it at last. */

#include "tests/unit/picker_lab.h"

enum { PEERS = 6, MAX_FULL = 64, OPERATIONS = 100000 };

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

static void random_lapse(void)
{
	static uint64_t now_ms;
	struct endpoint slow;

	now_ms += roll(30000);
	if (!picker_lapse(picker, now_ms, &slow))
		return;
	for (size_t i = 0; i < PEERS; i++)
		peers[i].pick.lapses += peers[i].joined &&
			endpoint_equal(&peers[i].pick.address, &slow);
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
	else if (what < 83)
		random_lapse();
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

Test(picker_random, counters_hold_whatever_peers_do)
{
	anything_goes(30, 4, 3 * BLOCK_SIZE + 7, 8);
	anything_goes(8, 3, 1, 100);
	anything_goes(80, 1, BLOCK_SIZE, 12);
	anything_goes(5, 16, BLOCK_SIZE + 1, 1);
}
