#ifndef CLIENT_TORRENT_MAGNET_H
#define CLIENT_TORRENT_MAGNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"
#include "shared/error.h"
#include "shared/info_hash.h"

/* A magnet link (BEP 9, 53): which torrent, and where to ask for it. */

enum {
	MAGNET_MAX_SIZE = 1024 * 1024, /* bytes of a link */
	MAGNET_MAX_PEERS = 100,
};

struct magnet {
	struct info_hash info_hash; /* `xt=urn:btih:` */
	const char *name;           /* `dn`: valid UTF-8, "" if not said; for
				     * show only, the metadata decides */
	uint64_t length;            /* `xl`, 0 if not said; likewise */

	/* Only those that may be used (metainfo_url_usable()). */
	size_t tracker_count;
	const char **trackers; /* `tr` */
	size_t web_seed_count;
	const char **web_seeds; /* `ws` */
	size_t peer_count;
	const char **peers;      /* `x.pe`: HOST:PORT, not checked further */
	const char *select_only; /* `so`, as selection_list_add_indices() wants
				  * it; NULL if not said (BEP 53) */

	void *memory; /* private */
};

/* Whether a word of the command line is meant as a magnet link. */
bool magnet_looks_like(const char *text);

/* Parse a magnet link.  The info hash is 40 hexadecimal digits or 32 of
 * base32.  False: `err` says what is wrong. */
bool magnet_parse(const char *text, struct magnet *ret, struct error *err);

/* Free what it holds; zeroed memory is allowed. */
void magnet_finish(struct magnet *m);

/* Append the link that says what is in `m`. */
bool magnet_write(const struct magnet *m, struct buffer *ret);

#endif
