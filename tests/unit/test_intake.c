#include "client/peer/intake.h"

#include "shared/buffer.h"
#include "tests/unit/conversation_lab.h"

/* What a peer sends, as one stream of bytes, and where the blocks in it are. */
enum { MAX_STREAM = 64 };

struct stream_block {
	struct block_ref ref;
	size_t at; /* of its bytes in the stream */
};

struct made_stream {
	struct buffer bytes;
	size_t count;
	struct stream_block blocks[MAX_STREAM];
};

static void add_message(struct made_stream *s, void (*write)(struct writer *))
{
	uint8_t bytes[64];
	struct writer w = writer_of(bytes, sizeof(bytes));

	write(&w);
	buffer_append(&s->bytes, bytes, writer_len(&w));
}

static void keep_alive(struct writer *w) { wire_write_keep_alive(w); }
static void interested(struct writer *w)
{
	wire_write_plain(w, WIRE_INTERESTED);
}
static void choke(struct writer *w) { wire_write_plain(w, WIRE_CHOKE); }
static void have_5(struct writer *w)
{
	wire_write_piece_index(w, WIRE_HAVE, 5);
}
static void have_6(struct writer *w)
{
	wire_write_piece_index(w, WIRE_HAVE, 6);
}
static void request_0(struct writer *w)
{
	wire_write_block(
		w, WIRE_REQUEST, &(struct block_ref){0, 0, BLOCK_SIZE});
}

static void add_ref(
	struct made_stream *s, const struct lab *l, struct block_ref ref)
{
	uint8_t header[WIRE_PIECE_HEADER_SIZE];
	struct writer w = writer_of(header, sizeof(header));

	wire_write_piece_header(&w, &ref);
	buffer_append(&s->bytes, header, sizeof(header));
	s->blocks[s->count++] = (struct stream_block){ref, s->bytes.len};
	buffer_append(&s->bytes,
		l->made->content + (size_t)ref.piece * LAB_PIECE + ref.begin,
		ref.length);
}

static void add_block(struct made_stream *s, const struct lab *l,
	uint32_t piece, uint32_t block)
{
	add_ref(s, l, lab_ref(l, piece, block));
}

/* ---- a worker without a socket ---- */

/* Where bytes of the stream were written to, so that it can be told whether
 * they stayed there. */
struct landing {
	const uint8_t *to;
	size_t at, len;
};

struct reading {
	struct lab *lab;
	struct conversation *c;
	struct intake intake;
	const struct made_stream *stream;
	size_t at; /* bytes read */
	size_t copied, blocks;
	size_t landing_count;
	struct landing landings[4096];
};

static void reading_begin(struct reading *r, struct lab *l,
	struct conversation *c, const struct made_stream *s)
{
	r->lab = l;
	r->c = c;
	r->stream = s;
	r->at = r->copied = r->blocks = r->landing_count = 0;
	intake_begin(&r->intake, c, l->pool);
}

static size_t in_place(
	const struct reading *r, size_t at, const uint8_t *memory, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < r->landing_count; i++) {
		const struct landing *p = &r->landings[i];
		size_t from = p->at > at ? p->at : at;
		size_t end =
			p->at + p->len < at + len ? p->at + p->len : at + len;
		if (from < end &&
			p->to + (from - p->at) == memory + (from - at))
			count += end - from;
	}
	return count;
}

/* Each block must be what was sent. */
static void check_arrivals(struct reading *r)
{
	const struct made_stream *s = r->stream;

	for (size_t i = 0; i < r->c->asking.arrival_count; i++) {
		const struct arrival *a = &r->c->asking.arrivals[i];
		struct block_ref ref =
			lab_ref(r->lab, a->block.piece, a->block.index);
		size_t k = 0;

		while (k < s->count &&
			!block_ref_equal(&s->blocks[k].ref, &ref))
			k++;
		cr_assert_lt(k, s->count);
		cr_assert_arr_eq(a->memory, s->bytes.bytes + s->blocks[k].at,
			ref.length, "split before %zu", r->at);
		r->copied += ref.length -
			in_place(r, s->blocks[k].at, a->memory, ref.length);
		r->blocks++;
	}
}

