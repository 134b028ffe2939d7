#include "client/peer/say.h"

/* The longest of these: a length, an id and three numbers. */
enum { SMALL_MESSAGE = 17 };

static void append(struct buffer *out, const struct writer *w)
{
	buffer_append(out, w->start, writer_len(w));
}

void say_keep_alive(struct buffer *out)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_keep_alive(&w);
	append(out, &w);
}

void say_plain(struct buffer *out, enum wire_id id)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_plain(&w, id);
	append(out, &w);
}

void say_have(struct buffer *out, uint32_t piece)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_piece_index(&w, WIRE_HAVE, piece);
	append(out, &w);
}

void say_block(
	struct buffer *out, enum wire_id id, const struct block_ref *block)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_block(&w, id, block);
	append(out, &w);
}

void say_port(struct buffer *out, uint16_t port)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_port(&w, port);
	append(out, &w);
}
