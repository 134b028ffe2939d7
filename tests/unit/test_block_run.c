#include "client/session/block_run.h"

#include <criterion/criterion.h>

#include "shared/metainfo.h"

enum { PIECE = 40000, LENGTH = 3 * PIECE + 17000 };

/* Pieces 0 to 2 have blocks of 16384, 16384 and 7232 bytes, piece 3 of 16384
 * and 616. */
static const struct metainfo m = {
	.length = LENGTH,
	.piece_length = PIECE,
	.piece_count = 4,
	.file_count = 1,
	.files = (struct metainfo_file[]){{.length = LENGTH, .path = "x"}},
};

Test(block_run, the_last_block_of_a_piece_is_what_is_left)
{
	static const struct {
		struct block_id block;
		uint32_t size;
	} cases[] = {
		{{0, 0}, BLOCK_SIZE},
		{{0, 1}, BLOCK_SIZE},
		{{2, 2}, 7232},
		{{3, 0}, BLOCK_SIZE},
		{{3, 1}, 616},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(
			block_run_size(&m, &cases[i].block), cases[i].size);
}

Test(block_run, goes_on_as_long_as_block_follows_on_block)
{
	static const struct {
		struct block_id blocks[4];
		size_t count;
		struct block_run run;
	} cases[] = {
		{{{0, 0}}, 1, {1, 0, BLOCK_SIZE}},
		{{{3, 1}}, 1, {1, LENGTH - 616, 616}},
		{{{0, 0}, {0, 2}}, 2, {1, 0, BLOCK_SIZE}},
		{{{0, 1}, {0, 2}, {1, 0}, {1, 2}}, 4,
			{3, BLOCK_SIZE, 2 * BLOCK_SIZE + 7232}},
		{{{1, 0}, {0, 2}}, 2, {1, PIECE, BLOCK_SIZE}},
		{{{2, 2}, {3, 0}, {3, 1}}, 3,
			{3, 3 * PIECE - 7232, 7232 + 17000}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct block_run run =
			block_run_first(&m, cases[i].blocks, cases[i].count);

		cr_expect_eq(run.blocks, cases[i].run.blocks, "case %zu", i);
		cr_expect_eq(run.offset, cases[i].run.offset, "case %zu", i);
		cr_expect_eq(run.len, cases[i].run.len, "case %zu", i);
	}
}

Test(block_run, sorting_makes_one_run_of_blocks_in_any_order)
{
	struct block_id blocks[] = {{1, 1}, {0, 2}, {1, 0}, {0, 1}, {0, 0}};

	block_run_sort(blocks, 5);
	struct block_run run = block_run_first(&m, blocks, 5);
	cr_expect_eq(run.blocks, 5);
	cr_expect_eq(run.offset, 0);
}
