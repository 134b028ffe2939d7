#include "client/peer/metadata_exchange.h"

#include <stdlib.h>
#include <string.h>

#include "shared/bencode.h"
#include "shared/bencode_writer.h"
#include "shared/digest.h"

enum {
	/* An attempt is left in peace for so long, however slow it is. */
	GRACE_MS = 10 * 1000,
};

/* ---- messages ---- */

static enum metadata_kind kind_of(int64_t number)
{
	switch (number) {
	case METADATA_REQUEST:
	case METADATA_DATA:
	case METADATA_REJECT:
		return (enum metadata_kind)number;
	default:
		return METADATA_UNKNOWN;
	}
}

bool metadata_read(struct span payload, struct metadata_message *ret)
{
	enum { TYPE, PIECE, SIZE, KEYS };
	static const char *const keys[KEYS] = {
		"msg_type", "piece", "total_size"};
	struct reader r = reader_of_span(payload);
	struct span dict, values[KEYS];
	int64_t type, piece, size;

	if (bencode_peek(&r) != 'd' || !bencode_value(&r, &dict) ||
		!bencode_fields(dict, keys, KEYS, values) ||
		!bencode_as_int(values[TYPE], &type))
		return false;

	struct metadata_message m = {.kind = kind_of(type)};
	if (m.kind == METADATA_UNKNOWN) {
		*ret = m;
		return true;
	}
	if (!bencode_as_int(values[PIECE], &piece) || piece < 0 ||
		piece >= METADATA_MAX_PIECES)
		return false;
	m.piece = (uint32_t)piece;
	if (m.kind == METADATA_DATA) {
		m.data = reader_rest(&r);
		if (!bencode_as_int(values[SIZE], &size) || size < 1 ||
			size > METADATA_MAX_SIZE ||
			m.data.len > METADATA_PIECE_SIZE)
			return false;
		m.total_size = (uint32_t)size;
	}
	*ret = m;
	return true;
}

void metadata_write(struct writer *w, const struct metadata_message *m)
{
	struct buffer out;
	struct bencode_writer b;

	buffer_init(&out, writer_left(w));
	bencode_writer_init(&b, &out);
	bencode_dict_open(&b);
	bencode_write_key(&b, "msg_type");
	bencode_write_int(&b, m->kind);
	bencode_write_key(&b, "piece");
	bencode_write_int(&b, m->piece);
	if (m->kind == METADATA_DATA) {
		bencode_write_key(&b, "total_size");
		bencode_write_int(&b, m->total_size);
	}
	bencode_dict_close(&b);
	writer_buffer(w, &out);
	/* Not part of the dictionary: it follows. */
	if (m->kind == METADATA_DATA)
		writer_bytes(w, m->data.at, m->data.len);
}

static uint32_t piece_count(uint32_t size)
{
	return (size + METADATA_PIECE_SIZE - 1) / METADATA_PIECE_SIZE;
}

uint32_t metadata_piece_size(uint32_t size, uint32_t piece)
{
	if (piece >= piece_count(size))
		return 0;
	uint32_t left = size - piece * METADATA_PIECE_SIZE;
	return left < METADATA_PIECE_SIZE ? left : METADATA_PIECE_SIZE;
}

/* ---- a whole of pieces ---- */

struct attempt_piece {
	bool had;
	uint64_t asked_ms;   /* 0: not asked for */
	struct endpoint who; /* was asked; gave it, when had */
};

/* Of one claimed size; made when the first piece has come. */
struct attempt {
	uint32_t size; /* 0: not in use */
	bool alone;    /* all of it is to come from `owner` */
	struct endpoint owner;
	uint64_t since_ms;
	uint32_t had;
	struct attempt_piece *pieces;
	uint8_t *bytes;
};

struct note {
	struct endpoint who;
	bool lied; /* else: is asked for the whole alone */
};

struct metadata_assembler {
	struct info_hash hash;
	struct attempt attempts[METADATA_BUFFERS];
	size_t note_count, note_next; /* a ring */
	struct note notes[METADATA_MAX_NOTES];
	uint32_t whole_size;
	uint8_t *whole;
};

