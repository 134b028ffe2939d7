#ifndef CLIENT_PEER_REQUEST_H
#define CLIENT_PEER_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "client/torrent/block.h"
#include "shared/reader.h"

enum { REQUEST_MAX_LENGTH = 131072 }; /* the most that we serve in one */

/* What a REQUEST, CANCEL or REJECT message names (BEP 3, BEP 6). */
struct block_ref {
	uint32_t piece;
	uint32_t begin;  /* bytes from the start of the piece */
	uint32_t length; /* bytes, 1..REQUEST_MAX_LENGTH */
};

/* Read the payload of such a message: exactly 12 bytes, or false. */
bool block_ref_read(struct reader *r, struct block_ref *ret);

/* Whether the block lies within its piece of `piece_size` bytes (0 where there
 * is no such piece). */
bool block_ref_valid(const struct block_ref *b, uint32_t piece_size);

bool block_ref_equal(const struct block_ref *a, const struct block_ref *b);

#endif
