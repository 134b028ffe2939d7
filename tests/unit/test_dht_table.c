#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/discovery/dht_table.h"

enum { MINUTE_MS = 60 * 1000 };

static const struct dht_id ours; /* all zeros */

static struct dht_table *new_table(void)
{
	struct dht_table *t = dht_table_create(&ours, 0);

	cr_assert(t);
	return t;
}

/* A node that shares `bits` bits with us; each number is another one, in a
 * network of its own, and its id does not fit. */
static struct dht_node node(unsigned bits, unsigned number)
{
	struct dht_node n = {.id = {{0}}};
	char text[64];

	n.id.bytes[19] = (uint8_t)number;
	n.id.bytes[18] = (uint8_t)(number >> 8);
	dht_id_move(&n.id, &ours, bits);
	snprintf(text, sizeof(text), "%u.%u.%u.7:6881", 60 + bits,
		number >> 8 & 255, number & 255);
	cr_assert(endpoint_parse(text, &n.address));
	if (dht_id_fits(&n.id, &n.address))
		n.id.bytes[10] ^= 1;
	return n;
}

/* The same, and its id fits. */
static struct dht_node fitting(unsigned number)
{
	struct dht_node n;

	/* Another last byte until it is far from us. */
	for (unsigned i = 0;; i++) {
		n = node(0, number);
		n.id.bytes[19] = (uint8_t)i;
		dht_id_bind(&n.id, &n.address);
		if (n.id.bytes[0] & 0x80)
			return n;
	}
}

static bool has(struct dht_table *t, const struct dht_node *n)
{
	struct dht_node found[1];

	return dht_table_closest(t, &n->id, 1, found) == 1 &&
		endpoint_equal(&found[0].address, &n->address);
}

Test(dht_table, the_closest_come_first_and_not_too_many)
{
	struct dht_table *t = new_table();
	struct dht_node found[DHT_K];

	cr_expect_eq(dht_table_closest(t, &ours, DHT_K, found), 0);
	for (unsigned bits = 0; bits < 12; bits++) {
		struct dht_node n = node(bits, 1);
		dht_table_answered(t, &n, 0);
	}
	cr_expect_eq(dht_table_count(t), 12);
	cr_assert_eq(dht_table_closest(t, &ours, DHT_K, found), DHT_K);
	for (unsigned i = 0; i < DHT_K; i++)
		cr_expect_eq(dht_id_common_bits(&found[i].id, &ours), 11 - i);
	cr_assert_eq(dht_table_closest(t, &ours, 1, found), 1);
	dht_table_destroy(t);
}

Test(dht_table, a_far_bucket_is_full_with_eight)
{
	struct dht_table *t = new_table();

	for (unsigned i = 0; i < 100; i++) {
		struct dht_node far = node(0, i);
		dht_table_answered(t, &far, i);
	}
	cr_expect_eq(dht_table_count(t), DHT_K);
	/* Around our own id there is room for more. */
	for (unsigned i = 0; i < 6; i++) {
		struct dht_node near = node(20 + i, i);
		dht_table_answered(t, &near, i);
	}
	cr_expect_eq(dht_table_count(t), DHT_K + 6);
	dht_table_destroy(t);
}

Test(dht_table, the_oldest_good_ones_stay)
{
	struct dht_table *t = new_table();

	for (unsigned i = 0; i < 20; i++) {
		struct dht_node n = node(0, i);
		dht_table_answered(t, &n, i);
	}
	for (unsigned i = 0; i < 20; i++) {
		struct dht_node n = node(0, i);
		cr_expect_eq(has(t, &n), i < DHT_K, "%u", i);
	}
	dht_table_destroy(t);
}

Test(dht_table, a_bad_one_gives_way_to_the_last_that_had_no_place)
{
	struct dht_table *t = new_table();
	struct dht_node first = node(0, 0), last = node(0, 11);

	for (unsigned i = 0; i < 12; i++) {
		struct dht_node n = node(0, i);
		dht_table_answered(t, &n, i);
	}
	dht_table_failed(t, &first.address);
	cr_expect(has(t, &first));
	dht_table_failed(t, &first.address);
	cr_expect_not(has(t, &first));
	cr_expect(has(t, &last));
	cr_expect_eq(dht_table_count(t), DHT_K);
	dht_table_destroy(t);
}

