#include "client/torrent/picker.h"

#include <stdlib.h>
#include <string.h>

#include "client/torrent/block_pool.h"
#include "client/torrent/open_piece.h"
#include "shared/metainfo.h"

enum {
	BUCKETS = 256,
	SEQUENTIAL_WINDOW = 32 * 1024 * 1024, /* bytes */
	SEQUENTIAL_WINDOW_LEAST = 32,         /* pieces */
	/* In the endgame a peer that has so many requests under way is asked
	 * for no more: most blocks will still come from who was asked first. */
	ENDGAME_DEPTH = 16,
	/* For a piece that failed before a peer has so long, and longer while a
	 * block has come in each so long: a line may be slow, ours too. */
	LAPSE_MS = 10 * 1000,
	LAPSE_BLOCK_MS = 1000,
	MOST_DOUBLINGS = 10,
};

struct piece_list {
	struct open_piece *oldest, *newest;
};

struct picker {
	const struct metainfo *m;
	struct block_pool *pool;
	uint64_t budget;
	uint64_t open_bytes;
	uint32_t full; /* pieces that are with finishers */

	struct bitfield have;
	const struct bitfield *unwanted; /* NULL: all are wanted, and ... */
	struct bitfield settled;         /* ... else: had, or unwanted */
	struct bitfield open;            /* open or full, so not to be opened */
	struct bitfield failed;          /* their hash did not match before */
	struct piece_order_state order;

	/* Open pieces with blocks that nobody was asked for, and those without:
	 * with small pieces there are thousands of the latter, and to look for
	 * work is not to look through them.  Full ones are in neither. */
	struct piece_list to_ask, all_asked;
	struct open_piece *buckets[BUCKETS]; /* of both, by piece index */
};

/* As many pieces as keep a crowd of fast peers busy without asking for the same
 * ones: a few hundred blocks each. */
static uint32_t sequential_window(const struct metainfo *m)
{
	uint32_t pieces = SEQUENTIAL_WINDOW / m->piece_length;

	return pieces > SEQUENTIAL_WINDOW_LEAST ? pieces
						: SEQUENTIAL_WINDOW_LEAST;
}

struct picker *picker_create(const struct metainfo *m, struct block_pool *pool,
	enum piece_order order, uint64_t budget, uint64_t seed)
{
	struct picker *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->m = m;
	p->pool = pool;
	block_pool_join(pool);
	p->budget = budget;
	if (!bitfield_init(&p->have, m->piece_count) ||
		!bitfield_init(&p->open, m->piece_count) ||
		!bitfield_init(&p->failed, m->piece_count) ||
		!piece_order_init(&p->order, order, m->piece_count,
			sequential_window(m), seed)) {
		picker_destroy(p);
		return NULL;
	}
	return p;
}

bool picker_leave_out(struct picker *p, const struct bitfield *unwanted)
{
	if (!bitfield_init(&p->settled, p->m->piece_count))
		return false;
	bitfield_copy(&p->settled, unwanted);
	p->unwanted = unwanted;
	return true;
}

/* What needs no asking for. */
static const struct bitfield *settled(const struct picker *p)
{
	return p->unwanted ? &p->settled : &p->have;
}

/* So many bytes more, or less. */
static void count_open(struct picker *p, int64_t bytes)
{
	p->open_bytes += (uint64_t)bytes;
	block_pool_add_open(p->pool, bytes);
}

static void destroy_list(struct picker *p, struct piece_list *list)
{
	while (list->oldest) {
		struct open_piece *piece = list->oldest;
		list->oldest = piece->newer;
		block_pool_give(p->pool, piece->blocks, piece->block_count);
		open_piece_destroy(piece);
	}
}

void picker_destroy(struct picker *p)
{
	if (!p)
		return;
	destroy_list(p, &p->to_ask);
	destroy_list(p, &p->all_asked);
	count_open(p, -(int64_t)p->open_bytes);
	block_pool_leave(p->pool);
	piece_order_finish(&p->order);
	bitfield_finish(&p->have);
	bitfield_finish(&p->settled);
	bitfield_finish(&p->open);
	bitfield_finish(&p->failed);
	free(p);
}

const struct bitfield *picker_have(const struct picker *p) { return &p->have; }
void picker_set_budget(struct picker *p, uint64_t budget)
{
	p->budget = budget;
}

