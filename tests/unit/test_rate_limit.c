#include <criterion/criterion.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/session/rate_limit.h"
#include "client/torrent/block.h"

/* Some moment; the limit must not depend on where the clock began. */
static const uint64_t start_ms = 123456789;

enum { NEVER_MS = 1000 * 1000 * 1000 };

/* A thread that draws from the limit, as a number of the clock. */
struct taker {
	struct rate_turn turn;
	uint64_t wake_ms;
	uint64_t sum;
};

static void begin(struct taker *takers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		takers[i] = (struct taker){
			.turn.wake_fd = eventfd(0, EFD_NONBLOCK),
			.wake_ms = start_ms,
		};
}

static bool is_woken(const struct taker *t)
{
	uint64_t ignored;

	return read(t->turn.wake_fd, &ignored, sizeof(ignored)) > 0;
}

/* Everybody takes `wanted` at a time as fast as it may, and looks up `late_ms`
 * after it should. */
static void run(struct rate_limit *r, struct taker *takers, size_t count,
	size_t wanted, uint64_t late_ms, uint64_t for_ms)
{
	for (uint64_t now = start_ms; now < start_ms + for_ms; now++) {
		for (size_t i = 0; i < count; i++) {
			struct taker *t = &takers[(i + now * 7) % count];
			uint64_t wait_ms = NEVER_MS;
			unsigned tries = 0;
			size_t got;

			if (is_woken(t) && t->wake_ms > now + late_ms)
				t->wake_ms = now + late_ms;
			if (now < t->wake_ms)
				continue;
			while ((got = rate_limit_take(r, &t->turn, now, wanted,
					&wait_ms)) > 0) {
				cr_assert_leq(got, wanted);
				t->sum += got;
				cr_assert(++tries < 1000000);
			}
			cr_assert(wait_ms > 0 && wait_ms < NEVER_MS,
				"would spin, or sleep for ever");
			t->wake_ms = now + wait_ms + late_ms;
		}
	}
}

static void end(struct taker *takers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(takers[i].turn.wake_fd);
}

Test(rate_limit, holds_the_rate_over_ten_seconds)
{
	static const struct {
		uint64_t rate;
		size_t takers;
		size_t wanted;
		uint64_t late_ms;
	} cases[] = {
		{16 << 10, 1, BLOCK_SIZE, 0},
		{16 << 10, 8, BLOCK_SIZE, 1},
		{50 << 10, 1, BLOCK_SIZE, 0},
		{50 << 10, 8, 1000, 0},
		{1 << 20, 1, BLOCK_SIZE, 20},
		{1 << 20, 8, 1 << 20, 5},
		{20 << 20, 1, 512 << 10, 5},
		{20 << 20, 200, BLOCK_SIZE, 1},
		{200 << 20, 1, 512 << 10, 1},
		{200 << 20, 64, 512 << 10, 5},
		{UINT64_C(10) << 30, 4, 1 << 20, 1},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rate_limit *r = rate_limit_create(cases[i].rate);
		struct taker takers[200];
		uint64_t sum = 0;

		begin(takers, cases[i].takers);
		run(r, takers, cases[i].takers, cases[i].wanted,
			cases[i].late_ms, 10000);
		for (size_t t = 0; t < cases[i].takers; t++)
			sum += takers[t].sum;
		/* One block more or less is a matter of when it is looked. */
		double expected = (double)cases[i].rate * 10;
		double slack = expected * 0.03 > BLOCK_SIZE ? expected * 0.03
							    : BLOCK_SIZE;
		cr_expect((double)sum >= expected - slack &&
				(double)sum <= expected + slack,
			"case %zu: %f", i, (double)sum / expected);
		end(takers, cases[i].takers);
		rate_limit_destroy(r);
	}
}

Test(rate_limit, all_in_the_line_get_the_same)
{
	enum { TAKERS = 8 };
	static const struct {
		uint64_t rate;
		uint64_t for_ms;
	} cases[] = {
		{1 << 10, 1000 * 1000},
		{16 << 10, 100 * 1000},
		{1 << 20, 10 * 1000},
		{200 << 20, 10 * 1000},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct rate_limit *r = rate_limit_create(cases[i].rate);
		struct taker takers[TAKERS];
		uint64_t least = UINT64_MAX, most = 0;

		begin(takers, TAKERS);
		run(r, takers, TAKERS, 512 << 10, 1, cases[i].for_ms);
		for (size_t t = 0; t < TAKERS; t++) {
			if (takers[t].sum < least)
				least = takers[t].sum;
			if (takers[t].sum > most)
				most = takers[t].sum;
		}
		/* A turn more for who came first, and one for who is next. */
		cr_expect(most - least <= 2 * BLOCK_SIZE ||
				(double)least > 0.98 * (double)most,
			"case %zu: %lu, %lu", i, (unsigned long)least,
			(unsigned long)most);
		end(takers, TAKERS);
		rate_limit_destroy(r);
	}
}

