#ifndef CLIENT_PEER_METADATA_EXCHANGE_H
#define CLIENT_PEER_METADATA_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "client/peer/extension.h"
#include "shared/endpoint.h"
#include "shared/info_hash.h"
#include "shared/span.h"
#include "shared/writer.h"

/* The info dictionary goes from peer to peer (BEP 9): the messages, and how
 * pieces become a whole.  Pure. */

enum {
	METADATA_PIECE_SIZE = 16 * 1024,
	METADATA_MAX_SIZE = EXTENSION_MAX_METADATA_SIZE,
	METADATA_MAX_PIECES = METADATA_MAX_SIZE / METADATA_PIECE_SIZE,
	/* The longest payload that we write. */
	METADATA_MESSAGE_SIZE = 128 + METADATA_PIECE_SIZE,
};

/* ---- messages ---- */

enum metadata_kind {
	METADATA_REQUEST = 0,
	METADATA_DATA = 1,
	METADATA_REJECT = 2,
	METADATA_UNKNOWN, /* to be ignored */
};

struct metadata_message {
	enum metadata_kind kind;
	uint32_t piece;
	uint32_t total_size; /* DATA */
	struct span data;    /* DATA: at most METADATA_PIECE_SIZE bytes */
};

/* Read the payload of a ut_metadata message; `data` points into it.  False:
 * malformed, or a piece that there cannot be. */
bool metadata_read(struct span payload, struct metadata_message *ret);

/* Write it; not UNKNOWN. */
void metadata_write(struct writer *w, const struct metadata_message *m);

/* The bytes of piece `piece` of `size` (1..METADATA_MAX_SIZE) bytes; 0: there
 * is no such piece. */
uint32_t metadata_piece_size(uint32_t size, uint32_t piece);

/* ---- a whole of pieces ---- */

/* Several peers give pieces of what should be the same.  What they say of its
 * size is believed in so far as a piece that fits it has come; pieces of each
 * claimed size go to one buffer.  When the whole has the wrong hash, a sole
 * giver has lied.  Of several nobody knows which: from then on each of these
 * gives the whole alone, so that none can spoil what others give.
 *
 * Not locked. */
struct metadata_assembler;

enum {
	METADATA_BUFFERS = 4,           /* at once; the slowest makes room */
	METADATA_ANSWER_MS = 10 * 1000, /* then somebody else is asked */
	METADATA_MAX_NOTES = 256,       /* on who lied, or is alone */
};

/* NULL: out of memory. */
struct metadata_assembler *metadata_assembler_create(
	const struct info_hash *hash);
void metadata_assembler_destroy(struct metadata_assembler *a);

/* Which piece is to be asked of `from`, who says that there are `size` bytes?
 * It then counts as asked.  False: none, for the time being. */
bool metadata_assembler_next(struct metadata_assembler *a,
	const struct endpoint *from, uint32_t size, uint64_t now_ms,
	uint32_t *ret_piece);

/* A piece that was asked will not come from there. */
void metadata_assembler_unask(struct metadata_assembler *a,
	const struct endpoint *from, uint32_t size, uint32_t piece);

/* A DATA message came from who was asked for it. */
enum metadata_verdict {
	METADATA_TAKEN,
	METADATA_IMPLAUSIBLE, /* it does not fit the size it names: a lie */
	METADATA_WRONG,       /* that made a whole, with the wrong hash */
	METADATA_WHOLE,       /* ... with the right one */
};
enum metadata_verdict metadata_assembler_take(struct metadata_assembler *a,
	const struct endpoint *from, const struct metadata_message *m,
	uint64_t now_ms);

/* It did not lie, as far as is known. */
bool metadata_assembler_trusts(
	const struct metadata_assembler *a, const struct endpoint *from);

/* The info dictionary, once it is WHOLE; len 0 before.  Lives as long as the
 * assembler. */
struct span metadata_assembler_whole(const struct metadata_assembler *a);

#endif
