#ifndef SHARED_METAINFO_SOURCES_H
#define SHARED_METAINFO_SOURCES_H

#include <stdbool.h>

#include "shared/span.h"

struct metainfo;

/* The part of metainfo that says where a torrent may be had: trackers (BEP 3,
 * 12), web seeds (BEP 19), nodes of the DHT (BEP 5).  For metainfo.c only. */

/* Bencoded values as they came; of any kind, or not there at all. */
struct metainfo_sources {
	struct span announce;
	struct span announce_list;
	struct span url_list;
	struct span nodes;
};

/* Put into `m`, whose info was read, what is of use; the rest is left out and
 * nothing is refused.  False: out of memory. */
bool metainfo_sources_read(
	const struct metainfo_sources *sources, struct metainfo *m);

#endif
