#include <criterion/criterion.h>
#include <string.h>

#include "tracker/address_limit.h"

static struct endpoint at(const char *ip)
{
	struct endpoint e;

	cr_assert(endpoint_parse_ip(ip, &e), "%s", ip);
	return e;
}

static struct address_limit *limit_of(uint32_t per_minute, bool spare_private)
{
	struct address_limit *limit =
		address_limit_create(&(struct address_limit_options){
			.per_minute = per_minute,
			.spare_private = spare_private,
			.seed = 5,
		});

	cr_assert(limit);
	return limit;
}

/* How often it may, tried `tries` times at that moment. */
static unsigned times(struct address_limit *limit, const struct endpoint *who,
	uint64_t now_s, unsigned tries)
{
	uint32_t retry_s;
	unsigned done = 0;

	for (unsigned i = 0; i < tries; i++) {
		if (!address_limit_ask(limit, who, now_s, &retry_s))
			continue;
		address_limit_count(limit, who, now_s);
		done++;
	}
	return done;
}

Test(address_limit, so_many_at_once_and_then_so_many_a_minute)
{
	static const uint32_t limits[] = {1, 2, 6, 60, 30000};
	struct endpoint who = at("9.8.7.6");

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct address_limit *limit = limit_of(limits[i], false);
		uint64_t now_s = 1000;
		unsigned later = 0;

		cr_expect_eq(
			times(limit, &who, now_s, limits[i] + 10), limits[i]);
		for (int s = 0; s < 600; s++)
			later += times(limit, &who, ++now_s, limits[i] + 10);
		cr_expect_eq(
			later, 10 * limits[i], "%u of %u", later, limits[i]);
		/* A quiet minute gives all back, and an hour not more. */
		now_s += 3600;
		cr_expect_eq(
			times(limit, &who, now_s, limits[i] + 10), limits[i]);
		address_limit_destroy(limit);
	}
}

Test(address_limit, who_waits_as_long_as_told_may_and_not_before)
{
	struct address_limit *limit = limit_of(4, false); /* each 15 s */
	struct endpoint who = at("9.8.7.6");
	uint32_t retry_s = 0;

	cr_expect_eq(times(limit, &who, 100, 4), 4);
	cr_expect_not(address_limit_ask(limit, &who, 100, &retry_s));
	cr_expect_eq(retry_s, 15);
	cr_expect_not(address_limit_ask(limit, &who, 114, &retry_s));
	cr_expect_eq(retry_s, 1);
	cr_expect(address_limit_ask(limit, &who, 115, &retry_s));
	address_limit_destroy(limit);
}

Test(address_limit, to_be_refused_costs_nothing)
{
	struct address_limit *limit = limit_of(1, false);
	struct endpoint who = at("9.8.7.6");

	cr_expect_eq(times(limit, &who, 100, 1), 1);
	for (uint64_t now_s = 101; now_s < 160; now_s++)
		cr_expect_eq(times(limit, &who, now_s, 100), 0);
	cr_expect_eq(times(limit, &who, 160, 100), 1);
	address_limit_destroy(limit);
}

Test(address_limit, addresses_are_apart_but_those_of_one_64)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"9.8.7.6", "9.8.7.7", false},
		{"9.8.7.6", "10.8.7.6", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"2001:db8::1", "9.8.7.6", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address_limit *limit = limit_of(3, false);
		struct endpoint a = at(cases[i].a), b = at(cases[i].b);

		cr_expect_eq(times(limit, &a, 7, 5), 3);
		cr_expect_eq(times(limit, &b, 7, 5), cases[i].same ? 0U : 3U,
			"%s and %s", cases[i].a, cases[i].b);
		address_limit_destroy(limit);
	}
}

Test(address_limit, private_addresses_may_be_spared)
{
	static const struct {
		const char *ip;
		bool spared;
	} cases[] = {
		{"127.0.0.1", true},
		{"::1", true},
		{"10.255.0.1", true},
		{"11.0.0.1", false},
		{"172.15.0.1", false},
		{"172.16.0.1", true},
		{"172.31.0.1", true},
		{"172.32.0.1", false},
		{"192.168.1.1", true},
		{"192.169.1.1", false},
		{"100.64.0.1", true},
		{"100.128.0.1", false},
		{"169.254.1.1", true},
		{"fe80::1", true},
		{"fec0::1", false},
		{"fd12::1", true},
		{"fe00::1", false},
		{"2001:db8::1", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct address_limit *spares = limit_of(1, true);
		struct address_limit *strict = limit_of(1, false);
		struct endpoint who = at(cases[i].ip);

		cr_expect_eq(times(spares, &who, 7, 5),
			cases[i].spared ? 5U : 1U, "%s", cases[i].ip);
		cr_expect_eq(times(strict, &who, 7, 5), 1U);
		address_limit_destroy(spares);
		address_limit_destroy(strict);
	}
}

Test(address_limit, a_flood_of_addresses_gets_nobody_refused)
{
	struct address_limit *limit = limit_of(2, false);
	struct endpoint who = at("1.0.0.0");
	unsigned refused = 0;

	/* Each once, four times as many as are remembered. */
	for (uint32_t n = 0; n < ADDRESS_LIMIT_BYTES / 2; n++) {
		memcpy(who.ip + 12, &n, sizeof(n));
		refused += times(limit, &who, 50, 1) == 0;
	}
	cr_expect_eq(refused, 0);

	/* And whoever did more than they is still remembered. */
	struct endpoint busy = at("2001:db8::1");
	cr_expect_eq(times(limit, &busy, 50, 9), 2);
	cr_expect_eq(times(limit, &busy, 50, 9), 0);
	address_limit_destroy(limit);
}

Test(address_limit, what_is_long_past_is_never_taken_for_what_is_to_come)
{
	/* Times go round after 203 days; seconds around that, and more. */
	struct address_limit *limit = limit_of(1, false);
	struct endpoint who = at("9.8.7.6");

	cr_expect_eq(times(limit, &who, 1000, 5), 1);
	for (uint64_t day = 1; day < 1000; day++)
		cr_expect_eq(times(limit, &who, 1000 + day * 86400, 5), 1,
			"day %u", (unsigned)day);
	address_limit_destroy(limit);
}

Test(address_limit, none_at_all_lets_everybody)
{
	struct endpoint who = at("9.8.7.6");

	cr_expect_eq(times(NULL, &who, 7, 5), 5);
	address_limit_destroy(NULL);
}
