#include "client/torrent/picker.h"

#include <stdlib.h>

#include "client/torrent/block_pool.h"
#include "client/torrent/open_piece.h"
#include "shared/metainfo.h"

enum {
	BUCKETS = 256,
	/* Blocks asked again of one peer in one go: few, since most will still
	 * come from who was asked first. */
	ENDGAME_AT_ONCE = 16,
};

struct picker {
	const struct metainfo *m;
	struct block_pool *pool;
	uint64_t budget;
	uint64_t open_bytes;
	uint32_t full; /* pieces that are with finishers */

	struct bitfield have;
	struct bitfield open;   /* open or full, so not to be opened */
	struct bitfield failed; /* their hash did not match before */
	struct piece_order_state order;

	struct open_piece *oldest, *newest;
	struct open_piece *buckets[BUCKETS]; /* by piece index */
};

struct picker *picker_create(const struct metainfo *m, struct block_pool *pool,
	enum piece_order order, uint64_t budget, uint64_t seed)
{
	struct picker *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->m = m;
	p->pool = pool;
	p->budget = budget;
	if (!bitfield_init(&p->have, m->piece_count) ||
		!bitfield_init(&p->open, m->piece_count) ||
		!bitfield_init(&p->failed, m->piece_count) ||
		!piece_order_init(&p->order, order, m->piece_count, seed)) {
		picker_destroy(p);
		return NULL;
	}
	return p;
}

void picker_destroy(struct picker *p)
{
	if (!p)
		return;
	while (p->oldest) {
		struct open_piece *piece = p->oldest;
		p->oldest = piece->newer;
		block_pool_give(p->pool, piece->blocks, piece->block_count);
		open_piece_destroy(piece);
	}
	piece_order_finish(&p->order);
	bitfield_finish(&p->have);
	bitfield_finish(&p->open);
	bitfield_finish(&p->failed);
	free(p);
}

const struct bitfield *picker_have(const struct picker *p) { return &p->have; }
uint64_t picker_open_bytes(const struct picker *p) { return p->open_bytes; }

void picker_set_have(struct picker *p, uint32_t piece)
{
	bitfield_set(&p->have, piece);
}

void picker_clear_have(struct picker *p, uint32_t piece)
{
	bitfield_clear(&p->have, piece);
	if (piece < p->order.first_missing)
		p->order.first_missing = piece;
}

