#ifndef CLIENT_TORRENT_BITFIELD_H
#define CLIENT_TORRENT_BITFIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/span.h"

/* Which pieces: a set of piece indexes below `count`, and how many are in it.
 * Not locked: whoever owns it sees to that.
 *
 * Piece i is the bit 63 - i % 64 of word i / 64, so that the words in network
 * byte order are the BITFIELD message (BEP 3).  Bits past `count` are 0. */
struct bitfield {
	uint64_t *words;
	uint32_t count; /* pieces in the torrent */
	uint32_t set;   /* of these, in the set */
};

/* An empty set; false: out of memory. */
bool bitfield_init(struct bitfield *b, uint32_t count);

/* Zeroed memory is allowed. */
void bitfield_finish(struct bitfield *b);

/* `index` < count in all of these. */
static inline bool bitfield_has(const struct bitfield *b, uint32_t index)
{
	return b->words[index / 64] >> (63 - index % 64) & 1;
}
void bitfield_set(struct bitfield *b, uint32_t index);
void bitfield_clear(struct bitfield *b, uint32_t index);

void bitfield_set_all(struct bitfield *b);
void bitfield_clear_all(struct bitfield *b);
void bitfield_copy(struct bitfield *to, const struct bitfield *from);
static inline bool bitfield_full(const struct bitfield *b)
{
	return b->set == b->count;
}

/* Bytes of the BITFIELD message's payload. */
size_t bitfield_wire_size(uint32_t count);
void bitfield_to_wire(const struct bitfield *b, uint8_t *ret);

/* False, and `b` unchanged: not exactly that many bytes, or spare bits set. */
bool bitfield_from_wire(struct bitfield *b, struct span wire);

#define BITFIELD_NONE UINT32_MAX

/* The first index in [from, end) that is in `in` (NULL: all are) and in neither
 * `not_in` nor `nor_in` (NULL: empty), or BITFIELD_NONE.  64 at a time. */
uint32_t bitfield_find(const struct bitfield *in, const struct bitfield *not_in,
	const struct bitfield *nor_in, uint32_t from, uint32_t end);

/* How many indexes in [from, end) are in `in` and in neither of the others
 * (NULL: empty). */
uint32_t bitfield_count(const struct bitfield *in,
	const struct bitfield *not_in, const struct bitfield *nor_in,
	uint32_t from, uint32_t end);

#endif
