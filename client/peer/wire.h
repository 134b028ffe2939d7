#ifndef CLIENT_PEER_WIRE_H
#define CLIENT_PEER_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/peer/request.h"
#include "shared/span.h"
#include "shared/writer.h"

/* Messages of the peer protocol to bytes and back (BEP 3, 6, 10).  Pure.
 *
 * On the wire: u32 length, then u8 id and payload; length 0 is a keep-alive. */

enum wire_id {
	WIRE_CHOKE = 0,
	WIRE_UNCHOKE = 1,
	WIRE_INTERESTED = 2,
	WIRE_NOT_INTERESTED = 3,
	WIRE_HAVE = 4,
	WIRE_BITFIELD = 5,
	WIRE_REQUEST = 6,
	WIRE_PIECE = 7,
	WIRE_CANCEL = 8,
	WIRE_PORT = 9,     /* BEP 5 */
	WIRE_SUGGEST = 13, /* BEP 6 */
	WIRE_HAVE_ALL = 14,
	WIRE_HAVE_NONE = 15,
	WIRE_REJECT = 16,
	WIRE_ALLOWED_FAST = 17,
	WIRE_EXTENDED = 20,    /* BEP 10 */
	WIRE_KEEP_ALIVE = 256, /* has no id on the wire */
	WIRE_UNKNOWN = 257,
};

enum {
	WIRE_PREFIX_SIZE = 5,            /* length and id */
	WIRE_PIECE_HEADER_SIZE = 13,     /* length, id, piece, begin */
	WIRE_MAX_EXTENDED = 1024 * 1024, /* bytes of an extended message */
	WIRE_MAX_UNKNOWN = 1024,         /* of one that we do not know */
};

/* A whole message, checked as to its form; spans point into the input. */
struct wire_message {
	enum wire_id id;
	uint32_t piece; /* HAVE, SUGGEST, ALLOWED_FAST, PIECE */
	struct block_ref
		block;       /* REQUEST, CANCEL, REJECT; PIECE: with length */
	uint16_t port;       /* PORT */
	uint8_t extended_id; /* EXTENDED */
	struct span payload; /* BITFIELD, EXTENDED (after its id) */
};

/* What the first bytes of a message say about the whole. */
struct wire_prefix {
	enum wire_id id;
	uint32_t size; /* bytes of the whole message, prefix included */
};

enum wire_judgement {
	WIRE_MORE, /* too few bytes to tell */
	WIRE_OK,
	WIRE_BROKEN, /* drop the peer */
};

/* Judge a message by its first 4 or 5 bytes, before its body is awaited: fixed
 * sizes exactly, the bitfield exactly ceil(piece_count / 8), PIECE at most
 * 9 + BLOCK_SIZE, EXTENDED at most WIRE_MAX_EXTENDED.  Messages of BEP 6 are
 * BROKEN unless `fast`.  `piece_count` 0 means that we do not know it yet
 * (metadata is still to come): a bitfield of up to METAINFO_MAX_PIECES bits. */
enum wire_judgement wire_read_prefix(struct span bytes, uint32_t piece_count,
	bool fast, struct wire_prefix *ret);

/* Read a message that is there whole (its prefix was judged OK, `bytes` is
 * exactly prefix.size long).  For PIECE the payload is not looked at, so only
 * its WIRE_PIECE_HEADER_SIZE bytes need be there.  False: malformed. */
bool wire_read(const struct wire_prefix *prefix, struct span bytes,
	struct wire_message *ret);

void wire_write_keep_alive(struct writer *w);

/* CHOKE, UNCHOKE, INTERESTED, NOT_INTERESTED, HAVE_ALL, HAVE_NONE. */
void wire_write_plain(struct writer *w, enum wire_id id);

/* HAVE, SUGGEST, ALLOWED_FAST. */
void wire_write_piece_index(struct writer *w, enum wire_id id, uint32_t piece);

/* REQUEST, CANCEL, REJECT. */
void wire_write_block(
	struct writer *w, enum wire_id id, const struct block_ref *b);

/* The 13 bytes before a block's own. */
void wire_write_piece_header(struct writer *w, const struct block_ref *b);

void wire_write_bitfield(struct writer *w, const uint8_t *bits, size_t len);
void wire_write_port(struct writer *w, uint16_t port);
void wire_write_extended(
	struct writer *w, uint8_t extended_id, const void *payload, size_t len);

#endif