uint64_t picker_open_bytes(const struct picker *p) { return p->open_bytes; }

void picker_set_have(struct picker *p, uint32_t piece)
{
	bitfield_set(&p->have, piece);
	if (p->unwanted)
		bitfield_set(&p->settled, piece);
}

void picker_clear_have(struct picker *p, uint32_t piece)
{
	bitfield_clear(&p->have, piece);
	if (p->unwanted && !bitfield_has(p->unwanted, piece))
		bitfield_clear(&p->settled, piece);
	if (piece < p->order.first_missing)
		p->order.first_missing = piece;
}

void picker_count_piece(struct picker *p, uint32_t piece)
{
	piece_order_count_piece(&p->order, piece);
}

void picker_set_company(struct picker *p, uint32_t peers)
{
	p->order.company = peers;
}

void picker_count_peer(
	struct picker *p, const struct picker_peer *peer, bool came)
{
	piece_order_count_peer(&p->order, &peer->has, came);
}

/* ---- the table of open pieces ---- */

static struct open_piece *find(const struct picker *p, uint32_t index)
{
	struct open_piece *piece = p->buckets[index % BUCKETS];

	while (piece && piece->index != index)
		piece = piece->chain;
	return piece;
}

static void append(struct piece_list *list, struct open_piece *piece)
{
	piece->older = list->newest;
	piece->newer = NULL;
	if (list->newest)
		list->newest->newer = piece;
	else
		list->oldest = piece;
	list->newest = piece;
}

static void take_out(struct piece_list *list, struct open_piece *piece)
{
	if (piece->older)
		piece->older->newer = piece->newer;
	else
		list->oldest = piece->newer;
	if (piece->newer)
		piece->newer->older = piece->older;
	else
		list->newest = piece->older;
}

static struct piece_list *list_of(
	struct picker *p, const struct open_piece *piece)
{
	return piece->unasked > 0 ? &p->to_ask : &p->all_asked;
}

static void set_unasked(
	struct picker *p, struct open_piece *piece, uint32_t unasked)
{
	struct piece_list *before = list_of(p, piece);

	piece->unasked = unasked;
	struct piece_list *after = list_of(p, piece);
	if (before != after) {
		take_out(before, piece);
		append(after, piece);
	}
	/* All asked for: the owner's work on it is done, and should a block be
	 * rejected anybody may take it. */
	if (unasked == 0)
		piece->owner = NULL;
}

static void link_piece(struct picker *p, struct open_piece *piece)
{
	struct open_piece **bucket = &p->buckets[piece->index % BUCKETS];

	piece->chain = *bucket;
	*bucket = piece;
	append(list_of(p, piece), piece);
}

static void unlink_piece(struct picker *p, struct open_piece *piece)
{
	struct open_piece **at = &p->buckets[piece->index % BUCKETS];

	while (*at != piece)
		at = &(*at)->chain;
	*at = piece->chain;
	take_out(list_of(p, piece), piece);
}

static void close_piece(struct picker *p, struct open_piece *piece)
{
	bitfield_clear(&p->open, piece->index);
	count_open(p, -(int64_t)piece->size);
	open_piece_destroy(piece);
}

/* ---- which piece ---- */

/* Of the pieces that nobody works on, and that `peer` cannot go on with, give
 * up the one that costs least: what only peers who left had would hold its
 * memory for good. */
static bool give_up_one(struct picker *p, const struct picker_peer *peer)
{
	struct open_piece *least = NULL;

	for (struct open_piece *o = p->to_ask.oldest; o; o = o->newer) {
		if (!o->owner && o->asked == 0 &&
			!bitfield_has(&peer->has, o->index) &&
			(!least || o->received < least->received))
			least = o;
	}
	if (!least)
		return false;
	unlink_piece(p, least);
	block_pool_give(p->pool, least->blocks, least->block_count);
	close_piece(p, least);
	return true;
}

static bool fits(uint64_t open_bytes, uint32_t size, uint64_t budget)
{
	return open_bytes < budget && size <= budget - open_bytes;
}

/* All torrents share the memory.  But one whose peers have left may hold what
 * it has for long: so a part of it is each one's own. */
static bool room_for(const struct picker *p, uint32_t size)
{
	uint64_t own = p->budget / block_pool_sharers(p->pool);

	return p->open_bytes == 0 || fits(p->open_bytes, size, own) ||
		fits(block_pool_open_bytes(p->pool), size, p->budget);
}