Test(dht_table, a_bad_one_without_a_reserve_is_kept_but_not_named)
{
	struct dht_table *t = new_table();
	struct dht_node n = node(0, 0), another = node(0, 1);

	dht_table_answered(t, &n, 0);
	dht_table_failed(t, &n.address);
	dht_table_failed(t, &n.address);
	cr_expect_eq(dht_table_count(t), 0);
	dht_table_failed(t, &another.address); /* not known: nothing */
	dht_table_answered(t, &n, 1);          /* back again */
	cr_expect(has(t, &n));
	dht_table_destroy(t);
}

Test(dht_table, an_id_that_fits_its_address_is_preferred)
{
	struct dht_table *t = new_table();

	for (unsigned i = 0; i < DHT_K; i++) {
		struct dht_node n = node(0, i);
		dht_table_answered(t, &n, 0);
	}
	/* One near us: so that the far bucket is not the last. */
	for (unsigned i = 0; i < 2; i++) {
		struct dht_node n = node(30, i);
		dht_table_answered(t, &n, 0);
	}
	for (unsigned i = 0; i < DHT_K + 1; i++) {
		struct dht_node n = fitting(100 + i);
		dht_table_answered(t, &n, 1);
		cr_expect_eq(has(t, &n), i < DHT_K);
	}
	/* And is not driven out again. */
	struct dht_node n = node(0, 200);
	dht_table_answered(t, &n, 2);
	cr_expect_not(has(t, &n));
	dht_table_destroy(t);
}

Test(dht_table, one_host_has_one_place)
{
	struct dht_table *t = new_table();
	struct dht_node n = node(0, 1), again = node(5, 2);

	dht_table_answered(t, &n, 0);
	again.address = n.address;
	again.address.port++;
	cr_expect_not(dht_table_asked(t, &again, 1));
	dht_table_answered(t, &again, 1);
	cr_expect_eq(dht_table_count(t), 1);
	/* The same port: it has another id now. */
	again.address = n.address;
	dht_table_answered(t, &again, 2);
	cr_expect(has(t, &again));
	cr_expect_eq(dht_table_count(t), 1);
	/* Its network has one place in a bucket. */
	struct dht_node neighbour = node(5, 3);
	neighbour.address = n.address;
	neighbour.address.ip[15]++;
	dht_table_answered(t, &neighbour, 3);
	cr_expect_eq(dht_table_count(t), 1);
	dht_table_destroy(t);
}

Test(dht_table, an_ipv6_network_of_64_bits_is_one_host)
{
	struct dht_table *t = new_table();
	struct dht_node a = node(0, 1), b = node(7, 2), c = node(9, 3);

	endpoint_parse("[2001:db8:0:1::1]:6881", &a.address);
	endpoint_parse("[2001:db8:0:1::2]:6881", &b.address);
	endpoint_parse("[2001:db8:0:2::1]:6881", &c.address);
	dht_table_answered(t, &a, 0);
	dht_table_answered(t, &b, 0);
	cr_expect_eq(dht_table_count(t), 1);
	dht_table_answered(t, &c, 0);
	cr_expect_eq(dht_table_count(t), 2);
	dht_table_destroy(t);
}

Test(dht_table, on_loopback_there_is_room_for_many)
{
	struct dht_table *t = new_table();

	for (unsigned i = 0; i < 5; i++) {
		struct dht_node n = node(i, i);
		endpoint_parse("127.0.0.1:6881", &n.address);
		n.address.port = (uint16_t)(1000 + i);
		dht_table_answered(t, &n, 0);
	}
	cr_expect_eq(dht_table_count(t), 5);
	dht_table_destroy(t);
}

Test(dht_table, our_own_id_is_nobody_elses)
{
	struct dht_table *t = new_table();
	struct dht_node n = node(0, 1);

	n.id = ours;
	dht_table_answered(t, &n, 0);
	cr_expect_not(dht_table_asked(t, &n, 0));
	cr_expect_eq(dht_table_count(t), 0);
	dht_table_destroy(t);
}

