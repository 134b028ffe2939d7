#include "client/peer/wire.h"

#include <assert.h>

#include "shared/metainfo.h"
#include "shared/reader.h"

enum {
	LENGTH_SIZE = 4,
	/* `length` of the messages: the id, then so many bytes of payload. */
	PLAIN_LENGTH = 1,
	INDEX_LENGTH = 1 + 4,
	BLOCK_LENGTH = 1 + 12,
	PORT_LENGTH = 1 + 2,
	PIECE_LENGTH = 1 + 8, /* and the block, which is not empty */
	BITFIELD_MAX_LENGTH = 1 + METAINFO_MAX_PIECES / 8,
};

_Static_assert(WIRE_MAX_EXTENDED >= (int)BITFIELD_MAX_LENGTH &&
		WIRE_MAX_EXTENDED >= PIECE_LENGTH + BLOCK_SIZE,
	"the extended message is the largest of all");

/* What `length` may be, both borders allowed. */
static const struct rule {
	uint32_t min;
	uint32_t max; /* 0: no such message */
	bool fast;    /* only where both sides speak BEP 6 */
} rules[] = {
	[WIRE_CHOKE] = {PLAIN_LENGTH, PLAIN_LENGTH, false},
	[WIRE_UNCHOKE] = {PLAIN_LENGTH, PLAIN_LENGTH, false},
	[WIRE_INTERESTED] = {PLAIN_LENGTH, PLAIN_LENGTH, false},
	[WIRE_NOT_INTERESTED] = {PLAIN_LENGTH, PLAIN_LENGTH, false},
	[WIRE_HAVE] = {INDEX_LENGTH, INDEX_LENGTH, false},
	[WIRE_BITFIELD] = {2, BITFIELD_MAX_LENGTH, false},
	[WIRE_REQUEST] = {BLOCK_LENGTH, BLOCK_LENGTH, false},
	[WIRE_PIECE] = {PIECE_LENGTH + 1, PIECE_LENGTH + BLOCK_SIZE, false},
	[WIRE_CANCEL] = {BLOCK_LENGTH, BLOCK_LENGTH, false},
	[WIRE_PORT] = {PORT_LENGTH, PORT_LENGTH, false},
	[WIRE_SUGGEST] = {INDEX_LENGTH, INDEX_LENGTH, true},
	[WIRE_HAVE_ALL] = {PLAIN_LENGTH, PLAIN_LENGTH, true},
	[WIRE_HAVE_NONE] = {PLAIN_LENGTH, PLAIN_LENGTH, true},
	[WIRE_REJECT] = {BLOCK_LENGTH, BLOCK_LENGTH, true},
	[WIRE_ALLOWED_FAST] = {INDEX_LENGTH, INDEX_LENGTH, true},
	[WIRE_EXTENDED] = {2, WIRE_MAX_EXTENDED, false},
};
enum { RULES = sizeof(rules) / sizeof(rules[0]) };

static bool is_known(uint8_t id) { return id < RULES && rules[id].max > 0; }

static struct rule rule_for(uint8_t id, uint32_t piece_count)
{
	if (!is_known(id))
		return (struct rule){PLAIN_LENGTH, WIRE_MAX_UNKNOWN, false};
	if (id == WIRE_BITFIELD && piece_count > 0) {
		uint32_t exact = 1 + piece_count / 8 + (piece_count % 8 != 0);
		return (struct rule){exact, exact, false};
	}
	return rules[id];
}

enum wire_judgement wire_read_prefix(struct span bytes, uint32_t piece_count,
	bool fast, struct wire_prefix *ret)
{
	struct reader r = reader_of(bytes.at, bytes.len);
	uint32_t length = reader_u32(&r);

	if (r.bad)
		return WIRE_MORE;
	if (length == 0) {
		*ret = (struct wire_prefix){WIRE_KEEP_ALIVE, LENGTH_SIZE};
		return WIRE_OK;
	}
	if (length > WIRE_MAX_EXTENDED)
		return WIRE_BROKEN;

	uint8_t id = reader_u8(&r);
	if (r.bad)
		return WIRE_MORE;

	struct rule rule = rule_for(id, piece_count);
	if (length < rule.min || length > rule.max || (rule.fast && !fast))
		return WIRE_BROKEN;
	ret->id = is_known(id) ? (enum wire_id)id : WIRE_UNKNOWN;
	ret->size = LENGTH_SIZE + length;
	return WIRE_OK;
}

