#ifndef CLIENT_STORAGE_CHECK_H
#define CLIENT_STORAGE_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

struct metainfo;
struct storage;

/* Hash what is on disk with several threads, each taking the next pieces of
 * the list and reading them in order.  Used by seed, verify and resume.
 *
 * `wanted[i]` and `ret_good[i]` are one byte a piece: which to check, and which
 * turned out right.  NULL wanted: all.  Pieces in missing files cost nothing
 * (they are simply not good).  A piece that lies wholly in a hole is zeros:
 * with holes_may_be_good (seed, verify) it is hashed like any other; without (a
 * leech, whose sparse files are mostly holes) it costs nothing and is not good,
 * unless the torrent says that it is zeros.
 *
 * `progress` (may be NULL) is called with the bytes done so far, by the calling
 * thread, at most some ten times a second.  `stop` (may be NULL) ends
 * the check early: then the rest is not good.
 *
 * False: reading failed (EIO and the like; a missing file is no failure). */
struct check {
	const struct metainfo *m;
	struct storage *storage;
	unsigned threads; /* 0: one a core */
	const uint8_t *wanted;
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void *ctx;
	const atomic_bool *stop;
	bool holes_may_be_good;
};
bool check_run(const struct check *c, uint8_t *ret_good, struct error *err);

#endif
