#ifndef CLIENT_SESSION_PEER_SOURCES_H
#define CLIENT_SESSION_PEER_SOURCES_H

#include <stdint.h>

struct portmap;
struct session_context;
struct session_options;
struct session_torrent;

/* Where the peers of a session's torrents come from, and how they find us:
 * trackers, the DHT, LSD, and a port that the router maps.  Starts and stops
 * them, and puts what they find into the session's queue.  Private torrents
 * have their trackers only (BEP 27): a session that has no other torrent opens
 * none of the rest.
 *
 * Threads: all is called by the main thread but peer_sources_track(), which is
 * the starter's and the fetchers', each for its own torrent. */
struct peer_sources {
	/* Private to peer_sources.c. */
	struct session_context *context;
	const struct session_options *options;
	uint32_t key; /* tells trackers that it is still us */
	struct portmap *portmap;
};

/* Nothing is started.  `context` and `options` outlive it. */
void peer_sources_init(struct peer_sources *p, struct session_context *context,
	const struct session_options *options);

/* DHT and LSD, once the port and the torrents are known and before other
 * threads look into the context.  Those that cannot be opened are done without.
 */
void peer_sources_open(struct peer_sources *p);

/* Have the port mapped; when all else has started. */
void peer_sources_map_port(struct peer_sources *p);

/* Tell the trackers of that torrent, from now on. */
void peer_sources_track(struct peer_sources *p, struct session_torrent *st);

/* Begin to end what takes a while, without waiting: first the port, then, when
 * nobody calls peer_sources_track() any more, the trackers are told. */
void peer_sources_unmap_port(struct peer_sources *p);
void peer_sources_leave_trackers(struct peer_sources *p);

/* DHT and LSD; nobody else looks into the context any more. */
void peer_sources_close(struct peer_sources *p);

/* Wait for what began to end. */
void peer_sources_finish(struct peer_sources *p);

#endif