void picker_count_piece(struct picker *p, uint32_t piece)
{
	piece_order_count_piece(&p->order, piece);
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

static void link_piece(struct picker *p, struct open_piece *piece)
{
	struct open_piece **bucket = &p->buckets[piece->index % BUCKETS];

	piece->chain = *bucket;
	*bucket = piece;
	piece->older = p->newest;
	if (p->newest)
		p->newest->newer = piece;
	else
		p->oldest = piece;
	p->newest = piece;
}

static void unlink_piece(struct picker *p, struct open_piece *piece)
{
	struct open_piece **at = &p->buckets[piece->index % BUCKETS];

	while (*at != piece)
		at = &(*at)->chain;
	*at = piece->chain;
	if (piece->older)
		piece->older->newer = piece->newer;
	else
		p->oldest = piece->newer;
	if (piece->newer)
		piece->newer->older = piece->older;
	else
		p->newest = piece->older;
	piece->older = piece->newer = NULL;
}

static void close_piece(struct picker *p, struct open_piece *piece)
{
	bitfield_clear(&p->open, piece->index);
	p->open_bytes -= piece->size;
	open_piece_destroy(piece);
}

/* ---- which piece ---- */

/* A piece that nobody works on, and that `peer` cannot go on with: one that
 * only peers who left had would hold its memory for good. */
static bool give_up_one(struct picker *p, const struct picker_peer *peer)
{
	for (struct open_piece *o = p->oldest; o; o = o->newer) {
		if (o->owner || o->asked > 0 ||
			bitfield_has(&peer->has, o->index))
			continue;
		unlink_piece(p, o);
		block_pool_give(p->pool, o->blocks, o->block_count);
		close_piece(p, o);
		return true;
	}
	return false;
}

static bool room_for(const struct picker *p, uint32_t size)
{
	return p->open_bytes == 0 ||
		(p->open_bytes < p->budget &&
			size <= p->budget - p->open_bytes);
}

static struct open_piece *open_next(
	struct picker *p, const struct picker_peer *peer)
{
	uint32_t index =
		piece_order_next(&p->order, &peer->has, &p->have, &p->open);

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
	p->open_bytes += size;
	return piece;
}

/* An open piece with blocks that nobody was asked for, and that nobody works
 * on; or, with `shared`, that somebody else works on. */
static struct open_piece *join(
	const struct picker *p, const struct picker_peer *peer, bool shared)
{
	for (struct open_piece *o = p->oldest; o; o = o->newer) {
		if (o->unasked > 0 && bitfield_has(&peer->has, o->index) &&
			(!o->owner || (shared && !o->careful)))
			return o;
	}
	return NULL;
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
	if (piece && !piece->owner) {
		piece->owner = peer;
		peer->current = piece->index;
	}
	return piece;
}

static size_t take_unasked(
	struct open_piece *piece, struct block_id *ret, size_t max)
{
	size_t taken = 0;
	uint32_t i = piece->first_unasked;

	for (; taken < max && piece->unasked > 0; i++) {
		if (piece->blocks[i] || piece->askers[i] > 0)
			continue;
		piece->askers[i] = 1;
		piece->asked++;
		piece->unasked--;
		ret[taken++] = (struct block_id){piece->index, i};
	}
	piece->first_unasked = i;
	/* All asked for: its work on it is done, and should a block be rejected
	 * anybody may take it. */
	if (piece->unasked == 0)
		piece->owner = NULL;
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

/* The endgame: blocks that others were asked for; those with the fewest askers
 * first, and among them the oldest piece first. */
static size_t take_again(const struct picker *p, const struct picker_peer *peer,
	struct block_id *ret, size_t max)
{
	size_t taken = 0;

	for (unsigned askers = 1; askers < PICKER_MAX_ASKERS; askers++) {
		for (struct open_piece *o = p->oldest; o; o = o->newer) {
			if (o->asked > 0 && !o->careful &&
				bitfield_has(&peer->has, o->index))
				taken += take_again_from(o, askers, peer,
					ret + taken, max - taken);
		}
		if (taken > 0)
			break;
	}
	return taken;
}

size_t picker_reserve(struct picker *p, struct picker_peer *peer,
	struct block_id *ret, size_t max)
{
	size_t taken = 0;

	while (taken < max) {
		struct open_piece *piece = choose_piece(p, peer);
		if (!piece)
			break;
		taken += take_unasked(piece, ret + taken, max - taken);
	}
	/* While finishers hold pieces there will be room in a moment: then
	 * asking twice would be waste. */
	if (taken == 0 && max > 0 && p->full == 0)
		taken = take_again(p, peer, ret,
			max < ENDGAME_AT_ONCE ? max : ENDGAME_AT_ONCE);
	return taken;
}

/* ---- what became of them ---- */

/* One request less is under way for the block. */
static void unask(struct open_piece *piece, uint32_t block)
{
	/* A block may be asked again of the same peer after it was released,
	 * so a late answer can find nothing to count down. */
	if (piece->askers[block] == 0)
		return;
	piece->askers[block]--;
	piece->asked--;
	if (piece->askers[block] > 0 || piece->blocks[block])
		return;
	piece->unasked++;
	if (block < piece->first_unasked)
		piece->first_unasked = block;
}

void picker_release(
	struct picker *p, const struct block_id *blocks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct open_piece *piece = find(p, blocks[i].piece);
		if (piece)
			unask(piece, blocks[i].index);
	}
}

void picker_rest(struct picker *p, const struct picker_peer *peer)
{
	for (struct open_piece *o = p->oldest; o; o = o->newer) {
		if (o->owner == peer)
			o->owner = NULL;
	}
}

enum picker_receipt picker_receive(struct picker *p,
	const struct picker_peer *peer, const struct block_id *block,
	uint8_t *memory, bool asked, bool *ret_others,
	struct open_piece **ret_piece)
{
	struct open_piece *piece = find(p, block->piece);

	if (!piece)
		return PICKER_NOT_WANTED;

	uint32_t i = block->index;
	if (piece->blocks[i]) {
		if (asked)
			unask(piece, i);
		return PICKER_NOT_WANTED;
	}
	if (!asked && piece->askers[i] == 0)
		piece->unasked--; /* late, but still of use */
	piece->blocks[i] = memory;
	piece->received++;
	open_piece_note_giver(piece, i, &peer->address);
	if (asked)
		unask(piece, i);
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
		bitfield_set(&p->have, piece->index);
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
