#ifndef CLIENT_SESSION_RATE_LIMIT_H
#define CLIENT_SESSION_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A token bucket that several threads draw from; time is an argument.  Who has
 * to wait stands in line, and all in it get the same: each takes a little when
 * it is first, and goes to the end of the line for more.
 *
 * What passes is whole blocks: whoever is first gets what it wants, up to the
 * rate of 20 ms but BLOCK_SIZE at least, and the debt is waited off before the
 * next one gets anything.
 *
 * Threads: any. */
struct rate_limit;

/* A place in the line; zeroed memory with `wake_fd`, an eventfd that outlives
 * every thread that draws from the limit: another may still be writing. */
struct rate_turn {
	int wake_fd;

	/* rate_limit's own. */
	struct rate_turn *next;
	bool waiting;
	size_t wanted;
	size_t granted;
};

/* Rate 0: no limit. */
struct rate_limit *rate_limit_create(uint64_t bytes_per_s);
void rate_limit_destroy(struct rate_limit *r);

/* Bytes a second, 0: none. */
uint64_t rate_limit_rate(const struct rate_limit *r);

/* Take up to `wanted` (> 0) bytes; returns how many may go now.  0: `turn`
 * stands in line; ask again when its wake_fd is readable and after *ret_wait_ms
 * at the latest, which becomes less if it was more.  `turn` must leave the line
 * before it goes away. */
size_t rate_limit_take(struct rate_limit *r, struct rate_turn *turn,
	uint64_t now_ms, size_t wanted, uint64_t *ret_wait_ms);

/* Nothing is wanted any more. */
void rate_limit_leave(struct rate_limit *r, struct rate_turn *turn);

/* What was taken is not used; below 0: more was used than was taken. */
void rate_limit_return(struct rate_limit *r, int64_t bytes);

#endif
