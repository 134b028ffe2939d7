#include "client/storage/finisher.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#include "client/storage/storage.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/torrent_maker.h"

enum {
	PIECE = 64 * 1024,
	BLOCK = 16 * 1024,
	PIECES = 5,
	LENGTH =
		4 * PIECE + BLOCK + 3, /* the last piece: a block and 3 bytes */
	EACH = PIECE / BLOCK,
};

/* What became of a piece. */
struct outcome {
	unsigned times;
	enum finisher_result result;
	pthread_t thread;
	struct error err;
};

/* A torrent, a storage below the current folder, and a gate at which finisher
 * threads can be held. */
struct rig {
	struct temp_folder folder;
	struct made_torrent t;
	struct storage *storage;
	uint8_t *blocks[PIECES][EACH];

	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned held, at_gate, done_count;
	struct outcome outcomes[PIECES];
};

static void rig_open(struct rig *r)
{
	static const struct made_file files[] = {
		{"", LENGTH, false}, {NULL, 0, false}};
	struct error err;

	*r = (struct rig){.folder = temp_folder_make(),
		.t = made_torrent_of("content", files, PIECE, NULL)};
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->changed, NULL);
	for (size_t at = 0; at < LENGTH; at += BLOCK)
		r->blocks[at / PIECE][at % PIECE / BLOCK] = r->t.content + at;
	cr_assert(storage_open(&r->t.m, "down", NULL, STORAGE_LEECH,
			  &r->storage, &err),
		"%s", err.text);
}

static void rig_close(struct rig *r)
{
	storage_close(r->storage);
	made_torrent_finish(&r->t);
	temp_folder_remove(&r->folder);
}

/* `piece` is &outcomes[index]. */
static void on_done(void *ctx, void *piece, enum finisher_result result,
	const struct error *err)
{
	struct rig *r = ctx;
	struct outcome *o = piece;

	pthread_mutex_lock(&r->lock);
	r->at_gate++;
	pthread_cond_broadcast(&r->changed);
	while (r->held > 0)
		pthread_cond_wait(&r->changed, &r->lock);
	o->times++;
	o->result = result;
	o->thread = pthread_self();
	o->err = *err;
	r->done_count++;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void push(struct rig *r, struct finisher *f, uint32_t index)
{
	finisher_push(f,
		&(struct finisher_job){.m = &r->t.m,
			.storage = r->storage,
			.index = index,
			.blocks = r->blocks[index],
			.block_size = BLOCK,
			.done = on_done,
			.ctx = r,
			.piece = &r->outcomes[index]});
}

static void expect_on_disk(const struct rig *r)
{
	cr_expect(file_is("down/content", r->t.content, LENGTH));
}

static void run_all(unsigned threads)
{
	struct rig r;

	rig_open(&r);
	struct finisher *f = finisher_create(threads);
	cr_assert(f);
	for (uint32_t i = PIECES; i-- > 0;)
		push(&r, f, i);
	finisher_destroy(f); /* does what is queued */
	for (uint32_t i = 0; i < PIECES; i++) {
		cr_expect_eq(r.outcomes[i].times, 1, "piece %u", i);
		cr_expect_eq(r.outcomes[i].result, FINISHER_GOOD);
		if (threads == 0)
			cr_expect(pthread_equal(
				r.outcomes[i].thread, pthread_self()));
	}
	expect_on_disk(&r);
	rig_close(&r);
}

Test(finisher, right_pieces_are_written_by_any_number_of_threads)
{
	static const unsigned threads[] = {0, 1, 2, 16, 1000};

	for (size_t i = 0; i < sizeof(threads) / sizeof(threads[0]); i++)
		run_all(threads[i]);
	finisher_destroy(NULL);
}

Test(finisher, a_piece_that_does_not_match_is_not_written)
{
	static const size_t wrong[] = {0, PIECE - 1, LENGTH - 1};

	for (size_t i = 0; i < 3; i++) {
		struct rig r;
		uint32_t index = (uint32_t)(wrong[i] / PIECE);

		rig_open(&r);
		struct finisher *f = finisher_create(0);
		r.t.content[wrong[i]] ^= 1;
		push(&r, f, index);
		cr_expect_eq(r.outcomes[index].result, FINISHER_BAD);
		cr_expect(file_is("down/content", "", 0));
		r.t.content[wrong[i]] ^= 1;
		for (uint32_t p = 0; p < PIECES; p++)
			push(&r, f, p);
		cr_expect_eq(r.outcomes[index].result, FINISHER_GOOD);
		expect_on_disk(&r);
		finisher_destroy(f);
		rig_close(&r);
	}
}

Test(finisher, a_write_that_fails_is_told_with_its_reason)
{
	struct rig r;
	struct rlimit limit;

	rig_open(&r);
	struct finisher *f = finisher_create(0);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = PIECE;
	setrlimit(RLIMIT_FSIZE, &limit);
	push(&r, f, 0);
	push(&r, f, 1);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_FSIZE, &limit);

	cr_expect_eq(r.outcomes[0].result, FINISHER_GOOD);
	cr_expect_eq(r.outcomes[1].result, FINISHER_ERROR);
	cr_expect(strstr(r.outcomes[1].err.text, "content"), "%s",
		r.outcomes[1].err.text);
	cr_expect(strstr(r.outcomes[1].err.text, "File too large"), "%s",
		r.outcomes[1].err.text);
	push(&r, f, 1);
	cr_expect_eq(r.outcomes[1].result, FINISHER_GOOD);
	finisher_destroy(f);
	rig_close(&r);
}

