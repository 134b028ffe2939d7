#ifndef CLIENT_PEER_ASKING_H
#define CLIENT_PEER_ASKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/peer/request.h"
#include "client/torrent/torrent.h"
#include "shared/buffer.h"

/* The part of a conversation that is about our requests: how many there may be,
 * which are under way, which blocks come for them, and what becomes of those
 * that are not answered.  No socket and no clock: requests are appended to a
 * buffer.  Belongs to one worker. */

enum {
	/* Requests under way at most; a peer's `reqq` bounds them too. */
	ASKING_MAX = 500,
	ASKING_MAX_ARRIVALS = 64,
	/* Blocks nobody asked for, before the peer is dropped. */
	ASKING_MAX_UNASKED = 16,

	/* No byte of a block for so long: its blocks go to others.  Twice as
	 * long: they are forgotten, and one is asked for now and then. */
	ASKING_SNUBBED_MS = 15 * 1000,
	/* A request that waits so long, whatever else comes, goes to others. */
	ASKING_ANSWER_MS = 60 * 1000,
	/* It refused a block though it does not choke us, or let it wait so
	 * long: others may take that up before it is asked again. */
	ASKING_REST_MS = 1000,
};

struct asking {
	struct torrent *torrent;
	struct torrent_peer *peer;
	struct buffer *out;

	/* Requests under way, in the order sent. */
	size_t count;
	struct block_id asked[ASKING_MAX];
	uint64_t asked_ms[ASKING_MAX];
	bool released[ASKING_MAX]; /* given to others since */

	size_t depth;        /* how many may be under way now */
	size_t may_ask;      /* requests that may be made; SIZE_MAX: no limit */
	uint64_t requests;   /* that were made, ever ... */
	uint64_t answered;   /* ... and answered by a block */
	unsigned unasked;    /* blocks that came without being asked for */
	size_t late_allowed; /* of these, that may come: asked for before */
	bool snubbed;        /* it owes us blocks, and is silent */

	/* Blocks that came since the last asking_flush(). */
	size_t arrival_count;
	struct arrival arrivals[ASKING_MAX_ARRIVALS];
	uint64_t payload; /* bytes of whole blocks that came, ever */

	uint64_t block_ms;   /* when bytes of a block last came, or asked */
	uint64_t overdue_ms; /* when requests were last looked through */
	uint64_t rest_ms;    /* since when it is not asked; 0: it is */

	size_t unread; /* bytes that are here, though nobody has read them */

	/* What it gives us, for the depth. */
	uint64_t rate;          /* bytes a second */
	uint64_t round_trip_ms; /* the least from a request to its block */
	uint64_t window_ms;     /* the rate's window began */
	uint64_t window_bytes;
};

/* All three outlive it; peer->pick shows the torrent what is asked of it. */
void asking_begin(struct asking *a, struct torrent *torrent,
	struct torrent_peer *peer, struct buffer *out, uint64_t now_ms);

/* Before the peer leaves the torrent, which gives back what it was asked for:
 * that must not include what was given back already.  Blocks not flushed must
 * have been taken out. */
void asking_end(struct asking *a);

/* ---- to ask ---- */

/* How many requests it would make now of a peer that takes `reqq` at once, if
 * a->may_ask allows it.  That becomes less by each one; without a limit it is
 * left alone. */
size_t asking_room(const struct asking *a, uint32_t reqq, uint64_t now_ms);

/* Make them.  The peer does not choke us, and has something of use. */
void asking_ask(struct asking *a, uint32_t reqq, uint64_t now_ms);

/* Requests that no block will answer any more, ever. */
static inline uint64_t asking_lost_requests(const struct asking *a)
{
	return a->requests - a->answered - a->count;
}

/* ---- blocks ---- */

/* The header of a PIECE came.  BLOCK_ASKED: receive it into memory of its own
 * and hand it to asking_arrived().  BLOCK_UNASKED: skip it. */
enum asking_block { BLOCK_ASKED, BLOCK_UNASKED };
enum asking_block asking_expect(
	struct asking *a, const struct block_ref *block);

/* Was exactly this block asked for? */
bool asking_knows(const struct asking *a, const struct block_ref *block);

/* Too many blocks came unasked. */
bool asking_tired(const struct asking *a);

/* `len` bytes of blocks that were asked for came. */
void asking_received(struct asking *a, size_t len, uint64_t now_ms);

/* A block is there whole.  Flush when asking_arrivals_full(). */
void asking_arrived(
	struct asking *a, const struct block_ref *block, uint8_t *memory);
static inline bool asking_arrivals_full(const struct asking *a)
{
	return a->arrival_count == ASKING_MAX_ARRIVALS;
}

/* Hand the arrived blocks to the torrent.  Full pieces, for finishers, go to
 * `ret_full` (room for ASKING_MAX_ARRIVALS); memory not taken is left in
 * a->arrivals[0 .. *ret_left), to be given back. */
size_t asking_flush(
	struct asking *a, struct open_piece **ret_full, size_t *ret_left);

/* ---- what is not answered ---- */

/* The peer chokes us; does not any more; refused a block.  `fast`: both sides
 * speak BEP 6, so that a choke by itself refuses nothing. */
void asking_choked(struct asking *a, bool fast);
void asking_unchoked(struct asking *a);
void asking_rejected(struct asking *a, const struct block_ref *block,
	bool choked, uint64_t now_ms);

/* The peer has that piece no longer, and will refuse nothing by name: it speaks
 * BEP 54 without BEP 6. */
void asking_peer_lost(struct asking *a, uint32_t piece);

/* What others have brought meanwhile need not be sent, nor what others can send
 * sooner: cancel it. */
void asking_cancel_unneeded(struct asking *a);

/* Will that look at a->unread next time? */
bool asking_minds_unread(const struct asking *a);

/* We have the whole piece now: cancel what is still under way of it. */
void asking_have(struct asking *a, uint32_t piece);

/* Whom we wait for in vain must not be waited for by all. */
void asking_mind_unanswered(struct asking *a, uint64_t now_ms);

/* What it gives, for how much may be asked of it at once. */
void asking_measure(struct asking *a, uint64_t now_ms);

/* When asking_mind_unanswered() is due, or asking_ask() after a rest;
 * UINT64_MAX: not before something happens.  `open`: it does not choke us, and
 * has something of use. */
uint64_t asking_deadline(const struct asking *a, bool open);

#endif
