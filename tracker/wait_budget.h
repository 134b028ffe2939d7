#ifndef TRACKER_WAIT_BUDGET_H
#define TRACKER_WAIT_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

/* How long a thread may wait for a database that is slow, so that those who
 * wait for the thread in turn are answered within two seconds: when it has
 * waited for WAIT_BUDGET_MS it has to refuse until some of it has come back,
 * half a second in each second.
 *
 * Each thread has its own.  Zeroed memory is a budget of which nothing is
 * spent. */
struct wait_budget {
	uint64_t spent_ms;
	uint64_t at_ms; /* then */
};

enum {
	WAIT_BUDGET_MS = 500,

	/* A wait of up to so long is free: that one is not slow, at most busy,
	 * as everybody on this machine may be. */
	WAIT_BUDGET_FREE_MS = 20,
};

bool wait_budget_left(struct wait_budget *b, uint64_t now_ms);

/* It waited from then till now. */
void wait_budget_spend(
	struct wait_budget *b, uint64_t from_ms, uint64_t now_ms);

#endif