static void wait_at_gate(struct rig *r, unsigned count)
{
	pthread_mutex_lock(&r->lock);
	while (r->at_gate < count)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
}

static void open_gate(struct rig *r)
{
	pthread_mutex_lock(&r->lock);
	r->held = 0;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

struct pusher {
	struct rig *rig;
	struct finisher *finisher;
	uint32_t index;
};

static void *push_one(void *arg)
{
	struct pusher *p = arg;

	push(p->rig, p->finisher, p->index);
	return NULL;
}

Test(finisher, when_all_are_busy_and_the_queue_is_full_the_pusher_does_it)
{
	struct rig r;
	pthread_t thread;

	rig_open(&r);
	struct finisher *f = finisher_create(1);
	r.held = 1;
	push(&r, f, 0);
	wait_at_gate(&r, 1); /* the thread is busy with 0 */
	push(&r, f, 1);      /* wait in the queue */
	push(&r, f, 2);

	struct pusher p = {&r, f, 3};
	cr_assert_eq(pthread_create(&thread, NULL, push_one, &p), 0);
	wait_at_gate(&r, 2); /* only the pusher can have come here */
	open_gate(&r);
	pthread_join(thread, NULL);
	cr_expect(pthread_equal(r.outcomes[3].thread, thread));
	cr_expect_eq(r.outcomes[3].result, FINISHER_GOOD);

	finisher_destroy(f);
	for (uint32_t i = 0; i < 4; i++)
		cr_expect_eq(r.outcomes[i].times, 1);
	for (uint32_t i = 1; i < 3; i++)
		cr_expect(pthread_equal(
			r.outcomes[i].thread, r.outcomes[0].thread));
	cr_expect_not(pthread_equal(r.outcomes[0].thread, thread));
	rig_close(&r);
}

/* Pieces 1 and 2 wait while the only thread is at 0. */
static void run_two(struct rig *r)
{
	struct finisher *f = finisher_create(1);

	r->held = 1;
	push(r, f, 0);
	wait_at_gate(r, 1);
	push(r, f, 1);
	push(r, f, 2);
	open_gate(r);
	finisher_destroy(f);
}

Test(finisher, nobody_waits_for_a_thread_that_writes_or_tells)
{
	struct rig r;

	rig_open(&r);
	struct finisher *f = finisher_create(2);
	r.held = 1;
	push(&r, f, 0);
	wait_at_gate(&r, 1); /* it has hashed, and is held */
	push(&r, f, 1);
	wait_at_gate(&r, 2); /* the other thread did that */
	open_gate(&r);
	finisher_destroy(f);
	cr_expect_not(
		pthread_equal(r.outcomes[0].thread, r.outcomes[1].thread));
	rig_close(&r);
}

Test(finisher, of_two_that_wait_each_is_judged_by_itself)
{
	static const struct {
		int wrong; /* piece; -1: none */
		enum finisher_result one, two;
	} cases[] = {
		{-1, FINISHER_GOOD, FINISHER_GOOD},
		{1, FINISHER_BAD, FINISHER_GOOD},
		{2, FINISHER_GOOD, FINISHER_BAD},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rig r;
		size_t wrong = (size_t)cases[i].wrong * PIECE + PIECE - 1;

		rig_open(&r);
		if (cases[i].wrong >= 0)
			r.t.content[wrong] ^= 1;
		run_two(&r);
		cr_expect_eq(r.outcomes[1].result, cases[i].one, "%zu", i);
		cr_expect_eq(r.outcomes[2].result, cases[i].two, "%zu", i);
		rig_close(&r);
	}
}

Test(finisher, the_last_piece_which_is_shorter_is_not_paired)
{
	struct rig r;

	rig_open(&r);
	struct finisher *f = finisher_create(1);
	r.held = 1;
	push(&r, f, 0);
	wait_at_gate(&r, 1);
	push(&r, f, PIECES - 1);
	push(&r, f, 1);
	open_gate(&r);
	finisher_destroy(f);
	cr_expect_eq(r.outcomes[PIECES - 1].result, FINISHER_GOOD);
	cr_expect_eq(r.outcomes[1].result, FINISHER_GOOD);
	rig_close(&r);
}
