#ifndef CLIENT_TORRENT_PIECE_MAP_H
#define CLIENT_TORRENT_PIECE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "client/torrent/bitfield.h"

/* What is had, as a picture: for each of `cells` equal stretches of the pieces
 * the share that is there, 0..255.  Where there are fewer pieces than cells,
 * neighbours show the same one.  Pure. */
void piece_map(const struct bitfield *have, uint8_t *ret, size_t cells);

/* The same of the wanted pieces alone (there is one at least), as if they lay
 * together.  Takes the time of a look at each. */
void piece_map_wanted(const struct bitfield *have,
	const struct bitfield *unwanted, uint8_t *ret, size_t cells);

#endif
