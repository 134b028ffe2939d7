#ifndef CLIENT_SESSION_RATE_LIMIT_H
#define CLIENT_SESSION_RATE_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A token bucket that several threads draw from; time is an argument.  Rate 0
 * means no limit, which costs no lock.
 *
 * Threads: any. */
struct rate_limit;

struct rate_limit *rate_limit_create(uint64_t bytes_per_s);
void rate_limit_destroy(struct rate_limit *r);

/* Take up to `wanted` bytes; returns how many may go now: what is wanted up to
 * a BLOCK_SIZE is given whole or not at all.  When fewer than wanted,
 * *ret_wait_ms (else not written) says when to ask again. */
size_t rate_limit_take(struct rate_limit *r, uint64_t now_ms, size_t wanted,
	unsigned *ret_wait_ms);

/* Give back what was taken and not used. */
void rate_limit_return(struct rate_limit *r, size_t bytes);

bool rate_limit_is_limited(const struct rate_limit *r);

#endif
