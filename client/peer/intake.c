#include "client/peer/intake.h"

#include <stdlib.h>
#include <string.h>

#include "client/torrent/block_pool.h"
#include "shared/metainfo.h"

void intake_begin(struct intake *in, struct conversation *conversation,
	struct block_pool *pool)
{
	*in = (struct intake){.conversation = conversation, .pool = pool};
}

void intake_rest(struct intake *in)
{
	if (in->ahead_count == 0)
		return;
	block_pool_give(in->pool, in->ahead, in->ahead_count);
	in->ahead_count = 0;
}

void intake_end(struct intake *in)
{
	intake_rest(in);
	if (in->memory)
		block_pool_give(in->pool, &in->memory, 1);
	free(in->line);
	free(in->skipped);
	*in = (struct intake){0};
}

void intake_return(struct intake *in, uint8_t *memory)
{
	if (in->ahead_count < INTAKE_AHEAD)
		in->ahead[in->ahead_count++] = memory;
	else
		block_pool_give(in->pool, &memory, 1);
}

/* ---- where the next bytes belong ---- */

struct plan {
	struct iovec *iov;
	size_t count;
	size_t left; /* bytes that may still be planned */
};

/* False: the plan is full. */
static bool plan_add(struct plan *p, uint8_t *at, size_t len)
{
	size_t fits = len < p->left ? len : p->left;

	if (fits == 0)
		return false;
	p->iov[p->count++] = (struct iovec){at, fits};
	p->left -= fits;
	return p->left > 0;
}

/* Room for `len` more bytes in line, behind those that are there. */
static bool line_room(struct intake *in, size_t len)
{
	if (in->line_start > 0 && in->line_len > 0)
		memmove(in->line, in->line + in->line_start, in->line_len);
	in->line_start = 0;

	size_t needed = in->line_len + len;
	if (needed <= in->line_capacity)
		return true;
	uint8_t *more = realloc(in->line, needed);
	if (!more)
		return false;
	in->line = more;
	in->line_capacity = needed;
	return true;
}

static bool plan_line(struct intake *in, struct plan *p)
{
	struct wire_prefix prefix;
	size_t more = INTAKE_LINE;

	/* A long message that has begun is awaited whole: its length was judged
	 * before. */
	if (in->line_len > 0 &&
		wire_read_prefix(
			(struct span){in->line + in->line_start, in->line_len},
			torrent_metainfo(in->conversation->torrent)
				->piece_count,
			in->conversation->fast, &prefix) == WIRE_OK &&
		prefix.size > in->line_len + more)
		more = prefix.size - in->line_len;
	if (!line_room(in, more))
		return false;
	plan_add(p, in->line + in->line_len, more);
	return true;
}

/* How many more blocks are due after the one under way? */
static size_t blocks_due(const struct intake *in)
{
	size_t due = in->conversation->asking.count;

	if (in->in_block && !in->skipping && due > 0)
		due--;
	return due < INTAKE_AHEAD ? due : INTAKE_AHEAD;
}

static void plan_ahead(struct intake *in, size_t due, struct plan *p)
{
	if (in->ahead_count < due)
		in->ahead_count += block_pool_take(in->pool,
			in->ahead + in->ahead_count, due - in->ahead_count);
	for (size_t i = 0; i < due && i < in->ahead_count; i++) {
		size_t begun = i == 0 ? in->header_filled : 0;

		in->planned = i + 1;
		if (!plan_add(p, in->headers[i] + begun,
			    WIRE_PIECE_HEADER_SIZE - begun) ||
			!plan_add(p, in->ahead[i], BLOCK_SIZE))
			return;
	}
}

size_t intake_plan(
	struct intake *in, struct iovec ret[INTAKE_IOVS], size_t max_bytes)
{
	struct plan p = {.iov = ret, .left = max_bytes};
	size_t due = blocks_due(in);

