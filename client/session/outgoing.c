#include "client/session/outgoing.h"

#include <stdlib.h>

#include "client/session/rate_limit.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "shared/piece_check.h"

void outgoing_begin(struct outgoing *o, struct session_torrent *st,
	struct conversation *conversation)
{
	*o = (struct outgoing){.st = st, .conversation = conversation};
}

void outgoing_end(struct outgoing *o)
{
	buffer_finish(&o->messages);
	free(o->data);
	piece_check_destroy(o->check);
	*o = (struct outgoing){0};
}

/* Small messages: take over the conversation's buffer, give it ours, empty. */
static void add_messages(struct outgoing *o)
{
	struct buffer empty = o->messages;

	if (o->conversation->out.len == 0)
		return;
	o->messages = o->conversation->out;
	if (empty.max == 0)
		buffer_init(&empty, CONVERSATION_MAX_OUT);
	empty.len = 0;
	o->conversation->out = empty;
	o->iov[o->count++] = (struct iovec){o->messages.bytes, o->messages.len};
}

/* Requests that may be served now, by the limit: one at a time when there is
 * one, since a block goes out whole. */
static size_t choose_limited(struct outgoing *o, uint64_t now_ms,
	struct block_ref *ret, uint64_t *ret_wait_ms)
{
	struct rate_limit *limit = o->st->session->upload_limit;
	unsigned wait_ms = 0;

	if (!o->held) {
		if (conversation_next_wanted(
			    o->conversation, &o->held_block, 1, 1) == 0)
			return 0;
		o->held = true;
		o->held_bytes = 0;
	}
	o->held_bytes += rate_limit_take(
		limit, now_ms, o->held_block.length - o->held_bytes, &wait_ms);
	if (o->held_bytes < o->held_block.length) {
		if (wait_ms < *ret_wait_ms)
			*ret_wait_ms = wait_ms;
		return 0;
	}
	o->held = false;
	*ret = o->held_block;
	return 1;
}

static size_t choose(struct outgoing *o, uint64_t now_ms, struct block_ref *ret,
	uint64_t *ret_wait_ms)
{
	if (rate_limit_is_limited(o->st->session->upload_limit))
		return choose_limited(o, now_ms, ret, ret_wait_ms);
	return conversation_next_wanted(
		o->conversation, ret, OUTGOING_BLOCKS, OUTGOING_BYTES);
}

/* How many of the requests lie together, so that one read brings them. */
static size_t run_length(const struct block_ref *refs, size_t count)
{
	size_t n = 1;

	while (n < count && refs[n].piece == refs[0].piece &&
		refs[n].begin == refs[n - 1].begin + refs[n - 1].length)
		n++;
	return n;
}

static void add_block(
	struct outgoing *o, size_t i, const struct block_ref *ref, uint8_t *at)
{
	struct writer w = writer_of(o->headers[i], sizeof(o->headers[i]));

	wire_write_piece_header(&w, ref);
	o->iov[o->count++] =
		(struct iovec){o->headers[i], WIRE_PIECE_HEADER_SIZE};
	o->iov[o->count++] = (struct iovec){at, ref->length};
	o->payload += ref->length;
}

/* Returns whether any requests were dealt with, served or refused. */
static bool add_blocks(
	struct outgoing *o, uint64_t now_ms, uint64_t *ret_wait_ms)
{
	struct block_ref refs[OUTGOING_BLOCKS];
	size_t count;

	if (o->conversation->wanted_count == 0 && !o->held) {
		/* It may not ask again for long. */
		free(o->data);
		o->data = NULL;
		return false;
	}
	if (!o->data)
		o->data = malloc(OUTGOING_BYTES);
	if (!o->data)
		return false; /* later, perhaps */
	count = choose(o, now_ms, refs, ret_wait_ms);

	uint8_t *at = o->data;
	for (size_t i = 0, run; i < count; i += run) {
		size_t len = 0;

		run = run_length(refs + i, count - i);
		for (size_t j = i; j < i + run; j++)
			len += refs[j].length;
		bool served =
			session_torrent_read(o->st, refs[i].piece,
				refs[i].begin, at, len, &o->check) == SERVED;
		for (size_t j = i; j < i + run; j++) {
			if (served)
				add_block(o, j, &refs[j], at);
			else
				conversation_refuse(o->conversation, &refs[j]);
			at += refs[j].length;
		}
	}
	return count > 0;
}

void outgoing_fill(struct outgoing *o, uint64_t now_ms, uint64_t *ret_wait_ms)
{
	if (!outgoing_empty(o))
		return;
	o->next = o->count = 0;
	o->payload = 0;
	do /* again if all were refused: there are REJECTs to send, or others */
		add_messages(o);
	while (add_blocks(o, now_ms, ret_wait_ms) && outgoing_empty(o));
}

void outgoing_choke(struct outgoing *o)
{
	if (!o->held)
		return;
	o->held = false;
	rate_limit_return(o->st->session->upload_limit, o->held_bytes);
	conversation_refuse(o->conversation, &o->held_block);
}

enum stream_result outgoing_send(
	struct outgoing *o, struct stream *stream, uint64_t *ret_payload)
{
	enum stream_result result;
	size_t len;

	*ret_payload = 0;
	result =
		stream_send(stream, o->iov + o->next, o->count - o->next, &len);
	if (result != STREAM_MOVED)
		return result;
	while (o->next < o->count && len >= o->iov[o->next].iov_len)
		len -= o->iov[o->next++].iov_len;
	if (o->next < o->count) {
		struct iovec *part = &o->iov[o->next];
		part->iov_base = (uint8_t *)part->iov_base + len;
		part->iov_len -= len;
	} else {
		*ret_payload = o->payload;
		o->payload = 0;
	}
	return STREAM_MOVED;
}
