/* Eight threads take blocks, write to them, look whether another wrote there
 * too, and give them back, while one trims.  Run it under the thread sanitizer:
 * meson setup -Db_sanitize=thread. */

#include "client/torrent/block_pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/torrent/block.h"

enum { THREADS = 8, ROUNDS = 2000, MOST = 40 };

static struct block_pool *pool;
static atomic_uint mistakes;

static void *use(void *number)
{
	unsigned me = *(unsigned *)number;
	uint8_t *blocks[MOST];

	for (unsigned round = 0; round < ROUNDS; round++) {
		size_t wanted = (me * 7 + round) % (MOST + 1);
		size_t count = block_pool_take(pool, blocks, wanted);

		if (count != wanted)
			mistakes++;
		for (size_t i = 0; i < count; i++)
			memcpy(blocks[i] + BLOCK_SIZE - sizeof(me), &me,
				sizeof(me));
		for (size_t i = 0; i < count; i++) {
			if (memcmp(blocks[i] + BLOCK_SIZE - sizeof(me), &me,
				    sizeof(me)) != 0)
				mistakes++;
		}
		block_pool_give(pool, blocks, count / 2);
		block_pool_give(pool, blocks + count / 2, count - count / 2);
		if (me == 0)
			block_pool_trim(pool);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[THREADS];
	unsigned numbers[THREADS];

	pool = block_pool_create();
	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, use, &numbers[i]);
	}
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	block_pool_destroy(pool);

	if (mistakes > 0)
		fprintf(stderr, "%u blocks had two owners or none\n",
			atomic_load(&mistakes));
	return mistakes > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
