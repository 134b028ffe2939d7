#include "client/torrent/block_pool.h"

#include <criterion/criterion.h>
#include <string.h>

#include "client/torrent/block.h"

enum { MANY = 300 }; /* more than two slabs */

Test(block_pool, blocks_are_whole_aligned_and_apart)
{
	struct block_pool *pool = block_pool_create();
	uint8_t *blocks[MANY];

	cr_assert_eq(block_pool_take(pool, blocks, MANY), MANY);
	for (unsigned i = 0; i < MANY; i++) {
		cr_expect_eq((uintptr_t)blocks[i] % BLOCK_SIZE, 0);
		memset(blocks[i], (int)(i % 251), BLOCK_SIZE);
	}
	for (unsigned i = 0; i < MANY; i++)
		for (unsigned at = 0; at < BLOCK_SIZE; at += 4095)
			cr_expect_eq(blocks[i][at], i % 251);
	block_pool_give(pool, blocks, MANY);
	block_pool_destroy(pool);
}

Test(block_pool, what_was_given_last_is_taken_first)
{
	struct block_pool *pool = block_pool_create();
	uint8_t *first[5], *again[5];

	cr_assert_eq(block_pool_take(pool, first, 5), 5);
	block_pool_give(pool, first, 5);
	cr_assert_eq(block_pool_take(pool, again, 5), 5);
	cr_expect_arr_eq(first, again, sizeof(first));
	block_pool_give(pool, again + 2, 1);
	cr_assert_eq(block_pool_take(pool, first, 1), 1);
	cr_expect_eq(first[0], again[2]);
	block_pool_give(pool, again, 5);
	block_pool_destroy(pool);
}

Test(block_pool, nulls_are_skipped_and_nothing_may_be_taken)
{
	struct block_pool *pool = block_pool_create();
	uint8_t *blocks[3] = {NULL, NULL, NULL};

	cr_expect_eq(block_pool_take(pool, blocks, 0), 0);
	block_pool_give(pool, blocks, 3);
	cr_assert_eq(block_pool_take(pool, blocks + 1, 1), 1);
	block_pool_give(pool, blocks, 3);
	block_pool_destroy(pool);
	block_pool_destroy(NULL);
}

Test(block_pool, trim_waits_for_the_last_block)
{
	struct block_pool *pool = block_pool_create();
	uint8_t *blocks[MANY];

	block_pool_trim(pool);
	cr_assert_eq(block_pool_take(pool, blocks, MANY), MANY);
	block_pool_give(pool, blocks + 1, MANY - 1);
	block_pool_trim(pool);
	memset(blocks[0], 1, BLOCK_SIZE); /* still ours */
	block_pool_give(pool, blocks, 1);
	block_pool_trim(pool);
	cr_assert_eq(block_pool_take(pool, blocks, MANY), MANY);
	memset(blocks[MANY - 1], 1, BLOCK_SIZE);
	block_pool_give(pool, blocks, MANY);
	block_pool_destroy(pool);
}
