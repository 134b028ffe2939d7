#include <criterion/criterion.h>

#include "tracker/address_counts.h"

static struct endpoint at(const char *ip)
{
	struct endpoint e;

	cr_assert(endpoint_parse_ip(ip, &e), "%s", ip);
	return e;
}

Test(address_counts, each_address_has_its_own_count)
{
	struct address_counts *c = address_counts_create(3);
	struct endpoint a = at("9.8.7.6"), b = at("9.8.7.7");

	cr_assert(c);
	cr_expect_eq(address_counts_of(c, &a), 0);
	address_counts_add(c, &a, 1);
	address_counts_add(c, &a, 1);
	address_counts_add(c, &b, 1);
	cr_expect_eq(address_counts_of(c, &a), 2);
	cr_expect_eq(address_counts_of(c, &b), 1);
	address_counts_add(c, &a, -1);
	address_counts_add(c, &a, -1);
	cr_expect_eq(address_counts_of(c, &a), 0);
	cr_expect_eq(address_counts_of(c, &b), 1);
	address_counts_destroy(c);
}

Test(address_counts, one_64_is_one_client)
{
	struct address_counts *c = address_counts_create(3);
	struct endpoint a = at("2001:db8::1"), b = at("2001:db8::2:0:0:1");
	struct endpoint other = at("2001:db8:0:1::1");

	cr_assert(c);
	address_counts_add(c, &a, 1);
	cr_expect_eq(address_counts_of(c, &b), 1);
	cr_expect_eq(address_counts_of(c, &other), 0);
	address_counts_destroy(c);
}