static void flush(struct reading *r)
{
	struct open_piece *full[ASKING_MAX_ARRIVALS];
	struct endpoint guilty[4];
	size_t left;

	check_arrivals(r);
	size_t count = asking_flush(&r->c->asking, full, &left);
	for (size_t i = 0; i < left; i++)
		intake_return(&r->intake, r->c->asking.arrivals[i].memory);
	for (size_t i = 0; i < count; i++)
		torrent_finish_piece(r->lab->torrent, full[i], true, guilty, 4);
}

/* The stream up to `end` has come; at most `most` bytes are read at once. */
static enum conversation_verdict read_upto(
	struct reading *r, size_t end, size_t most)
{
	enum conversation_verdict verdict = CONVERSATION_GOES_ON;

	while (r->at < end && verdict == CONVERSATION_GOES_ON) {
		struct iovec iov[INTAKE_IOVS];
		size_t count = intake_plan(&r->intake, iov, most);
		size_t got = 0;

		cr_assert_gt(count, 0);
		cr_assert_leq(count, INTAKE_IOVS);
		for (size_t i = 0; i < count && r->at < end; i++) {
			size_t n = iov[i].iov_len;
			if (n > end - r->at)
				n = end - r->at;
			cr_assert_gt(n, 0);
			memcpy(iov[i].iov_base, r->stream->bytes.bytes + r->at,
				n);
			if (r->landing_count < 4096)
				r->landings[r->landing_count++] =
					(struct landing){
						iov[i].iov_base, r->at, n};
			r->at += n;
			got += n;
		}
		cr_assert_leq(got, most);
		verdict = intake_take(&r->intake, got, LAB_START_MS);
		flush(r);
		while (verdict == CONVERSATION_GOES_ON &&
			intake_pending(&r->intake) &&
			conversation_can_take(r->c)) {
			verdict = intake_resume(&r->intake, LAB_START_MS);
			flush(r);
		}
		if (intake_pending(&r->intake))
			break;
	}
	return verdict;
}

static void reading_end(struct reading *r)
{
	flush(r);
	intake_end(&r->intake);
}

/* A peer that has all pieces, or all but 5 and 6, and has been asked. */
static struct conversation *asked_of(
	struct lab *l, bool speaks_fast, bool but_5_and_6)
{
	struct conversation_start start = {.fast = speaks_fast};
	struct conversation *c = lab_begin(l, start, LAB_START_MS);

	for (uint32_t i = 0; i < LAB_PIECES; i++) {
		if (!but_5_and_6 || (i != 5 && i != 6))
			lab_says_have(c, i, LAB_START_MS);
	}
	lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
	(void)lab_tick(c, LAB_START_MS);
	return c;
}

/* A seed: it is asked for pieces in order. */
static struct conversation *asked(struct lab *l, bool speaks_fast)
{
	return asked_of(l, speaks_fast, false);
}

/* Another torrent with the same content, with nothing asked or had. */
static void renew(struct lab *l, uint32_t had)
{
	uint8_t good[LAB_PIECES] = {0};

	memset(good, 1, had);
	torrent_destroy(l->torrent);
	l->torrent = torrent_create(
		&l->made->m, l->pool, PIECE_ORDER_SEQUENTIAL, UINT64_MAX);
	cr_assert(l->torrent);
	torrent_set_have(l->torrent, good);
}

/* ---- cuts ---- */

static void check_all_was_read(const struct conversation *c)
{
	cr_assert(c->peer_interested);
	cr_assert(c->peer_choking);
	cr_assert(bitfield_has(&c->peer.pick.has, 5));
	cr_assert(bitfield_has(&c->peer.pick.has, 6));
	cr_assert_eq(c->asking.unasked, 2);
	cr_assert(torrent_complete(c->torrent));
}

