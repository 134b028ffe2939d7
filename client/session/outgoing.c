#include "client/session/outgoing.h"

#include <stdlib.h>

#include "client/session/serving.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "shared/piece_check.h"

void outgoing_begin(struct outgoing *o, struct session_torrent *st,
	struct conversation *conversation, int wake_fd)
{
	*o = (struct outgoing){.st = st,
		.conversation = conversation,
		.turn.wake_fd = wake_fd};
}

void outgoing_end(struct outgoing *o)
{
	rate_limit_leave(o->st->session->upload_limit, &o->turn);
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

/* Requests that may be served now.  Under a limit blocks still go out whole:
 * one that trickled out would hold up our own requests behind it. */
static size_t choose(struct outgoing *o, uint64_t now_ms, struct block_ref *ret,
	uint64_t *ret_wait_ms)
{
	struct rate_limit *limit = o->st->session->upload_limit;
	struct wanted *w = &o->conversation->wanted;

	if (rate_limit_rate(limit) == 0)
		return wanted_take(w, ret, OUTGOING_BLOCKS, OUTGOING_BYTES);

	size_t wanted = wanted_bytes(w, OUTGOING_BLOCKS, OUTGOING_BYTES);
	size_t granted =
		rate_limit_take(limit, &o->turn, now_ms, wanted, ret_wait_ms);
	if (granted == 0)
		return 0;
	size_t count = wanted_take(w, ret, OUTGOING_BLOCKS, granted);
	int64_t left = (int64_t)granted;
	for (size_t i = 0; i < count; i++)
		left -= ret[i].length;
	rate_limit_return(limit, left);
	return count;
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

	if (o->conversation->wanted.count == 0) {
		/* It may not ask again for long. */
		rate_limit_leave(o->st->session->upload_limit, &o->turn);
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
		bool served = serving_read(o->st, refs[i].piece, refs[i].begin,
				      at, len, &o->check) == SERVED;
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
