#ifndef CLIENT_PEER_CONVERSATION_H
#define CLIENT_PEER_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/peer/extension_talk.h"
#include "client/peer/request.h"
#include "client/peer/wire.h"
#include "client/torrent/torrent.h"
#include "shared/buffer.h"

/* What to say to a peer next, and what was wrong with what it said (BEP 3, 6,
 * 9, 10, 11, 54).  No socket and no clock: messages, blocks and the time come
 * in, bytes to send and requests to serve come out.
 *
 * Belongs to one worker.  It deals with the torrent under the torrent's lock;
 * everything else is its own. */

enum {
	/* Requests of ours under way at most; a peer's `reqq` bounds it too. */
	CONVERSATION_MAX_ASKED = 500,
	/* Requests of a peer that wait: what we tell it as `reqq`. */
	CONVERSATION_MAX_WANTED = 500,
	CONVERSATION_MAX_ARRIVALS = 64,
	/* Small messages waiting to go out; beyond half of it nothing more is
	 * read.  A bitfield of the largest torrent fits. */
	CONVERSATION_MAX_OUT = 1024 * 1024,
	/* Blocks nobody asked for, before the peer is dropped. */
	CONVERSATION_MAX_UNASKED = 16,
	/* Pieces that a peer may lose (BEP 54); we do not hear of more. */
	CONVERSATION_MAX_LOST = 256,

	CONVERSATION_SILENCE_MS = 128 * 1000,    /* then the peer is gone */
	CONVERSATION_KEEP_ALIVE_MS = 100 * 1000, /* BEP 3 says 120 s */
	/* No byte of a block for so long: its blocks go to others.  Twice as
	 * long: they are forgotten, and one is asked for now and then. */
	CONVERSATION_SNUBBED_MS = 15 * 1000,
	/* A request that waits so long, whatever else comes, goes to others. */
	CONVERSATION_ANSWER_MS = 60 * 1000,
	/* It refused a block though it does not choke us, or let it wait so
	 * long: others may take that up before it is asked again. */
	CONVERSATION_REST_MS = 1000,
	/* Both have what they want: time for the last HAVEs to be read. */
	CONVERSATION_FAREWELL_MS = 2 * 1000,
};

enum conversation_verdict {
	CONVERSATION_GOES_ON,
	CONVERSATION_PROTOCOL_ERROR,
	CONVERSATION_CORRUPT, /* it gave a bad piece */
	CONVERSATION_SILENT,
	CONVERSATION_USELESS, /* both have what they want */
};

struct conversation {
	struct torrent *torrent;
	struct torrent_peer peer;
	const char *reason; /* why the verdict, for a person */

	bool fast;
	bool am_choking;
	bool am_interested;
	bool peer_choking;
	bool peer_interested;
	bool snubbed;
	bool give_only;        /* we seed: never ask for anything */
	bool told_upload_only; /* BEP 21, of us */
	uint16_t port;         /* ours, as we say it */

	struct extension_talk extensions;
	unsigned lost;     /* pieces it said it has no longer */
	uint16_t dht_port; /* by its first PORT; 0: none came */

	struct bitfield have; /* ours, as far as we have told it */
	size_t news_at;       /* our place in the torrent's log */
	uint32_t useful;      /* pieces that it has, and we lack and want */

	/* Requests of ours, in the order sent. */
	size_t asked_count;
	size_t depth; /* how many may be under way now */
	struct block_id asked[CONVERSATION_MAX_ASKED];
	uint64_t asked_ms[CONVERSATION_MAX_ASKED];
	bool released[CONVERSATION_MAX_ASKED]; /* given to others since */
	size_t may_ask;      /* requests that may be made; SIZE_MAX: no limit */
	uint64_t requests;   /* that were made, ever ... */
	uint64_t answered;   /* ... and answered by a block */
	unsigned unasked;    /* blocks that came without being asked for */
	size_t late_allowed; /* of these, that may come: asked for before */

	/* Blocks that came since the last conversation_flush(). */
	size_t arrival_count;
	struct arrival arrivals[CONVERSATION_MAX_ARRIVALS];

	/* Requests of the peer, a ring. */
	size_t wanted_head, wanted_count;
	struct block_ref wanted[CONVERSATION_MAX_WANTED];

	struct buffer out; /* small messages to be sent */
	uint64_t payload;  /* bytes of whole blocks that came */

	uint64_t heard_ms;    /* when anything last came */
	uint64_t block_ms;    /* when bytes of a block last came, or asked */
	uint64_t overdue_ms;  /* when requests were last looked through */
	uint64_t rest_ms;     /* since when it is not asked; 0: it is */
	uint64_t sent_ms;     /* when anything was last written */
	uint64_t farewell_ms; /* both complete since; 0: not */

