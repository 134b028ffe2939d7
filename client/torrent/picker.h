#ifndef CLIENT_TORRENT_PICKER_H
#define CLIENT_TORRENT_PICKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/torrent/bitfield.h"
#include "client/torrent/block.h"
#include "client/torrent/piece_order.h"
#include "shared/endpoint.h"

struct block_pool;
struct metainfo;
struct open_piece;

/* Which block is asked of which peer.  Pure: no lock (the torrent's guards it),
 * no clock but what picker_lapse() is told, no I/O.
 *
 * Each peer finishes the piece that it began, in order, then takes pieces that
 * nobody works on any more, then opens the next one (piece_order).  Only when
 * the memory for open pieces is spent, or when there is nothing left to open,
 * do peers share a piece; and only when every block is asked for is one asked
 * twice (the endgame), so that nobody who stops answering can hold up the end.
 *
 * A piece whose hash did not match is fetched from one peer alone, so that it
 * will be known who lied.  In the endgame a proven peer may begin it anew in
 * the place of one that is not, and anybody in the place of one that let his
 * time for it lapse more often than himself.
 *
 * In a crowd behind a slow seed, all would ask it for the same pieces while
 * each waits in its queue: what another leech has meanwhile is left to that
 * one.
 */
struct picker;

enum {
	/* Of one block, in the endgame; of those that are not proven one less,
	 * for all of them may be silent. */
	PICKER_MAX_ASKERS = 4,
};

/* What the picker must know of a peer.  The struct lives as long as the peer is
 * joined; but for `proven` and `lapses` its fields are written by the peer's
 * worker alone.
 */
struct picker_peer {
	struct endpoint address;
	struct bitfield has;
	bool proven;      /* it gave blocks of pieces that came right */
	uint32_t lapses;  /* of its time for pieces that failed before */
	uint32_t current; /* private to the picker; at first 0 */
	const struct block_id *asked; /* requests under way, ... */
	size_t asked_count;           /* ... so that none is asked twice */
};

/* `budget`: bytes of open pieces at most, with those of the others that share
 * `pool`; but one piece, and an equal part of it, may be open in any case.
 * Memory of blocks goes back to `pool`.  NULL: out of memory. */
struct picker *picker_create(const struct metainfo *m, struct block_pool *pool,
	enum piece_order order, uint64_t budget, uint64_t seed);

/* Another budget from now on; what is open stays so. */
void picker_set_budget(struct picker *p, uint64_t budget);

/* At the start, before picker_set_have(): none of these pieces is asked for;
 * `unwanted` outlives the picker.  False: out of memory. */
bool picker_leave_out(struct picker *p, const struct bitfield *unwanted);

/* No full piece may be with a finisher any more.  NULL is allowed. */
void picker_destroy(struct picker *p);

/* Which pieces are had: verified and written. */
const struct bitfield *picker_have(const struct picker *p);

/* At the start: these are had already.  Later: one that turned out not to be
 * any more (content changed under us). */
void picker_set_have(struct picker *p, uint32_t piece);
void picker_clear_have(struct picker *p, uint32_t piece);

/* How many of the peers have not all pieces: company in downloading. */
void picker_set_company(struct picker *p, uint32_t peers);

/* For the order by rarity: a peer has one more piece; or as a whole came, or
 * goes. */
void picker_count_piece(struct picker *p, uint32_t piece);
void picker_count_peer(
	struct picker *p, const struct picker_peer *peer, bool came);

/* Choose up to `max` blocks to ask of this peer.  0: none for now. */
size_t picker_reserve(struct picker *p, struct picker_peer *peer,
	struct block_id *ret, size_t max);

/* Blocks that were asked of the peer and will not come: choked, rejected, too
 * slow, gone. */
void picker_release(struct picker *p, const struct picker_peer *peer,
	const struct block_id *blocks, size_t count);

/* The peer leaves, or may not be asked now: it works on no piece.  True: it
 * did, so that others may take that one up. */
bool picker_rest(struct picker *p, const struct picker_peer *peer);

enum picker_receipt {
	PICKER_TAKEN,      /* the memory is the picker's now */
	PICKER_FULL,       /* as TAKEN, and the piece is complete: hash it */
	PICKER_NOT_WANTED, /* had, or come from another; memory stays yours */
};

/* A block has come.  `asked`: it counted as asked of this peer until now (not
 * released).  *ret_others: other requests for it are under way and may be
 * cancelled.  On FULL *ret_piece is the caller's until picker_finish(). */
enum picker_receipt picker_receive(struct picker *p,
	const struct picker_peer *peer, const struct block_id *block,
	uint8_t *memory, bool asked, bool *ret_others,
	struct open_piece **ret_piece);

/* A full piece was hashed (its blocks' memory is the caller's): had if `good`;
 * else it is to be fetched again, with care.  Frees `piece`. */
void picker_finish(struct picker *p, struct open_piece *piece, bool good);

/* The same, but it could not be written: neither good nor bad. */
void picker_abandon(struct picker *p, struct open_piece *piece);

/* Now and then: a piece that failed before, and whose peer has had his time for
 * it; each time he has twice as long.  Count it in his `lapses`: others may
 * take it over.  False: there is none. */
bool picker_lapse(
	struct picker *p, uint64_t now_ms, struct endpoint *ret_address);

/* A proven peer that is no seed has the piece now too, and would give it. True:
 * it is under way from seeds, who had better be asked for what nobody else has.
 * That goes for its blocks for which picker_elsewhere(): give them back, and
 * they are for others to take, and for seeds only when there is nothing else,
 * or the peer rests (picker_rest). */
bool picker_offer(
	struct picker *p, const struct picker_peer *peer, uint32_t piece);
bool picker_elsewhere(const struct picker *p, const struct picker_peer *asked,
	const struct block_id *block);

/* Is the block still to come? */
bool picker_wants(const struct picker *p, const struct block_id *block);

/* Bytes of open pieces now. */
uint64_t picker_open_bytes(const struct picker *p);

#endif
