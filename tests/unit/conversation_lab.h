#ifndef TESTS_UNIT_CONVERSATION_LAB_H
#define TESTS_UNIT_CONVERSATION_LAB_H

#include <stdio.h>

#include "client/peer/conversation.h"
#include "client/torrent/block_pool.h"
#include "client/torrent/open_piece.h"
#include "tests/unit/said.h"
#include "tests/unit/torrent_maker.h"

/* A torrent in memory, and conversations about it with peers that are made up:
 * what they say goes in as messages, what is said to them comes out as text. */

enum {
	LAB_PIECE = 4 * BLOCK_SIZE,
	LAB_PIECES = 40,
	LAB_LAST_BLOCK = 1000,
	LAB_LAST = LAB_PIECES - 1, /* a piece of two blocks, the last short */
	LAB_LENGTH = LAB_LAST * LAB_PIECE + BLOCK_SIZE + LAB_LAST_BLOCK,
	LAB_START_MS = 1000 * 1000,
};

struct lab {
	struct made_torrent *made;
	struct block_pool *pool;
	struct torrent *torrent;
};

static inline struct lab lab_open(uint32_t had)
{
	struct made_file files[] = {{.path = "", .length = LAB_LENGTH}, {0}};
	struct lab l = {
		.made = malloc(sizeof(*l.made)),
		.pool = block_pool_create(),
	};
	uint8_t good[LAB_PIECES] = {0};

	cr_assert(l.made && l.pool);
	*l.made = made_torrent_of("lab", files, LAB_PIECE, NULL);
	memset(good, 1, had);
	l.torrent = torrent_create(
		&l.made->m, l.pool, PIECE_ORDER_SEQUENTIAL, UINT64_MAX);
	cr_assert(l.torrent);
	torrent_set_have(l.torrent, good);
	return l;
}

static inline void lab_close(struct lab *l)
{
	torrent_destroy(l->torrent);
	block_pool_destroy(l->pool);
	made_torrent_finish(l->made);
	free(l->made);
}

/* A conversation of its own with the next peer; `options` as in the call. */
static inline struct conversation *lab_begin(
	struct lab *l, struct conversation_start options, uint64_t now_ms)
{
	static uint16_t peers;
	struct conversation *c = calloc(1, sizeof(*c));

	options.torrent = l->torrent;
	options.wake_fd = -1;
	options.address.ip[15] = (uint8_t)++peers;
	options.address.port = peers;
	cr_assert(c && conversation_begin(c, &options, now_ms));
	return c;
}

static inline void lab_end(struct conversation *c)
{
	conversation_end(c);
	free(c);
}

static inline struct block_ref lab_ref(
	const struct lab *l, uint32_t piece, uint32_t block)
{
	uint32_t size = metainfo_piece_size(&l->made->m, piece);
	uint32_t begin = block * BLOCK_SIZE;
	uint32_t length = size - begin < BLOCK_SIZE ? size - begin : BLOCK_SIZE;

	return (struct block_ref){piece, begin, length};
}

/* ---- what the peer says ---- */

static inline enum conversation_verdict lab_says(
	struct conversation *c, enum wire_id id, uint64_t now_ms)
{
	return conversation_message(
		c, &(struct wire_message){.id = id}, now_ms);
}

static inline enum conversation_verdict lab_says_have(
	struct conversation *c, uint32_t piece, uint64_t now_ms)
{
	return conversation_message(c,
		&(struct wire_message){.id = WIRE_HAVE, .piece = piece},
		now_ms);
}

static inline enum conversation_verdict lab_says_block(struct conversation *c,
	enum wire_id id, struct block_ref block, uint64_t now_ms)
{
	return conversation_message(
		c, &(struct wire_message){.id = id, .block = block}, now_ms);
}

static inline enum conversation_verdict lab_says_bitfield(
	struct conversation *c, const char *bytes, size_t len, uint64_t now_ms)
{
	return conversation_message(c,
		&(struct wire_message){.id = WIRE_BITFIELD,
			.payload = {(const uint8_t *)bytes, len}},
		now_ms);
}

