#ifndef CLIENT_TORRENT_BLOCK_H
#define CLIENT_TORRENT_BLOCK_H

#include <stdint.h>

/* A block: the unit in which pieces are asked for (BEP 3).  All blocks of a
 * torrent are BLOCK_SIZE long but the last of a piece, which may be shorter. */
enum { BLOCK_SIZE = 16 * 1024 };

struct block_id {
	uint32_t piece;
	uint32_t index; /* in its piece; begins at index * BLOCK_SIZE */
};

#endif
