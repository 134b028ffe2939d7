#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <netinet/in.h>
#include <string.h>

#include "shared/endpoint.h"
#include "shared/writer.h"
#include "tests/unit/guarded.h"

Test(endpoint, reads_an_address_with_its_port_or_refuses_it)
{
	static const struct {
		const char *in;
		const char *printed; /* NULL: refused */
	} cases[] = {
		{"1.2.3.4:80", "1.2.3.4:80"},
		{"0.0.0.0:0", "0.0.0.0:0"},
		{"255.255.255.255:65535", "255.255.255.255:65535"},
		{"[::1]:6969", "[::1]:6969"},
		{"[::]:0", "[::]:0"},
		{"[2001:db8::0:1]:1", "[2001:db8::1]:1"},
		{"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
		{"[::ffff:1.2.3.4]:5", "1.2.3.4:5"}, /* the same address */
		{"1.2.3.4:65536", NULL},
		{"1.2.3.4:-1", NULL},
		{"1.2.3.4:", NULL},
		{"1.2.3.4", NULL},
		{"1.2.3.4:8 ", NULL},
		{"1.2.3:80", NULL},
		{"1.2.3.256:80", NULL},
		{"[1.2.3.4]:80", NULL},
		{"::1:80", NULL},
		{"[::1]", NULL},
		{"[::1:80", NULL},
		{"[::g]:80", NULL},
		{"[]:80", NULL},
		{"localhost:80", NULL},
		{":80", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e;
		char text[ENDPOINT_TEXT_SIZE];
		bool ok = endpoint_parse(cases[i].in, &e);

		cr_expect_eq(ok, cases[i].printed != NULL, "'%s'", cases[i].in);
		if (ok && cases[i].printed)
			cr_expect_str_eq(
				endpoint_print(&e, text), cases[i].printed);
	}
}

Test(endpoint, a_name_is_split_from_its_port)
{
	static const struct {
		const char *in, *host; /* NULL: refused */
		uint16_t port;
	} cases[] = {
		{"localhost:80", "localhost", 80},
		{"a.b-c.example:65535", "a.b-c.example", 65535},
		{"1234567890123:1", "1234567890123", 1}, /* just fits */
		{"12345678901234:1", NULL, 0},
		{"a:0", NULL, 0},
		{"a:65536", NULL, 0},
		{"a:x", NULL, 0},
		{"a:", NULL, 0},
		{"a", NULL, 0},
		{":1", NULL, 0},
		{"::1:1", NULL, 0},
		{"[::1]:1", NULL, 0},
		{"", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char host[14] = "";
		uint16_t port = 0;
		bool ok = endpoint_split_name(
			cases[i].in, host, sizeof(host), &port);

		cr_expect_eq(ok, cases[i].host != NULL, "'%s'", cases[i].in);
		if (ok && cases[i].host)
			cr_expect_str_eq(host, cases[i].host);
		cr_expect_eq(port, cases[i].port, "'%s'", cases[i].in);
	}
}

Test(endpoint, reads_an_address_alone_or_refuses_it)
{
	static const struct {
		const char *in;
		const char *printed;
	} cases[] = {
		{"1.2.3.4", "1.2.3.4"},
		{"::1", "::1"},
		{"[::1]", "::1"},
		{"::ffff:9.8.7.6", "9.8.7.6"},
		{"[1.2.3.4]", NULL},
		{"[", NULL},
		{"[]", NULL},
		{"01.2.3.4", NULL},
		{"1.2.3.4:80", NULL},
		{"", NULL},
		{"1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
			NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e;
		char text[ENDPOINT_TEXT_SIZE];
		bool ok = endpoint_parse_ip(cases[i].in, &e);

		cr_expect_eq(ok, cases[i].printed != NULL, "'%s'", cases[i].in);
		if (ok && cases[i].printed) {
			cr_expect_eq(e.port, 0);
			cr_expect_str_eq(
				endpoint_print_ip(&e, text), cases[i].printed);
		}
	}
}

Test(endpoint, knows_where_no_peer_can_be)
{
	static const struct {
		const char *in;
		bool dialable;
		bool loopback;
	} cases[] = {
		{"1.2.3.4:1", true, false},
		{"1.2.3.4:0", false, false},
		{"0.0.0.0:1", false, false},
		{"0.1.2.3:1", false, false},
		{"127.0.0.1:1", true, true},
		{"127.255.255.255:1", true, true},
		{"128.0.0.1:1", true, false},
		{"223.255.255.255:1", true, false},
		{"224.0.0.1:1", false, false},
		{"239.255.255.255:1", false, false},
		{"240.0.0.1:1", true, false},
		{"255.255.255.255:1", false, false},
		{"[::]:1", false, false},
		{"[::1]:1", true, true},
		{"[::2]:1", true, false},
		{"[::ffff:127.0.0.1]:1", true, true},
		{"[::ffff:0.0.0.0]:1", false, false},
		{"[fe80::1]:1", true, false},
		{"[ff02::1]:1", false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e;

		cr_assert(endpoint_parse(cases[i].in, &e), "%s", cases[i].in);
		cr_expect_eq(endpoint_dialable(&e), cases[i].dialable, "%s",
			cases[i].in);
		cr_expect_eq(endpoint_is_loopback(&e), cases[i].loopback, "%s",
			cases[i].in);
	}
}

Test(endpoint, knows_what_counts_within_a_site_only)
{
	static const struct {
		const char *ip;
		bool is_private;
	} cases[] = {
		{"9.255.255.255", false},
		{"10.0.0.0", true},
		{"10.255.255.255", true},
		{"11.0.0.0", false},
		{"100.63.255.255", false},
		{"100.64.0.0", true},
		{"100.127.255.255", true},
		{"100.128.0.0", false},
		{"127.0.0.1", false}, /* within a machine */
		{"169.253.255.255", false},
		{"169.254.0.0", true},
		{"169.255.0.0", false},
		{"172.15.255.255", false},
		{"172.16.0.0", true},
		{"172.31.255.255", true},
		{"172.32.0.0", false},
		{"192.167.255.255", false},
		{"192.168.0.0", true},
		{"192.169.0.0", false},
		{"::1", false},
		{"::a00:1", false}, /* looks like 10.0.0.1 */
		{"fbff::1", false},
		{"fc00::1", true},
		{"fdff::1", true},
		{"fe00::1", false},
		{"2001:db8::1", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e;

		cr_assert(
			endpoint_parse_ip(cases[i].ip, &e), "%s", cases[i].ip);
		cr_expect_eq(endpoint_is_private(&e), cases[i].is_private, "%s",
			cases[i].ip);
	}
}

Test(endpoint, compares_address_and_port)
{
	struct endpoint a, same, other_port, other_ip;

	cr_assert(endpoint_parse("1.2.3.4:5", &a));
	cr_assert(endpoint_parse("[::ffff:1.2.3.4]:5", &same));
	cr_assert(endpoint_parse("1.2.3.4:6", &other_port));
	cr_assert(endpoint_parse("1.2.3.5:5", &other_ip));
	cr_expect(endpoint_equal(&a, &same));
	cr_expect_not(endpoint_equal(&a, &other_port));
	cr_expect(endpoint_same_ip(&a, &other_port));
	cr_expect_not(endpoint_same_ip(&a, &other_ip));
	cr_expect_eq(memcmp(&a, &same, sizeof(a)), 0);
}

Test(endpoint, knows_a_host_by_its_ipv4_address_or_its_ipv6_slash_64)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"1.2.3.4:5", "1.2.3.4:6", true},
		{"1.2.3.4:5", "1.2.3.5:5", false},
		{"[2001:db8::1]:5", "[2001:db8::2:0:0:1]:6", true},
		{"[2001:db8::1]:5", "[2001:db8:0:1::1]:5", false},
		{"[::1]:5", "127.0.0.1:5", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint a, b;

		cr_assert(endpoint_parse(cases[i].a, &a));
		cr_assert(endpoint_parse(cases[i].b, &b));
		cr_expect_eq(endpoint_same_host(&a, &b), cases[i].same, "%s %s",
			cases[i].a, cases[i].b);
		cr_expect_eq(endpoint_same_host(&b, &a), cases[i].same);
	}
}

Test(endpoint, goes_to_a_sockaddr_and_back)
{
	static const struct {
		const char *in;
		sa_family_t family;
		socklen_t len;
	} cases[] = {
		{"1.2.3.4:80", AF_INET, sizeof(struct sockaddr_in)},
		{"[2001:db8::1]:65535", AF_INET6, sizeof(struct sockaddr_in6)},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e, back;
		struct sockaddr_storage sa;

		cr_assert(endpoint_parse(cases[i].in, &e));
		cr_expect_eq(endpoint_to_sockaddr(&e, &sa), cases[i].len);
		cr_expect_eq(sa.ss_family, cases[i].family);
		cr_expect(endpoint_from_sockaddr(
			(const struct sockaddr *)&sa, &back));
		cr_expect(endpoint_equal(&e, &back));
	}

	struct sockaddr unix_address = {.sa_family = AF_UNIX};
	struct endpoint e;
	cr_expect_not(endpoint_from_sockaddr(&unix_address, &e));
}

Test(endpoint, addresses_alone_go_there_and_back)
{
	static const struct {
		const char *text;
		struct span bytes;
	} cases[] = {
		{"1.2.3.4", {(const uint8_t *)"\1\2\3\4", 4}},
		{"6162:6364:6566:6768:696a:6b6c:6d6e:6f70",
			{(const uint8_t *)"abcdefghijklmnop", 16}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e, back = {.port = 80};

		cr_assert(endpoint_parse_ip(cases[i].text, &e));
		struct span ip = endpoint_ip(&e);
		cr_assert_eq(ip.len, cases[i].bytes.len);
		cr_expect_eq(memcmp(ip.at, cases[i].bytes.at, ip.len), 0);
		cr_expect(endpoint_from_ip(cases[i].bytes, &back));
		cr_expect(endpoint_equal(&back, &e));
	}
	for (size_t len = 0; len < 20; len++) {
		struct endpoint e;

		cr_expect_eq(
			endpoint_from_ip(
				(struct span){
					(const uint8_t *)"abcdefghijklmnopqrst",
					len},
				&e),
			len == 4 || len == 16);
	}
}

Test(endpoint, compact_forms_go_there_and_back)
{
	uint8_t bytes[ENDPOINT_V4_SIZE + ENDPOINT_V6_SIZE];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct endpoint v4, v6;

	cr_assert(endpoint_parse("1.2.3.4:258", &v4));
	cr_assert(endpoint_parse("[2001:db8::1]:6969", &v6));
	endpoint_write_v4(&w, &v4);
	endpoint_write_v6(&w, &v6);
	cr_assert_eq(writer_left(&w), 0);
	cr_expect_eq(memcmp(bytes, "\1\2\3\4\1\2", ENDPOINT_V4_SIZE), 0);

	struct reader r = guarded(bytes, sizeof(bytes));
	struct endpoint back4 = endpoint_read_v4(&r);
	struct endpoint back6 = endpoint_read_v6(&r);
	cr_expect(reader_done(&r));
	cr_expect(endpoint_equal(&v4, &back4));
	cr_expect(endpoint_equal(&v6, &back6));
}

Test(endpoint, torn_compact_forms_are_noticed)
{
	for (size_t len = 0; len < ENDPOINT_V6_SIZE; len++) {
		uint8_t bytes[ENDPOINT_V6_SIZE] = {1};
		struct reader r = guarded(bytes, len);

		endpoint_read_v6(&r);
		cr_expect(r.bad, "%zu bytes", len);
		r = guarded(bytes, len);
		endpoint_read_v4(&r);
		cr_expect_eq(r.bad, len < ENDPOINT_V4_SIZE, "%zu bytes", len);
	}
}