static size_t take(struct rate_limit *r, struct taker *t, uint64_t now_ms,
	size_t wanted, uint64_t *ret_wait_ms)
{
	*ret_wait_ms = NEVER_MS;
	return rate_limit_take(r, &t->turn, now_ms, wanted, ret_wait_ms);
}

Test(rate_limit, block_passes_whole_at_the_lowest_rates)
{
	static const uint64_t rates[] = {1, 1 << 10, 16 << 10};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct rate_limit *r = rate_limit_create(rates[i]);
		struct taker t;
		uint64_t now_ms = start_ms, wait_ms;

		begin(&t, 1);
		for (unsigned block = 0; block < 10; block++) {
			cr_expect_eq(take(r, &t, now_ms, BLOCK_SIZE, &wait_ms),
				BLOCK_SIZE);
			cr_expect_eq(take(r, &t, now_ms, 1, &wait_ms), 0);
			/* Then it waits for exactly the block's time. */
			cr_expect_eq(wait_ms, BLOCK_SIZE * 1000 / rates[i]);
			rate_limit_leave(r, &t.turn);
			now_ms += wait_ms;
		}
		end(&t, 1);
		rate_limit_destroy(r);
	}
}

Test(rate_limit, silence_saves_nothing_up)
{
	struct rate_limit *r = rate_limit_create(1 << 20);
	struct taker t;
	uint64_t wait_ms;

	begin(&t, 1);
	for (unsigned day = 0; day < 2; day++) {
		uint64_t now_ms = start_ms + day * 86400 * 1000;

		cr_expect_eq(
			take(r, &t, now_ms, BLOCK_SIZE, &wait_ms), BLOCK_SIZE);
		cr_expect_eq(take(r, &t, now_ms, BLOCK_SIZE, &wait_ms), 0);
		rate_limit_leave(r, &t.turn);
	}
	end(&t, 1);
	rate_limit_destroy(r);
}

Test(rate_limit, who_is_late_gets_a_tenth_of_a_second_at_most)
{
	enum { RATE = 10 * 1000 * BLOCK_SIZE };
	struct rate_limit *r = rate_limit_create(RATE);
	struct taker t;
	uint64_t wait_ms, sum = 0;
	size_t got;

	begin(&t, 1);
	cr_assert_gt(take(r, &t, start_ms, SIZE_MAX, &wait_ms), 0);
	cr_assert_eq(take(r, &t, start_ms, SIZE_MAX, &wait_ms), 0);
	while ((got = take(r, &t, start_ms + 86400 * 1000, BLOCK_SIZE,
			&wait_ms)) > 0)
		sum += got;
	cr_expect_eq(sum, RATE / 10 + BLOCK_SIZE);
	end(&t, 1);
	rate_limit_destroy(r);
}

Test(rate_limit, what_is_given_back_can_be_taken_again)
{
	struct rate_limit *r = rate_limit_create(1000);
	struct taker a, b;
	uint64_t wait_ms;

	begin(&a, 1);
	begin(&b, 1);
	cr_assert_eq(take(r, &a, start_ms, 16000, &wait_ms), 16000);
	cr_assert_eq(take(r, &b, start_ms, 1000, &wait_ms), 0);
	rate_limit_return(r, 16000);
	cr_expect(is_woken(&b));
	cr_expect_eq(take(r, &b, start_ms, 1000, &wait_ms), 1000);
	end(&a, 1);
	end(&b, 1);
	rate_limit_destroy(r);
}

Test(rate_limit, more_than_was_taken_is_a_debt)
{
	struct rate_limit *r = rate_limit_create(1000);
	struct taker t;
	uint64_t wait_ms;

	begin(&t, 1);
	cr_assert_eq(take(r, &t, start_ms, 16000, &wait_ms), 16000);
	rate_limit_return(r, -4000);
	cr_expect_eq(take(r, &t, start_ms, 1, &wait_ms), 0);
	cr_expect_eq(wait_ms, 20000);
	end(&t, 1);
	rate_limit_destroy(r);
}

