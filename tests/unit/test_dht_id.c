#include <criterion/criterion.h>
#include <string.h>

#include "client/discovery/dht_id.h"

static struct endpoint address(const char *text)
{
	struct endpoint e;

	cr_assert(endpoint_parse_ip(text, &e), "%s", text);
	return e;
}

static struct dht_id filled(uint8_t byte)
{
	struct dht_id id;

	memset(id.bytes, byte, sizeof(id.bytes));
	return id;
}

Test(dht_id, nearer_is_what_shares_more_bits)
{
	struct dht_id target = filled(0), a = filled(0), b = filled(0);

	cr_expect_eq(dht_id_compare(&target, &a, &b), 0);
	b.bytes[19] = 1;
	cr_expect_lt(dht_id_compare(&target, &a, &b), 0);
	cr_expect_gt(dht_id_compare(&target, &b, &a), 0);
	target.bytes[19] = 1;
	cr_expect_gt(dht_id_compare(&target, &a, &b), 0);
	/* By the first byte in which they differ, as XOR. */
	a.bytes[0] = 0x80;
	b.bytes[0] = 0x7f;
	target.bytes[0] = 0xff;
	cr_expect_lt(dht_id_compare(&target, &a, &b), 0);
}

Test(dht_id, common_bits_are_counted_from_the_front)
{
	struct dht_id a = filled(0), b = filled(0);

	cr_expect_eq(dht_id_common_bits(&a, &b), DHT_ID_BITS);
	b.bytes[19] = 1;
	cr_expect_eq(dht_id_common_bits(&a, &b), 159);
	b.bytes[2] = 0x10;
	cr_expect_eq(dht_id_common_bits(&a, &b), 19);
	b.bytes[0] = 0x80;
	cr_expect_eq(dht_id_common_bits(&a, &b), 0);
}

Test(dht_id, a_moved_id_shares_exactly_so_many_bits)
{
	struct dht_id near = filled(0x5a);

	for (unsigned bits = 0; bits <= DHT_ID_BITS; bits++) {
		for (int fill = 0; fill < 256; fill += 51) {
			struct dht_id id = filled((uint8_t)fill);

			dht_id_move(&id, &near, bits);
			cr_expect_eq(dht_id_common_bits(&id, &near), bits);
		}
	}
}

/* The vectors of BEP 42; of an id 21 bits and the last byte are given. */
Test(dht_id, bep_42_gives_these_ids_to_these_addresses)
{
	static const struct {
		const char *ip;
		uint8_t last;
		uint8_t start[3];
	} cases[] = {
		{"124.31.75.21", 1, {0x5f, 0xbf, 0xbf}},
		{"21.75.31.124", 86, {0x5a, 0x3c, 0xe9}},
		{"65.23.51.170", 22, {0xa5, 0xd4, 0x32}},
		{"84.124.73.14", 65, {0x1b, 0x03, 0x21}},
		{"43.213.53.83", 90, {0xe5, 0x6f, 0x6c}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e = address(cases[i].ip);
		struct dht_id id = filled(0), bound = filled(0xee);

		memcpy(id.bytes, cases[i].start, 3);
		id.bytes[19] = cases[i].last;
		cr_expect(dht_id_fits(&id, &e), "%s", cases[i].ip);
		id.bytes[2] ^= 7; /* free bits */
		cr_expect(dht_id_fits(&id, &e), "%s", cases[i].ip);
		id.bytes[2] ^= 8;
		cr_expect_not(dht_id_fits(&id, &e), "%s", cases[i].ip);
		dht_id_bind(&bound, &e);
		cr_expect(dht_id_fits(&bound, &e), "%s", cases[i].ip);
		cr_expect_eq(bound.bytes[3], 0xee);
	}
}

Test(dht_id, an_ipv6_address_binds_by_its_upper_half)
{
	struct endpoint e = address("2001:db8:85a3:1::1");
	struct endpoint same_net = address("2001:db8:85a3:1::2");
	struct endpoint other = address("2001:db8:85a3:2::1");
	struct dht_id id = filled(0x33);

	dht_id_bind(&id, &e);
	cr_expect(dht_id_fits(&id, &e));
	cr_expect(dht_id_fits(&id, &same_net));
	cr_expect_not(dht_id_fits(&id, &other));
}

Test(dht_id, local_networks_are_exempt)
{
	static const struct {
		const char *ip;
		bool exempt;
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
		{"169.254.1.1", true},
		{"fe80::1", true},
		{"fec0::1", false},
		{"fd00::1", true},
		{"2001:db8::1", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e = address(cases[i].ip);
		struct dht_id id = filled(0);

		cr_expect_eq(
			dht_id_exempt(&e), cases[i].exempt, "%s", cases[i].ip);
		cr_expect_eq(dht_id_fits(&id, &e), cases[i].exempt, "%s",
			cases[i].ip);
	}
}
