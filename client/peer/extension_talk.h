#ifndef CLIENT_PEER_EXTENSION_TALK_H
#define CLIENT_PEER_EXTENSION_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/peer/extension.h"
#include "client/peer/pex.h"
#include "shared/buffer.h"
#include "shared/endpoint.h"

struct metainfo;
struct wire_message;

/* The part of a conversation that is spoken in the extension protocol (BEP 10):
 * the handshake, metadata for who came by a magnet link (BEP 9), who else is
 * there (BEP 11), pieces that are there no longer (BEP 54).  No socket and no
 * clock: what is to be said is appended to a buffer.  Belongs to one worker. */

enum {
	/* Metadata is given to a peer so often; further requests for it are
	 * rejected. */
	EXTENSION_METADATA_TIMES = 3,
};

struct extension_talk {
	const struct metainfo *m;
	bool spoken; /* by both sides */
	bool pex;    /* BEP 11 is, if the peer speaks it too */

	struct extended_handshake theirs; /* reqq: the default at first */

	uint64_t metadata_given; /* bytes */

	struct pex_heard heard; /* for the worker to take */
	struct pex_told told;
	uint64_t pex_due_ms; /* when it may be told more */
};

/* `m` outlives it.  `pex`: tell the peer of others, and listen; it is not done
 * for a private torrent. */
void extension_talk_begin(struct extension_talk *t, const struct metainfo *m,
	bool spoken, bool pex, uint64_t now_ms);

/* Our handshake, if it is spoken.  Of `facts` the port, `reqq`, upload_only and
 * yourip are taken. */
void extension_talk_greet(const struct extension_talk *t, struct buffer *out,
	const struct extended_handshake *facts);

/* An extended message came from the peer at `address`.  LOST: of a piece that
 * it has no longer, which is *ret_piece.  BROKEN: *ret_reason says why. */
enum extension_heard { EXTENSION_HEARD, EXTENSION_LOST, EXTENSION_BROKEN };
enum extension_heard extension_talk_message(struct extension_talk *t,
	const struct wire_message *message, const struct endpoint *address,
	uint64_t now_ms, struct buffer *out, uint32_t *ret_piece,
	const char **ret_reason);

/* Tell it that we have a piece no longer.  False: it does not understand. */
bool extension_talk_lose(
	const struct extension_talk *t, struct buffer *out, uint32_t piece);

/* May it be told of others at all? */
static inline bool extension_talk_tells_pex(const struct extension_talk *t)
{
	return t->pex && t->theirs.ids[EXTENSION_PEX] != 0;
}

/* Is it time to tell the peer at `address` who else is there?  Then tell it:
 * `swarm` is who we are connected to, itself included or not. */
bool extension_talk_pex_due(const struct extension_talk *t, uint64_t now_ms);
void extension_talk_tell(struct extension_talk *t, struct buffer *out,
	const struct endpoint *address, const struct pex_peer *swarm,
	size_t count, uint64_t now_ms);

#endif