/* One of each kind between and around two blocks, the short one first or last,
 * and two that nobody asked for. */
static struct made_stream mixed_stream(const struct lab *l, bool short_first)
{
	struct made_stream s = {0};

	buffer_init(&s.bytes, SIZE_MAX);
	add_message(&s, have_5);
	add_block(&s, l, LAB_LAST, short_first);
	add_message(&s, keep_alive);
	add_message(&s, interested);
	add_ref(&s, l, (struct block_ref){0, 0, 100});
	add_block(&s, l, LAB_LAST, !short_first);
	add_message(&s, keep_alive);
	add_ref(&s, l, (struct block_ref){7, 3, 1});
	add_message(&s, have_6);
	add_message(&s, choke);
	return s;
}

Test(intake, a_stream_may_be_cut_in_two_anywhere)
{
	struct lab l = lab_open(LAB_LAST);
	static struct reading r;

	for (int short_first = 0; short_first <= 1; short_first++) {
		struct made_stream s = mixed_stream(&l, short_first);

		for (size_t cut = 0; cut <= s.bytes.len; cut++) {
			renew(&l, LAB_LAST);
			struct conversation *c = asked_of(&l, false, true);

			reading_begin(&r, &l, c, &s);
			cr_assert_eq(read_upto(&r, cut, SIZE_MAX),
				CONVERSATION_GOES_ON);
			cr_assert_eq(read_upto(&r, s.bytes.len, SIZE_MAX),
				CONVERSATION_GOES_ON, "%zu: %s", cut,
				c->reason);
			check_all_was_read(c);
			reading_end(&r);
			lab_end(c);
		}
		buffer_finish(&s.bytes);
	}
	lab_close(&l);
}

Test(intake, a_stream_may_come_in_pieces_of_any_size)
{
	struct lab l = lab_open(LAB_LAST);
	static struct reading r;

	for (size_t most = 1; most < 2 * BLOCK_SIZE; most += most / 8 + 1) {
		struct made_stream s = mixed_stream(&l, false);

		renew(&l, LAB_LAST);
		struct conversation *c = asked_of(&l, false, true);
		reading_begin(&r, &l, c, &s);
		cr_assert_eq(read_upto(&r, s.bytes.len, most),
			CONVERSATION_GOES_ON, "%zu: %s", most, c->reason);
		check_all_was_read(c);
		reading_end(&r);
		lab_end(c);
		buffer_finish(&s.bytes);
	}
	lab_close(&l);
}

static uint32_t dice(uint32_t *state, uint32_t below)
{
	*state = *state * 1664525 + 1013904223;
	return (*state >> 8) % below;
}

/* A piece of which nothing was asked. */
static uint32_t unasked_piece(const struct conversation *c)
{
	uint32_t piece = 0;

	for (size_t i = 0; i < c->asking.count; i++) {
		if (c->asking.asked[i].piece >= piece)
			piece = c->asking.asked[i].piece + 1;
	}
	cr_assert_lt(piece, LAB_LAST);
	return piece;
}

/* The 32 blocks asked for, in any order, and other messages between them. */
static struct made_stream shuffled_stream(
	const struct lab *l, const struct conversation *c, uint32_t *state)
{
	static void (*const others[])(struct writer *) = {
		keep_alive, interested, have_5, have_6, request_0};
	struct made_stream s = {0};
	uint32_t order[32];

	buffer_init(&s.bytes, SIZE_MAX);
	for (uint32_t i = 0; i < 32; i++) {
		uint32_t j = dice(state, i + 1);
		order[i] = order[j];
		order[j] = i;
	}
	for (uint32_t i = 0; i < 32; i++) {
		while (dice(state, 3) == 0)
			add_message(&s, others[dice(state, 5)]);
		const struct block_id *block = &c->asking.asked[order[i]];
		add_block(&s, l, block->piece, block->index);
	}
	return s;
}

