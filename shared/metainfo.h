#ifndef SHARED_METAINFO_H
#define SHARED_METAINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/arena.h"
#include "shared/error.h"
#include "shared/info_hash.h"
#include "shared/span.h"

/* What a .torrent file says, parsed, checked and made safe (BEP 3, 12, 19, 27,
 * 47).  Everything hostile is refused or mended here, once, whatever way the
 * metainfo came in: after metainfo_parse() names are safe to create, numbers
 * are safe to add up.
 *
 * Content is one linear space of bytes in which piece i begins at
 * i * piece_length.  In v1 the files lie in it back to back; in v2 (BEP 52,
 * to come) each begins at a piece, so that there may be gaps: ask
 * metainfo_piece_size(), and let file offsets say where files lie.
 *
 * How a piece is proven is known here and to piece_check only. */

enum {
	/* Bytes of a .torrent file, the piece hashes apart. */
	METAINFO_MAX_SIZE = 10 * 1024 * 1024,
	METAINFO_MIN_PIECE_LENGTH = 16 * 1024,
	METAINFO_MAX_PIECE_LENGTH = 512 * 1024 * 1024,
	METAINFO_MAX_PIECES = 2097152,
	METAINFO_MAX_HASHES = 20 * METAINFO_MAX_PIECES, /* bytes */
	METAINFO_MAX_TRACKERS = 100,
	METAINFO_MAX_WEB_SEEDS = 16,
	METAINFO_MAX_NODES = 32,
	METAINFO_MAX_DEPTH = 100, /* elements in a path */
	METAINFO_MAX_URL = 8192,  /* bytes of a tracker's or web seed's URL */
};

struct metainfo_file {
	uint64_t offset; /* in the torrent's content */
	uint64_t length;
	const char *path; /* below the root, elements joined by '/', safe to
			   * create; for a single file: its name */
	bool pad;         /* BEP 47: zeros that are never on disk */
	bool symlink;     /* BEP 47: not created */
	bool executable;  /* BEP 47: told, never acted on */
	bool mended;      /* `path` is not quite as the torrent has it */
};

struct metainfo_tracker {
	unsigned tier; /* 0 first; equal numbers form a tier (BEP 12) */
	const char *url;
};

/* A node to enter the DHT by (BEP 5). */
struct metainfo_node {
	const char *host; /* a name or an address, without control characters */
	uint16_t port;
};

struct metainfo {
	struct info_hash info_hash;
	const char *name; /* safe to create: the file, or the root folder */
	bool name_mended; /* and not quite as the torrent has it */
	bool multi_file;  /* files lie in a folder called `name` */
	bool private;     /* BEP 27 */
	bool hybrid;      /* has v2 keys too; used as v1 (BEP 52) */

	uint64_t length; /* of the content, pad files included; > 0 */
	uint32_t piece_length;
	uint32_t piece_count;

	size_t file_count;
	struct metainfo_file *files; /* in the order of the torrent */

	size_t tracker_count;
	struct metainfo_tracker *trackers; /* by tier */
	size_t web_seed_count;
	const char **web_seeds;
	size_t node_count; /* 0 if private */
	struct metainfo_node *nodes;

	const char *comment;    /* "" if none; these come as they are, not */
	const char *created_by; /* escaped, but valid UTF-8 without NUL */
	const char *source;     /* `source` in info: a tracker's tag */
	int64_t created_s;      /* seconds since the epoch, 0 if not said */

	struct span info; /* the info dictionary as it came (BEP 9 sends it) */

	/* Private to metainfo.c, its parts and piece_check.c. */
	const uint8_t *piece_hashes;
	struct arena memory;
};

/* Parse and judge a whole .torrent file.  `bytes` need not outlive the call.
 * False: refused, and `err` says in words which rule it breaks (without the
 * file's name).  Linear but for sorting; memory a small multiple of `len`. */
bool metainfo_parse(struct span bytes, struct metainfo *ret, struct error *err);

/* The same for an info dictionary alone, as a magnet's metadata is. */
bool metainfo_parse_info(
	struct span info, struct metainfo *ret, struct error *err);

/* Read a file and parse it.  `err` names it.  One that is too large is refused
 * before more than METAINFO_MAX_SIZE of it is read.  When it fails, errno is
 * why it could not be read or held, or 0: it is no good torrent. */
bool metainfo_load(const char *path, struct metainfo *ret, struct error *err);

/* Free what it holds; zeroed memory is allowed. */
void metainfo_finish(struct metainfo *m);

/* Whether the file is created: pad files and symbolic links are not. */
bool metainfo_on_disk(const struct metainfo_file *f);

/* Bytes of piece `index`: piece_length, or less for the last; 0 where there is
 * no such piece. */
uint32_t metainfo_piece_size(const struct metainfo *m, uint32_t index);

/* Whether a tracker or web seed may be used: http, https or (trackers) udp,
 * with a sane host and port, no control characters. */
bool metainfo_url_usable(const char *url, bool udp_too);

/* Host and port of one that may be, cut to fit `size` (> 0): what people are
 * shown, since the rest may hold a key.  Returns `ret`. */
const char *metainfo_url_host(const char *url, char *ret, size_t size);

#endif