static struct open_piece *open_next(
	struct picker *p, const struct picker_peer *peer)
{
	uint32_t index =
		piece_order_next(&p->order, &peer->has, settled(p), &p->open);

	if (index == BITFIELD_NONE)
		return NULL;
	uint32_t size = metainfo_piece_size(p->m, index);
	while (!room_for(p, size)) {
		if (!give_up_one(p, peer))
			return NULL;
	}
	struct open_piece *piece = open_piece_create(index, size);
	if (!piece)
		return NULL;
	piece->careful = bitfield_has(&p->failed, index);
	link_piece(p, piece);
	bitfield_set(&p->open, index);
	count_open(p, size);
	return piece;
}

/* An open piece with blocks that nobody was asked for, and that nobody works
 * on; or, with `shared`, that somebody else works on. */
static struct open_piece *join(
	const struct picker *p, const struct picker_peer *peer, bool shared)
{
	bool seed = bitfield_full(&peer->has);

	for (struct open_piece *o = p->to_ask.oldest; o; o = o->newer) {
		if (!shared && seed && o->offerer &&
			!piece_order_is_next(&p->order, settled(p), o->index))
			continue;
		if ((!o->owner || (shared && !o->careful)) &&
			bitfield_has(&peer->has, o->index))
			return o;
	}
	return NULL;
}

/* Do requests to this peer for blocks of the piece count? */
static bool may_give(
	const struct open_piece *piece, const struct picker_peer *peer)
{
	return !piece->careful || endpoint_equal(&piece->only, &peer->address);
}

/* What has come of it is not kept; whoever it is asked of next begins it. */
static void empty(struct picker *p, struct open_piece *piece)
{
	block_pool_give(p->pool, piece->blocks, piece->block_count);
	memset(piece->blocks, 0, piece->block_count * sizeof(*piece->blocks));
	piece->received = 0;
	piece->giver_count = 0;
}

static void set_owner(
	struct picker *p, struct open_piece *piece, struct picker_peer *peer)
{
	if (!may_give(piece, peer)) {
		empty(p, piece);
		memset(piece->askers, 0, piece->block_count);
		piece->asked = piece->first_unasked = 0;
		set_unasked(p, piece, piece->block_count);
		piece->since_ms = 0;
		piece->lapses = peer->lapses;
	}
	piece->owner = peer;
	piece->of_seed = bitfield_full(&peer->has);
	piece->offerer = NULL; /* somebody took it */
	piece->only = peer->address;
	piece->trusted = peer->proven;
	peer->current = piece->index;
}

static struct open_piece *choose_piece(
	struct picker *p, struct picker_peer *peer)
{
	struct open_piece *piece = find(p, peer->current);

	if (piece && piece->owner == peer)
		return piece;
	piece = join(p, peer, false);
	if (!piece)
		piece = open_next(p, peer);
	if (!piece)
		piece = join(p, peer, true);
	if (piece && !piece->owner)
		set_owner(p, piece, peer);
	return piece;
}

static size_t take_unasked(struct picker *p, struct open_piece *piece,
	struct block_id *ret, size_t max)
{
	uint32_t i = piece->first_unasked;
	uint32_t left = piece->unasked;
	size_t taken = 0;

	for (; taken < max && left > 0; i++) {
		if (piece->blocks[i] || piece->askers[i] > 0)
			continue;
		piece->askers[i] = 1;
		piece->asked++;
		left--;
		ret[taken++] = (struct block_id){piece->index, i};
	}
	piece->first_unasked = i;
	set_unasked(p, piece, left);
	return taken;
}

static bool asked_already(
	const struct picker_peer *peer, const struct block_id *block)
{
	for (size_t i = 0; i < peer->asked_count; i++) {
		if (peer->asked[i].piece == block->piece &&
			peer->asked[i].index == block->index)
			return true;
	}
	return false;
}

static size_t take_again_from(struct open_piece *piece, unsigned askers,
	const struct picker_peer *peer, struct block_id *ret, size_t max)
{
	size_t taken = 0;

	for (uint32_t i = 0; i < piece->block_count && taken < max; i++) {
		struct block_id block = {piece->index, i};

		if (piece->blocks[i] || piece->askers[i] != askers ||
			asked_already(peer, &block))
			continue;
		piece->askers[i]++;
		piece->asked++;
		ret[taken++] = block;
	}
	return taken;
}

