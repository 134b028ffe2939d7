#include "client/torrent/block_pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "client/torrent/block.h"

enum {
	SLAB_SIZE = 2 * 1024 * 1024, /* a huge page */
	SLAB_BLOCKS = SLAB_SIZE / BLOCK_SIZE,
};

struct slab {
	struct slab *next;
	uint8_t *memory;
};

/* A free block holds the pointer to the next one in its first bytes. */
struct free_block {
	struct free_block *next;
};

struct block_pool {
	pthread_mutex_t lock;

	/* All guarded by `lock`. */
	struct slab *slabs;
	struct free_block *free;
	size_t out; /* blocks taken and not given back */

	atomic_uint sharers;
	atomic_int_least64_t open_bytes;
};

struct block_pool *block_pool_create(void)
{
	struct block_pool *pool = calloc(1, sizeof(*pool));

	if (pool)
		pthread_mutex_init(&pool->lock, NULL);
	return pool;
}

static void free_slabs(struct slab *slab)
{
	while (slab) {
		struct slab *next = slab->next;
		free(slab->memory);
		free(slab);
		slab = next;
	}
}

void block_pool_destroy(struct block_pool *pool)
{
	if (!pool)
		return;
	assert(pool->out == 0);
	free_slabs(pool->slabs);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

static struct slab *slab_create(void)
{
	struct slab *slab = malloc(sizeof(*slab));

	if (!slab)
		return NULL;
	slab->memory = aligned_alloc(SLAB_SIZE, SLAB_SIZE);
	if (!slab->memory) {
		free(slab);
		return NULL;
	}
	/* Advice only: fewer page faults where it is taken. */
	(void)madvise(slab->memory, SLAB_SIZE, MADV_HUGEPAGE);
	return slab;
}

static void push_locked(struct block_pool *pool, uint8_t *block)
{
	/* Blocks are aligned to their size, so the cast is sound. */
	struct free_block *f = (struct free_block *)(void *)block;

	f->next = pool->free;
	pool->free = f;
}

static void add_slab_locked(struct block_pool *pool, struct slab *slab)
{
	slab->next = pool->slabs;
	pool->slabs = slab;
	for (size_t i = SLAB_BLOCKS; i-- > 0;)
		push_locked(pool, slab->memory + i * BLOCK_SIZE);
}

static size_t take_locked(struct block_pool *pool, uint8_t **ret, size_t count)
{
	size_t taken = 0;

	for (; taken < count && pool->free; taken++) {
		ret[taken] = (uint8_t *)pool->free;
		pool->free = pool->free->next;
	}
	pool->out += taken;
	return taken;
}

size_t block_pool_take(struct block_pool *pool, uint8_t **ret, size_t count)
{
	pthread_mutex_lock(&pool->lock);
	size_t taken = take_locked(pool, ret, count);
	pthread_mutex_unlock(&pool->lock);

	while (taken < count) {
		/* Allocated outside the lock: it may take a while. */
		struct slab *slab = slab_create();
		if (!slab)
			break;
		pthread_mutex_lock(&pool->lock);
		add_slab_locked(pool, slab);
		taken += take_locked(pool, ret + taken, count - taken);
		pthread_mutex_unlock(&pool->lock);
	}
	return taken;
}

void block_pool_give(
	struct block_pool *pool, uint8_t *const *blocks, size_t count)
{
	pthread_mutex_lock(&pool->lock);
	/* Backwards, so that they are taken again in the same order. */
	for (size_t i = count; i-- > 0;) {
		if (!blocks[i])
			continue;
		push_locked(pool, blocks[i]);
		pool->out--;
	}
	pthread_mutex_unlock(&pool->lock);
}

void block_pool_join(struct block_pool *pool)
{
	atomic_fetch_add(&pool->sharers, 1);
}

void block_pool_leave(struct block_pool *pool)
{
	atomic_fetch_sub(&pool->sharers, 1);
}

unsigned block_pool_sharers(const struct block_pool *pool)
{
	return atomic_load(&pool->sharers);
}

void block_pool_add_open(struct block_pool *pool, int64_t bytes)
{
	atomic_fetch_add(&pool->open_bytes, bytes);
}

uint64_t block_pool_open_bytes(const struct block_pool *pool)
{
	return (uint64_t)atomic_load(&pool->open_bytes);
}

void block_pool_trim(struct block_pool *pool)
{
	struct slab *unused = NULL;

	pthread_mutex_lock(&pool->lock);
	if (pool->out == 0) {
		unused = pool->slabs;
		pool->slabs = NULL;
		pool->free = NULL;
	}
	pthread_mutex_unlock(&pool->lock);
	free_slabs(unused);
}