	in->planned = 0;
	if (in->in_block) {
		uint8_t *to = in->memory ? in->memory + in->filled : NULL;
		uint32_t missing = in->block.length - in->filled;
		uint32_t fits = missing < BLOCK_SIZE ? missing : BLOCK_SIZE;

		if (in->skipping) {
			if (!in->skipped)
				in->skipped = malloc(BLOCK_SIZE);
			to = in->skipped;
		}
		if (!to)
			return 0;
		if (!plan_add(&p, to, fits) || fits < missing)
			return p.count;
	}
	if (in->line_len == 0 && due > 0)
		plan_ahead(in, due, &p);
	/* Memory for blocks may have run out, or none is due. */
	if (p.count == 0 && in->header_filled > 0) {
		/* A header begun is in line then. */
		if (!line_room(in, WIRE_PIECE_HEADER_SIZE))
			return 0;
		memcpy(in->line, in->headers[0], in->header_filled);
		in->line_len = in->header_filled;
		in->header_filled = 0;
	}
	if (p.count == 0 && !plan_line(in, &p))
		return 0;
	return p.count;
}

/* ---- what came ---- */

static void block_done(struct intake *in)
{
	if (!in->skipping)
		asking_arrived(
			&in->conversation->asking, &in->block, in->memory);
	in->in_block = false;
	in->skipping = false;
	in->memory = NULL;
	in->filled = 0;
}

/* A header has been read; `memory` (may be NULL) is for its bytes.  Returns
 * whether the memory was taken. */
static bool block_begin(
	struct intake *in, const struct block_ref *block, uint8_t *memory)
{
	in->block = *block;
	in->filled = 0;
	in->in_block = true;
	in->skipping =
		asking_expect(&in->conversation->asking, block) != BLOCK_ASKED;
	if (in->skipping)
		return false;
	in->memory = memory;
	return true;
}

/* Up to `len` bytes for the block under way, copied unless they are in their
 * place already; returns how many. */
static size_t block_bytes(
	struct intake *in, const uint8_t *from, size_t len, uint64_t now_ms)
{
	size_t missing = in->block.length - in->filled;
	size_t n = len < missing ? len : missing;

	if (in->memory && from != in->memory + in->filled)
		memcpy(in->memory + in->filled, from, n);
	if (!in->skipping && n > 0)
		conversation_received(in->conversation, n, now_ms);
	in->filled += (uint32_t)n;
	if (in->filled == in->block.length)
		block_done(in);
	return n;
}

static void line_drop(struct intake *in, size_t len)
{
	in->line_start += len;
	in->line_len -= len;
	if (in->line_len == 0)
		in->line_start = 0;
}

/* A message in line of this size is not needed, wherever its end is. */
static void skip_message(struct intake *in, uint32_t size)
{
	size_t here = in->line_len < size ? in->line_len : size;

	line_drop(in, here);
	in->block = (struct block_ref){.length = size};
	in->filled = (uint32_t)here;
	in->in_block = in->skipping = true;
	if (in->filled == size)
		block_done(in);
}

static bool is_skipped(const struct wire_prefix *prefix)
{
	return prefix->id == WIRE_EXTENDED &&
		prefix->size > INTAKE_MAX_EXTENDED;
}

static bool read_piece_header(
	const struct intake *in, const uint8_t *bytes, struct block_ref *ret)
{
	struct span header = {bytes, WIRE_PIECE_HEADER_SIZE};
	struct wire_prefix prefix;
	struct wire_message message;

	if (wire_read_prefix(header,
		    torrent_metainfo(in->conversation->torrent)->piece_count,
		    in->conversation->fast, &prefix) != WIRE_OK ||
		prefix.id != WIRE_PIECE ||
		!wire_read(&prefix, header, &message))
		return false;
	*ret = message.block;
	return true;
}

/* Can these bytes, fewer than its header, be the beginning of a PIECE?  Shorter
 * messages must not wait for more bytes to come. */
