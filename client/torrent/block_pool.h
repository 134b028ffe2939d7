#ifndef CLIENT_TORRENT_BLOCK_POOL_H
#define CLIENT_TORRENT_BLOCK_POOL_H

#include <stddef.h>
#include <stdint.h>

/* Memory for blocks under way, BLOCK_SIZE bytes each, for the whole process.
 * A block is received into one of these and stays there until it is hashed and
 * written: that is what "bytes are moved once" rests on.  Last in, first out,
 * so that what is taken is still in a cache, in slabs that suit huge pages.
 *
 * How much may be out is the callers' budget (see picker.h), not the pool's; it
 * only counts for them what those who share it have open.
 *
 * Threads: any. */
struct block_pool;

struct block_pool *block_pool_create(void);

/* Every block must have been given back.  NULL is allowed. */
void block_pool_destroy(struct block_pool *pool);

/* Take up to `count` blocks of memory; fewer (or 0) when there is none. */
size_t block_pool_take(struct block_pool *pool, uint8_t **ret, size_t count);

/* Give them back; NULLs among them are skipped. */
void block_pool_give(
	struct block_pool *pool, uint8_t *const *blocks, size_t count);

/* One more who shares the pool, or one less. */
void block_pool_join(struct block_pool *pool);
void block_pool_leave(struct block_pool *pool);

/* How many share it; 0: nobody. */
unsigned block_pool_sharers(const struct block_pool *pool);

/* Bytes of pieces that they have begun, whether or not their blocks are there;
 * so many more, or less. */
void block_pool_add_open(struct block_pool *pool, int64_t bytes);
uint64_t block_pool_open_bytes(const struct block_pool *pool);

/* Return the memory to the system if no block is out: a download is over. */
void block_pool_trim(struct block_pool *pool);

#endif
