#include "client/storage/layout.h"

#include <criterion/criterion.h>

#include "shared/metainfo.h"

/* 0: empty "a"; [0,1) b; empty c; [1,11) pad; [11,20) d; gap; [24,30) e;
 * empty f. */
static struct metainfo_file files[] = {
	{.offset = 0, .length = 0, .path = "a"},
	{.offset = 0, .length = 1, .path = "b"},
	{.offset = 1, .length = 0, .path = "c"},
	{.offset = 1, .length = 10, .path = "pad", .pad = true},
	{.offset = 11, .length = 9, .path = "d"},
	{.offset = 24, .length = 6, .path = "e"},
	{.offset = 30, .length = 0, .path = "f"},
};

static struct metainfo torrent(uint32_t piece_length)
{
	return (struct metainfo){
		.length = 30,
		.piece_length = piece_length,
		.piece_count = (29 / piece_length) + 1,
		.file_count = sizeof(files) / sizeof(files[0]),
		.files = files,
	};
}

#define NONE LAYOUT_NO_FILE

Test(layout, a_range_falls_into_its_parts_in_order)
{
	static const struct {
		uint64_t offset, len;
		size_t count;
		struct layout_part parts[6];
	} cases[] = {
		{0, 0, 0, {{0}}},
		{0, 1, 1, {{1, 0, 1}}},
		{0, 2, 2, {{1, 0, 1}, {NONE, 0, 1}}},
		{1, 10, 1, {{NONE, 0, 10}}},
		{5, 7, 2, {{NONE, 0, 6}, {4, 0, 1}}},
		{11, 9, 1, {{4, 0, 9}}},
		{19, 1, 1, {{4, 8, 1}}},
		{19, 2, 2, {{4, 8, 1}, {NONE, 0, 1}}},
		{20, 4, 1, {{NONE, 0, 4}}},
		{23, 2, 2, {{NONE, 0, 1}, {5, 0, 1}}},
		{29, 1, 1, {{5, 5, 1}}},
		{0, 30, 5,
			{{1, 0, 1}, {NONE, 0, 10}, {4, 0, 9}, {NONE, 0, 4},
				{5, 0, 6}}},
		{30, 0, 0, {{0}}},
	};
	struct metainfo m = torrent(16);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct layout_walk w =
			layout_walk(&m, cases[i].offset, cases[i].len);
		struct layout_part p;
		size_t n = 0;

		while (layout_next(&w, &p)) {
			cr_assert_lt(n, cases[i].count, "case %zu", i);
			const struct layout_part *want = &cases[i].parts[n++];
			cr_expect_eq(p.file, want->file, "case %zu", i);
			cr_expect_eq(p.len, want->len, "case %zu", i);
			if (p.file != NONE)
				cr_expect_eq(
					p.offset, want->offset, "case %zu", i);
		}
		cr_expect_eq(n, cases[i].count, "case %zu", i);
	}
}

Test(layout, every_byte_is_found_alone_where_a_long_walk_puts_it)
{
	struct metainfo m = torrent(16);
	struct layout_walk all = layout_walk(&m, 0, m.length);
	struct layout_part part;
	uint64_t offset = 0;

	while (layout_next(&all, &part)) {
		for (uint64_t i = 0; i < part.len; i++, offset++) {
			struct layout_walk w = layout_walk(&m, offset, 1);
			struct layout_part p;
			cr_assert(layout_next(&w, &p));
			cr_expect_eq(p.file, part.file);
			cr_expect_eq(p.len, 1);
			if (p.file != NONE)
				cr_expect_eq(p.offset, part.offset + i);
			cr_expect_not(layout_next(&w, &p));
		}
	}
	cr_expect_eq(offset, m.length);
}

Test(layout, a_file_knows_the_pieces_that_hold_it)
{
	static const struct {
		uint32_t piece_length;
		size_t file;
		uint32_t first, end;
	} cases[] = {
		{1, 1, 0, 1}, {1, 4, 11, 20}, {1, 5, 24, 30},
		{10, 0, 0, 0},                  /* empty */
		{10, 1, 0, 1}, {10, 4, 1, 2},   /* up to a border exactly */
		{10, 3, 0, 2},                  /* pad, one byte over one */
		{10, 5, 2, 3}, {10, 6, 3, 3},   /* empty, at the very end */
		{30, 5, 0, 1}, {1000, 4, 0, 1}, /* one piece for all */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct metainfo m = torrent(cases[i].piece_length);
		uint32_t first, end;

		layout_file_pieces(&m, cases[i].file, &first, &end);
		cr_expect_eq(first, cases[i].first, "case %zu", i);
		cr_expect_eq(end, cases[i].end, "case %zu", i);
	}
}

Test(layout, offsets_past_32_bits_stay_whole)
{
	struct metainfo_file big[] = {
		{.offset = 0, .length = (uint64_t)1 << 40, .path = "a"},
		{.offset = (uint64_t)1 << 40, .length = 5, .path = "b"},
	};
	struct metainfo m = {
		.length = ((uint64_t)1 << 40) + 5,
		.piece_length = 1 << 29,
		.piece_count = 2049,
		.file_count = 2,
		.files = big,
	};
	struct layout_walk w = layout_walk(&m, ((uint64_t)1 << 40) - 1, 6);
	struct layout_part p;
	uint32_t first, end;

	cr_assert(layout_next(&w, &p));
	cr_expect_eq(p.offset, ((uint64_t)1 << 40) - 1);
	cr_expect_eq(p.len, 1);
	cr_assert(layout_next(&w, &p));
	cr_expect_eq(p.file, 1);
	cr_expect_eq(p.len, 5);
	layout_file_pieces(&m, 1, &first, &end);
	cr_expect_eq(first, 2048);
	cr_expect_eq(end, 2049);
}