static bool may_be_piece(
	const struct intake *in, const uint8_t *bytes, size_t len)
{
	struct wire_prefix prefix;

	switch (wire_read_prefix((struct span){bytes, len},
		torrent_metainfo(in->conversation->torrent)->piece_count,
		in->conversation->fast, &prefix)) {
	case WIRE_MORE:
		return true;
	case WIRE_OK:
		return prefix.id == WIRE_PIECE;
	case WIRE_BROKEN:
		break;
	}
	return false;
}

static enum conversation_verdict broken(struct intake *in, const char *reason)
{
	in->conversation->reason = reason;
	return CONVERSATION_PROTOCOL_ERROR;
}

/* Memory for a block whose bytes are in line already. */
static uint8_t *memory_in_hand(struct intake *in)
{
	uint8_t *memory = NULL;

	if (in->ahead_count > 0)
		memory = in->ahead[--in->ahead_count];
	else
		(void)block_pool_take(in->pool, &memory, 1);
	return memory;
}

static enum conversation_verdict piece_in_line(
	struct intake *in, uint64_t now_ms)
{
	struct block_ref block;

	if (!read_piece_header(in, in->line + in->line_start, &block))
		return broken(in, "malformed PIECE");
	line_drop(in, WIRE_PIECE_HEADER_SIZE);

	uint8_t *memory = memory_in_hand(in);
	if (!memory)
		return broken(in, "out of memory");
	if (!block_begin(in, &block, memory))
		intake_return(in, memory);
	if (asking_tired(&in->conversation->asking))
		return broken(in, "blocks that nobody asked for");
	line_drop(in,
		block_bytes(
			in, in->line + in->line_start, in->line_len, now_ms));
	return CONVERSATION_GOES_ON;
}

/* All whole messages in line. */
static enum conversation_verdict read_line(struct intake *in, uint64_t now_ms)
{
	struct conversation *c = in->conversation;
	uint32_t pieces = torrent_metainfo(c->torrent)->piece_count;

	while (in->line_len > 0 && !in->in_block && conversation_can_take(c) &&
		!asking_arrivals_full(&c->asking)) {
		struct span bytes = {in->line + in->line_start, in->line_len};
		enum conversation_verdict verdict;
		struct wire_prefix prefix;
		struct wire_message message;

		switch (wire_read_prefix(bytes, pieces, c->fast, &prefix)) {
		case WIRE_MORE:
			return CONVERSATION_GOES_ON;
		case WIRE_BROKEN:
			return broken(in, "malformed message");
		case WIRE_OK:
			break;
		}
		if (is_skipped(&prefix)) {
			skip_message(in, prefix.size);
			verdict = CONVERSATION_GOES_ON;
		} else if (prefix.id == WIRE_PIECE) {
			if (bytes.len < WIRE_PIECE_HEADER_SIZE)
				return CONVERSATION_GOES_ON;
			verdict = piece_in_line(in, now_ms);
		} else {
			if (bytes.len < prefix.size)
				return CONVERSATION_GOES_ON;
			bytes.len = prefix.size;
			if (!wire_read(&prefix, bytes, &message))
				return broken(in, "malformed message");
			verdict = conversation_message(c, &message, now_ms);
			line_drop(in, prefix.size);
		}
		if (verdict != CONVERSATION_GOES_ON)
			return verdict;
	}
	return CONVERSATION_GOES_ON;
}

/* The rest of what was planned turned out to be something else: bring it into
 * line, from the header of planned block `i` on. */
static bool fall_into_line(struct intake *in, size_t i, size_t len)
{
	size_t begun = i == 0 ? in->header_filled : 0;

	if (!line_room(in, begun + len))
		return false;
	memcpy(in->line, in->headers[i], begun);
	in->line_len = begun;
	in->header_filled = 0;
	for (size_t skip = begun; len > 0; i++, skip = 0) {
		size_t n = WIRE_PIECE_HEADER_SIZE - skip;

		n = len < n ? len : n;
		memcpy(in->line + in->line_len, in->headers[i] + skip, n);
		in->line_len += n;
		len -= n;
		n = len < BLOCK_SIZE ? len : BLOCK_SIZE;
		memcpy(in->line + in->line_len, in->ahead[i], n);
		in->line_len += n;
		len -= n;
	}
	return true;
}