Test(intake, blocks_come_in_any_order_and_any_cuts)
{
	struct lab l = lab_open(0);
	static struct reading r;
	uint32_t state = 4711;

	for (int round = 0; round < 200; round++) {
		uint32_t largest = 1U << dice(&state, 20);

		renew(&l, 0);
		struct conversation *c = asked(&l, round % 2);
		cr_assert_eq(c->asking.count, 32);
		struct made_stream s = shuffled_stream(&l, c, &state);
		reading_begin(&r, &l, c, &s);
		while (r.at < s.bytes.len) {
			size_t end = r.at + 1 + dice(&state, largest);
			if (end > s.bytes.len)
				end = s.bytes.len;
			size_t most = dice(&state, 4) == 0
				? 1 + dice(&state, 2 * BLOCK_SIZE)
				: SIZE_MAX;
			cr_assert_eq(read_upto(&r, end, most),
				CONVERSATION_GOES_ON, "%d: %s", round,
				c->reason);
			if (dice(&state, 8) == 0)
				intake_rest(&r.intake);
		}
		cr_assert_eq(r.blocks, 32);
		cr_assert_eq(c->asking.count, 0);
		cr_assert_eq(c->asking.unasked, 0);
		reading_end(&r);
		lab_end(c);
		buffer_finish(&s.bytes);
	}
	lab_close(&l);
}

/* ---- how it is read ---- */

Test(intake, block_after_block_not_a_byte_is_copied)
{
	static const size_t cuts[] = {SIZE_MAX, 100000, 16384, 1000};
	struct lab l = lab_open(0);
	static struct reading r;

	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct made_stream s = {0};

		renew(&l, 0);
		struct conversation *c = asked(&l, false);
		buffer_init(&s.bytes, SIZE_MAX);
		for (uint32_t b = 0; b < 20; b++)
			add_block(&s, &l, c->asking.asked[b].piece,
				c->asking.asked[b].index);
		reading_begin(&r, &l, c, &s);
		while (r.at < s.bytes.len) {
			size_t left = s.bytes.len - r.at;
			size_t n = left < cuts[i] ? left : cuts[i];
			cr_assert_eq(read_upto(&r, r.at + n, SIZE_MAX),
				CONVERSATION_GOES_ON);
		}
		cr_expect_eq(r.blocks, 20);
		cr_expect_eq(r.copied, 0, "%zu", cuts[i]);
		reading_end(&r);
		lab_end(c);
		buffer_finish(&s.bytes);
	}
	lab_close(&l);
}

Test(intake, a_message_between_costs_one_copy_of_what_was_read)
{
	struct lab l = lab_open(0);
	struct made_stream s = {0};
	static struct reading r;

	struct conversation *c = asked(&l, false);
	buffer_init(&s.bytes, SIZE_MAX);
	for (uint32_t b = 0; b < 20; b++) {
		if (b == 4)
			add_message(&s, have_5);
		add_block(&s, &l, c->asking.asked[b].piece,
			c->asking.asked[b].index);
	}
	reading_begin(&r, &l, c, &s);
	cr_expect_eq(
		read_upto(&r, s.bytes.len, SIZE_MAX), CONVERSATION_GOES_ON);
	cr_expect_eq(r.blocks, 20);
	cr_expect_lt(r.copied, 13 * BLOCK_SIZE);
	reading_end(&r);
	lab_end(c);
	buffer_finish(&s.bytes);
	lab_close(&l);
}

