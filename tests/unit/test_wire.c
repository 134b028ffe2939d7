#include <criterion/criterion.h>
#include <string.h>

#include "client/peer/wire.h"
#include "shared/metainfo.h"
#include "tests/unit/guarded.h"

static uint8_t memory[64];

static struct span written(const struct writer *w)
{
	cr_assert_not(w->bad);
	return guarded_span(w->start, writer_len(w));
}

/* The first bytes of a message that says so of itself. */
static enum wire_judgement judge(
	uint32_t length, uint8_t id, uint32_t piece_count, bool fast)
{
	struct writer w = writer_of(memory, sizeof(memory));
	struct wire_prefix prefix;

	writer_u32(&w, length);
	writer_u8(&w, id);
	return wire_read_prefix(written(&w), piece_count, fast, &prefix);
}

/* Read back what was written; its prefix must need no more than 5 bytes. */
static struct wire_message there_and_back(const struct writer *w)
{
	struct span bytes = written(w);
	struct span first = guarded_span(w->start,
		bytes.len < WIRE_PREFIX_SIZE ? bytes.len : WIRE_PREFIX_SIZE);
	struct wire_prefix prefix = {0};
	struct wire_message m = {0};

	cr_assert_eq(wire_read_prefix(first, 20, true, &prefix), WIRE_OK);
	cr_assert_eq(prefix.size, bytes.len);
	cr_assert(wire_read(&prefix, bytes, &m));
	cr_assert_eq(m.id, prefix.id);
	return m;
}

Test(wire, plain_messages_go_there_and_back)
{
	static const enum wire_id ids[] = {WIRE_CHOKE, WIRE_UNCHOKE,
		WIRE_INTERESTED, WIRE_NOT_INTERESTED, WIRE_HAVE_ALL,
		WIRE_HAVE_NONE};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct writer w = writer_of(memory, sizeof(memory));
		wire_write_plain(&w, ids[i]);
		cr_expect_eq(there_and_back(&w).id, ids[i]);
	}

	struct writer w = writer_of(memory, sizeof(memory));
	wire_write_keep_alive(&w);
	cr_expect_eq(there_and_back(&w).id, WIRE_KEEP_ALIVE);
}

Test(wire, messages_with_numbers_go_there_and_back)
{
	static const enum wire_id indexes[] = {
		WIRE_HAVE, WIRE_SUGGEST, WIRE_ALLOWED_FAST};
	static const enum wire_id blocks[] = {
		WIRE_REQUEST, WIRE_CANCEL, WIRE_REJECT};
	static const struct block_ref b = {UINT32_MAX, 0x01020304, 0x4000};

	for (size_t i = 0; i < 3; i++) {
		struct writer w = writer_of(memory, sizeof(memory));
		wire_write_piece_index(&w, indexes[i], 0xfffefdfc);
		struct wire_message m = there_and_back(&w);
		cr_expect_eq(m.id, indexes[i]);
		cr_expect_eq(m.piece, 0xfffefdfc);

		w = writer_of(memory, sizeof(memory));
		wire_write_block(&w, blocks[i], &b);
		m = there_and_back(&w);
		cr_expect_eq(m.id, blocks[i]);
		cr_expect(block_ref_equal(&m.block, &b));
	}

	struct writer w = writer_of(memory, sizeof(memory));
	wire_write_port(&w, 65535);
	struct wire_message m = there_and_back(&w);
	cr_expect_eq(m.id, WIRE_PORT);
	cr_expect_eq(m.port, 65535);
}