	/* What it gives us, for the depth. */
	uint64_t rate;          /* bytes a second */
	uint64_t round_trip_ms; /* the least from a request to its block */
	uint64_t window_ms;     /* the rate's window began */
	uint64_t window_bytes;
};

struct conversation_start {
	struct torrent *torrent;
	struct endpoint address;
	int wake_fd;
	bool fast; /* both sides speak it */
	bool extended;
	bool give_only;    /* we seed, perhaps only a part: never ask */
	uint16_t port;     /* ours, for the extended handshake */
	bool pex;          /* tell it of others, and listen; never if private */
	uint16_t dht_port; /* of our DHT node; 0: do not say; private: not */
	/* While the metadata was fetched it was told that we have nothing, and
	 * greeted once: what we have since is told as news. */
	bool told_nothing;
};

/* Handshakes have been exchanged.  False: out of memory.  Joins the torrent and
 * writes our bitfield (or HAVEs) and extended handshake. */
bool conversation_begin(struct conversation *c,
	const struct conversation_start *start, uint64_t now_ms);

/* Leaves the torrent, and frees.  Blocks not flushed must have been taken out.
 */
void conversation_end(struct conversation *c);

/* A whole message came, other than PIECE. */
enum conversation_verdict conversation_message(struct conversation *c,
	const struct wire_message *message, uint64_t now_ms);

/* The header of a PIECE came.  BLOCK_ASKED: receive it into memory of its own
 * and hand it to conversation_arrived().  BLOCK_UNASKED: skip it. */
enum conversation_block { BLOCK_ASKED, BLOCK_UNASKED };
enum conversation_block conversation_expect(
	struct conversation *c, const struct block_ref *block);

/* Was exactly this block asked for? */
bool conversation_knows(
	const struct conversation *c, const struct block_ref *block);

/* Too many blocks came unasked. */
bool conversation_tired(const struct conversation *c);

/* A block is there whole.  Flush when conversation_arrivals_full(). */
void conversation_arrived(
	struct conversation *c, const struct block_ref *block, uint8_t *memory);
static inline bool conversation_arrivals_full(const struct conversation *c)
{
	return c->arrival_count == CONVERSATION_MAX_ARRIVALS;
}

/* Hand the arrived blocks to the torrent.  Full pieces, for finishers, go to
 * `ret_full` (room for CONVERSATION_MAX_ARRIVALS); memory not taken is left in
 * c->arrivals[0 .. *ret_left), to be given back. */
size_t conversation_flush(
	struct conversation *c, struct open_piece **ret_full, size_t *ret_left);

/* `len` bytes of blocks that were asked for came. */
void conversation_received(struct conversation *c, size_t len, uint64_t now_ms);

/* May more messages be taken in?  Not while too much waits to go out. */
bool conversation_can_take(const struct conversation *c);

/* Time-outs, news for the peer, requests to be made.  Call it whenever the
 * worker comes round. */
enum conversation_verdict conversation_tick(
	struct conversation *c, uint64_t now_ms);

/* How many requests it would make now, if c->may_ask allows it.  That becomes
 * less by each one; without a limit it is left alone. */
size_t conversation_room(const struct conversation *c, uint64_t now_ms);

/* Requests that no block will answer any more, ever. */
static inline uint64_t conversation_lost_requests(const struct conversation *c)
{
	return c->requests - c->answered - c->asked_count;
}

/* Does it wait for blocks to ask for? */
bool conversation_hungry(const struct conversation *c);

/* Has something happened that conversation_tick() would act upon? */
bool conversation_has_news(const struct conversation *c);

/* When conversation_tick() is due without anything else happening. */
uint64_t conversation_deadline(const struct conversation *c);

/* Take the next requests of the peer to be served, at most `max` and together
 * at most `max_bytes` (at least one). */
size_t conversation_next_wanted(struct conversation *c, struct block_ref *ret,
	size_t max, size_t max_bytes);

/* Bytes that it would give. */
size_t conversation_wanted_bytes(
	const struct conversation *c, size_t max, size_t max_bytes);

/* It cannot be served after all. */
void conversation_refuse(struct conversation *c, const struct block_ref *block);

/* Tell the peer who else is there: extension_talk_tell(). */
void conversation_tell_swarm(struct conversation *c,
	const struct pex_peer *swarm, size_t count, uint64_t now_ms);

/* Choke or unchoke it. */
void conversation_choke(struct conversation *c, bool choke);

#endif