Test(intake, a_short_message_does_not_wait_for_more_bytes)
{
	static void (*const messages[])(struct writer *) = {
		choke, have_5, keep_alive, interested};
	struct lab l = lab_open(0);
	static struct reading r;

	for (size_t i = 0; i < 4; i++) {
		for (int after_block = 0; after_block <= 1; after_block++) {
			struct made_stream s = {0};

			renew(&l, 0);
			struct conversation *c = asked_of(&l, false, true);
			buffer_init(&s.bytes, SIZE_MAX);
			if (after_block)
				add_block(&s, &l, c->asking.asked[0].piece,
					c->asking.asked[0].index);
			add_message(&s, messages[i]);
			c->heard_ms = 0;
			reading_begin(&r, &l, c, &s);
			read_upto(&r, s.bytes.len, SIZE_MAX);
			cr_expect_eq(c->heard_ms, LAB_START_MS, "%zu", i);
			cr_expect_eq(c->peer_choking, i == 0);
			cr_expect_eq(
				bitfield_has(&c->peer.pick.has, 5), i == 1);
			cr_expect_eq(c->peer_interested, i == 3);
			reading_end(&r);
			lab_end(c);
			buffer_finish(&s.bytes);
		}
	}
	lab_close(&l);
}

Test(intake, messages_are_no_bytes_of_a_block)
{
	struct lab l = lab_open(0);
	struct made_stream s = {0};
	static struct reading r;

	struct conversation *c = asked(&l, false);
	buffer_init(&s.bytes, SIZE_MAX);
	for (int i = 0; i < 100; i++)
		add_message(&s, have_5);
	add_ref(&s, &l, (struct block_ref){unasked_piece(c), 0, 5000});
	c->asking.block_ms = 1;
	reading_begin(&r, &l, c, &s);
	read_upto(&r, s.bytes.len, SIZE_MAX);
	cr_expect_eq(c->asking.block_ms, 1);
	cr_expect_eq(c->asking.window_bytes, 0);
	reading_end(&r);
	lab_end(c);
	buffer_finish(&s.bytes);
	lab_close(&l);
}

Test(intake, more_requests_than_are_queued_wait_in_line)
{
	enum { REQUESTS = WANTED_MAX + 300 };
	struct lab l = lab_open(LAB_PIECES);
	struct made_stream s = {0};
	static struct reading r;
	struct block_ref got[16];
	size_t served = 0;

	buffer_init(&s.bytes, SIZE_MAX);
	for (int i = 0; i < REQUESTS; i++)
		add_message(&s, request_0);
	add_message(&s, have_5);
	struct conversation *c = asked_of(&l, false, true);
	conversation_choke(c, false);
	reading_begin(&r, &l, c, &s);
	while (served < REQUESTS) {
		size_t count = wanted_take(&c->wanted, got, 16, SIZE_MAX);

		served += count;
		cr_assert_eq(read_upto(&r, s.bytes.len, SIZE_MAX),
			CONVERSATION_GOES_ON);
		while (intake_pending(&r.intake) && conversation_can_take(c))
			intake_resume(&r.intake, LAB_START_MS);
		cr_assert(count > 0 || c->wanted.count > 0);
		cr_assert_leq(c->wanted.count, WANTED_MAX);
	}
	cr_expect_eq(served, REQUESTS);
	cr_expect_not(intake_pending(&r.intake));
	cr_expect(bitfield_has(&c->peer.pick.has, 5));
	reading_end(&r);
	lab_end(c);
	buffer_finish(&s.bytes);
	lab_close(&l);
}

/* ---- what is refused ---- */

