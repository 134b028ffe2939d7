#include "client/peer/metadata_talk.h"

#include <string.h>

enum { SMALL_MESSAGE = 128 };

/* By its name for itself; rasterbar's begins with a small letter. */
static const char rtorrent[] = "libTorrent ";

static enum metadata_talk_verdict ends(struct metadata_talk *t,
	enum metadata_talk_verdict verdict, const char *reason)
{
	t->reason = reason;
	return verdict;
}

/* ---- writing ---- */

static void send_extended(
	struct metadata_talk *t, uint8_t id, const struct writer *payload)
{
	uint8_t message[2 * SMALL_MESSAGE];
	struct writer w = writer_of(message, sizeof(message));

	wire_write_extended(&w, id, payload->start, writer_len(payload));
	buffer_append(&t->out, w.start, writer_len(&w));
}

/* What it calls ut_metadata; 0: it does not speak it. */
static uint8_t metadata_id(const struct metadata_talk *t)
{
	return t->theirs.ids[EXTENSION_METADATA];
}

static void send_handshake(struct metadata_talk *t, uint16_t port)
{
	uint8_t payload[SMALL_MESSAGE];
	struct writer w = writer_of(payload, sizeof(payload));
	struct extended_handshake h = {
		.ids[EXTENSION_METADATA] = extension_our_id(EXTENSION_METADATA),
		.port = port,
		.client = "tbt " TBT_VERSION,
	};

	if (t->pex)
		h.ids[EXTENSION_PEX] = extension_our_id(EXTENSION_PEX);
	extension_write_handshake(&w, &h);
	send_extended(t, EXTENDED_HANDSHAKE_ID, &w);
}

static void send_metadata(
	struct metadata_talk *t, enum metadata_kind kind, uint32_t piece)
{
	uint8_t payload[SMALL_MESSAGE];
	struct writer w = writer_of(payload, sizeof(payload));

	metadata_write(
		&w, &(struct metadata_message){.kind = kind, .piece = piece});
	send_extended(t, metadata_id(t), &w);
}

/* ---- beginning and end ---- */

void metadata_talk_begin(struct metadata_talk *t,
	const struct metadata_talk_start *start, uint64_t now_ms)
{
	*t = (struct metadata_talk){
		.assembler = start->assembler,
		.from = start->from,
		.reason = "",
		.extended = start->extended,
		.pex = start->pex,
		.window = METADATA_TALK_ASKED,
		.answered_ms = now_ms,
	};
	buffer_init(&t->out, METADATA_TALK_MAX_OUT);
	if (start->fast) {
		uint8_t bytes[WIRE_PREFIX_SIZE];
		struct writer w = writer_of(bytes, sizeof(bytes));

		wire_write_plain(&w, WIRE_HAVE_NONE);
		buffer_append(&t->out, bytes, writer_len(&w));
	}
	if (t->extended)
		send_handshake(t, start->port);
}

/* The first `count` of the requests under way will not be answered. */
static void unask(struct metadata_talk *t, size_t count)
{
	for (size_t i = 0; i < count; i++)
		metadata_assembler_unask(
			t->assembler, &t->from, t->size, t->asked[i]);
	t->asked_count -= count;
	memmove(t->asked, t->asked + count,
		t->asked_count * sizeof(t->asked[0]));
}

void metadata_talk_end(struct metadata_talk *t)
{
	unask(t, t->asked_count);
	buffer_finish(&t->out);
}

/* ---- messages ---- */

static enum metadata_talk_verdict handshake(
	struct metadata_talk *t, struct span payload)
{
	if (!extension_read_handshake(payload, &t->theirs))
		return ends(t, METADATA_TALK_PROTOCOL_ERROR,
			"malformed extended handshake");
	/* rtorrent 0.9.8 stops reading for good when a request comes before the
	 * one before it has been answered. */
	if (strncmp(t->theirs.client, rtorrent, sizeof(rtorrent) - 1) == 0)
		t->window = 1;
	/* What was asked for belongs to the size that it said first. */
	if (t->asked_count == 0)
		t->size = t->theirs.metadata_size;
	return METADATA_TALK_GOES_ON;
}

/* Requests were lost on it: it keeps less of them than it is sent. */
static void lose(struct metadata_talk *t, size_t count)
{
	if (count == 0)
		return;
	unask(t, count);
	t->window = 1;
}

/* False: it was not asked for.  Who answers does so in order, so what was asked
 * before that is lost. */
static bool answered(struct metadata_talk *t, uint32_t piece, uint64_t now_ms)
{
	for (size_t i = 0; i < t->asked_count; i++) {
		if (t->asked[i] != piece)
			continue;
		lose(t, i);
		t->asked_count--;
		memmove(t->asked, t->asked + 1,
			t->asked_count * sizeof(t->asked[0]));
		t->asked_ms = now_ms;
		return true;
	}
	return false;
}