/* The first `count` blocks of memory have been used, or not. */
static void drop_ahead(struct intake *in, size_t count)
{
	in->ahead_count -= count;
	memmove(in->ahead, in->ahead + count,
		in->ahead_count * sizeof(in->ahead[0]));
}

/* What was planned as header, block, header, block...  `*used`: how much of the
 * memory ahead is the conversation's or the block's under way now. */
static bool take_ahead(
	struct intake *in, size_t len, size_t *used, uint64_t now_ms)
{
	for (size_t i = 0; len > 0; i++) {
		size_t begun = i == 0 ? in->header_filled : 0;
		size_t missing = WIRE_PIECE_HEADER_SIZE - begun;
		struct block_ref block;

		if (len < missing) {
			if (!may_be_piece(in, in->headers[i], begun + len))
				return fall_into_line(in, i, len);
			if (i > 0)
				memcpy(in->headers[0], in->headers[i], len);
			in->header_filled = begun + len;
			return true;
		}
		if (!read_piece_header(in, in->headers[i], &block) ||
			block.length != BLOCK_SIZE ||
			!asking_knows(&in->conversation->asking, &block))
			return fall_into_line(in, i, len);
		len -= missing;
		in->header_filled = 0;
		block_begin(in, &block, in->ahead[i]);
		*used = i + 1;
		len -= block_bytes(in, in->ahead[i], len, now_ms);
	}
	return true;
}

enum conversation_verdict intake_take(
	struct intake *in, size_t len, uint64_t now_ms)
{
	enum conversation_verdict verdict = CONVERSATION_GOES_ON;

	if (in->in_block) {
		size_t missing = in->block.length - in->filled;
		size_t n = len < missing ? len : missing;

		len -= block_bytes(in,
			in->memory ? in->memory + in->filled : in->skipped, n,
			now_ms);
	}
	if (in->planned > 0 && len > 0) {
		size_t used = 0;
		bool ok = take_ahead(in, len, &used, now_ms);

		drop_ahead(in, used);
		if (!ok)
			return broken(in, "out of memory");
	} else {
		in->line_len += len;
	}
	if (in->line_len > 0)
		verdict = read_line(in, now_ms);

	/* A header that has begun in line goes on in its place, so that its
	 * block can be received in place too. */
	if (in->line_len > 0 && in->line_len < WIRE_PIECE_HEADER_SIZE &&
		in->conversation->asking.count > 0 && !in->in_block &&
		may_be_piece(in, in->line + in->line_start, in->line_len)) {
		memcpy(in->headers[0], in->line + in->line_start, in->line_len);
		in->header_filled = in->line_len;
		line_drop(in, in->line_len);
	}
	return verdict;
}

bool intake_replay(struct intake *in, struct span bytes)
{
	if (bytes.len == 0)
		return true;
	if (!line_room(in, bytes.len))
		return false;
	memcpy(in->line + in->line_len, bytes.at, bytes.len);
	in->line_len += bytes.len;
	return true;
}

bool intake_pending(const struct intake *in)
{
	struct wire_prefix prefix;

	if (in->line_len == 0 || in->in_block)
		return false;

	struct span bytes = {in->line + in->line_start, in->line_len};
	if (wire_read_prefix(bytes,
		    torrent_metainfo(in->conversation->torrent)->piece_count,
		    in->conversation->fast, &prefix) != WIRE_OK)
		return false;
	return bytes.len >= prefix.size || is_skipped(&prefix) ||
		(prefix.id == WIRE_PIECE &&
			bytes.len >= WIRE_PIECE_HEADER_SIZE);
}

enum conversation_verdict intake_resume(struct intake *in, uint64_t now_ms)
{
	return read_line(in, now_ms);
}
