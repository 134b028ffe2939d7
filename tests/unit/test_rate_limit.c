#include <criterion/criterion.h>

#include "client/session/rate_limit.h"
#include "client/torrent/block.h"

/* Some moment; the limit must not depend on where the clock began. */
static const uint64_t start_ms = 123456789;

/* What a thread gets that takes `wanted` at a time for so long, and waits when
 * it is told to. */
static uint64_t taken_within(
	struct rate_limit *r, size_t wanted, uint64_t from_ms, uint64_t end_ms)
{
	uint64_t sum = 0;

	for (uint64_t now_ms = from_ms; now_ms < end_ms;) {
		unsigned wait_ms = 0;
		size_t got = rate_limit_take(r, now_ms, wanted, &wait_ms);

		cr_assert_leq(got, wanted);
		cr_assert(got == wanted || wait_ms > 0, "would spin");
		sum += got;
		now_ms += wait_ms;
	}
	return sum;
}

Test(rate_limit, holds_the_rate_over_ten_seconds)
{
	static const struct {
		uint64_t rate;
		size_t wanted;
	} cases[] = {
		{50 << 10, BLOCK_SIZE},
		{50 << 10, 1000},
		{100 << 10, 1 << 20},
		{1 << 20, BLOCK_SIZE},
		{1 << 20, 1 << 20},
		{100 << 20, BLOCK_SIZE},
		{UINT64_C(10) << 30, 1 << 20},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rate_limit *r = rate_limit_create(cases[i].rate);
		uint64_t sum = taken_within(
			r, cases[i].wanted, start_ms, start_ms + 10000);
		double share = (double)sum / ((double)cases[i].rate * 10);

		cr_expect(
			share > 0.95 && share < 1.05, "case %zu: %f", i, share);
		rate_limit_destroy(r);
	}
}

Test(rate_limit, holds_the_rate_although_its_takers_wake_up_late)
{
	struct rate_limit *r = rate_limit_create(1 << 20);
	uint64_t sum = 0;

	for (uint64_t now_ms = start_ms; now_ms < start_ms + 10000;) {
		unsigned wait_ms = 0;

		sum += rate_limit_take(r, now_ms, BLOCK_SIZE, &wait_ms);
		now_ms += wait_ms ? wait_ms + 20 : 0;
	}
	cr_expect((double)sum > 9.5 * (1 << 20) &&
		(double)sum < 10.5 * (1 << 20));
	rate_limit_destroy(r);
}

Test(rate_limit, block_passes_whole_at_the_lowest_rates)
{
	static const uint64_t rates[] = {1, 1 << 10, 16 << 10};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct rate_limit *r = rate_limit_create(rates[i]);
		uint64_t now_ms = start_ms;

		for (unsigned block = 0; block < 10; block++) {
			unsigned wait_ms = 0;

			cr_expect_eq(rate_limit_take(
					     r, now_ms, BLOCK_SIZE, &wait_ms),
				BLOCK_SIZE);
			cr_expect_eq(rate_limit_take(
					     r, now_ms, BLOCK_SIZE, &wait_ms),
				0);
			/* Then it waits for exactly the block's time; before
			 * the first, there were savings. */
			if (block > 0)
				cr_expect_eq(
					wait_ms, BLOCK_SIZE * 1000 / rates[i]);
			now_ms += wait_ms;
		}
		rate_limit_destroy(r);
	}
}

Test(rate_limit, silence_saves_up_an_eighth_of_a_second_only)
{
	struct rate_limit *r = rate_limit_create(8 << 20);
	unsigned wait_ms;

	(void)rate_limit_take(r, start_ms, 1, &wait_ms);
	cr_expect_eq(
		rate_limit_take(r, start_ms + 86400 * 1000, SIZE_MAX, &wait_ms),
		1 << 20);
	rate_limit_destroy(r);
}

Test(rate_limit, what_is_given_back_can_be_taken_again)
{
	struct rate_limit *r = rate_limit_create(1000);
	unsigned wait_ms;

	cr_assert_eq(rate_limit_take(r, start_ms, 16000, &wait_ms), 16000);
	cr_assert_eq(rate_limit_take(r, start_ms, 1, &wait_ms), 0);
	rate_limit_return(r, 16000);
	cr_expect_eq(rate_limit_take(r, start_ms, 16000, &wait_ms), 16000);
	rate_limit_destroy(r);
}

Test(rate_limit, time_that_steps_back_gives_nothing)
{
	struct rate_limit *r = rate_limit_create(1000);
	unsigned wait_ms;

	cr_assert_eq(rate_limit_take(r, start_ms, 1000, &wait_ms), 1000);
	cr_expect_eq(rate_limit_take(r, start_ms - 500, 1, &wait_ms), 0);
	cr_expect_eq(rate_limit_take(r, start_ms + 500, 1, &wait_ms), 0);
	rate_limit_destroy(r);
}

Test(rate_limit, several_takers_get_about_the_same)
{
	enum { TAKERS = 10 };
	struct rate_limit *r = rate_limit_create(1 << 20);
	uint64_t next_ms[TAKERS] = {0};
	uint64_t sums[TAKERS] = {0};
	uint64_t all = 0;

	for (uint64_t now_ms = start_ms; now_ms < start_ms + 10000; now_ms++) {
		for (unsigned i = 0; i < TAKERS; i++) {
			/* Who comes first in a millisecond is chance. */
			unsigned taker = (i + (unsigned)now_ms * 7) % TAKERS;
			unsigned wait_ms = 0;

			if (next_ms[taker] > now_ms)
				continue;
			sums[taker] += rate_limit_take(
				r, now_ms, BLOCK_SIZE, &wait_ms);
			next_ms[taker] = now_ms + wait_ms;
		}
	}
	for (unsigned i = 0; i < TAKERS; i++)
		all += sums[i];
	cr_expect((double)all > 9.5 * (1 << 20) &&
		(double)all < 10.5 * (1 << 20));
	for (unsigned i = 0; i < TAKERS; i++)
		cr_expect(sums[i] > all / TAKERS / 3, "taker %u got %lu", i,
			(unsigned long)sums[i]);
	rate_limit_destroy(r);
}

Test(rate_limit, zero_is_no_limit)
{
	struct rate_limit *r = rate_limit_create(0);
	unsigned wait_ms;

	cr_expect_not(rate_limit_is_limited(r));
	cr_expect_eq(rate_limit_take(r, 0, SIZE_MAX, &wait_ms), SIZE_MAX);
	rate_limit_return(r, 1);
	rate_limit_destroy(r);
	rate_limit_destroy(NULL);
}
