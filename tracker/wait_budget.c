#include "tracker/wait_budget.h"

/* What has come back till now; an odd millisecond is left for the next time. */
static void refill(struct wait_budget *b, uint64_t now_ms)
{
	uint64_t back_ms = (now_ms - b->at_ms) / 2;

	b->at_ms += 2 * back_ms;
	b->spent_ms -= back_ms < b->spent_ms ? back_ms : b->spent_ms;
}

bool wait_budget_left(struct wait_budget *b, uint64_t now_ms)
{
	refill(b, now_ms);
	return b->spent_ms < WAIT_BUDGET_MS;
}

void wait_budget_spend(struct wait_budget *b, uint64_t from_ms, uint64_t now_ms)
{
	refill(b, now_ms);
	if (now_ms - from_ms > WAIT_BUDGET_FREE_MS)
		b->spent_ms += now_ms - from_ms;
}