/* Full pieces are hashed by nobody here: they are all good, or all bad. */
static inline void lab_flush(struct lab *l, struct conversation *c, bool good)
{
	struct open_piece *full[ASKING_MAX_ARRIVALS];
	struct endpoint guilty[4];
	size_t left;
	size_t count = asking_flush(&c->asking, full, &left);

	for (size_t i = 0; i < left; i++)
		block_pool_give(l->pool, &c->asking.arrivals[i].memory, 1);
	for (size_t i = 0; i < count; i++)
		torrent_finish_piece(l->torrent, full[i], good, guilty, 4);
}

/* It sends a block; if that makes a piece full, it is as said.  False: unasked.
 */
static inline bool lab_gives_as(struct lab *l, struct conversation *c,
	uint32_t piece, uint32_t block, uint64_t now_ms, bool good)
{
	struct block_ref ref = lab_ref(l, piece, block);
	uint8_t *memory = NULL;

	if (asking_expect(&c->asking, &ref) != BLOCK_ASKED)
		return false;
	cr_assert_eq(block_pool_take(l->pool, &memory, 1), 1);
	conversation_received(c, ref.length, now_ms);
	asking_arrived(&c->asking, &ref, memory);
	lab_flush(l, c, good);
	return true;
}

static inline bool lab_gives(struct lab *l, struct conversation *c,
	uint32_t piece, uint32_t block, uint64_t now_ms)
{
	return lab_gives_as(l, c, piece, block, now_ms, true);
}

/* ---- what is said to it ---- */

static inline void lab_print_message(FILE *out, const struct wire_message *m)
{
	static const struct {
		enum wire_id id;
		const char *name;
	} plain[] = {
		{WIRE_CHOKE, "choke"},
		{WIRE_UNCHOKE, "unchoke"},
		{WIRE_INTERESTED, "interested"},
		{WIRE_NOT_INTERESTED, "not_interested"},
		{WIRE_HAVE_ALL, "have_all"},
		{WIRE_HAVE_NONE, "have_none"},
		{WIRE_KEEP_ALIVE, "keep_alive"},
		{WIRE_BITFIELD, "bitfield"},
		{WIRE_EXTENDED, "extended"},
	};
	const struct block_ref *b = &m->block;

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		if (plain[i].id == m->id)
			fprintf(out, "%s", plain[i].name);
	}
	if (m->id == WIRE_HAVE)
		fprintf(out, "have:%u", m->piece);
	if (m->id == WIRE_PORT)
		fprintf(out, "port:%u", m->port);
	if (m->id == WIRE_REQUEST || m->id == WIRE_CANCEL ||
		m->id == WIRE_REJECT)
		fprintf(out, "%s:%u.%u",
			m->id == WIRE_REQUEST          ? "request"
				: m->id == WIRE_CANCEL ? "cancel"
						       : "reject",
			b->piece, b->begin / BLOCK_SIZE);
}

/* All of it, as "interested request:0.0 ...", and it is taken out.  The text
 * lives until the next call. */
static inline const char *lab_said(struct conversation *c)
{
	static char *text;
	size_t text_len, at = 0;
	struct wire_message m;
	const char *before = "";

	free(text);
	FILE *out = open_memstream(&text, &text_len);
	for (; said_next(&c->out, &at, LAB_PIECES, c->fast, &m); before = " ") {
		fprintf(out, "%s", before);
		lab_print_message(out, &m);
	}
	fclose(out);
	c->out.len = 0;
	return text;
}

/* How often `word` is in what was said. */
static inline size_t lab_count(const char *said, const char *word)
{
	size_t count = 0;

	while ((said = strstr(said, word)) != NULL) {
		said += strlen(word);
		count++;
	}
	return count;
}

/* A peer that has everything and has unchoked us; what was said is gone. */
static inline struct conversation *lab_giving(
	struct lab *l, struct conversation_start options)
{
	struct conversation *c = lab_begin(l, options, LAB_START_MS);

	for (uint32_t i = 0; i < LAB_PIECES; i++)
		lab_says_have(c, i, LAB_START_MS);
	lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
	(void)lab_said(c);
	return c;
}

/* The tick, which goes well, and what is said then. */
static inline const char *lab_tick(struct conversation *c, uint64_t now_ms)
{
	cr_assert_eq(conversation_tick(c, now_ms), CONVERSATION_GOES_ON, "%s",
		c->reason);
	return lab_said(c);
}

#endif
