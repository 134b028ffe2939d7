#ifndef CLIENT_SESSION_OUTGOING_H
#define CLIENT_SESSION_OUTGOING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "client/peer/conversation.h"
#include "client/peer/stream.h"
#include "client/peer/wire.h"
#include "client/session/rate_limit.h"

struct piece_check;
struct session_torrent;

/* What goes out to a peer: one batch at a time of small messages and blocks,
 * read from disk in as few calls as they lie together, sent by one writev.  A
 * batch is bounded, so what is unsent of a peer is, too; while one is under way
 * the conversation goes on.  Belongs to one worker. */
enum {
	/* In a batch.  Fewer cost both sides processor time: each batch wakes
	 * somebody.  More bring little, and this is memory for each peer. */
	OUTGOING_BLOCKS = 32,
	OUTGOING_BYTES = 512 * 1024,
};

struct outgoing {
	struct session_torrent *st;
	struct conversation *conversation;
	struct piece_check *check; /* made when content must be hashed again */

	struct buffer messages; /* of the batch */
	uint8_t headers[OUTGOING_BLOCKS][WIRE_PIECE_HEADER_SIZE];
	uint8_t *data; /* OUTGOING_BYTES, while there are blocks to send */
	struct iovec iov[1 + 2 * OUTGOING_BLOCKS];
	size_t next, count; /* entries of iov still to be sent: [next, count) */
	uint64_t payload;   /* bytes of blocks in the batch, until it is out */

	struct rate_turn turn; /* in the line for the rate limit */
};

/* `wake_fd` as in struct rate_turn. */
void outgoing_begin(struct outgoing *o, struct session_torrent *st,
	struct conversation *conversation, int wake_fd);
void outgoing_end(struct outgoing *o);

static inline bool outgoing_empty(const struct outgoing *o)
{
	return o->next == o->count;
}

/* If nothing is under way: make the next batch of what the conversation has to
 * say and its peer has asked for.  *ret_wait_ms becomes less when the rate
 * limit wants that. */
void outgoing_fill(struct outgoing *o, uint64_t now_ms, uint64_t *ret_wait_ms);

/* Has its peer something to wait for? */
static inline bool outgoing_owes(const struct outgoing *o)
{
	return o->payload > 0 || o->conversation->wanted.count > 0;
}

/* Send of the batch what can be sent.  MOVED: something was, perhaps all; then
 * *ret_payload tells the bytes of blocks of a batch that is out. */
enum stream_result outgoing_send(
	struct outgoing *o, struct stream *stream, uint64_t *ret_payload);

#endif
