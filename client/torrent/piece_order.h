#ifndef CLIENT_TORRENT_PIECE_ORDER_H
#define CLIENT_TORRENT_PIECE_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "client/torrent/bitfield.h"

/* Which missing piece is opened next: the picker's only point of strategy.
 * Pure; not locked.
 *
 * SEQUENTIAL is the first missing one, as long as all peers are seeds.  When
 * others are downloading too, all of them would want the same piece at the same
 * time, of the same few who have it: then the choice is the rarest (by chance
 * among equals) of the first `window` pieces that are missing, so that each
 * brings something else, to be traded, and order is kept but for the window.
 *
 * RAREST is the rarest of all. */
enum piece_order { PIECE_ORDER_SEQUENTIAL, PIECE_ORDER_RAREST };

struct piece_order_state {
	enum piece_order order;
	uint32_t window;        /* pieces; see above */
	uint32_t company;       /* peers that have not all pieces */
	uint32_t first_missing; /* every piece before it is had */
	uint16_t *availability; /* copies among the other peers, but for those
				 * who have all */
	uint64_t dice;          /* state of a small generator, for ties */
};

/* False: out of memory. */
bool piece_order_init(struct piece_order_state *s, enum piece_order order,
	uint32_t piece_count, uint32_t window, uint64_t seed);
void piece_order_finish(struct piece_order_state *s);

/* A peer has one more piece, or (`has` as a whole) came or went. */
void piece_order_count_piece(struct piece_order_state *s, uint32_t piece);
void piece_order_count_peer(
	struct piece_order_state *s, const struct bitfield *has, bool came);

/* Is it the one that is needed next, in order? */
bool piece_order_is_next(const struct piece_order_state *s,
	const struct bitfield *have, uint32_t piece);

/* The piece to open for a peer that has `has`, among those neither in `have`
 * nor in `taken`; BITFIELD_NONE: there is none. */
uint32_t piece_order_next(struct piece_order_state *s,
	const struct bitfield *has, const struct bitfield *have,
	const struct bitfield *taken);

#endif
