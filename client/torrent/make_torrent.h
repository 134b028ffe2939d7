#ifndef CLIENT_TORRENT_MAKE_TORRENT_H
#define CLIENT_TORRENT_MAKE_TORRENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"
#include "shared/error.h"

/* Make the metainfo of a file or folder (BEP 3, 12, 19, 27): list, hash with
 * several threads at the speed of the disk or the cores, write. */
struct make_torrent {
	const char *path;
	const char *output; /* where it will be written: none of the files; may
			     * be NULL */
	const char *const *trackers; /* each its own tier (BEP 12) */
	size_t tracker_count;
	const char *const *web_seeds;
	size_t web_seed_count;
	const char *comment; /* NULL: none */
	const char *source;  /* NULL: none */
	bool private;
	int64_t created_s;     /* 0: no date */
	uint32_t piece_length; /* 0: chosen from the size */
	unsigned threads;      /* 0: one a core */
	void (*progress)(void *ctx, uint64_t done, uint64_t total);
	void (*skipped)(void *ctx, const char *path); /* may be NULL */
	void *ctx;
};

/* For about 1,000 to 2,000 pieces: a power of two, 16 KiB to 16 MiB. */
uint32_t make_torrent_piece_length(uint64_t total);

/* Write the .torrent into `ret` (already initialized).  Files in a folder are
 * taken in the order of their names' bytes.  Symlinks are left out and told to
 * `skipped`, since seeding never follows one (PROMISES P1); a FIFO, a device or
 * a file that cannot be read is refused by name.
 * False: `err` names the file; also one that changed while it was read, and one
 * that lies at `output`, for it would be gone. */
bool make_torrent(
	const struct make_torrent *what, struct buffer *ret, struct error *err);

#endif
