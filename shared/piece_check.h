#ifndef SHARED_PIECE_CHECK_H
#define SHARED_PIECE_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metainfo;

/* Is this what the torrent says piece `index` is?  The only place besides
 * metainfo that knows how pieces are proven: SHA-1 of the piece (BEP 3), later
 * SHA-256 trees (BEP 52).
 *
 * One check is used by one thread at a time; begin, update with the piece's
 * bytes in order, end; then begin again for another piece. */
struct piece_check;

/* NULL: out of memory. */
struct piece_check *piece_check_create(void);
void piece_check_destroy(struct piece_check *c);

void piece_check_begin(
	struct piece_check *c, const struct metainfo *m, uint32_t index);
void piece_check_update(struct piece_check *c, const void *bytes, size_t len);

/* True when the bytes since begin are exactly that piece. */
bool piece_check_end(struct piece_check *c);

/* Two pieces side by side, in less time than one after the other
 * (digest_pair).  Both are whole, not the torrent's last one if that is
 * shorter; `len` is a multiple of 64. */
bool piece_check_can_pair(const struct metainfo *m, uint32_t a, uint32_t b);
void piece_check_begin_two(struct piece_check *c, const struct metainfo *m,
	uint32_t a, uint32_t b);
void piece_check_update_two(
	struct piece_check *c, const void *a, const void *b, size_t len);
void piece_check_end_two(struct piece_check *c, bool ret_good[2]);

/* Does the torrent say that the piece is nothing but zeros?  Not between begin
 * and end.  So many zeros are hashed when it is asked of a size first. */
bool piece_check_is_zeros(
	struct piece_check *c, const struct metainfo *m, uint32_t index);

#endif