Test(wire, messages_with_bytes_go_there_and_back)
{
	struct writer w = writer_of(memory, sizeof(memory));
	wire_write_bitfield(&w, (const uint8_t *)"\xff\x00\xf0", 3);
	struct wire_message m = there_and_back(&w);
	cr_expect_eq(m.id, WIRE_BITFIELD);
	cr_expect_eq(m.payload.len, 3);
	cr_expect_arr_eq(m.payload.at, "\xff\x00\xf0", 3);

	w = writer_of(memory, sizeof(memory));
	wire_write_extended(&w, 7, "de", 2);
	m = there_and_back(&w);
	cr_expect_eq(m.id, WIRE_EXTENDED);
	cr_expect_eq(m.extended_id, 7);
	cr_expect_eq(m.payload.len, 2);
	cr_expect_arr_eq(m.payload.at, "de", 2);

	w = writer_of(memory, sizeof(memory));
	wire_write_extended(&w, 1, NULL, 0);
	m = there_and_back(&w);
	cr_expect_eq(m.extended_id, 1);
	cr_expect_eq(m.payload.len, 0);
}

Test(wire, piece_is_read_from_its_header_alone)
{
	static const struct block_ref b = {3, 16384, BLOCK_SIZE};
	struct writer w = writer_of(memory, sizeof(memory));
	struct wire_prefix prefix;
	struct wire_message m;

	wire_write_piece_header(&w, &b);
	struct span header = written(&w);
	cr_expect_eq(header.len, WIRE_PIECE_HEADER_SIZE);
	cr_assert_eq(wire_read_prefix(header, 20, false, &prefix), WIRE_OK);
	cr_expect_eq(prefix.size, WIRE_PIECE_HEADER_SIZE + BLOCK_SIZE);
	cr_assert(wire_read(&prefix, header, &m));
	cr_expect_eq(m.piece, 3);
	cr_expect(block_ref_equal(&m.block, &b));

	struct span cut = guarded_span(header.at, header.len - 1);
	cr_expect_not(wire_read(&prefix, cut, &m));
}

