#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/guarded.h"
#include "tracker/trusted_proxies.h"

static bool trust(const char *text, struct trusted_proxies *ret)
{
	struct error err;

	return trusted_proxies_of_options(&text, 1, ret, &err);
}

Test(trusted_proxies, networks_have_the_addresses_that_their_bits_say)
{
	static const struct {
		const char *network, *in, *out;
	} cases[] = {
		{"127.0.0.1", "127.0.0.1", "127.0.0.2"},
		{"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
		{"10.1.2.3/8", "10.0.0.0", "9.255.255.255"},
		{"192.168.4.0/22", "192.168.7.255", "192.168.8.0"},
		{"9.8.7.6/32", "9.8.7.6", "9.8.7.7"},
		{"9.8.7.6/31", "9.8.7.7", "9.8.7.8"},
		{"0.0.0.0/0", "255.1.2.3", "::1"},
		{"::1", "::1", "::2"},
		{"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::1"},
		{"[fd00::]/8", "fdff::1", "fe00::1"},
		{"::ffff:10.0.0.0/8", "10.1.1.1", "11.1.1.1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct trusted_proxies p;
		struct endpoint in, out;

		cr_assert(trust(cases[i].network, &p), "%s", cases[i].network);
		cr_assert(endpoint_parse_ip(cases[i].in, &in) &&
			endpoint_parse_ip(cases[i].out, &out));
		cr_expect(trusted_proxies_has(&p, &in), "%s", cases[i].network);
		cr_expect_not(
			trusted_proxies_has(&p, &out), "%s", cases[i].network);
	}
}

Test(trusted_proxies, what_is_no_network_is_refused)
{
	static const char *const texts[] = {"", "/", "/8", "10.0.0.0/",
		"10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8/8", "10/8",
		"localhost", "10.0.0.0/8 ", "1.2.3.4:80", "::/0x8",
		"1111111111111111111111111111111111111111111111111111111111"};
	struct trusted_proxies p;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		cr_expect_not(trust(texts[i], &p), "'%s'", texts[i]);
}

Test(trusted_proxies, too_many_are_refused)
{
	const char *texts[TRUSTED_PROXIES_MAX + 1];
	struct trusted_proxies p;
	struct error err;

	for (size_t i = 0; i <= TRUSTED_PROXIES_MAX; i++)
		texts[i] = "10.0.0.0/8";
	cr_expect(trusted_proxies_of_options(
		texts, TRUSTED_PROXIES_MAX, &p, &err));
	cr_expect_not(trusted_proxies_of_options(
		texts, TRUSTED_PROXIES_MAX + 1, &p, &err));
}

Test(trusted_proxies, the_client_is_the_last_one_that_is_not_trusted)
{
	static const struct {
		const char *header;
		const char *client; /* NULL: it does not say */
	} cases[] = {
		{"9.8.7.6", "9.8.7.6"},
		{" 9.8.7.6\t", "9.8.7.6"},
		{"2001:db8::5", "2001:db8::5"},
		{"[2001:db8::5]", "2001:db8::5"},
		{"9.8.7.6:5000", "9.8.7.6"},
		{"[2001:db8::5]:5000", "2001:db8::5"},
		{"::ffff:9.8.7.6", "9.8.7.6"},
		/* What the client wrote itself is to the left. */
		{"1.1.1.1, 9.8.7.6", "9.8.7.6"},
		{"10.0.0.1, 9.8.7.6", "9.8.7.6"},
		{"rubbish, 9.8.7.6", "9.8.7.6"},
		/* A chain of ours. */
		{"9.8.7.6, 10.0.0.1,10.0.0.2", "9.8.7.6"},
		{"1.1.1.1,9.8.7.6,10.0.0.1", "9.8.7.6"},
		{"10.0.0.3, 10.0.0.1", "10.0.0.3"},
		/* It does not say. */
		{"", NULL},
		{" ", NULL},
		{",", NULL},
		{"9.8.7.6,", NULL},
		{"9.8.7.6, unknown", NULL},
		{"unknown", NULL},
		{"_hidden, 10.0.0.1", NULL},
		{", 10.0.0.1", NULL},
		{"9.8.7", NULL},
		{"9.8.7.6.5", NULL},
		{"9.8.7.6 5.4.3.2", NULL},
		{"for=9.8.7.6", NULL},
		{"0.0.0.0", NULL},
		{"::", NULL},
		{"224.0.0.1", NULL},
		{"255.255.255.255", NULL},
		{"ff02::1", NULL},
		{"fe80::1%eth0", NULL},
	};
	struct trusted_proxies p;

	cr_assert(trust("10.0.0.0/8", &p));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint got = {.port = 77}, wanted;
		bool ok = trusted_proxies_client(
			&p, guarded_text(cases[i].header), &got);

		cr_expect_eq(
			ok, cases[i].client != NULL, "'%s'", cases[i].header);
		if (!cases[i].client)
			continue;
		cr_assert(endpoint_parse_ip(cases[i].client, &wanted));
		cr_expect(endpoint_same_ip(&got, &wanted), "'%s'",
			cases[i].header);
		cr_expect_eq(got.port, 77);
	}
}

Test(trusted_proxies, a_nul_or_a_flood_is_no_header)
{
	static char flood[FORWARDED_MAX_SIZE + 1];
	struct trusted_proxies p;
	struct endpoint e;

	cr_assert(trust("10.0.0.0/8", &p));
	cr_expect_not(trusted_proxies_client(
		&p, (struct span){(const uint8_t *)"9.8.7.6\0x", 9}, &e));
	memset(flood, ' ', sizeof(flood));
	memcpy(flood + sizeof(flood) - 8, ",9.8.7.6", 8);
	cr_expect_not(trusted_proxies_client(
		&p, (struct span){(uint8_t *)flood, sizeof(flood)}, &e));
	cr_expect(trusted_proxies_client(&p,
		(struct span){(uint8_t *)flood + 1, FORWARDED_MAX_SIZE}, &e));
}
