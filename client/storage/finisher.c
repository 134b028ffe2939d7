#include "client/storage/finisher.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "client/storage/layout.h"
#include "client/storage/storage.h"
#include "shared/metainfo.h"
#include "shared/piece_check.h"

enum {
	MAX_THREADS = 16,
	/* Waiting jobs for each thread: as many as it takes at once, so that it
	 * need not wait for the next; more would only be memory held. */
	QUEUED_EACH = 2,
	/* Buffers in one call to storage_write: 4 MiB of 16 KiB blocks. */
	SEGMENTS = 256,
};

struct finisher {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a job came, or `closed` */

	/* Set once. */
	unsigned thread_count;
	pthread_t threads[MAX_THREADS];

	/* Guarded by `lock`. */
	bool closed;
	unsigned hashing; /* threads that will be over with it in a moment */
	size_t head, count;
	struct finisher_job ring[MAX_THREADS * QUEUED_EACH];
};

static bool write_piece(
	const struct finisher_job *job, uint32_t size, struct error *err)
{
	uint64_t offset = (uint64_t)job->index * job->m->piece_length;
	struct iovec iov[SEGMENTS];
	uint32_t done = 0;
	size_t block = 0;

	while (done < size) {
		uint32_t start = done;
		size_t n = 0;

		for (; n < SEGMENTS && done < size; n++, block++) {
			uint32_t len = size - done < job->block_size
				? size - done
				: job->block_size;
			iov[n] = (struct iovec){job->blocks[block], len};
			done += len;
		}
		if (!storage_write(job->storage, offset + start, iov, n, err))
			return false;
	}
	return true;
}

static bool check_piece(
	struct piece_check *check, const struct finisher_job *job)
{
	uint32_t size = metainfo_piece_size(job->m, job->index);

	piece_check_begin(check, job->m, job->index);
	for (uint32_t done = 0; done < size; done += job->block_size) {
		uint32_t len = size - done < job->block_size ? size - done
							     : job->block_size;
		piece_check_update(
			check, job->blocks[done / job->block_size], len);
	}
	return piece_check_end(check);
}

static bool can_pair(const struct finisher_job *a, const struct finisher_job *b)
{
	return a->m == b->m && a->block_size == b->block_size &&
		piece_check_can_pair(a->m, a->index, b->index);
}

static void check_two(struct piece_check *check,
	const struct finisher_job jobs[2], bool ret_good[2])
{
	uint32_t size = jobs[0].m->piece_length;
	uint32_t block = jobs[0].block_size;

	piece_check_begin_two(check, jobs[0].m, jobs[0].index, jobs[1].index);
	for (uint32_t done = 0; done < size; done += block)
		piece_check_update_two(check, jobs[0].blocks[done / block],
			jobs[1].blocks[done / block],
			size - done < block ? size - done : block);
	piece_check_end_two(check, ret_good);
}

/* Pad files (BEP 47) are zeros that are never on disk.  A torrent whose hashes
 * want something else there would pass here and never again. */
static bool pads_are_zeros(const struct finisher_job *job, uint32_t size)
{
	uint64_t start = (uint64_t)job->index * job->m->piece_length;
	struct layout_walk walk = layout_walk(job->m, start, size);
	struct layout_part part;
	uint64_t at = 0;

	while (layout_next(&walk, &part)) {
		uint64_t end = at + part.len;
		for (; part.file == LAYOUT_NO_FILE && at < end; at++) {
			if (job->blocks[at / job->block_size]
				       [at % job->block_size] != 0)
				return false;
		}
		at = end;
	}
	return true;
}

static enum finisher_result write_good(
	const struct finisher_job *job, struct error *err)
{
	uint32_t size = metainfo_piece_size(job->m, job->index);

	if (!pads_are_zeros(job, size)) {
		error_set(err,
			"%s: its pad files are not zeros, as BEP 47 wants",
			job->m->name);
		return FINISHER_ERROR;
	}
	return write_piece(job, size, err) ? FINISHER_GOOD : FINISHER_ERROR;
}

