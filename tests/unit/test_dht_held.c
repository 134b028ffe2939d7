#include <criterion/criterion.h>
#include <string.h>

#include "client/discovery/dht_held.h"

static struct dht_held held;

static struct endpoint from(unsigned n)
{
	return (struct endpoint){
		.ip = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1},
		.port = (uint16_t)(1 + n),
	};
}

static bool put(unsigned n, size_t len, uint64_t now_ms)
{
	static const uint8_t bytes[DHT_HELD_SIZE + 1] = "question";
	struct endpoint e = from(n);

	return dht_held_put(&held, &e, (struct span){bytes, len}, now_ms);
}

static size_t take(unsigned n, uint64_t now_ms)
{
	uint8_t bytes[DHT_HELD_SIZE];
	struct endpoint e = from(n);
	size_t len = dht_held_take(&held, &e, now_ms, bytes);

	cr_expect(len == 0 || memcmp(bytes, "question", 8) == 0);
	return len;
}

Test(dht_held, gives_a_question_back_once_and_to_its_address_only)
{
	cr_assert(put(1, 100, 1000));
	cr_expect_eq(take(2, 1000), 0);
	cr_expect_eq(take(1, 1000), 100);
	cr_expect_eq(take(1, 1000), 0);
}

Test(dht_held, holds_one_question_of_each_address)
{
	cr_assert(put(1, 100, 1000));
	cr_expect_not(put(1, 50, 1000));
	cr_expect_eq(take(1, 1000), 100);
	cr_expect(put(1, 50, 1000));
}

Test(dht_held, forgets_what_is_too_old)
{
	cr_assert(put(1, 100, 1000));
	cr_expect_eq(take(1, 1000 + DHT_HELD_MS), 0);
	cr_expect(put(1, 50, 1000 + DHT_HELD_MS));
	cr_expect_eq(take(1, 1000 + 2 * DHT_HELD_MS - 1), 50);
}

Test(dht_held, has_bounds)
{
	cr_expect(put(0, DHT_HELD_SIZE, 1000));
	cr_expect_not(put(1, DHT_HELD_SIZE + 1, 1000));
	for (unsigned i = 1; i < DHT_HELD_MAX; i++)
		cr_assert(put(i, 10, 1000));
	cr_expect_not(put(DHT_HELD_MAX, 10, 1000));
	cr_expect_eq(take(3, 1000), 10);
	cr_expect(put(DHT_HELD_MAX, 10, 1000));
}
