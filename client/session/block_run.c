#include "client/session/block_run.h"

#include <stdlib.h>

#include "shared/metainfo.h"

static int compare(const void *a, const void *b)
{
	const struct block_id *x = a;
	const struct block_id *y = b;

	if (x->piece != y->piece)
		return x->piece < y->piece ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

void block_run_sort(struct block_id *blocks, size_t count)
{
	qsort(blocks, count, sizeof(*blocks), compare);
}

uint32_t block_run_size(const struct metainfo *m, const struct block_id *block)
{
	uint32_t left = metainfo_piece_size(m, block->piece) -
		block->index * BLOCK_SIZE;

	return left < BLOCK_SIZE ? left : BLOCK_SIZE;
}

static uint64_t offset_of(
	const struct metainfo *m, const struct block_id *block)
{
	return (uint64_t)block->piece * m->piece_length +
		(uint64_t)block->index * BLOCK_SIZE;
}

struct block_run block_run_first(
	const struct metainfo *m, const struct block_id *blocks, size_t count)
{
	struct block_run run = {.offset = offset_of(m, &blocks[0])};

	while (run.blocks < count &&
		offset_of(m, &blocks[run.blocks]) == run.offset + run.len)
		run.len += block_run_size(m, &blocks[run.blocks++]);
	return run;
}
