#ifndef CLIENT_PEER_CONVERSATION_H
#define CLIENT_PEER_CONVERSATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/peer/asking.h"
#include "client/peer/extension_talk.h"
#include "client/peer/piece_talk.h"
#include "client/peer/wanted.h"
#include "client/peer/wire.h"
#include "client/torrent/torrent.h"
#include "shared/buffer.h"

/* What to say to a peer next, and what was wrong with what it said (BEP 3, 6,
 * 9, 10, 11, 54).  No socket and no clock: messages, blocks and the time come
 * in, bytes to send and requests to serve come out.  Its parts have headers of
 * their own; here they are brought together, and choking and time are seen to.
 *
 * Belongs to one worker.  It deals with the torrent under the torrent's lock;
 * everything else is its own. */

enum {
	/* Small messages waiting to go out; beyond half of it nothing more is
	 * read.  A bitfield of the largest torrent fits. */
	CONVERSATION_MAX_OUT = 1024 * 1024,

	CONVERSATION_SILENCE_MS = 128 * 1000,    /* then the peer is gone */
	CONVERSATION_KEEP_ALIVE_MS = 100 * 1000, /* BEP 3 says 120 s */
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
	bool give_only;        /* we seed: never ask for anything */
	bool told_upload_only; /* BEP 21, of us */
	uint16_t port;         /* ours, as we say it */
	uint16_t dht_port;     /* of its DHT node, by its first PORT; or 0 */

	struct piece_talk pieces;         /* who has what */
	struct asking asking;             /* our requests */
	struct wanted wanted;             /* its requests */
	struct extension_talk extensions; /* what is said beyond BEP 3 and 6 */

	struct buffer out; /* small messages to be sent */

	uint64_t heard_ms;    /* when anything last came */
	uint64_t sent_ms;     /* when anything was last written */
	uint64_t farewell_ms; /* both complete since; 0: not */
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

/* A whole message came, other than PIECE, which goes to c->asking. */
enum conversation_verdict conversation_message(struct conversation *c,
	const struct wire_message *message, uint64_t now_ms);

/* `len` bytes of blocks that were asked for came. */
void conversation_received(struct conversation *c, size_t len, uint64_t now_ms);

/* May more messages be taken in?  Not while too much waits to go out. */
bool conversation_can_take(const struct conversation *c);

/* Time-outs, news for the peer, requests to be made.  Call it whenever the
 * worker comes round. */
enum conversation_verdict conversation_tick(
	struct conversation *c, uint64_t now_ms);

/* How many requests it would make now: asking_room(), or 0 while it may not
 * ask. */
size_t conversation_room(const struct conversation *c, uint64_t now_ms);

/* Is the peer a seed, or has it all that it wants? */
bool conversation_peer_is_done(const struct conversation *c);

/* Does it wait for blocks to ask for? */
bool conversation_hungry(const struct conversation *c);

/* Has something happened that conversation_tick() would act upon? */
bool conversation_has_news(const struct conversation *c);

/* When conversation_tick() is due without anything else happening. */
uint64_t conversation_deadline(const struct conversation *c);

/* A request taken from c->wanted cannot be served after all. */
void conversation_refuse(struct conversation *c, const struct block_ref *block);

/* Tell the peer who else is there: extension_talk_tell(). */
void conversation_tell_swarm(struct conversation *c,
	const struct pex_peer *swarm, size_t count, uint64_t now_ms);

/* Choke or unchoke it. */
void conversation_choke(struct conversation *c, bool choke);

#endif
