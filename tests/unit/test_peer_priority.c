#include "client/session/peer_priority.h"

#include <criterion/criterion.h>

static uint32_t of(const char *us, const char *peer)
{
	struct endpoint a, b;

	cr_assert(endpoint_parse(us, &a));
	cr_assert(endpoint_parse(peer, &b));
	cr_expect_eq(peer_priority(&a, &b), peer_priority(&b, &a),
		"both come to the same");
	return peer_priority(&a, &b);
}

Test(peer_priority, is_that_of_the_examples_in_bep_40)
{
	cr_expect_eq(
		of("123.213.32.10:1", "98.76.54.32:2"), UINT32_C(0xec2d7224));
	cr_expect_eq(of("123.213.32.10:1", "123.213.32.234:2"),
		UINT32_C(0x99568189));
}

/* By which bits addresses differ without it making a difference. */
Test(peer_priority, of_far_addresses_only_some_bits_count)
{
	static const struct {
		const char *us, *one, *other;
		bool alike;
	} cases[] = {
		/* FF.FF.55.55 */
		{"1.2.3.4:1", "9.8.0.0:1", "9.8.170.170:1", true},
		{"1.2.3.4:1", "9.8.0.0:1", "9.8.0.1:1", false},
		{"1.2.3.4:1", "9.8.0.0:1", "9.10.0.0:1", false},
		/* FF.FF.FF.55 in the same /16 */
		{"1.2.3.4:1", "1.2.0.0:1", "1.2.0.170:1", true},
		{"1.2.3.4:1", "1.2.0.0:1", "1.2.2.0:1", false},
		/* all in the same /24 */
		{"1.2.3.4:1", "1.2.3.0:1", "1.2.3.2:1", false},
		/* Ports count between those of one address only. */
		{"1.2.3.4:1", "1.2.3.5:1", "1.2.3.5:2", true},
		{"1.2.3.4:1", "1.2.3.4:5", "1.2.3.4:6", false},
		/* IPv6, from /48 on in steps of 8. */
		{"[1::1]:1", "[2::]:1", "[2::aaaa]:1", true},
		{"[1::1]:1", "[2:0:0:aa00::]:1", "[2::]:1", true},
		{"[1::1]:1", "[2:0:2::]:1", "[2::]:1", false},
		{"[2::1]:1", "[2:0:0:aa00::]:1", "[2:0:0:ab00::]:1", false},
		{"[2::1]:1", "[2:0:0:aa00::]:1", "[2:0:0:aa02::]:1", true},
		{"[2::1]:1", "[2:0:0:2::]:1", "[2:0:0:a::]:1", false},
		{"[2::1]:1", "[2::2]:1", "[2::a]:1", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(of(cases[i].us, cases[i].one) ==
				of(cases[i].us, cases[i].other),
			cases[i].alike, "case %zu", i);
}
