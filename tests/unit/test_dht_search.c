#include <criterion/criterion.h>
#include <string.h>

#include "client/discovery/dht_search.h"

static const struct dht_id target; /* all zeros */

/* The nearer the smaller the distance, from 1 to 255; each has a host of its
 * own. */
static struct dht_node node(unsigned distance)
{
	struct dht_node n = {.id = {{(uint8_t)distance}}};

	cr_assert(endpoint_parse("10.0.0.0:6881", &n.address));
	n.address.ip[15] = (uint8_t)distance;
	return n;
}

static void hear(struct dht_search *s, unsigned distance)
{
	struct dht_node n = node(distance);

	dht_search_hear(s, &n);
}

static void answered(struct dht_search *s, unsigned distance)
{
	struct dht_node n = node(distance);

	dht_search_answered(
		s, &n.address, (struct span){(const uint8_t *)"tok", 3});
}

/* The distance of the next one; 0: none. */
static unsigned next(struct dht_search *s, uint64_t now_ms)
{
	struct dht_node n;

	return dht_search_next(s, now_ms, &n) ? n.id.bytes[0] : 0;
}

Test(dht_search, the_nearest_are_asked_first_and_four_at_once)
{
	struct dht_search s;

	dht_search_begin(&s, &target);
	cr_expect(dht_search_over(&s, 0));
	for (unsigned i = 10; i > 0; i--)
		hear(&s, i);
	for (unsigned i = 1; i <= DHT_SEARCH_ALPHA; i++)
		cr_expect_eq(next(&s, 0), i);
	cr_expect_eq(next(&s, 0), 0);
	answered(&s, 2);
	cr_expect_eq(next(&s, 0), 5);
	cr_expect_eq(next(&s, 0), 0);
	/* A slow one holds nobody up. */
	cr_expect_eq(next(&s, DHT_SEARCH_SLOW_MS), 6);
}

Test(dht_search, it_is_over_when_the_eight_nearest_have_answered)
{
	struct dht_search s;

	dht_search_begin(&s, &target);
	for (unsigned i = 1; i <= 20; i++)
		hear(&s, 10 * i);
	for (unsigned i = 1; i <= DHT_K; i++) {
		cr_expect_not(dht_search_over(&s, 0));
		cr_expect_eq(next(&s, 0), 10 * i);
		answered(&s, 10 * i);
	}
	cr_expect(dht_search_over(&s, 0));
	cr_expect_eq(next(&s, 0), 0);
	cr_expect_eq(s.answered, DHT_K);
	cr_expect_eq(s.nearest[0].token_len, 3);
	/* A nearer one turns up. */
	hear(&s, 5);
	cr_expect_not(dht_search_over(&s, 0));
	cr_expect_eq(next(&s, 0), 5);
}

Test(dht_search, one_that_fails_makes_room_for_the_ninth)
{
	struct dht_search s;

	dht_search_begin(&s, &target);
	for (unsigned i = 1; i <= 9; i++)
		hear(&s, i);
	for (unsigned i = 1; i <= 8; i++) {
		unsigned d = next(&s, 0);
		if (d != 3)
			answered(&s, d);
	}
	cr_expect_not(dht_search_over(&s, 0));
	struct dht_node n = node(3);
	dht_search_failed(&s, &n.address);
	cr_expect_eq(next(&s, 0), 9);
	answered(&s, 9);
	cr_expect(dht_search_over(&s, 0));
}

Test(dht_search, a_slow_one_does_not_hold_up_the_end)
{
	struct dht_search s;

	dht_search_begin(&s, &target);
	hear(&s, 1);
	hear(&s, 2);
	cr_expect_eq(next(&s, 0), 1);
	cr_expect_eq(next(&s, 0), 2);
	answered(&s, 2);
	cr_expect_not(dht_search_over(&s, DHT_SEARCH_SLOW_MS - 1));
	cr_expect(dht_search_over(&s, DHT_SEARCH_SLOW_MS));
}

Test(dht_search, who_was_not_asked_cannot_answer)
{
	struct dht_search s;

	dht_search_begin(&s, &target);
	hear(&s, 1);
	answered(&s, 1);
	answered(&s, 2);
	cr_expect_eq(s.answered, 0);
	cr_expect_eq(next(&s, 0), 1);
}

Test(dht_search, one_host_is_asked_once)
{
	struct dht_search s;
	struct dht_node n = node(5);

	dht_search_begin(&s, &target);
	hear(&s, 5);
	n.address.port = 7;
	n.id.bytes[0] = 1;
	dht_search_hear(&s, &n);
	cr_expect_eq(s.count, 1);
	/* But for loopback. */
	endpoint_parse("127.0.0.1:1", &n.address);
	dht_search_hear(&s, &n);
	n.address.port = 2;
	dht_search_hear(&s, &n);
	cr_expect_eq(s.count, 3);
}

Test(dht_search, whoever_names_endless_nodes_ends_it_all_the_same)
{
	struct dht_search s;
	struct dht_node n;
	unsigned asked = 0;

	dht_search_begin(&s, &target);
	cr_assert(endpoint_parse("10.0.0.0:6881", &n.address));
	/* Each answer names one that is nearer still. */
	for (unsigned i = 0; i < 10000; i++) {
		struct dht_node to;

		memset(n.id.bytes, 0, DHT_ID_SIZE);
		n.id.bytes[18] = (uint8_t)((20000 - i) >> 8);
		n.id.bytes[19] = (uint8_t)(20000 - i);
		n.address.ip[14] = (uint8_t)(i >> 8);
		n.address.ip[15] = (uint8_t)i;
		dht_search_hear(&s, &n);
		if (dht_search_next(&s, i, &to)) {
			asked++;
			dht_search_answered(&s, &to.address, (struct span){0});
		}
	}
	cr_expect_eq(asked, DHT_SEARCH_ASKED_MAX);
	cr_expect_eq(s.count, DHT_SEARCH_MAX);
	cr_expect(dht_search_over(&s, 10000));
}
