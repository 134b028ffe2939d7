#ifndef CLIENT_SESSION_WORKER_POOL_H
#define CLIENT_SESSION_WORKER_POOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "client/discovery/peer_queue.h"
#include "client/session/mailbox.h"
#include "shared/announce.h"
#include "shared/endpoint.h"
#include "shared/error.h"

struct choker_peer;
struct session_context;

/* The fixed pool of workers: who is free, who talks to whom.  A worker belongs
 * to the coordinator's hands while free, and to its peer until it has ended and
 * the coordinator has heard of it (worker_pool_release).
 *
 * Threads: create, stop and destroy by the main thread; assign, release,
 * stop_..., held, make_room, counts, look and grant by the coordinator; meet
 * and the rest of struct worker by that worker. */
struct worker_pool;

/* What a worker is about, as others may see it. */
struct worker {
	unsigned index;
	struct worker_pool *pool;
	const struct session_context *session;
	struct mailbox mailbox;

	/* Read by the coordinator, for the display and for who goes first. */
	_Atomic uint64_t since_ms;  /* the peer came */
	_Atomic uint64_t useful_ms; /* payload last moved, either way */
	atomic_int torrent;         /* index, once it is known; else -1 */
	atomic_bool met;            /* handshakes are exchanged */
	atomic_bool peer_is_seed;
	atomic_bool peer_offers; /* it has something that we lack, ... */
	atomic_bool peer_chokes; /* ... but does not let us ask for it */
	atomic_bool limited;     /* ... but the download limit does not */

	/* What the choker goes by. */
	_Atomic uint64_t gave, took; /* bytes of blocks; the peer did */
	atomic_bool peer_interested;
	atomic_bool peer_asks;  /* requests of it wait */
	atomic_bool peer_snubs; /* it owes us blocks and is silent */

	/* By the coordinator: the peer is to be served when it wants that. */
	atomic_bool unchoke;
};

struct worker_pool *worker_pool_create(unsigned count,
	const struct session_context *session, struct error *err);

/* Ask all to end, and wait for them.  NULL is allowed. */
void worker_pool_stop(struct worker_pool *pool);

/* Free what was stopped.  The workers' wake-ups end here: no thread that may
 * have been about to write to one is there any more (torrent.h, rate_limit.h).
 * NULL is allowed. */
void worker_pool_destroy(struct worker_pool *pool);

unsigned worker_pool_size(const struct worker_pool *pool);
unsigned worker_pool_free(const struct worker_pool *pool);

/* Give a peer to a free worker; its socket is then the worker's.  False: none
 * is free, or the pool is closing. */
bool worker_pool_assign(struct worker_pool *pool, const struct candidate *c);

/* The worker's end was heard of: it is free. */
void worker_pool_release(struct worker_pool *pool, unsigned worker);

/* All who talk for this torrent (-1: all). */
void worker_pool_stop_torrent(struct worker_pool *pool, int torrent);

/* The peer at this address gave bad data; with `whole_ip`, whoever else talks
 * from its IP is to go as well. */
void worker_pool_stop_address(
	struct worker_pool *pool, const struct endpoint *guilty, bool whole_ip);

/* Wake those whose peer has dialled us and waits for our handshake: a torrent
 * has been opened.  Whom we have dialled waits for none, and a dial that is
 * woken begins anew.  Any thread. */
void worker_pool_nudge(struct worker_pool *pool);

/* How many talk with peers of this address' host. */
unsigned worker_pool_held(
	struct worker_pool *pool, const struct endpoint *address);

/* So many newcomers wait, and the host of the first has `held` workers
 * (UINT_MAX: it is we who want to dial): let go of as many peers that do no
 * good, if there are (PROMISES, "full pool"); of those whose host has most
 * workers first, then of the longest idle, and sooner where its host has many
 * more than the newcomer's or many wait.  Those that were asked to go before
 * and are still here count. */
void worker_pool_make_room(struct worker_pool *pool, unsigned newcomers,
	unsigned held, uint64_t now_ms);

struct worker_counts {
	unsigned connected;
	unsigned seeds;
	unsigned offering; /* have something that we lack */
	unsigned choking;  /* of these, do not let us ask for it */
	unsigned limited;  /* of these, the download limit does not */
	unsigned dialling; /* workers that have not met their peer yet */
};
struct worker_counts worker_pool_counts(
	const struct worker_pool *pool, int torrent);

/* What the choker goes by, of each worker's peer; `ret`: worker_pool_size() of
 * them. */
void worker_pool_look(struct worker_pool *pool, struct choker_peer *ret);

/* What it decided.  The worker is woken only if it is news to its peer. */
void worker_pool_grant(struct worker_pool *pool, unsigned worker, bool unchoke);

/* By a worker: the peer says it is `peer_id`.  Of two connections with a peer
 * one goes, and one side decides, or each might close what the other keeps.
 * When both have dialled it is the larger id, which keeps what it has dialled;
 * when one has, that one, which keeps the first that it met.  The other side
 * waits, and asks again once woken, until one of them has ended. */
enum meeting { MEETING_STAYS, MEETING_GOES, MEETING_UNDECIDED };
enum meeting worker_pool_meet(struct worker *worker, int torrent,
	const uint8_t peer_id[PEER_ID_SIZE], bool dialled);

/* The loop of one worker's conversation; in worker.c. */
struct worker_result {
	enum peer_end ended;
	int torrent;
	bool got_data;
	bool lacks;
	uint16_t listen_port;
};
struct worker_result worker_talk(
	struct worker *worker, const struct candidate *candidate);

#endif
