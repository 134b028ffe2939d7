#ifndef CLIENT_STORAGE_LAYOUT_H
#define CLIENT_STORAGE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metainfo;

/* Which bytes of which files a range of the torrent's content is.  Pure.
 *
 *	struct layout_walk w = layout_walk(m, offset, len);
 *	struct layout_part p;
 *	while (layout_next(&w, &p)) ...
 *
 * Parts come in order and together cover the range.  A part whose file is
 * LAYOUT_NO_FILE (a gap between files, a pad file) is zeros that are not on
 * disk.  Empty files never come.  Finding the first is O(log files). */
#define LAYOUT_NO_FILE SIZE_MAX /* no int, so no enum */

struct layout_part {
	size_t file;     /* index into metainfo.files, or LAYOUT_NO_FILE */
	uint64_t offset; /* in that file */
	uint64_t len;
};

struct layout_walk {
	const struct metainfo *m;
	size_t file;
	uint64_t offset; /* of what comes next, in the content */
	uint64_t left;
};

struct layout_walk layout_walk(
	const struct metainfo *m, uint64_t offset, uint64_t len);
bool layout_next(struct layout_walk *w, struct layout_part *ret);

/* The pieces that hold a byte of file `file`: [*ret_first, *ret_end); empty for
 * an empty file. */
void layout_file_pieces(const struct metainfo *m, size_t file,
	uint32_t *ret_first, uint32_t *ret_end);

#endif
