#include "client/peer/wanted.h"

#include <criterion/criterion.h>
#include <stdint.h>

static void fill(struct wanted *w, uint32_t piece, size_t count)
{
	for (uint32_t i = 0; i < count; i++)
		cr_assert(wanted_add(w, &(struct block_ref){piece, i, 1}));
}

Test(wanted, keeps_500_and_their_order)
{
	struct wanted w = {0};
	struct block_ref got[2];

	fill(&w, 0, WANTED_MAX);
	cr_expect_not(wanted_add(&w, &(struct block_ref){1, 0, 1}));
	for (uint32_t i = 0; i < WANTED_MAX; i++) {
		cr_assert_eq(wanted_take(&w, got, 1, SIZE_MAX), 1);
		cr_expect_eq(got[0].begin, i);
	}
	cr_expect_eq(wanted_take(&w, got, 1, SIZE_MAX), 0);
}

Test(wanted, the_ring_comes_round)
{
	struct wanted w = {0};
	struct block_ref got[WANTED_MAX];

	for (uint32_t lap = 0; lap < 5; lap++) {
		fill(&w, lap, 300);
		cr_assert_eq(wanted_take(&w, got, WANTED_MAX, SIZE_MAX), 300);
		cr_expect_eq(got[0].piece, lap);
		cr_expect_eq(got[0].begin, 0);
		cr_expect_eq(got[299].begin, 299);
	}
}

Test(wanted, as_many_bytes_as_may_be_but_one_block_at_least)
{
	static const struct {
		size_t max, max_bytes;
		size_t count, bytes;
	} cases[] = {
		{9, SIZE_MAX, 3, 60},
		{2, SIZE_MAX, 2, 30},
		{9, 60, 3, 60},
		{9, 59, 2, 30},
		{9, 30, 2, 30},
		{9, 10, 1, 10},
		{9, 1, 1, 10},
		{0, 9, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wanted w = {0};
		struct block_ref got[9];

		for (uint32_t n = 1; n <= 3; n++)
			wanted_add(&w, &(struct block_ref){n, 0, 10 * n});
		cr_expect_eq(wanted_bytes(&w, cases[i].max, cases[i].max_bytes),
			cases[i].bytes, "%zu", i);
		cr_expect_eq(
			wanted_take(&w, got, cases[i].max, cases[i].max_bytes),
			cases[i].count, "%zu", i);
		cr_expect_eq(w.count, 3 - cases[i].count, "%zu", i);
	}
}

Test(wanted, what_is_cancelled_leaves_the_others_in_order)
{
	struct wanted w = {0};
	struct block_ref got[WANTED_MAX];

	/* Across the end of the ring. */
	fill(&w, 0, WANTED_MAX - 2);
	wanted_take(&w, got, WANTED_MAX, SIZE_MAX);
	fill(&w, 1, 5);
	fill(&w, 1, 3);
	cr_expect_eq(wanted_cancel(&w, &(struct block_ref){1, 1, 1}), 2);
	cr_expect_eq(wanted_cancel(&w, &(struct block_ref){1, 1, 1}), 0);
	cr_expect_eq(wanted_cancel(&w, &(struct block_ref){1, 2, 2}), 0);
	cr_assert_eq(wanted_take(&w, got, WANTED_MAX, SIZE_MAX), 6);
	static const uint32_t left[] = {0, 2, 3, 4, 0, 2};
	for (size_t i = 0; i < 6; i++)
		cr_expect_eq(got[i].begin, left[i], "%zu", i);
}
