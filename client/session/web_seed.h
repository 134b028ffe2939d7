#ifndef CLIENT_SESSION_WEB_SEED_H
#define CLIENT_SESSION_WEB_SEED_H

#include <stddef.h>

struct session_torrent;
struct web_seeds;

/* The web seeds of a torrent (BEP 19): HTTP servers that have its files.  Each
 * in use has a thread, which takes part in the torrent as a peer that has
 * everything: it reserves blocks, asks for them by ranges over libcurl, and
 * hands them in.
 *
 * A few of those that the torrent names are used at once.  The next takes the
 * place of one that failed, and that one has its turn again after 5 s, doubling
 * to 10 min; or never, if it turned out to be none.
 *
 * Who lies is judged as any peer is, but by web_seed_place_address() and not by
 * the address of the server: this may be a proxy's or a host of many sites, and
 * other web seeds or peers behind it are not to blame. */

/* When the torrent is being downloaded: those of `urls` (at most
 * METAINFO_MAX_WEB_SEEDS), which outlive them.  NULL: there are none, or there
 * was no memory or thread, of which a warning tells. */
struct web_seeds *web_seeds_start(
	struct session_torrent *st, const char *const *urls, size_t count);

/* Begin to end; returns at once.  NULL is allowed. */
void web_seeds_stop(struct web_seeds *seeds);

/* Join the threads, after web_seeds_stop(); NULL is allowed.  The finishers
 * must still be there. */
void web_seeds_join(struct web_seeds *seeds);

/* Free, after those of all torrents have been joined and the workers and
 * finishers have ended, all of whom may wake them.  NULL is allowed. */
void web_seeds_destroy(struct web_seeds *seeds);

#endif
