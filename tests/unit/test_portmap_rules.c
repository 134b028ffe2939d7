#include <criterion/criterion.h>

#include "client/discovery/portmap_rules.h"

Test(portmap_rules, a_mapping_is_renewed_after_half_of_its_lease_within_limits)
{
	static const struct {
		uint32_t lease_s;
		uint64_t ms;
	} cases[] = {
		{0, PORTMAP_RENEW_MAX_MS},
		{1, PORTMAP_RENEW_MIN_MS},
		{120, 60000},
		{122, 61000},
		{3600, 1800000},
		{7200, PORTMAP_RENEW_MAX_MS},
		{UINT32_MAX, PORTMAP_RENEW_MAX_MS},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(portmap_renew_ms(cases[i].lease_s), cases[i].ms,
			"%zu", i);
}

Test(portmap_rules, who_does_not_answer_is_asked_ever_more_slowly)
{
	cr_expect_eq(portmap_retry_ms(0), 60000);
	cr_expect_eq(portmap_retry_ms(1), 120000);
	cr_expect_eq(portmap_retry_ms(5), 1920000);
	cr_expect_eq(portmap_retry_ms(6), PORTMAP_RETRY_MAX_MS);
	cr_expect_eq(portmap_retry_ms(UINT32_MAX), PORTMAP_RETRY_MAX_MS);
}

Test(portmap_rules, the_first_port_is_ours_and_the_others_differ)
{
	static const uint32_t dice[] = {0, 1, 16383, UINT32_MAX};

	for (size_t d = 0; d < 4; d++) {
		uint16_t ports[PORTMAP_PORTS_MAX];

		for (unsigned i = 0; i < PORTMAP_PORTS_MAX; i++) {
			ports[i] = portmap_port(6881, i, dice[d]);
			cr_expect(
				i == 0 ? ports[i] == 6881 : ports[i] >= 49152);
			for (unsigned j = 0; j < i; j++)
				cr_expect_neq(ports[i], ports[j]);
		}
	}
}

Test(portmap_rules, routers_are_at_private_addresses)
{
	static const struct {
		const char *url;
		bool ok;
		uint16_t port;
	} cases[] = {
		{"http://192.168.0.1:5000/rootDesc.xml", true, 5000},
		{"HTTP://10.0.0.1/", true, 80},
		{"http://169.254.1.1:80?x", true, 80},
		{"http://172.16.0.1", true, 80},
		{"http://8.8.8.8:5000/", false, 0},
		{"http://127.0.0.1:5000/", false, 0},
		{"http://239.255.255.250/", false, 0},
		{"http://0.0.0.0/", false, 0},
		{"http://192.168.0.1:0/", false, 0},
		{"http://192.168.0.1:99999/", false, 0},
		{"http://user@192.168.0.1/", false, 0},
		{"http://192.168.0.1@8.8.8.8/", false, 0},
		{"http://router.lan/", false, 0},
		{"http://[fd00::1]/", false, 0},
		{"https://192.168.0.1/", false, 0},
		{"file:///etc/passwd", false, 0},
		{"http://", false, 0},
		{"http://192.168.0.1.192.168.0.1.192.168.0.1.192.168.0.1.192."
		 "168.0.1.192.168.0.1/",
			false, 0},
		{"", false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint e = {0};

		cr_expect_eq(portmap_router_url(cases[i].url, &e), cases[i].ok,
			"%s", cases[i].url);
		cr_expect_eq(e.port, cases[i].port, "%s", cases[i].url);
	}
}
