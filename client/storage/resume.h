#ifndef CLIENT_STORAGE_RESUME_H
#define CLIENT_STORAGE_RESUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/storage/storage.h"
#include "shared/error.h"
#include "shared/info_hash.h"
#include "shared/span.h"

/* What a leech remembers of an unfinished torrent: a bencoded dictionary with
 * a checksum, in the file ".HASH.tbt-resume" beside the content (HASH: the info
 * hash in hex, so no torrent can have a file of that name).
 *
 * The order of things (P5): content is synced first, then its stats are taken,
 * then this file is written, synced and renamed.  What it claims is believed
 * only for files whose size and times are still those; all else is hashed. */

/* 32 MiB of metadata that came by a magnet link, and the rest. */
enum { RESUME_MAX_SIZE = 64 * 1024 * 1024 };

struct resume {
	struct info_hash info_hash;
	uint32_t piece_count;
	const uint8_t *have; /* as a BITFIELD message, (piece_count + 7) / 8 */
	size_t file_count;
	const struct storage_stat *files; /* as they were */
	uint64_t downloaded; /* over all runs, for announces and ratio */
	uint64_t uploaded;
	struct span info; /* metadata that came by a magnet; len 0: none */
};

/* Replace the file in the folder `dir` (an open descriptor; it stays the
 * caller's), whole or not at all, also across a power cut.  On failure the old
 * file is untouched and `err` says why. */
bool resume_save(int dir, const struct resume *state, struct error *err);

/* RESUME_NONE: there is none.  RESUME_UNUSABLE: damaged, foreign, newer, too
 * large; `err` says which, fit for a warning: check the content instead.
 * RESUME_LOADED: `ret` points into `ret_memory`, which is the caller's to
 * free(). */
enum resume_result { RESUME_NONE, RESUME_UNUSABLE, RESUME_LOADED };
enum resume_result resume_load(int dir, const struct info_hash *hash,
	struct resume *ret, void **ret_memory, struct error *err);

/* The parser of resume_load alone; `ret->files` is allocated in *ret_memory. */
bool resume_parse(struct span bytes, struct resume *ret, void **ret_memory,
	struct error *err);

/* Remove it (and a left-over temporary one); absence is no error. */
void resume_remove(int dir, const struct info_hash *hash);

#endif