Test(wire, length_is_judged_against_the_type)
{
	static const struct {
		uint8_t id;
		uint32_t min, max;
	} cases[] = {
		{WIRE_CHOKE, 1, 1},
		{WIRE_UNCHOKE, 1, 1},
		{WIRE_INTERESTED, 1, 1},
		{WIRE_NOT_INTERESTED, 1, 1},
		{WIRE_HAVE, 5, 5},
		{WIRE_BITFIELD, 1 + 3, 1 + 3}, /* of 20 pieces */
		{WIRE_REQUEST, 13, 13},
		{WIRE_PIECE, 9 + 1, 9 + BLOCK_SIZE},
		{WIRE_CANCEL, 13, 13},
		{WIRE_PORT, 3, 3},
		{10, 1, WIRE_MAX_UNKNOWN},
		{12, 1, WIRE_MAX_UNKNOWN},
		{WIRE_SUGGEST, 5, 5},
		{WIRE_HAVE_ALL, 1, 1},
		{WIRE_HAVE_NONE, 1, 1},
		{WIRE_REJECT, 13, 13},
		{WIRE_ALLOWED_FAST, 5, 5},
		{18, 1, WIRE_MAX_UNKNOWN},
		{WIRE_EXTENDED, 2, WIRE_MAX_EXTENDED},
		{21, 1, WIRE_MAX_UNKNOWN},
		{255, 1, WIRE_MAX_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t id = cases[i].id;

		cr_expect_eq(judge(cases[i].min, id, 20, true), WIRE_OK,
			"id %u", id);
		cr_expect_eq(judge(cases[i].max, id, 20, true), WIRE_OK,
			"id %u", id);
		if (cases[i].min > 1) /* 0 is a keep-alive */
			cr_expect_eq(judge(cases[i].min - 1, id, 20, true),
				WIRE_BROKEN, "id %u", id);
		cr_expect_eq(judge(cases[i].max + 1, id, 20, true), WIRE_BROKEN,
			"id %u", id);
		cr_expect_eq(judge(UINT32_MAX, id, 20, true), WIRE_BROKEN,
			"id %u", id);
	}
}

Test(wire, bitfield_is_exactly_as_long_as_the_torrent_wants)
{
	static const struct {
		uint32_t piece_count, length;
		bool ok;
	} cases[] = {
		{1, 1, false},
		{1, 2, true},
		{1, 3, false},
		{8, 2, true},
		{8, 3, false},
		{9, 2, false},
		{9, 3, true},
		{METAINFO_MAX_PIECES, 1 + METAINFO_MAX_PIECES / 8, true},
		{METAINFO_MAX_PIECES, METAINFO_MAX_PIECES / 8, false},
		/* Not known yet. */
		{0, 1, false},
		{0, 2, true},
		{0, 1 + METAINFO_MAX_PIECES / 8, true},
		{0, 2 + METAINFO_MAX_PIECES / 8, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(judge(cases[i].length, WIRE_BITFIELD,
				     cases[i].piece_count, false),
			cases[i].ok ? WIRE_OK : WIRE_BROKEN, "case %zu", i);
}

Test(wire, prefix_is_judged_as_soon_as_its_bytes_tell)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum wire_judgement judgement;
	} cases[] = {
		{"", 0, WIRE_MORE},
		{"\0\0\0", 3, WIRE_MORE},
		{"\0\0\0\0", 4, WIRE_OK}, /* keep-alive */
		{"\0\0\0\1", 4, WIRE_MORE},
		{"\0\0\0\1\0", 5, WIRE_OK},
		{"\0\x10\0\0", 4, WIRE_MORE},   /* WIRE_MAX_EXTENDED */
		{"\0\x10\0\1", 4, WIRE_BROKEN}, /* more than anything may be */
		{"\xff\xff\xff\xff", 4, WIRE_BROKEN},
		{"\xff\xff\xff", 3, WIRE_MORE},
		{"GET ", 4, WIRE_BROKEN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wire_prefix prefix = {WIRE_CHOKE, 0};
		struct span s = guarded_span(cases[i].bytes, cases[i].len);

		cr_expect_eq(wire_read_prefix(s, 20, true, &prefix),
			cases[i].judgement, "case %zu", i);
	}
}

Test(wire, messages_of_bep_6_are_broken_without_the_fast_bit)
{
	static const struct {
		uint8_t id;
		uint32_t length;
	} cases[] = {
		{WIRE_SUGGEST, 5},
		{WIRE_HAVE_ALL, 1},
		{WIRE_HAVE_NONE, 1},
		{WIRE_REJECT, 13},
		{WIRE_ALLOWED_FAST, 5},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(judge(cases[i].length, cases[i].id, 20, false),
			WIRE_BROKEN, "id %u", cases[i].id);
		cr_expect_eq(judge(cases[i].length, cases[i].id, 20, true),
			WIRE_OK, "id %u", cases[i].id);
	}
}

Test(wire, unknown_message_is_skipped_whole)
{
	static const char bytes[] = "\0\0\0\4\x63xyz";
	struct wire_prefix prefix;
	struct wire_message m;
	struct span s = guarded_span(bytes, sizeof(bytes) - 1);

	cr_assert_eq(wire_read_prefix(s, 20, false, &prefix), WIRE_OK);
	cr_expect_eq(prefix.id, WIRE_UNKNOWN);
	cr_expect_eq(prefix.size, 8);
	cr_assert(wire_read(&prefix, s, &m));
	cr_expect_eq(m.id, WIRE_UNKNOWN);
}

Test(wire, message_of_another_size_than_its_prefix_is_refused)
{
	struct writer w = writer_of(memory, sizeof(memory));
	struct wire_prefix prefix;
	struct wire_message m;

	wire_write_piece_index(&w, WIRE_HAVE, 1);
	writer_u8(&w, 0);
	cr_assert_eq(
		wire_read_prefix(written(&w), 20, false, &prefix), WIRE_OK);
	for (size_t len = 0; len <= writer_len(&w); len++)
		cr_expect_eq(wire_read(&prefix, guarded_span(memory, len), &m),
			len == prefix.size, "%zu bytes", len);
}