static enum metadata_talk_verdict given(struct metadata_talk *t,
	const struct metadata_message *m, uint64_t now_ms)
{
	if (!answered(t, m->piece, now_ms))
		return METADATA_TALK_GOES_ON;
	if (m->total_size != t->size) {
		metadata_assembler_unask(
			t->assembler, &t->from, t->size, m->piece);
		return ends(t, METADATA_TALK_PROTOCOL_ERROR,
			"metadata of another size than it said");
	}
	t->answered_ms = now_ms;
	switch (metadata_assembler_take(t->assembler, &t->from, m, now_ms)) {
	case METADATA_IMPLAUSIBLE:
		return ends(t, METADATA_TALK_PROTOCOL_ERROR,
			"metadata that cannot be");
	case METADATA_TAKEN:
		t->gave = true;
		break;
	case METADATA_WRONG: /* the tick tells whose fault it was */
		break;
	case METADATA_WHOLE:
		t->gave = true;
		return ends(t, METADATA_TALK_DONE, "metadata is complete");
	}
	return METADATA_TALK_GOES_ON;
}

static enum metadata_talk_verdict metadata(
	struct metadata_talk *t, struct span payload, uint64_t now_ms)
{
	struct metadata_message m;

	if (!metadata_read(payload, &m))
		return ends(t, METADATA_TALK_PROTOCOL_ERROR,
			"malformed metadata message");
	switch (m.kind) {
	case METADATA_REQUEST:
		if (metadata_id(t) != 0)
			send_metadata(t, METADATA_REJECT, m.piece);
		break;
	case METADATA_DATA:
		return given(t, &m, now_ms);
	case METADATA_REJECT:
		if (answered(t, m.piece, now_ms)) {
			metadata_assembler_unask(
				t->assembler, &t->from, t->size, m.piece);
			t->refused_ms = now_ms;
		}
		break;
	case METADATA_UNKNOWN:
		break;
	}
	return METADATA_TALK_GOES_ON;
}

enum metadata_talk_verdict metadata_talk_message(struct metadata_talk *t,
	const struct wire_message *message, uint64_t now_ms)
{
	if (message->id != WIRE_EXTENDED)
		return METADATA_TALK_GOES_ON;
	if (!t->extended)
		return ends(t, METADATA_TALK_PROTOCOL_ERROR,
			"extended message without the extended bit");
	if (message->extended_id == EXTENDED_HANDSHAKE_ID)
		return handshake(t, message->payload);
	if (message->extended_id == extension_our_id(EXTENSION_METADATA))
		return metadata(t, message->payload, now_ms);
	if (t->pex && message->extended_id == extension_our_id(EXTENSION_PEX) &&
		!pex_hear(&t->heard, message->payload, &t->from, now_ms))
		return ends(t, METADATA_TALK_PROTOCOL_ERROR,
			"malformed peer exchange");
	return METADATA_TALK_GOES_ON;
}

/* ---- time ---- */

static void ask(struct metadata_talk *t, uint64_t now_ms)
{
	uint64_t patience_ms =
		t->window > 1 ? METADATA_TALK_LOST_MS : METADATA_ANSWER_MS;
	uint32_t piece;

	if (now_ms - t->asked_ms >= patience_ms)
		lose(t, t->asked_count);
	if (metadata_id(t) == 0 || t->size == 0 ||
		(t->refused_ms != 0 &&
			now_ms - t->refused_ms < METADATA_TALK_REST_MS))
		return;
	while (t->asked_count < t->window &&
		metadata_assembler_next(
			t->assembler, &t->from, t->size, now_ms, &piece)) {
		for (size_t i = 0; i < t->asked_count; i++) {
			if (t->asked[i] == piece)
				return; /* it is on its way */
		}
		t->asked[t->asked_count++] = piece;
		t->asked_ms = now_ms;
		send_metadata(t, METADATA_REQUEST, piece);
	}
}

enum metadata_talk_verdict metadata_talk_tick(
	struct metadata_talk *t, uint64_t now_ms)
{
	if (metadata_assembler_whole(t->assembler).len > 0)
		return ends(t, METADATA_TALK_DONE, "metadata is complete");
	if (!metadata_assembler_trusts(t->assembler, &t->from))
		return ends(
			t, METADATA_TALK_PROTOCOL_ERROR, "gave wrong metadata");
	if (!t->extended)
		return ends(t, METADATA_TALK_USELESS, "cannot give metadata");
	if (now_ms - t->answered_ms >= METADATA_TALK_IDLE_MS)
		return ends(t, METADATA_TALK_USELESS, "gives no metadata");
	if (t->out.failed)
		return ends(t, METADATA_TALK_PROTOCOL_ERROR,
			"does not read what is sent");
	ask(t, now_ms);
	return METADATA_TALK_GOES_ON;
}
