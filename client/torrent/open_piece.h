#ifndef CLIENT_TORRENT_OPEN_PIECE_H
#define CLIENT_TORRENT_OPEN_PIECE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"

struct picker_peer;

/* A piece under way: which of its blocks have come, and from whom.  Each block
 * keeps the memory that it was received into; nothing is moved until the piece
 * is hashed and written.  So two peers may both be sending the same block, each
 * into memory of its own: the first to be whole is kept.
 *
 * Belongs to the picker, hence to whoever holds the torrent's lock; once full
 * it is the finisher's alone until picker_finish(). */
struct open_piece {
	struct open_piece *older, *newer; /* in one of the picker's lists */
	struct open_piece *chain;         /* of a hash bucket */

	uint32_t index;
	uint32_t size; /* bytes */
	uint32_t block_count;
	uint32_t received;      /* blocks that are here */
	uint32_t unasked;       /* neither here nor asked of anybody */
	uint32_t first_unasked; /* no unasked block lies before it */
	uint32_t asked;         /* requests under way for its blocks */

	const struct picker_peer *owner; /* asks for its blocks in order */
	bool of_seed;                    /* its last owner has all pieces */
	/* Has it, too, while it was asked of a seed: it is left to this one. */
	const struct picker_peer *offerer;

	/* It failed before: what is asked of its last owner counts, and what
	 * comes from him, and nothing else. */
	bool careful;
	bool trusted; /* he was proven when he began */
	struct endpoint only;
	uint64_t since_ms; /* when his time began; 0: not seen */
	uint32_t lapses;   /* his, this piece included */

	uint8_t giver_count;
	struct endpoint
		*givers; /* who gave blocks; at most OPEN_PIECE_GIVERS */

	uint8_t **blocks; /* memory of each block, NULL: not here */
	uint8_t *askers;  /* requests under way for each block */
	uint8_t *from;    /* index into givers, or OPEN_PIECE_GIVERS: unknown */
};

enum { OPEN_PIECE_GIVERS = 64 };

/* NULL: out of memory. */
struct open_piece *open_piece_create(uint32_t index, uint32_t size);

/* Its blocks must have been taken out.  NULL is allowed. */
void open_piece_destroy(struct open_piece *piece);

/* Note that `giver` sent block `block`. */
void open_piece_note_giver(
	struct open_piece *piece, uint32_t block, const struct endpoint *giver);

/* Who gave block `block`; NULL: not known any more. */
const struct endpoint *open_piece_giver(
	const struct open_piece *piece, uint32_t block);

/* Whether all of it came from one peer, as far as is known. */
bool open_piece_single_giver(const struct open_piece *piece);

/* Bytes of block `block`. */
uint32_t open_piece_block_size(const struct open_piece *piece, uint32_t block);

#endif