/* One job, or two that can be paired. */
static void check_jobs(struct piece_check *check,
	const struct finisher_job *jobs, size_t count, bool ret_good[2])
{
	if (check && count == 2)
		check_two(check, jobs, ret_good);
	else if (check)
		ret_good[0] = check_piece(check, &jobs[0]);
}

/* `checked`: there was memory to check it. */
static void end_job(const struct finisher_job *job, bool checked, bool good)
{
	enum finisher_result result = FINISHER_BAD;
	struct error err = {""};

	if (good)
		result = write_good(job, &err);
	if (!checked) {
		error_set(&err, "cannot hash: out of memory");
		result = FINISHER_ERROR;
	}
	job->done(job->ctx, job->piece, result, &err);
}

/* Wait for jobs to be done together; 0: there will be no more. */
static size_t next_jobs(struct finisher *f, struct finisher_job ret[2])
{
	size_t taken = 0;

	pthread_mutex_lock(&f->lock);
	while (f->count == 0 && !f->closed)
		pthread_cond_wait(&f->changed, &f->lock);
	while (f->count > 0 && taken < 2 &&
		(taken == 0 || can_pair(&ret[0], &f->ring[f->head]))) {
		ret[taken++] = f->ring[f->head];
		f->head = (f->head + 1) % (MAX_THREADS * QUEUED_EACH);
		f->count--;
	}
	f->hashing += taken > 0;
	pthread_mutex_unlock(&f->lock);
	return taken;
}

/* What was left to this thread is another's now: writing may take long. */
static void hashed(struct finisher *f)
{
	pthread_mutex_lock(&f->lock);
	f->hashing--;
	if (f->count > 0)
		pthread_cond_signal(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void *run(void *arg)
{
	struct finisher *f = arg;
	struct piece_check *check = piece_check_create();
	struct finisher_job jobs[2];
	size_t count;

	while ((count = next_jobs(f, jobs)) > 0) {
		bool good[2] = {false, false};

		check_jobs(check, jobs, count, good);
		hashed(f);
		for (size_t i = 0; i < count; i++)
			end_job(&jobs[i], check, good[i]);
	}
	piece_check_destroy(check);
	return NULL;
}

struct finisher *finisher_create(unsigned threads)
{
	struct finisher *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	if (threads > MAX_THREADS)
		threads = MAX_THREADS;
	for (unsigned i = 0; i < threads; i++) {
		/* Fewer will do: pushers lend a hand. */
		if (pthread_create(&f->threads[i], NULL, run, f) != 0)
			break;
		f->thread_count++;
	}
	return f;
}

void finisher_destroy(struct finisher *f)
{
	if (!f)
		return;
	pthread_mutex_lock(&f->lock);
	f->closed = true;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
	for (unsigned i = 0; i < f->thread_count; i++)
		pthread_join(f->threads[i], NULL);
	pthread_cond_destroy(&f->changed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void finisher_push(struct finisher *f, const struct finisher_job *job)
{
	pthread_mutex_lock(&f->lock);
	bool queued = f->count < f->thread_count * QUEUED_EACH;
	if (queued) {
		f->ring[(f->head + f->count) % (MAX_THREADS * QUEUED_EACH)] =
			*job;
		f->count++;
		/* One job alone is left to whoever is hashing: when that is
		 * done there may be two. */
		if (f->count > 1 || f->hashing == 0)
			pthread_cond_signal(&f->changed);
	}
	pthread_mutex_unlock(&f->lock);
	if (queued)
		return;

	/* All are busy. */
	struct piece_check *check = piece_check_create();
	bool good[2] = {false, false};
	check_jobs(check, job, 1, good);
	end_job(job, check, good[0]);
	piece_check_destroy(check);
}
