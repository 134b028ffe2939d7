#include "client/session/rate_limit.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/torrent/block.h"

enum {
	/* What an idle bucket saves up: the rate of so many milliseconds.  Long
	 * enough that nothing is lost to a thread that wakes up late, and
	 * little of ten seconds. */
	BURST_MS = 125,
	/* Asking more often would only cost wake-ups: many threads wait. */
	MIN_WAIT_MS = 10,
};
/* More is as good as none, and sums stay far within 64 bits. */
static const uint64_t max_rate = UINT64_C(1) << 40;

struct rate_limit {
	pthread_mutex_t lock;
	int64_t rate; /* bytes a second, set once; 0: no limit */

	/* The rest is guarded by `lock`.  In thousandths of a byte, so that a
	 * millisecond's share of any rate is a whole number.  Below 0: a debt
	 * of at most a block. */
	int64_t tokens;
	uint64_t filled_ms; /* when tokens were last added */
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

/* The most that the bucket holds. */
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
	int64_t room = capacity(r) - r->tokens;
	r->filled_ms = now_ms;
	/* Divide, since the product may be too large after a long silence. */
	if (elapsed_ms > (uint64_t)(room / r->rate))
		r->tokens = capacity(r);
	else
		r->tokens += (int64_t)elapsed_ms * r->rate;
}

/* What may go now.  A block passes whole or not at all, if need be into debt,
 * or it never would where the bucket is smaller than a block. */
static size_t grant_locked(const struct rate_limit *r, size_t wanted)
{
	if (r->tokens < 0)
		return 0;

	size_t most = (size_t)(r->tokens / 1000);
	if (most < BLOCK_SIZE)
		most = BLOCK_SIZE;
	return wanted < most ? wanted : most;
}

static unsigned wait_ms_locked(const struct rate_limit *r)
{
	int64_t debt = r->tokens < 0 ? -r->tokens : 0;
	int64_t wait_ms = (debt + r->rate - 1) / r->rate;

	return wait_ms < MIN_WAIT_MS ? MIN_WAIT_MS : (unsigned)wait_ms;
}

size_t rate_limit_take(struct rate_limit *r, uint64_t now_ms, size_t wanted,
	unsigned *ret_wait_ms)
{
	if (r->rate == 0)
		return wanted;

	pthread_mutex_lock(&r->lock);
	fill_locked(r, now_ms);
	size_t granted = grant_locked(r, wanted);
	r->tokens -= (int64_t)granted * 1000;
	if (granted < wanted)
		*ret_wait_ms = wait_ms_locked(r);
	pthread_mutex_unlock(&r->lock);
	return granted;
}

void rate_limit_return(struct rate_limit *r, size_t bytes)
{
	if (r->rate == 0)
		return;
	pthread_mutex_lock(&r->lock);
	r->tokens += (int64_t)bytes * 1000;
	if (r->tokens > capacity(r))
		r->tokens = capacity(r);
	pthread_mutex_unlock(&r->lock);
}

bool rate_limit_is_limited(const struct rate_limit *r) { return r->rate > 0; }
