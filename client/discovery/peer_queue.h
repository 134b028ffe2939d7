#ifndef CLIENT_DISCOVERY_PEER_QUEUE_H
#define CLIENT_DISCOVERY_PEER_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* The door for peers, oldest first: trackers, DHT, PEX and --peer push
 * addresses to dial, the listener connections it has accepted, a worker the
 * peer it is done with.  The coordinator pulls them off.
 *
 * Threads: any may call push, pop and close at any time. */
struct peer_queue;

enum candidate_source {
	FROM_USER, /* --peer, x.pe of a magnet */
	FROM_TRACKER,
	FROM_PEX,
	FROM_DHT,
	FROM_LSD,
	FROM_LISTENER, /* with a socket */
	FROM_WORKER,   /* back from a conversation: see `ended` */
	FROM_GREETING, /* no candidate: `address`, dialled, has shaken hands */
	FROM_JUDGE,    /* no candidate: `address` gave bad data, ban it */
	FROM_KEEPER,   /* no candidate: `torrent` has changed its state */
	FROM_TRADER,   /* no candidate: a peer wants to be unchoked */
	FROM_MIRROR,   /* no candidate: `address` is what a peer sees us as */
};

/* How a conversation ended, for the book's rules about the address. */
enum peer_end {
	PEER_END_CLOSED,         /* the other side went, or an I/O error */
	PEER_END_UNREACHABLE,    /* the dial failed */
	PEER_END_NO_HANDSHAKE,   /* nothing, or not our protocol, or not our
				    torrent */
	PEER_END_OURSELVES,      /* our own peer id */
	PEER_END_DUPLICATE,      /* that peer id is connected already */
	PEER_END_PROTOCOL_ERROR, /* broke the protocol */
	PEER_END_CORRUPT,        /* sent bad pieces: banned */
	PEER_END_METADATA,       /* metadata came: now for the content */
	PEER_END_USELESS,        /* both complete, or nothing moved: for now */
	PEER_END_NEIGHBOURS,     /* others at its IP gave bad pieces */
	PEER_END_STOPPED,        /* we ended it */
};

struct candidate {
	enum candidate_source source;
	int torrent; /* index in the session; -1: not known (an accepted one) */
	struct endpoint address;
	int socket; /* an accepted connection, or -1: still to be dialled */
	unsigned waited_ms; /* it has, for a worker, since it was accepted */

	struct endpoint by; /* FROM_MIRROR only: who does */

	/* FROM_WORKER only. */
	enum peer_end ended;
	bool dialled;         /* by us: so the address can be dialled again */
	bool got_data;        /* it gave us a good piece */
	bool lacks;           /* it has not all that it wants */
	unsigned worker;      /* that is free now */
	uint16_t listen_port; /* of an accepted peer, by its `p`; 0: not said */
};

/* A queue for at most `capacity` (> 0) candidates; NULL: out of memory.  What
 * comes FROM_WORKER always finds room (`reserve` of them: the pool's size), and
 * so do PEER_QUEUE_NOTES of what comes FROM_JUDGE and FROM_KEEPER. */
enum { PEER_QUEUE_NOTES = 256 };
struct peer_queue *peer_queue_create(size_t capacity, size_t reserve);

/* Free the queue and close the sockets left in it; NULL is allowed.  No thread
 * may be inside any more: close the queue and join the others first. */
void peer_queue_destroy(struct peer_queue *q);

/* Add a candidate.  On true the socket belongs to the queue.  On false (full,
 * or closed) nothing happened and the socket is still the caller's: a flood
 * of addresses must not grow our memory, and a better chance comes with the
 * next announce. */
bool peer_queue_push(struct peer_queue *q, const struct candidate *c);

/* Wait for a candidate, at most `timeout_ms`, and take it; its socket is now
 * the caller's. */
enum peer_queue_result {
	PEER_QUEUE_TAKEN,
	PEER_QUEUE_TIMEOUT,
	PEER_QUEUE_CLOSED
};
enum peer_queue_result peer_queue_pop(
	struct peer_queue *q, unsigned timeout_ms, struct candidate *ret);

/* Wake every waiter; from now on push is false and pop CLOSED. */
void peer_queue_close(struct peer_queue *q);

#endif