bool wire_read(const struct wire_prefix *prefix, struct span bytes,
	struct wire_message *ret)
{
	struct wire_message m = {.id = prefix->id};
	struct reader r = reader_of(bytes.at, bytes.len);

	(void)reader_u32(&r);
	if (prefix->id != WIRE_KEEP_ALIVE)
		(void)reader_u8(&r);
	switch (prefix->id) {
	case WIRE_KEEP_ALIVE:
	case WIRE_CHOKE:
	case WIRE_UNCHOKE:
	case WIRE_INTERESTED:
	case WIRE_NOT_INTERESTED:
	case WIRE_HAVE_ALL:
	case WIRE_HAVE_NONE:
		break;
	case WIRE_HAVE:
	case WIRE_SUGGEST:
	case WIRE_ALLOWED_FAST:
		m.piece = reader_u32(&r);
		break;
	case WIRE_REQUEST:
	case WIRE_CANCEL:
	case WIRE_REJECT:
		if (!block_ref_read(&r, &m.block))
			return false;
		break;
	case WIRE_PIECE:
		/* The block itself goes straight into its place. */
		m.piece = reader_u32(&r);
		m.block.piece = m.piece;
		m.block.begin = reader_u32(&r);
		if (r.bad || prefix->size <= WIRE_PIECE_HEADER_SIZE)
			return false;
		m.block.length = prefix->size - WIRE_PIECE_HEADER_SIZE;
		*ret = m;
		return true;
	case WIRE_PORT:
		m.port = reader_u16(&r);
		break;
	case WIRE_BITFIELD:
	case WIRE_UNKNOWN:
		m.payload = reader_rest(&r);
		break;
	case WIRE_EXTENDED:
		m.extended_id = reader_u8(&r);
		m.payload = reader_rest(&r);
		break;
	}
	if (!reader_done(&r) || bytes.len != prefix->size)
		return false;
	*ret = m;
	return true;
}

static void write_prefix(struct writer *w, size_t length, enum wire_id id)
{
	assert(length <= WIRE_MAX_EXTENDED);
	writer_u32(w, (uint32_t)length);
	writer_u8(w, (uint8_t)id);
}

void wire_write_keep_alive(struct writer *w) { writer_u32(w, 0); }

void wire_write_plain(struct writer *w, enum wire_id id)
{
	write_prefix(w, PLAIN_LENGTH, id);
}

void wire_write_piece_index(struct writer *w, enum wire_id id, uint32_t piece)
{
	write_prefix(w, INDEX_LENGTH, id);
	writer_u32(w, piece);
}

void wire_write_block(
	struct writer *w, enum wire_id id, const struct block_ref *b)
{
	write_prefix(w, BLOCK_LENGTH, id);
	writer_u32(w, b->piece);
	writer_u32(w, b->begin);
	writer_u32(w, b->length);
}

void wire_write_piece_header(struct writer *w, const struct block_ref *b)
{
	write_prefix(w, (size_t)PIECE_LENGTH + b->length, WIRE_PIECE);
	writer_u32(w, b->piece);
	writer_u32(w, b->begin);
}

void wire_write_bitfield(struct writer *w, const uint8_t *bits, size_t len)
{
	write_prefix(w, 1 + len, WIRE_BITFIELD);
	writer_bytes(w, bits, len);
}

void wire_write_port(struct writer *w, uint16_t port)
{
	write_prefix(w, PORT_LENGTH, WIRE_PORT);
	writer_u16(w, port);
}

void wire_write_extended(
	struct writer *w, uint8_t extended_id, const void *payload, size_t len)
{
	write_prefix(w, 2 + len, WIRE_EXTENDED);
	writer_u8(w, extended_id);
	writer_bytes(w, payload, len);
}