Test(intake, a_bad_length_is_refused_before_the_body)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool fast;
	} cases[] = {
		{"\x00\x00\x40\x0a\x07", 5, false}, /* 9 + BLOCK_SIZE + 1 */
		{"\x00\x00\x00\x09\x07", 5, false}, /* an empty block */
		{"\x00\x00\x00\x05\x05", 5, false}, /* 4 bytes for 40 pieces */
		{"\x00\x00\x00\x07\x05", 5, false},
		{"\x00\x00\x00\x06\x04", 5, false},
		{"\x00\x00\x00\x02\x00", 5, false},
		{"\x00\x00\x00\x0c\x06", 5, false},
		{"\x00\x10\x00\x01\x14", 5, false},
		{"\x00\x00\x00\x01\x0e", 5, false}, /* HAVE ALL without BEP 6 */
		{"\x00\x00\x00\x0d\x10", 5, false},
		{"\x00\x00\x00\x02\x0e", 5, true},
		{"\x7f\xff\xff\xff", 4, false},
		{"\xff\xff\xff\xff", 4, true},
	};
	static struct reading r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* With blocks due and without, at once and byte by byte. */
		for (int how = 0; how < 4; how++) {
			struct lab l = lab_open(how & 1 ? 0 : LAB_PIECES);
			struct conversation *c = asked(&l, cases[i].fast);
			struct made_stream s = {0};

			buffer_init(&s.bytes, SIZE_MAX);
			buffer_append(&s.bytes, cases[i].bytes, cases[i].len);
			reading_begin(&r, &l, c, &s);
			cr_expect_eq(read_upto(&r, s.bytes.len,
					     how & 2 ? 1 : SIZE_MAX),
				CONVERSATION_PROTOCOL_ERROR, "%zu %d", i, how);
			reading_end(&r);
			lab_end(c);
			buffer_finish(&s.bytes);
			lab_close(&l);
		}
	}
}

Test(intake, too_many_unasked_blocks_are_refused)
{
	for (int due = 0; due <= 1; due++) {
		struct lab l = lab_open(due ? 0 : LAB_PIECES);
		struct conversation *c = asked(&l, false);
		struct made_stream s = {0};
		static struct reading r;

		buffer_init(&s.bytes, SIZE_MAX);
		for (int i = 0; i < ASKING_MAX_UNASKED; i++)
			add_block(&s, &l, unasked_piece(c), 0);
		reading_begin(&r, &l, c, &s);
		cr_expect_eq(read_upto(&r, s.bytes.len, SIZE_MAX),
			CONVERSATION_GOES_ON);
		add_block(&s, &l, unasked_piece(c), 0);
		cr_expect_eq(read_upto(&r, s.bytes.len, SIZE_MAX),
			CONVERSATION_PROTOCOL_ERROR);
		cr_expect_eq(r.blocks, 0);
		reading_end(&r);
		lab_end(c);
		buffer_finish(&s.bytes);
		lab_close(&l);
	}
}

Test(intake, a_long_message_is_not_kept)
{
	static const struct {
		uint32_t length;
		size_t kept;
	} cases[] = {
		{INTAKE_MAX_EXTENDED - 4, INTAKE_MAX_EXTENDED},
		{INTAKE_MAX_EXTENDED - 3, 0},
		{WIRE_MAX_EXTENDED, 0},
	};
	static const size_t cuts[] = {1, 1448, SIZE_MAX};
	static uint8_t zeros[WIRE_MAX_EXTENDED];
	static struct reading r;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
			struct lab l = lab_open(0);
			struct conversation_start start = {.extended = true};
			struct conversation *c =
				lab_begin(&l, start, LAB_START_MS);
			struct made_stream s = {0};
			uint8_t head[6];
			struct writer w = writer_of(head, sizeof(head));

			writer_u32(&w, cases[i].length);
			writer_u8(&w, WIRE_EXTENDED);
			writer_u8(&w, 9);
			buffer_init(&s.bytes, SIZE_MAX);
			buffer_append(&s.bytes, head, sizeof(head));
			buffer_append(&s.bytes, zeros, cases[i].length - 2);
			add_message(&s, have_5);
			reading_begin(&r, &l, c, &s);
			cr_expect_eq(read_upto(&r, s.bytes.len, cuts[j]),
				CONVERSATION_GOES_ON);
			cr_expect(bitfield_has(&c->peer.pick.has, 5), "%zu %zu",
				i, j);
			cr_expect_leq(r.intake.line_capacity,
				cases[i].kept + 2 * INTAKE_LINE);
			reading_end(&r);
			lab_end(c);
			buffer_finish(&s.bytes);
			lab_close(&l);
		}
	}
}
