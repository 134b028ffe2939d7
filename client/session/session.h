#ifndef CLIENT_SESSION_SESSION_H
#define CLIENT_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/session/events.h"
#include "shared/endpoint.h"
#include "shared/error.h"

struct dht_entrance;
struct magnet;
struct metainfo;
struct selection_list;

/* One process's work: torrents that share a port, a worker pool and limits.
 * Makes everything, starts and stops it in order.
 *
 *	session_create, session_add..., session_start,
 *	wait on session_fd() and signals, session_stop, session_destroy
 *
 * Threads: these functions are called by the main thread only. */
struct session;

enum session_order { ORDER_SEQUENTIAL, ORDER_RAREST };

/* What it points to outlives the session. */
struct session_options {
	/* port_first = port_last = 0: any free one; else the first free. */
	uint16_t port_first;
	uint16_t port_last;
	const struct endpoint *bind; /* NULL: all, IPv4 and IPv6 */
	unsigned workers;
	const struct endpoint *peers; /* --peer */
	size_t peer_count;
	uint64_t download_limit; /* bytes a second, 0: none */
	uint64_t upload_limit;
	enum session_order order;
	const struct selection_list *select; /* files that are leeched */
	bool seed_after;      /* a leech goes on seeding when complete */
	uint64_t seed_time_s; /* UINT64_MAX: without end */
	double seed_ratio;    /* < 0: none */
	bool no_pex;
	bool no_lsd;
	bool no_portmap;
	bool no_dht;
	/* To enter the DHT by; none: the usual public ones.  Live as long as
	 * the session. */
	const struct dht_entrance *dht_nodes;
	size_t dht_node_count;
};

struct session *session_create(const struct session_options *options,
	struct events *events, struct error *err);

enum session_mode { SESSION_LEECH, SESSION_SEED, SESSION_SEED_PARTIAL };

/* Add a torrent before the start: `m` outlives the session.  `folder`/`name`
 * as in storage_open().  Opens the storage; content is checked after the
 * start. */
bool session_add(struct session *s, const struct metainfo *m,
	const char *folder, const char *name, enum session_mode mode,
	struct error *err);

/* The same for a magnet link, which outlives the session, to be leeched: its
 * metadata is fetched after the start. */
bool session_add_magnet(struct session *s, const struct magnet *magnet,
	const char *folder, struct error *err);

/* Listen, start the threads, begin with the checks. */
bool session_start(struct session *s, struct error *err);

/* Readable when every torrent has ended by itself (done seeding, or failed). */
int session_fd(const struct session *s);

/* Stop everything: state saved, trackers told; within 5 s, or the process is
 * ended with status 1.  True when every torrent did its job: a leech is
 * complete, a seed had no error.  Errors were told by EVENT_ERROR; the first is
 * left in `err`. */
bool session_stop(struct session *s, struct error *err);

/* NULL is allowed. */
void session_destroy(struct session *s);

#endif