static bool none_left_to_open(const struct picker *p)
{
	return settled(p)->set + p->open.set == p->m->piece_count;
}

/* The endgame: blocks that others were asked for; those with the fewest askers
 * first, and among them the piece that waits longest. */
static size_t take_again(const struct picker *p, const struct picker_peer *peer,
	struct block_id *ret, size_t max)
{
	unsigned most =
		peer->proven ? PICKER_MAX_ASKERS : PICKER_MAX_ASKERS - 1;
	size_t taken = 0;

	for (unsigned askers = 1; askers < most; askers++) {
		for (struct open_piece *o = p->all_asked.oldest;
			o && taken < max; o = o->newer) {
			if (!o->careful && bitfield_has(&peer->has, o->index))
				taken += take_again_from(o, askers, peer,
					ret + taken, max - taken);
		}
		if (taken > 0)
			break;
	}
	return taken;
}

/* The endgame of a piece that failed before.  Who fetches it may be silent, or
 * slow, or lie again: a proven peer need not wait for one that is not, nor
 * anybody for one that was waited for more often than himself. */
static size_t take_over(struct picker *p, struct picker_peer *peer,
	struct block_id *ret, size_t max)
{
	const struct piece_list lists[] = {p->all_asked, p->to_ask};

	for (size_t i = 0; p->failed.set > 0 && i < 2; i++) {
		for (struct open_piece *o = lists[i].oldest; o; o = o->newer) {
			bool before = (peer->proven && !o->trusted) ||
				peer->lapses < o->lapses;
			if (!before || may_give(o, peer) ||
				!bitfield_has(&peer->has, o->index))
				continue;
			set_owner(p, o, peer);
			return take_unasked(p, o, ret, max);
		}
	}
	return 0;
}

static bool is_slow(const struct open_piece *piece, uint64_t now_ms)
{
	unsigned doublings =
		piece->lapses < MOST_DOUBLINGS ? piece->lapses : MOST_DOUBLINGS;
	uint64_t passed_ms = now_ms - piece->since_ms;

	return passed_ms >= (uint64_t)LAPSE_MS << doublings &&
		passed_ms > (uint64_t)piece->received * LAPSE_BLOCK_MS;
}

bool picker_lapse(
	struct picker *p, uint64_t now_ms, struct endpoint *ret_address)
{
	const struct piece_list lists[] = {p->all_asked, p->to_ask};

	for (size_t i = 0; p->failed.set > 0 && i < 2; i++) {
		for (struct open_piece *o = lists[i].oldest; o; o = o->newer) {
			if (!o->careful)
				continue;
			if (o->since_ms == 0)
				o->since_ms = now_ms;
			if (!is_slow(o, now_ms))
				continue;
			o->lapses++;
			*ret_address = o->only;
			return true;
		}
	}
	return false;
}

/* None is left, or there is no memory to open more. */
static bool all_open(const struct picker *p)
{
	return none_left_to_open(p) || !room_for(p, p->m->piece_length);
}

/* How many requests a peer may have under way when it is asked for what others
 * were asked for already; 0: it is not the endgame.
 *
 * (That this peer has nothing new to offer is not the end: in a swarm that goes
 * through the torrent in order it is the rule.)  While finishers hold pieces
 * there will be room in a moment: then asking twice would be waste.  Where
 * there is no memory to open more, it is an insurance against who stops
 * answering, and most of it is waste: so one at a time. */
static size_t endgame_depth(const struct picker *p)
{
	if (p->full > 0 || !all_open(p))
		return 0;
	return none_left_to_open(p) ? ENDGAME_DEPTH : 1;
}

size_t picker_reserve(struct picker *p, struct picker_peer *peer,
	struct block_id *ret, size_t max)
{
	size_t taken = 0;

	while (taken < max) {
		struct open_piece *piece = choose_piece(p, peer);
		if (!piece)
			break;
		taken += take_unasked(p, piece, ret + taken, max - taken);
	}
	size_t depth = taken == 0 ? endgame_depth(p) : 0;
	if (peer->asked_count < depth) {
		if (max > depth - peer->asked_count)
			max = depth - peer->asked_count;
		taken = take_again(p, peer, ret, max);
		if (taken == 0)
			taken = take_over(p, peer, ret, max);
	}
	return taken;
}