struct metadata_assembler *metadata_assembler_create(
	const struct info_hash *hash)
{
	struct metadata_assembler *a = calloc(1, sizeof(*a));

	if (a)
		a->hash = *hash;
	return a;
}

static void drop_attempt(struct attempt *t)
{
	free(t->pieces);
	free(t->bytes);
	*t = (struct attempt){0};
}

void metadata_assembler_destroy(struct metadata_assembler *a)
{
	if (!a)
		return;
	for (size_t i = 0; i < METADATA_BUFFERS; i++)
		drop_attempt(&a->attempts[i]);
	free(a->whole);
	free(a);
}

static const struct note *find_note(
	const struct metadata_assembler *a, const struct endpoint *who)
{
	for (size_t i = 0; i < a->note_count; i++) {
		if (endpoint_equal(&a->notes[i].who, who))
			return &a->notes[i];
	}
	return NULL;
}

static void note(
	struct metadata_assembler *a, const struct endpoint *who, bool lied)
{
	const struct note *known = find_note(a, who);
	size_t place = known ? (size_t)(known - a->notes) : a->note_next;

	a->notes[place] = (struct note){*who, lied || (known && known->lied)};
	if (known)
		return;
	a->note_next = (a->note_next + 1) % METADATA_MAX_NOTES;
	if (a->note_count < METADATA_MAX_NOTES)
		a->note_count++;
}

bool metadata_assembler_trusts(
	const struct metadata_assembler *a, const struct endpoint *from)
{
	const struct note *n = find_note(a, from);

	return !n || !n->lied;
}

static struct attempt *find_attempt(struct metadata_assembler *a,
	const struct endpoint *from, uint32_t size)
{
	bool alone = find_note(a, from) != NULL;

	for (size_t i = 0; i < METADATA_BUFFERS; i++) {
		struct attempt *t = &a->attempts[i];
		if (t->size == size && t->alone == alone &&
			(!alone || endpoint_equal(&t->owner, from)))
			return t;
	}
	return NULL;
}

/* A place for one more: a free one, or that of the slowest, so that nobody
 * keeps all of them by giving next to nothing.  NULL: none yet. */
static struct attempt *find_room(struct metadata_assembler *a, uint64_t now_ms)
{
	struct attempt *slowest = NULL;

	for (size_t i = 0; i < METADATA_BUFFERS; i++) {
		struct attempt *t = &a->attempts[i];
		if (t->size == 0)
			return t;
		uint64_t age_ms = now_ms - t->since_ms;
		if (age_ms >= GRACE_MS &&
			(!slowest ||
				t->had * (now_ms - slowest->since_ms) <
					slowest->had * age_ms))
			slowest = t;
	}
	return slowest;
}

static struct attempt *begin_attempt(struct metadata_assembler *a,
	const struct endpoint *from, uint32_t size, uint64_t now_ms)
{
	struct attempt *t = find_room(a, now_ms);

	if (!t)
		return NULL;
	drop_attempt(t);
	t->pieces = calloc(piece_count(size), sizeof(*t->pieces));
	t->bytes = calloc(1, size);
	if (!t->pieces || !t->bytes) {
		drop_attempt(t);
		return NULL;
	}
	t->size = size;
	t->alone = find_note(a, from) != NULL;
	t->owner = *from;
	t->since_ms = now_ms;
	return t;
}

bool metadata_assembler_next(struct metadata_assembler *a,
	const struct endpoint *from, uint32_t size, uint64_t now_ms,
	uint32_t *ret_piece)
{
	if (a->whole || size == 0 || size > METADATA_MAX_SIZE ||
		!metadata_assembler_trusts(a, from))
		return false;

	struct attempt *t = find_attempt(a, from, size);
	if (!t) {
		/* There is no use in asking for what could not be kept: who is
		 * asked gives its metadata a few times only. */
		if (!find_room(a, now_ms))
			return false;
		*ret_piece = 0;
		return true;
	}
	for (uint32_t i = 0; i < piece_count(size); i++) {
		struct attempt_piece *p = &t->pieces[i];
		if (p->had ||
			(p->asked_ms != 0 &&
				now_ms - p->asked_ms < METADATA_ANSWER_MS))
			continue;
		p->asked_ms = now_ms;
		p->who = *from;
		*ret_piece = i;
		return true;
	}
	return false;
}

