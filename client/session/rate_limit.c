#include "client/session/rate_limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/torrent/block.h"

enum {
	/* What is saved up while somebody waits: the rate of so many
	 * milliseconds.  Long enough that nothing is lost to a thread that
	 * wakes up late, and little of ten seconds.  Else nothing is. */
	BURST_MS = 100,
	/* What one gets at a time. */
	TURN_MS = 20,
	/* Whoever is first sees to it that the line moves.  Should its thread
	 * be held up, others look so often. */
	LOOK_MS = 1000,
	WAKE_AT_ONCE = 8,
};
/* More is as good as none, and sums stay far within 64 bits. */
static const uint64_t max_rate = UINT64_C(1) << 40;

struct rate_limit {
	pthread_mutex_t lock;
	int64_t rate; /* bytes a second, set once; 0: no limit */

	/* The rest is guarded by `lock`.  In thousandths of a byte, so that a
	 * millisecond's share of any rate is a whole number.  Below 0: a debt.
	 */
	int64_t tokens;
	uint64_t filled_ms; /* when tokens were last added */
	struct rate_turn *first;
	struct rate_turn *last;
};

/* Who is to be woken once the lock is free: writing is I/O. */
struct wakes {
	size_t count;
	int fds[WAKE_AT_ONCE];
};

struct rate_limit *rate_limit_create(uint64_t bytes_per_s)
{
	struct rate_limit *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	pthread_mutex_init(&r->lock, NULL);
	r->rate = (int64_t)(bytes_per_s < max_rate ? bytes_per_s : max_rate);
	return r;
}

void rate_limit_destroy(struct rate_limit *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

uint64_t rate_limit_rate(const struct rate_limit *r)
{
	return (uint64_t)r->rate;
}

/* The most that the bucket ever holds. */
static int64_t capacity(const struct rate_limit *r)
{
	return r->rate * BURST_MS;
}

static void fill_locked(struct rate_limit *r, uint64_t now_ms)
{
	/* Another thread's clock may have been read a little later. */
	if (now_ms <= r->filled_ms)
		return;

	uint64_t elapsed_ms = now_ms - r->filled_ms;
	int64_t most = r->first ? capacity(r) : 0;
	int64_t room = most - r->tokens;
	r->filled_ms = now_ms;
	if (room <= 0)
		return;
	/* Divide, since the product may be too large after a long silence. */
	if (elapsed_ms > (uint64_t)(room / r->rate))
		r->tokens = most;
	else
		r->tokens += (int64_t)elapsed_ms * r->rate;
}

/* What one gets at a time: whole blocks. */
static size_t turn_bytes(const struct rate_limit *r)
{
	size_t blocks = (size_t)(r->rate * TURN_MS / 1000 / BLOCK_SIZE);

	return (blocks > 0 ? blocks : 1) * BLOCK_SIZE;
}

static uint64_t debt_ms_locked(const struct rate_limit *r)
{
	int64_t debt = r->tokens < 0 ? -r->tokens : 0;

	return (uint64_t)((debt + r->rate - 1) / r->rate);
}

/* ---- the line ---- */

static void join_locked(struct rate_limit *r, struct rate_turn *turn)
{
	turn->waiting = true;
	turn->next = NULL;
	if (r->first)
		r->last->next = turn;
	else
		r->first = turn;
	r->last = turn;
}

static void leave_locked(struct rate_limit *r, struct rate_turn *turn)
{
	struct rate_turn *before = NULL;
	struct rate_turn *t = r->first;

	for (; t != turn; t = t->next)
		before = t;
	if (before)
		before->next = turn->next;
	else
		r->first = turn->next;
	if (r->last == turn)
		r->last = before;
	turn->waiting = false;
}

static void wake_locked(struct wakes *w, const struct rate_turn *turn)
{
	if (turn)
		w->fds[w->count++] = turn->wake_fd;
}

/* Give as long as there is something to give, whoever the caller is, and let
 * the first of those left know that it is.  A debt ends it soon; if not, the
 * one that is woken last goes on. */
static void serve_locked(
	struct rate_limit *r, const struct rate_turn *caller, struct wakes *w)
{
	const struct rate_turn *first_before = r->first;

	while (r->first && r->tokens >= 0 && w->count < WAKE_AT_ONCE - 1) {
		struct rate_turn *t = r->first;
		size_t most = turn_bytes(r);

		leave_locked(r, t);
		t->granted = t->wanted < most ? t->wanted : most;
		r->tokens -= (int64_t)t->granted * 1000;
		if (t != caller)
			wake_locked(w, t);
	}
	if (r->first != first_before && r->first != caller)
		wake_locked(w, r->first);
}

static void wake(const struct wakes *w)
{
	/* It can only fail when the counter is full: then it is readable. */
	for (size_t i = 0; i < w->count; i++)
		(void)!write(w->fds[i], &(uint64_t){1}, sizeof(uint64_t));
}

static void give_back_locked(struct rate_limit *r, int64_t bytes)
{
	r->tokens += bytes * 1000;
	if (r->tokens > capacity(r))
		r->tokens = capacity(r);
}

/* ---- for the threads ---- */

size_t rate_limit_take(struct rate_limit *r, struct rate_turn *turn,
	uint64_t now_ms, size_t wanted, uint64_t *ret_wait_ms)
{
	struct wakes wakes = {0};

	if (r->rate == 0)
		return wanted;

	pthread_mutex_lock(&r->lock);
	fill_locked(r, now_ms);
	turn->wanted = wanted;
	if (!turn->waiting && turn->granted == 0)
		join_locked(r, turn);
	serve_locked(r, turn, &wakes);
	size_t granted = turn->granted;
	turn->granted = 0;
	if (granted > wanted) { /* it wanted more when it got it */
		give_back_locked(r, (int64_t)(granted - wanted));
		granted = wanted;
	}
	uint64_t wait_ms = r->first == turn ? debt_ms_locked(r) : LOOK_MS;
	pthread_mutex_unlock(&r->lock);

	wake(&wakes);
	if (granted == 0 && wait_ms < *ret_wait_ms)
		*ret_wait_ms = wait_ms > 0 ? wait_ms : 1;
	return granted;
}

void rate_limit_leave(struct rate_limit *r, struct rate_turn *turn)
{
	struct wakes wakes = {0};

	if (r->rate == 0)
		return;
	pthread_mutex_lock(&r->lock);
	if (turn->waiting) {
		bool was_first = r->first == turn;

		leave_locked(r, turn);
		if (was_first)
			wake_locked(&wakes, r->first);
	}
	give_back_locked(r, (int64_t)turn->granted);
	turn->granted = 0;
	pthread_mutex_unlock(&r->lock);
	wake(&wakes);
}

void rate_limit_return(struct rate_limit *r, int64_t bytes)
{
	struct wakes wakes = {0};

	if (r->rate == 0 || bytes == 0)
		return;
	pthread_mutex_lock(&r->lock);
	give_back_locked(r, bytes);
	/* Its turn may come sooner than it thinks. */
	if (bytes > 0)
		wake_locked(&wakes, r->first);
	pthread_mutex_unlock(&r->lock);
	wake(&wakes);
}
