#include "client/storage/check.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/storage/storage.h"
#include "shared/clock.h"
#include "shared/cores.h"
#include "shared/metainfo.h"
#include "shared/piece_check.h"

enum {
	MAX_THREADS = 64,
	/* Read and hashed at once, of two pieces side by side: large enough for
	 * the disk, small enough to be hashed before it leaves the core's
	 * cache. */
	CHUNK_SIZE = 256 * 1024,
	CHUNK_ALIGN = 4096,
	/* A thread takes pieces of so many bytes together (at least two), so
	 * that it reads on where it was. */
	RUN_SIZE = 4 * 1024 * 1024,
	RUN_PIECES = 2,
	ZEROS_MAX = 32 * 1024 * 1024,
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

/* One thread's tools. */
struct checker {
	struct work *work;
	struct piece_check *check;
	uint8_t *chunks[2]; /* CHUNK_SIZE each */
};

/* `len` bytes of piece `index` into a chunk; false: they are not there, or it
 * is over. */
static bool read_chunk(struct checker *t, uint8_t *chunk, uint32_t index,
	uint32_t at, uint32_t len)
{
	struct work *w = t->work;
	uint64_t begin = (uint64_t)index * w->c->m->piece_length;
	struct error err;

	enum storage_result r =
		storage_read(w->c->storage, begin + at, chunk, len, &err);
	if (r == STORAGE_FAILED)
		fail(w, &err);
	return r == STORAGE_OK && !over(w);
}

/* Whether the piece lies on disk and is right. */
static bool piece_good(struct checker *t, uint32_t index)
{
	uint32_t size = metainfo_piece_size(t->work->c->m, index);

	piece_check_begin(t->check, t->work->c->m, index);
	for (uint32_t at = 0; at < size;) {
		uint32_t len = size - at < CHUNK_SIZE ? size - at : CHUNK_SIZE;

		if (!read_chunk(t, t->chunks[0], index, at, len)) {
			tell(t->work, size - at);
			return false;
		}
		piece_check_update(t->check, t->chunks[0], len);
		at += len;
		tell(t->work, len);
	}
	return piece_check_end(t->check);
}

/* The same of two; false: not all of them is there, judge each by itself. */
static bool judge_two(
	struct checker *t, uint32_t a, uint32_t b, bool ret_good[2])
{
	const struct metainfo *m = t->work->c->m;
	uint32_t size = m->piece_length;

	if (!piece_check_can_pair(m, a, b))
		return false;
	piece_check_begin_two(t->check, m, a, b);
	for (uint32_t at = 0, len; at < size; at += len) {
		len = size - at < CHUNK_SIZE ? size - at : CHUNK_SIZE;
		if (!read_chunk(t, t->chunks[0], a, at, len) ||
			!read_chunk(t, t->chunks[1], b, at, len)) {
			tell(t->work, -(2 * (uint64_t)at)); /* once more */
			return false;
		}
		piece_check_update_two(
			t->check, t->chunks[0], t->chunks[1], len);
		tell(t->work, 2 * (uint64_t)len);
	}
	piece_check_end_two(t->check, ret_good);
	return true;
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

static void check_pieces(
	struct checker *t, const uint32_t *pieces, unsigned count)
{
	bool good[2];

	if (count == 2 && judge_two(t, pieces[0], pieces[1], good)) {
		t->work->good[pieces[0]] = good[0];
		t->work->good[pieces[1]] = good[1];
		return;
	}
	for (unsigned i = 0; i < count && !over(t->work); i++)
		t->work->good[pieces[i]] = piece_good(t, pieces[i]);
}

/* Zeros may be there as a hole: a sparse copy, or a file system that keeps none
 * of them.  (Of larger pieces it would take long to know.) */
static bool hole_may_be_good(struct checker *t, uint32_t index)
{
	const struct metainfo *m = t->work->c->m;

	return metainfo_piece_size(m, index) <= ZEROS_MAX &&
		piece_check_is_zeros(t->check, m, index);
}

static void check_run_of_pieces(struct checker *t, uint32_t begin, uint32_t end)
{
	struct work *w = t->work;
	uint32_t data = begin; /* up to here no piece needs to be read */
	uint32_t pieces[2];
	unsigned count = 0;

	for (uint32_t i = begin; i < end && !over(w); i++) {
		if (!wanted(w, i))
			continue;
		if (!w->c->holes_may_be_good && data <= i)
			data = skip_holes(w, i, end);
		if (data > i && !hole_may_be_good(t, i)) {
			tell(w, metainfo_piece_size(w->c->m, i));
			continue;
		}
		pieces[count++] = i;
		if (count == 2) {
			check_pieces(t, pieces, count);
			count = 0;
		}
	}
	check_pieces(t, pieces, count);
}

static void *check_thread(void *arg)
{
	struct work *w = arg;
	uint32_t count = w->c->m->piece_count;
	struct checker t = {
		.work = w,
		.check = piece_check_create(),
		.chunks = {aligned_alloc(CHUNK_ALIGN, CHUNK_SIZE),
			aligned_alloc(CHUNK_ALIGN, CHUNK_SIZE)},
	};
	struct error err;

	if (!t.check || !t.chunks[0] || !t.chunks[1]) {
		error_set(&err, "check: out of memory");
		fail(w, &err);
	}
	while (!over(w)) {
		uint32_t begin = atomic_fetch_add(&w->next, w->run);
		if (begin >= count)
			break;
		uint32_t left = count - begin;
		check_run_of_pieces(
			&t, begin, begin + (left < w->run ? left : w->run));
	}
	free(t.chunks[0]);
	free(t.chunks[1]);
	piece_check_destroy(t.check);
	return NULL;
}

static unsigned thread_count(const struct work *w)
{
	uint32_t runs = (w->c->m->piece_count - 1) / w->run + 1;
	unsigned count = w->c->threads;

	if (count == 0)
		count = cores_count();
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
	if (w.run < RUN_PIECES)
		w.run = RUN_PIECES;
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