void metadata_assembler_unask(struct metadata_assembler *a,
	const struct endpoint *from, uint32_t size, uint32_t piece)
{
	struct attempt *t = find_attempt(a, from, size);

	if (!t || piece >= piece_count(size))
		return;
	struct attempt_piece *p = &t->pieces[piece];
	if (!p->had && endpoint_equal(&p->who, from))
		p->asked_ms = 0;
}

/* A dictionary begins with a 'd' and ends with an 'e'. */
static bool plausible(const struct metadata_message *m)
{
	uint32_t size = m->total_size;

	if (size == 0 || size > METADATA_MAX_SIZE ||
		m->piece >= piece_count(size) ||
		m->data.len != metadata_piece_size(size, m->piece))
		return false;
	if (m->piece == 0 && m->data.at[0] != 'd')
		return false;
	return m->piece + 1 < piece_count(size) ||
		m->data.at[m->data.len - 1] == 'e';
}

static bool hash_is_right(
	const struct metadata_assembler *a, const struct attempt *t)
{
	struct info_hash got;

	digest_sha1(t->bytes, t->size, got.bytes);
	return info_hash_equal(&got, &a->hash);
}

static void keep_whole(struct metadata_assembler *a, struct attempt *t)
{
	a->whole = t->bytes;
	a->whole_size = t->size;
	t->bytes = NULL;
	for (size_t i = 0; i < METADATA_BUFFERS; i++)
		drop_attempt(&a->attempts[i]);
}

static void blame(struct metadata_assembler *a, const struct attempt *t)
{
	const struct endpoint *first = &t->pieces[0].who;
	bool sole = true;

	for (uint32_t i = 1; i < piece_count(t->size); i++)
		sole = sole && endpoint_equal(&t->pieces[i].who, first);
	for (uint32_t i = 0; i < piece_count(t->size); i++)
		note(a, &t->pieces[i].who, sole);
}

/* No honest peer sends what cannot be: it is not asked again, what it was asked
 * for others may be, and what it has given alone makes room. */
static void distrust(
	struct metadata_assembler *a, const struct endpoint *who, uint32_t size)
{
	struct attempt *t = find_attempt(a, who, size);

	note(a, who, true);
	if (t && t->alone)
		drop_attempt(t);
	for (uint32_t i = 0; t && t->size > 0 && i < piece_count(size); i++) {
		struct attempt_piece *p = &t->pieces[i];
		if (!p->had && endpoint_equal(&p->who, who))
			p->asked_ms = 0;
	}
}

enum metadata_verdict metadata_assembler_take(struct metadata_assembler *a,
	const struct endpoint *from, const struct metadata_message *m,
	uint64_t now_ms)
{
	if (!plausible(m)) {
		distrust(a, from, m->total_size);
		return METADATA_IMPLAUSIBLE;
	}
	if (a->whole || !metadata_assembler_trusts(a, from))
		return METADATA_TAKEN;

	struct attempt *t = find_attempt(a, from, m->total_size);
	if (!t)
		t = begin_attempt(a, from, m->total_size, now_ms);
	/* No room for now, or somebody else was faster. */
	if (!t || t->pieces[m->piece].had)
		return METADATA_TAKEN;

	memcpy(t->bytes + m->piece * METADATA_PIECE_SIZE, m->data.at,
		m->data.len);
	t->pieces[m->piece].had = true;
	t->pieces[m->piece].who = *from;
	t->had++;
	if (t->had < piece_count(t->size))
		return METADATA_TAKEN;
	if (hash_is_right(a, t)) {
		keep_whole(a, t);
		return METADATA_WHOLE;
	}
	blame(a, t);
	drop_attempt(t);
	return METADATA_WRONG;
}

struct span metadata_assembler_whole(const struct metadata_assembler *a)
{
	return (struct span){a->whole, a->whole_size};
}
