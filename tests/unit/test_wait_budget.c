#include <criterion/criterion.h>

#include "tracker/wait_budget.h"

/* Waits of that length, one after the other; returns how long it was till the
 * budget was spent, 0 if it was not within a minute. */
static uint64_t spent_after(uint64_t wait_ms)
{
	struct wait_budget b = {0};
	const uint64_t start_ms = 1000 * 1000;
	uint64_t now_ms = start_ms;

	while (wait_budget_left(&b, now_ms)) {
		if (now_ms - start_ms > 60 * 1000)
			return 0;
		wait_budget_spend(&b, now_ms, now_ms + wait_ms);
		now_ms += wait_ms;
	}
	return now_ms - start_ms;
}

Test(wait_budget, who_waits_all_the_time_may_do_so_for_a_second_at_most)
{
	static const struct {
		uint64_t wait_ms;
		uint64_t spent_after_ms;
	} cases[] = {
		{1, 0},
		{WAIT_BUDGET_FREE_MS, 0},
		{WAIT_BUDGET_FREE_MS + 1, 987},
		{100, 900},
		{400, 800},
		{500, 500},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(spent_after(cases[i].wait_ms),
			cases[i].spent_after_ms, "%d ms: %d",
			(int)cases[i].wait_ms,
			(int)spent_after(cases[i].wait_ms));
}

Test(wait_budget, comes_back_at_half_the_pace_however_often_it_is_asked)
{
	struct wait_budget often = {0}, seldom = {0};

	wait_budget_spend(&often, 1000, 2000);
	wait_budget_spend(&seldom, 1000, 2000);
	for (uint64_t now_ms = 2000; now_ms <= 3000; now_ms++)
		cr_expect_not(
			wait_budget_left(&often, now_ms), "%d ms", (int)now_ms);
	cr_expect(wait_budget_left(&often, 3002));
	cr_expect_not(wait_budget_left(&seldom, 3000));
	cr_expect(wait_budget_left(&seldom, 3002));
}
