#include "client/peer/extension_talk.h"

#include "client/peer/metadata_exchange.h"
#include "client/peer/wire.h"
#include "shared/metainfo.h"
#include "shared/reader.h"

enum {
	HANDSHAKE_MAX = 512,
	PAYLOAD_MAX = METADATA_MESSAGE_SIZE, /* of any of them */
	FRAME_SIZE = WIRE_PREFIX_SIZE + 2,   /* before a payload */
	DONTHAVE_SIZE = 4,                   /* a piece's index */
	/* Nobody is new: look again so soon. */
	PEX_LOOK_MS = 10 * 1000,
};

_Static_assert((int)PEX_MESSAGE_SIZE <= (int)PAYLOAD_MAX &&
		(int)HANDSHAKE_MAX <= (int)PAYLOAD_MAX,
	"every payload fits");

static void say(struct buffer *out, uint8_t id, const struct writer *payload)
{
	uint8_t message[PAYLOAD_MAX + FRAME_SIZE];
	struct writer w = writer_of(message, sizeof(message));

	wire_write_extended(&w, id, payload->start, writer_len(payload));
	buffer_append(out, w.start, writer_len(&w));
}

void extension_talk_begin(struct extension_talk *t, const struct metainfo *m,
	bool spoken, bool pex, uint64_t now_ms)
{
	*t = (struct extension_talk){
		.m = m,
		.spoken = spoken,
		.pex = pex && !m->private,
		.theirs.reqq = EXTENSION_DEFAULT_REQQ,
		.pex_due_ms = now_ms + PEX_FIRST_MS,
	};
}

/* ---- handshake (BEP 10) ---- */

void extension_talk_greet(const struct extension_talk *t, struct buffer *out,
	const struct extended_handshake *facts)
{
	uint8_t payload[HANDSHAKE_MAX];
	struct writer p = writer_of(payload, sizeof(payload));
	struct extended_handshake h = {
		.port = facts->port,
		.reqq = facts->reqq,
		.metadata_size = (uint32_t)t->m->info.len,
		.upload_only = facts->upload_only,
		.yourip = facts->yourip,
		.client = "tbt " TBT_VERSION,
	};

	if (!t->spoken)
		return;
	for (enum extension_kind k = 0; k < EXTENSION_KINDS; k++)
		h.ids[k] = extension_our_id(k);
	if (!t->pex)
		h.ids[EXTENSION_PEX] = 0;
	extension_write_handshake(&p, &h);
	say(out, EXTENDED_HANDSHAKE_ID, &p);
}

/* ---- metadata (BEP 9), for who came by a magnet link ---- */

static bool metadata(
	struct extension_talk *t, struct span payload, struct buffer *out)
{
	uint8_t bytes[METADATA_MESSAGE_SIZE];
	struct writer p = writer_of(bytes, sizeof(bytes));
	struct span info = t->m->info;
	struct metadata_message asked;

	if (!metadata_read(payload, &asked))
		return false;
	if (asked.kind != METADATA_REQUEST ||
		t->theirs.ids[EXTENSION_METADATA] == 0)
		return true; /* nothing was asked of it */

	uint32_t size = metadata_piece_size((uint32_t)info.len, asked.piece);
	struct metadata_message answer = {
		.kind = METADATA_REJECT, .piece = asked.piece};
	if (size > 0 &&
		t->metadata_given < EXTENSION_METADATA_TIMES * info.len) {
		answer.kind = METADATA_DATA;
		answer.total_size = (uint32_t)info.len;
		answer.data = (struct span){
			info.at + asked.piece * METADATA_PIECE_SIZE, size};
		t->metadata_given += size;
	}
	metadata_write(&p, &answer);
	say(out, t->theirs.ids[EXTENSION_METADATA], &p);
	return true;
}

/* ---- peer exchange (BEP 11) ---- */

bool extension_talk_pex_due(const struct extension_talk *t, uint64_t now_ms)
{
	return extension_talk_tells_pex(t) && now_ms >= t->pex_due_ms;
}

void extension_talk_tell(struct extension_talk *t, struct buffer *out,
	const struct endpoint *address, const struct pex_peer *swarm,
	size_t count, uint64_t now_ms)
{
	uint8_t bytes[PEX_MESSAGE_SIZE];
	struct writer p = writer_of(bytes, sizeof(bytes));
	struct endpoint itself = *address;
	struct pex_peer others[PEX_MAX_TOLD];
	struct pex_message m;
	size_t kept = 0;

	if (t->theirs.port != 0)
		itself.port = t->theirs.port;
	for (size_t i = 0; i < count && kept < PEX_MAX_TOLD; i++) {
		const struct endpoint *other = &swarm[i].address;
		if (pex_may_know_of(address, other) &&
			!endpoint_equal(other, &itself) &&
			!endpoint_equal(other, address))
			others[kept++] = swarm[i];
	}
	if (!pex_next(&t->told, others, kept, &m)) {
		t->pex_due_ms = now_ms + PEX_LOOK_MS;
		return;
	}
	t->pex_due_ms = now_ms + PEX_EVERY_MS;
	pex_write(&p, &m);
	say(out, t->theirs.ids[EXTENSION_PEX], &p);
}

/* ---- pieces that are lost (BEP 54) ---- */

bool extension_talk_lose(
	const struct extension_talk *t, struct buffer *out, uint32_t piece)
{
	uint8_t payload[DONTHAVE_SIZE];
	struct writer p = writer_of(payload, sizeof(payload));

	if (t->theirs.ids[EXTENSION_DONTHAVE] == 0)
		return false;
	writer_u32(&p, piece);
	say(out, t->theirs.ids[EXTENSION_DONTHAVE], &p);
	return true;
}

static bool lost_piece(
	const struct extension_talk *t, struct span payload, uint32_t *ret)
{
	struct reader r = reader_of_span(payload);
	uint32_t piece = reader_u32(&r);

	if (!reader_done(&r) || piece >= t->m->piece_count)
		return false;
	*ret = piece;
	return true;
}

/* ---- any ---- */

static enum extension_heard judged(
	bool ok, const char *reason, const char **ret_reason)
{
	if (ok)
		return EXTENSION_HEARD;
	*ret_reason = reason;
	return EXTENSION_BROKEN;
}

enum extension_heard extension_talk_message(struct extension_talk *t,
	const struct wire_message *message, const struct endpoint *address,
	uint64_t now_ms, struct buffer *out, uint32_t *ret_piece,
	const char **ret_reason)
{
	uint8_t id = message->extended_id;
	struct span payload = message->payload;

	if (!t->spoken)
		return judged(false,
			"extended message without the extended bit",
			ret_reason);
	if (id == EXTENDED_HANDSHAKE_ID)
		return judged(extension_read_handshake(payload, &t->theirs),
			"malformed extended handshake", ret_reason);
	if (id == extension_our_id(EXTENSION_METADATA))
		return judged(metadata(t, payload, out),
			"malformed metadata message", ret_reason);
	if (id == extension_our_id(EXTENSION_PEX))
		return judged(!t->pex || /* it was not offered */
				pex_hear(&t->heard, payload, address, now_ms),
			"malformed peer exchange", ret_reason);
	if (id != extension_our_id(EXTENSION_DONTHAVE))
		return EXTENSION_HEARD; /* nothing else was offered */
	if (lost_piece(t, payload, ret_piece))
		return EXTENSION_LOST;
	return judged(
		false, "DONTHAVE of a piece that there is not", ret_reason);
}
