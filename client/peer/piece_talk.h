#ifndef CLIENT_PEER_PIECE_TALK_H
#define CLIENT_PEER_PIECE_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/peer/wire.h"
#include "client/torrent/torrent.h"
#include "shared/buffer.h"

/* The part of a conversation that is about who has which pieces (BEP 3, 6, 54):
 * what we have, as far as the peer was told; what it has, as far as it told us;
 * and how many of its pieces we lack and want.  No socket and no clock: what is
 * to be said is appended to a buffer.  Belongs to one worker. */

enum {
	/* Pieces that a peer may lose (BEP 54); we do not hear of more. */
	PIECE_TALK_MAX_LOST = 256,
	/* Bitfields that a peer may send.  aria2 sends one whenever that is
	 * shorter than the HAVEs that it owes: for up to 72 in a torrent. */
	PIECE_TALK_MAX_BITFIELDS = 128,
};

struct piece_talk {
	struct torrent *torrent;
	struct torrent_peer *peer; /* what it has is peer->pick.has */
	struct buffer *out;
	bool fast; /* spoken by both sides */

	struct bitfield have; /* ours, as far as we have told it */
	size_t news_at;       /* our place in the torrent's log */
	uint32_t useful;      /* pieces that it has, and we lack and want */
	unsigned lost;        /* pieces it said it has no longer */
	unsigned bitfields;   /* and HAVE_ALLs that were gone through */
};

/* `torrent`, `peer` and `out` outlive it.  False: out of memory; finish it all
 * the same. */
bool piece_talk_begin(struct piece_talk *t, struct torrent *torrent,
	struct torrent_peer *peer, struct buffer *out, bool fast);
void piece_talk_finish(struct piece_talk *t);

/* The peer has joined the torrent: tell it what we have, by a bitfield; or
 * (`told_nothing`) by HAVEs, since it was told already that we have nothing.
 * False: out of memory. */
bool piece_talk_greet(struct piece_talk *t, bool told_nothing);

/* Tell what has been completed since the last call.  These pieces, at most
 * `max`, go to `ret`; returns how many, 0 when there is no news. */
size_t piece_talk_news(struct piece_talk *t, uint32_t *ret, size_t max);

/* HAVE; or BITFIELD, HAVE_ALL, HAVE_NONE came.  `open`: it would give us what
 * we ask for.  Returns NULL, or what was wrong with it, for a person. */
const char *piece_talk_heard(
	struct piece_talk *t, const struct wire_message *message, bool open);

/* It has this piece no longer (BEP 54); any number is sane.  False: it never
 * had, or lost too many. */
bool piece_talk_peer_lost(struct piece_talk *t, uint32_t piece);

/* We have it no longer, and the peer was told so. */
void piece_talk_we_lost(struct piece_talk *t, uint32_t piece);

/* Has it all pieces? */
bool piece_talk_peer_is_seed(const struct piece_talk *t);

#endif