/* ---- what became of them ---- */

/* One request less is under way for the block. */
static void unask(struct picker *p, struct open_piece *piece, uint32_t block)
{
	/* What is taken back may have been asked for when the piece was open
	 * before: then there can be nothing to count down. */
	if (piece->askers[block] == 0)
		return;
	piece->askers[block]--;
	piece->asked--;
	if (piece->askers[block] > 0 || piece->blocks[block])
		return;
	set_unasked(p, piece, piece->unasked + 1);
	if (block < piece->first_unasked)
		piece->first_unasked = block;
}

void picker_release(struct picker *p, const struct picker_peer *peer,
	const struct block_id *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct open_piece *piece = find(p, blocks[i].piece);
		if (piece && may_give(piece, peer))
			unask(p, piece, blocks[i].index);
	}
}

static void forget_offers(
	struct piece_list *list, const struct picker_peer *peer)
{
	for (struct open_piece *o = list->oldest; o; o = o->newer) {
		if (o->offerer == peer)
			o->offerer = NULL;
	}
}

bool picker_rest(struct picker *p, const struct picker_peer *peer)
{
	struct open_piece *piece = find(p, peer->current);

	forget_offers(&p->to_ask, peer);
	forget_offers(&p->all_asked, peer);

	if (!piece || piece->owner != peer)
		return false;
	piece->owner = NULL;
	return true;
}

enum picker_receipt picker_receive(struct picker *p,
	const struct picker_peer *peer, const struct block_id *block,
	uint8_t *memory, bool asked, bool *ret_others,
	struct open_piece **ret_piece)
{
	struct open_piece *piece = find(p, block->piece);

	if (!piece || !may_give(piece, peer))
		return PICKER_NOT_WANTED;

	uint32_t i = block->index;
	if (piece->blocks[i]) {
		if (asked)
			unask(p, piece, i);
		return PICKER_NOT_WANTED;
	}
	/* Late, but still of use.  (Not `!asked`: that may have been when the
	 * piece was open before.) */
	if (piece->askers[i] == 0)
		set_unasked(p, piece, piece->unasked - 1);
	piece->blocks[i] = memory;
	piece->received++;
	open_piece_note_giver(piece, i, &peer->address);
	if (asked)
		unask(p, piece, i);
	*ret_others = piece->askers[i] > 0;
	if (piece->received < piece->block_count)
		return PICKER_TAKEN;

	/* It stays marked as open, so that nobody begins it again. */
	unlink_piece(p, piece);
	p->full++;
	*ret_piece = piece;
	return PICKER_FULL;
}

void picker_finish(struct picker *p, struct open_piece *piece, bool good)
{
	if (good) {
		picker_set_have(p, piece->index);
		bitfield_clear(&p->failed, piece->index);
	} else {
		bitfield_set(&p->failed, piece->index);
	}
	picker_abandon(p, piece);
}

void picker_abandon(struct picker *p, struct open_piece *piece)
{
	p->full--;
	close_piece(p, piece);
}

bool picker_offer(
	struct picker *p, const struct picker_peer *peer, uint32_t index)
{
	struct open_piece *piece = find(p, index);

	if (!piece || piece->asked == 0 || !piece->of_seed || !peer->proven ||
		bitfield_full(&peer->has))
		return false;
	/* What is needed next, in order, is not taken out of any queue; what
	 * must come from one peer alone is left to that; and seeds that have
	 * nothing else to do may as well go on. */
	if (piece->careful || all_open(p) ||
		piece_order_is_next(&p->order, settled(p), index))
		return false;
	piece->offerer = peer;
	piece->owner = NULL;
	return true;
}

bool picker_elsewhere(const struct picker *p, const struct picker_peer *asked,
	const struct block_id *block)
{
	const struct open_piece *piece = find(p, block->piece);

	return piece && piece->offerer && bitfield_full(&asked->has);
}

bool picker_wants(const struct picker *p, const struct block_id *block)
{
	if (bitfield_has(&p->have, block->piece))
		return false;

	const struct open_piece *piece = find(p, block->piece);
	if (!piece)
		/* Full and with a finisher, or given up. */
		return !bitfield_has(&p->open, block->piece);
	return !piece->blocks[block->index];
}
