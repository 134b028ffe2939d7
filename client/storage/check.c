#include "client/storage/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/storage/storage.h"
#include "shared/clock.h"
#include "shared/metainfo.h"
#include "shared/piece_check.h"

enum {
	MAX_THREADS = 64,
	/* Read and hashed at once: large enough for the disk, small enough to
	 * be hashed before it leaves the core's cache. */
	CHUNK_SIZE = 256 * 1024,
	CHUNK_ALIGN = 4096,
	/* A thread takes pieces of so many bytes together (at least one), so
	 * that it reads on where it was. */
	RUN_SIZE = 4 * 1024 * 1024,
	PROGRESS_MS = 100,
};

/* What the threads of one check share. */
struct work {
	const struct check *c;
	uint8_t *good; /* one byte a piece, each written by one thread */
	uint32_t run;  /* pieces taken at once */
	uint64_t total;

	/* The first piece that nobody has taken.  Goes a little past the end,
	 * but piece counts are far below 2^32. */
	atomic_uint next;
	atomic_bool over; /* failed, or told to stop */

	_Atomic uint64_t done; /* bytes */
	pthread_t caller;      /* the one thread that calls `progress` */
	uint64_t told_ms;      /* private to it */

	pthread_mutex_t lock;
	/* The rest is guarded by `lock`. */
	bool failed;
	struct error err;
};

static void fail(struct work *w, const struct error *err)
{
	pthread_mutex_lock(&w->lock);
	if (!w->failed)
		w->err = *err;
	w->failed = true;
	pthread_mutex_unlock(&w->lock);
	atomic_store(&w->over, true);
}

static bool over(struct work *w)
{
	return atomic_load(&w->over) || (w->c->stop && atomic_load(w->c->stop));
}

static void tell(struct work *w, uint64_t more)
{
	uint64_t done = atomic_fetch_add(&w->done, more) + more;

	if (!w->c->progress || !pthread_equal(w->caller, pthread_self()))
		return;
	uint64_t now_ms = clock_ms();
	if (now_ms - w->told_ms < PROGRESS_MS)
		return;
	w->told_ms = now_ms;
	w->c->progress(w->c->ctx, done, w->total);
}

static bool wanted(const struct work *w, uint32_t index)
{
	return !w->c->wanted || w->c->wanted[index];
}

/* Whether the piece lies on disk and is right. */
static bool piece_good(struct work *w, struct piece_check *check,
	uint8_t *chunk, uint32_t index)
{
	const struct metainfo *m = w->c->m;
	uint64_t begin = (uint64_t)index * m->piece_length;
	uint32_t size = metainfo_piece_size(m, index);
	struct error err;

	piece_check_begin(check, m, index);
	for (uint32_t at = 0; at < size;) {
		uint32_t len = size - at < CHUNK_SIZE ? size - at : CHUNK_SIZE;
		enum storage_result r = storage_read(
			w->c->storage, begin + at, chunk, len, &err);
		if (r == STORAGE_FAILED)
			fail(w, &err);
		if (r != STORAGE_OK || over(w)) {
			tell(w, size - at);
			return false;
		}
		piece_check_update(check, chunk, len);
		at += len;
		tell(w, len);
	}
	return piece_check_end(check);
}

/* The first piece from `index` on that may hold data, or `end`. */
static uint32_t skip_holes(struct work *w, uint32_t index, uint32_t end)
{
	const struct metainfo *m = w->c->m;
	uint64_t offset = (uint64_t)index * m->piece_length;
	uint64_t end_offset = (uint64_t)end * m->piece_length;
	uint64_t data;

	if (end_offset > m->length)
		end_offset = m->length;
	if (!storage_next_data(w->c->storage, offset, end_offset, &data))
		return end;
	return (uint32_t)(data / m->piece_length);
}

static void check_run_of_pieces(struct work *w, struct piece_check *check,
	uint8_t *chunk, uint32_t begin, uint32_t end)
{
	uint32_t data = begin; /* up to here no piece needs to be read */

	for (uint32_t i = begin; i < end && !over(w); i++) {
		if (!wanted(w, i))
			continue;
		if (!w->c->holes_may_be_good && data <= i)
			data = skip_holes(w, i, end);
		if (data > i)
			tell(w, metainfo_piece_size(w->c->m, i));
		else
			w->good[i] = piece_good(w, check, chunk, i);
	}
}

static void *check_thread(void *arg)
{
	struct work *w = arg;
	uint32_t count = w->c->m->piece_count;
	struct piece_check *check = piece_check_create();
	uint8_t *chunk = aligned_alloc(CHUNK_ALIGN, CHUNK_SIZE);
	struct error err;

	if (!check || !chunk) {
		error_set(&err, "check: out of memory");
		fail(w, &err);
	}
	while (!over(w)) {
		uint32_t begin = atomic_fetch_add(&w->next, w->run);
		if (begin >= count)
			break;
		uint32_t left = count - begin;
		check_run_of_pieces(w, check, chunk, begin,
			begin + (left < w->run ? left : w->run));
	}
	free(chunk);
	piece_check_destroy(check);
	return NULL;
}

static unsigned thread_count(const struct work *w)
{
	uint32_t runs = (w->c->m->piece_count - 1) / w->run + 1;
	unsigned count = w->c->threads;

	if (count == 0) {
		long cores = sysconf(_SC_NPROCESSORS_ONLN);
		count = cores > 0 && cores < MAX_THREADS ? (unsigned)cores : 1;
	}
	if (count > MAX_THREADS)
		count = MAX_THREADS;
	return count < runs ? count : runs;
}

bool check_run(const struct check *c, uint8_t *ret_good, struct error *err)
{
	pthread_t threads[MAX_THREADS];
	struct work w = {
		.c = c,
		.good = ret_good,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.caller = pthread_self(),
	};

	w.run = RUN_SIZE / c->m->piece_length;
	if (w.run == 0)
		w.run = 1;
	for (uint32_t i = 0; i < c->m->piece_count; i++)
		w.total += wanted(&w, i) ? metainfo_piece_size(c->m, i) : 0;
	memset(ret_good, 0, c->m->piece_count);

	/* This thread is one of them, so the work gets done even where no
	 * other can be started. */
	unsigned others = 0;
	for (unsigned count = thread_count(&w); others + 1 < count; others++) {
		if (pthread_create(&threads[others], NULL, check_thread, &w))
			break;
	}
	check_thread(&w);
	for (unsigned i = 0; i < others; i++)
		pthread_join(threads[i], NULL);

	if (w.failed)
		*err = w.err;
	else if (c->progress)
		c->progress(c->ctx, atomic_load(&w.done), w.total);
	pthread_mutex_destroy(&w.lock);
	return !w.failed;
}
