#ifndef CLIENT_SESSION_BLOCK_RUN_H
#define CLIENT_SESSION_BLOCK_RUN_H

#include <stddef.h>
#include <stdint.h>

#include "client/torrent/block.h"

struct metainfo;

/* Blocks as stretches of the content, for sources that are asked for bytes
 * rather than for blocks.  Pure. */
struct block_run {
	size_t blocks;   /* so many, */
	uint64_t offset; /* from here on in the content, */
	uint64_t len;    /* have so many bytes together */
};

/* In the order of the content, so that what lies together stands together. */
void block_run_sort(struct block_id *blocks, size_t count);

/* The first of `count` (> 0) blocks, with those after it that go on where it
 * ends. */
struct block_run block_run_first(
	const struct metainfo *m, const struct block_id *blocks, size_t count);

/* Bytes of a block. */
uint32_t block_run_size(const struct metainfo *m, const struct block_id *block);

#endif