Test(dht_table, who_asks_is_worth_a_question_if_there_is_a_place)
{
	struct dht_table *t = new_table();
	struct dht_node n = node(0, 1);

	cr_expect(dht_table_asked(t, &n, 0));
	cr_expect_eq(dht_table_count(t), 0); /* not on its own word */
	dht_table_answered(t, &n, 0);
	cr_expect_not(dht_table_asked(t, &n, 0));
	for (unsigned i = 0; i < 20; i++) {
		struct dht_node far = node(0, i), near = node(30, i);
		dht_table_answered(t, &far, 0);
		dht_table_answered(t, &near, 0);
	}
	n = node(0, 50);
	cr_expect_not(dht_table_asked(t, &n, 0));
	n = fitting(51);
	cr_expect(dht_table_asked(t, &n, 0));
	dht_table_destroy(t);
}

Test(dht_table, after_15_minutes_a_node_is_questionable)
{
	struct dht_table *t = new_table();
	struct dht_node n = node(0, 1), found;
	uint64_t now = 0;

	dht_table_answered(t, &n, now);
	cr_expect_not(dht_table_doubtful(t, DHT_FRESH_MS - 1, &found));
	/* A question of its own keeps it good. */
	dht_table_asked(t, &n, DHT_FRESH_MS - 1);
	now = 2 * DHT_FRESH_MS - 2;
	cr_expect_not(dht_table_doubtful(t, now, &found));
	now++;
	cr_assert(dht_table_doubtful(t, now, &found));
	cr_expect(endpoint_equal(&found.address, &n.address));
	/* Once a minute. */
	cr_expect_not(dht_table_doubtful(t, now + MINUTE_MS - 1, &found));
	cr_expect(dht_table_doubtful(t, now + MINUTE_MS, &found));
	dht_table_answered(t, &n, now + MINUTE_MS);
	cr_expect_not(dht_table_doubtful(t, now + 2 * MINUTE_MS, &found));
	dht_table_destroy(t);
}

Test(dht_table, a_bucket_without_change_is_stale_after_15_minutes)
{
	struct dht_table *t = new_table();
	struct dht_id id = {{0xff}};

	cr_expect_not(dht_table_stale(t, DHT_FRESH_MS - 1, &id));
	cr_assert(dht_table_stale(t, DHT_FRESH_MS, &id));
	cr_expect_eq(dht_id_common_bits(&id, &ours), 0);
	cr_expect_not(dht_table_stale(t, DHT_FRESH_MS, &id));

	for (unsigned i = 0; i < DHT_K; i++) {
		struct dht_node far = node(0, i), near = node(1, i);
		dht_table_answered(t, &far, DHT_FRESH_MS);
		dht_table_answered(t, &near, DHT_FRESH_MS);
	}
	/* Two buckets now. */
	memset(&id, 0xff, sizeof(id));
	cr_assert(dht_table_stale(t, 2 * DHT_FRESH_MS, &id));
	cr_expect_eq(dht_id_common_bits(&id, &ours), 0);
	memset(&id, 0xff, sizeof(id));
	cr_assert(dht_table_stale(t, 2 * DHT_FRESH_MS, &id));
	cr_expect_eq(dht_id_common_bits(&id, &ours), 1);
	cr_expect_not(dht_table_stale(t, 2 * DHT_FRESH_MS, &id));
	dht_table_destroy(t);
}

Test(dht_table, however_many_come_it_stays_within_its_bounds)
{
	struct dht_table *t = new_table();
	struct dht_node found[DHT_K];

	for (unsigned i = 0; i < 20000; i++) {
		struct dht_node n = node(i % DHT_ID_BITS, i);
		dht_table_answered(t, &n, i);
	}
	cr_expect_leq(dht_table_count(t), DHT_TABLE_MAX);
	cr_expect_eq(dht_table_closest(t, &ours, DHT_K, found), DHT_K);
	dht_table_destroy(t);
}
