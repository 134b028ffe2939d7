#ifndef CLIENT_SESSION_GREETING_H
#define CLIENT_SESSION_GREETING_H

#include <stdbool.h>

#include "client/discovery/peer_queue.h"
#include "client/peer/handshake.h"
#include "client/peer/stream.h"

struct worker;

/* How a conversation comes about: dial if need be, exchange handshakes, find
 * out which torrent it is about; all within GREETING_MS, however it trickles,
 * and within GREETING_WAITED_MS if it had to wait for a worker.  Who is to
 * choose between two connections with us has so long to close one, or we do. */
enum {
	GREETING_DIAL_MS = 10 * 1000,
	GREETING_MS = 10 * 1000,
	GREETING_WAITED_MS = 15 * 1000,
	GREETING_UNDECIDED_MS = 5 * 1000,
};

struct greeting {
	struct stream stream;
	struct handshake theirs;
	int torrent;
	enum peer_end failed; /* why, on false */
	const char *reason;   /* the same for a person */
};

/* False: `ret->failed` says why; the stream is closed.  Nothing is sent to who
 * dialled us before the info hash is known to be ours. */
bool greet(struct worker *worker, const struct candidate *candidate,
	struct greeting *ret);

#endif
