#ifndef CLIENT_PEER_EXTENSION_H
#define CLIENT_PEER_EXTENSION_H

#include <stdbool.h>
#include <stdint.h>

#include "client/peer/handshake.h"
#include "shared/endpoint.h"
#include "shared/span.h"
#include "shared/writer.h"

/* The extended handshake (BEP 10).  Pure. */

enum {
	EXTENDED_HANDSHAKE_ID = 0,
	EXTENSION_MAX_REQQ = 2000, /* what we believe of a peer's `reqq` */
	EXTENSION_DEFAULT_REQQ = 250,
	EXTENSION_MAX_METADATA_SIZE = 32 * 1024 * 1024,
};

enum extension_kind {
	EXTENSION_METADATA, /* ut_metadata, BEP 9 */
	EXTENSION_PEX,      /* ut_pex, BEP 11 */
	EXTENSION_DONTHAVE, /* lt_donthave, BEP 54 */
	EXTENSION_KINDS,
};

/* What we call a kind, and who sends us one calls it; 0 in a table means that
 * it is not understood. */
static inline uint8_t extension_our_id(enum extension_kind kind)
{
	return (uint8_t)(kind + 1);
}

struct extended_handshake {
	uint8_t ids[EXTENSION_KINDS];  /* 0: not spoken */
	uint16_t port;                 /* `p`; 0: not said */
	uint32_t reqq;                 /* clamped to 1..EXTENSION_MAX_REQQ */
	uint32_t metadata_size;        /* 0: not said or out of bounds */
	bool upload_only;              /* BEP 21 */
	char client[CLIENT_NAME_SIZE]; /* `v`: valid UTF-8, unescaped; "" */
	struct endpoint yourip; /* how the other side is seen, without port;
				   all 0: not said */
};

/* Write the payload (after the extended id).  Kinds whose id is 0 are left
 * out, so are zero fields. */
void extension_write_handshake(
	struct writer *w, const struct extended_handshake *h);

/* Read it; unknown and ill-typed entries are skipped.  A peer may send several,
 * of which each adds to those before it (BEP 10): `said` is what it has said so
 * far, zeroed at first.  False: not bencode; `said` is as before. */
bool extension_read_handshake(
	struct span payload, struct extended_handshake *said);

#endif