Test(rate_limit, who_came_first_is_served_first)
{
	struct rate_limit *r = rate_limit_create(BLOCK_SIZE);
	struct taker t[4];
	uint64_t wait_ms, look_ms;

	begin(t, 4);
	cr_assert_gt(take(r, &t[0], start_ms, BLOCK_SIZE, &wait_ms), 0);
	for (int i = 1; i < 4; i++)
		cr_assert_eq(take(r, &t[i], start_ms, BLOCK_SIZE, &wait_ms), 0);
	/* The last comes by again when there is something: not for it. */
	cr_expect_eq(take(r, &t[3], start_ms + 1000, BLOCK_SIZE, &look_ms), 0);
	/* But it has seen to it that the first gets it, and the next knows. */
	cr_expect(is_woken(&t[1]));
	cr_expect(is_woken(&t[2]));
	cr_expect_not(is_woken(&t[3]));
	cr_expect_eq(take(r, &t[1], start_ms + 1000, BLOCK_SIZE, &wait_ms),
		BLOCK_SIZE);
	cr_expect_eq(take(r, &t[2], start_ms + 1000, BLOCK_SIZE, &wait_ms), 0);
	cr_expect_leq(wait_ms, 1000);
	end(t, 4);
	rate_limit_destroy(r);
}

Test(rate_limit, who_leaves_makes_room_for_the_next)
{
	struct rate_limit *r = rate_limit_create(BLOCK_SIZE);
	struct taker t[4];
	uint64_t wait_ms;

	begin(t, 4);
	cr_assert_gt(take(r, &t[0], start_ms, BLOCK_SIZE, &wait_ms), 0);
	for (int i = 1; i < 4; i++)
		cr_assert_eq(take(r, &t[i], start_ms, BLOCK_SIZE, &wait_ms), 0);
	rate_limit_leave(r, &t[2].turn); /* from the middle */
	cr_expect_not(is_woken(&t[3]));
	rate_limit_leave(r, &t[1].turn); /* the first */
	cr_expect(is_woken(&t[3]));
	cr_expect_eq(take(r, &t[3], start_ms + 1000, BLOCK_SIZE, &wait_ms),
		BLOCK_SIZE);
	rate_limit_leave(r, &t[0].turn); /* was not in it */

	/* What was given to somebody who then leaves is not lost. */
	cr_assert_eq(take(r, &t[0], start_ms + 1000, BLOCK_SIZE, &wait_ms), 0);
	cr_assert_eq(take(r, &t[1], start_ms + 2000, BLOCK_SIZE, &wait_ms), 0);
	rate_limit_leave(r, &t[0].turn);
	cr_expect_eq(take(r, &t[1], start_ms + 2000, BLOCK_SIZE, &wait_ms),
		BLOCK_SIZE);
	end(t, 4);
	rate_limit_destroy(r);
}

Test(rate_limit, a_first_one_that_sleeps_does_not_stop_the_others)
{
	enum { TAKERS = 4 };
	struct rate_limit *r = rate_limit_create(1 << 20);
	struct taker takers[TAKERS];

	begin(takers, TAKERS);
	takers[0].wake_ms = start_ms; /* once, and then never again */
	uint64_t wait_ms;
	while (take(r, &takers[0], start_ms, BLOCK_SIZE, &wait_ms) > 0)
		;
	run(r, takers + 1, TAKERS - 1, BLOCK_SIZE, 0, 10000);
	for (int i = 1; i < TAKERS; i++)
		cr_expect_gt(takers[i].sum, 3 << 20);
	end(takers, TAKERS);
	rate_limit_destroy(r);
}

Test(rate_limit, time_that_steps_back_gives_nothing)
{
	struct rate_limit *r = rate_limit_create(1000);
	struct taker t;
	uint64_t wait_ms;

	begin(&t, 1);
	cr_assert_eq(take(r, &t, start_ms, 1000, &wait_ms), 1000);
	cr_expect_eq(take(r, &t, start_ms - 500, 1, &wait_ms), 0);
	cr_expect_eq(take(r, &t, start_ms + 500, 1, &wait_ms), 0);
	end(&t, 1);
	rate_limit_destroy(r);
}

Test(rate_limit, zero_is_no_limit)
{
	struct rate_limit *r = rate_limit_create(0);
	struct taker t;
	uint64_t wait_ms;

	begin(&t, 1);
	cr_expect_eq(rate_limit_rate(r), 0);
	cr_expect_eq(take(r, &t, 0, SIZE_MAX, &wait_ms), SIZE_MAX);
	rate_limit_return(r, 1);
	rate_limit_leave(r, &t.turn);
	end(&t, 1);
	rate_limit_destroy(r);
	rate_limit_destroy(NULL);
}
