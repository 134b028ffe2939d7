#ifndef CLIENT_TORRENT_SELECTION_H
#define CLIENT_TORRENT_SELECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/torrent/bitfield.h"
#include "shared/error.h"

struct metainfo;

/* Which files of a torrent are wanted: first as the user (`--select`) or a
 * magnet link (BEP 53) says it, then, once the files are known, as files and
 * pieces.  Pure. */

/* As it was said. */
struct selection_list {
	size_t count; /* 0: everything is wanted */
	struct selection_item *items;
	bool from_link; /* numbers that are not there are passed over */
};

/* Add what is in `text`: numbers as `show` prints them ("1,3-5"), and globs
 * (glob.h), which are matched with a file's path below the torrent's root and
 * with the last name of it; one that ends in '/' means all below that folder.
 * A comma in a glob is written "\,", one of digits only "[1]".  `list` is
 * zeroed memory at first.  False: `err` says what is wrong with it. */
bool selection_list_add(
	struct selection_list *list, const char *text, struct error *err);

/* The same for the `so` of a magnet link: indices from 0, no globs. */
bool selection_list_add_indices(
	struct selection_list *list, const char *text, struct error *err);

/* Zeroed memory is allowed. */
void selection_list_finish(struct selection_list *list);

/* What it means for one torrent.  Zeroed memory: everything is wanted. */
struct selection {
	bool partial;             /* else everything, and the rest is void */
	uint8_t *files;           /* one byte each: wanted */
	size_t file_count;        /* of these that are, and are on disk */
	uint64_t length;          /* their bytes */
	struct bitfield unwanted; /* pieces without a byte of them */

	/* Private: pieces where such files begin or end, ascending. */
	struct selection_edge *edges;
	size_t edge_count;
};

/* An empty list, or one that names all files, is everything.  False: something
 * in the list is not there, or there is nothing wanted; `err` says what there
 * is.  `ret` may be used as long as `m`. */
bool selection_choose(const struct selection_list *list,
	const struct metainfo *m, struct selection *ret, struct error *err);

/* Zeroed memory is allowed. */
void selection_finish(struct selection *s);

/* How many bytes of piece `piece` are wanted. */
uint32_t selection_piece_bytes(
	const struct selection *s, const struct metainfo *m, uint32_t piece);

#endif
