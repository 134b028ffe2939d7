#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/peer/pex.h"
#include "tests/unit/guarded.h"

static bool read_bytes(const char *in, size_t len, struct pex_message *ret)
{
	return pex_read(guarded_span(in, len), ret);
}

static struct endpoint at(const char *text)
{
	struct endpoint e;

	cr_assert(endpoint_parse(text, &e), "%s", text);
	return e;
}

static struct pex_peer peer(unsigned n)
{
	char text[ENDPOINT_TEXT_SIZE];

	snprintf(text, sizeof(text), "10.0.%u.%u:6881", n / 200, n % 200 + 1);
	return (struct pex_peer){.address = at(text)};
}

Test(pex, message_goes_there_and_back)
{
	struct pex_message m = {
		.added_count = 3,
		.added = {{at("1.2.3.4:5"), PEX_SEED},
			{at("[2001:db8::1]:6"), PEX_REACHABLE},
			{at("5.6.7.8:65535"), 0}},
		.dropped_count = 2,
		.dropped = {at("9.9.9.9:9"), at("[2001:db8::2]:7")},
	};
	struct pex_message back;
	uint8_t memory[PEX_MESSAGE_SIZE];
	struct writer w = writer_of(memory, sizeof(memory));

	pex_write(&w, &m);
	cr_assert_not(w.bad);
	cr_assert(read_bytes((char *)memory, writer_len(&w), &back));
	cr_assert_eq(back.added_count, 3);
	/* IPv4 first. */
	cr_expect(endpoint_equal(&back.added[0].address, &m.added[0].address));
	cr_expect_eq(back.added[0].flags, PEX_SEED);
	cr_expect(endpoint_equal(&back.added[1].address, &m.added[2].address));
	cr_expect(endpoint_equal(&back.added[2].address, &m.added[1].address));
	cr_expect_eq(back.added[2].flags, PEX_REACHABLE);
	cr_assert_eq(back.dropped_count, 2);
	cr_expect(endpoint_equal(&back.dropped[0], &m.dropped[0]));
	cr_expect(endpoint_equal(&back.dropped[1], &m.dropped[1]));
}

Test(pex, the_fullest_message_fits)
{
	struct pex_message m = {
		.added_count = PEX_MAX, .dropped_count = PEX_MAX};
	uint8_t memory[PEX_MESSAGE_SIZE];
	struct writer w = writer_of(memory, sizeof(memory));

	for (size_t i = 0; i < PEX_MAX; i++) {
		m.added[i].address = at("[2001:db8::1]:6");
		m.dropped[i] = at("[2001:db8::1]:6");
	}
	pex_write(&w, &m);
	cr_expect_not(w.bad);
}

Test(pex, what_is_odd_is_left_out)
{
	static const struct {
		const char *in;
		size_t len;
		bool ok;
		size_t added, dropped;
	} cases[] = {
#define CASE(text, ok, added, dropped)                                         \
	{text, sizeof(text) - 1, ok, added, dropped}
		CASE("de", true, 0, 0),
		CASE("d5:added6:\1\2\3\4\0\5e", true, 1, 0),
		/* not a whole address; a flag too many; no flags */
		CASE("d5:added7:\1\2\3\4\0\5xe", true, 0, 0),
		CASE("d5:added6:\1\2\3\4\0\5"
		     "7:added.f2:\1\1e",
			true, 1, 0),
		/* nobody can be at: port 0, 0.0.0.0, 224.0.0.1, broadcast */
		CASE("d5:added6:\1\2\3\4\0\0e", true, 0, 0),
		CASE("d5:added6:\0\0\0\0\0\5e", true, 0, 0),
		CASE("d5:added6:\340\0\0\1\0\5e", true, 0, 0),
		CASE("d5:added6:\377\377\377\377\0\5e", true, 0, 0),
		CASE("d5:addedi5ee", true, 0, 0),
		CASE("d5:addedl1:aee", true, 0, 0),
		CASE("d7:dropped6:\1\2\3\4\0\5e", true, 0, 1),
		CASE("", false, 0, 0),
		CASE("d", false, 0, 0),
		CASE("dex", false, 0, 0),
		CASE("le", false, 0, 0),
		CASE("d5:added60:\1\2\3\4\0\5e", false, 0, 0),
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct pex_message m = {0};

		cr_expect_eq(read_bytes(cases[i].in, cases[i].len, &m),
			cases[i].ok, "case %zu", i);
		cr_expect_eq(m.added_count, cases[i].added, "case %zu", i);
		cr_expect_eq(m.dropped_count, cases[i].dropped, "case %zu", i);
	}
}

Test(pex, no_more_than_the_first_fifty_are_taken)
{
	char in[1024];
	size_t len = (size_t)snprintf(in, sizeof(in), "d5:added%u:", 6 * 51);
	struct pex_message m;

	for (unsigned i = 0; i < 51; i++, len += 6)
		memcpy(in + len, "\1\2\3\4\0\5", 6);
	in[len++] = 'e';
	cr_assert(read_bytes(in, len, &m));
	cr_expect_eq(m.added_count, PEX_MAX);
}

Test(pex, who_came_and_who_left_is_told_once)
{
	struct pex_told told = {0};
	struct pex_peer swarm[] = {peer(0), peer(1), peer(2)};
	struct pex_message m;

	cr_expect_not(pex_next(&told, swarm, 0, &m), "nobody is there");
	cr_assert(pex_next(&told, swarm, 2, &m));
	cr_expect_eq(m.added_count, 2);
	cr_expect_eq(m.dropped_count, 0);
	cr_expect_not(pex_next(&told, swarm, 2, &m), "nothing is new");

	cr_assert(pex_next(&told, swarm + 1, 2, &m));
	cr_assert_eq(m.added_count, 1);
	cr_expect(endpoint_equal(&m.added[0].address, &swarm[2].address));
	cr_assert_eq(m.dropped_count, 1);
	cr_expect(endpoint_equal(&m.dropped[0], &swarm[0].address));
}

Test(pex, large_swarms_are_told_of_bit_by_bit_and_not_without_end)
{
	enum { MANY = PEX_MAX_TOLD + 60 };
	struct pex_peer swarm[MANY];
	struct pex_told told = {0};
	struct pex_message m;
	size_t added = 0, dropped = 0, messages = 0;

	for (unsigned i = 0; i < MANY; i++)
		swarm[i] = peer(i);
	for (; pex_next(&told, swarm, MANY, &m); messages++) {
		cr_expect_leq(m.added_count, PEX_MAX);
		added += m.added_count;
	}
	cr_expect_eq(messages, PEX_MAX_TOLD / PEX_MAX);
	cr_expect_eq(added, PEX_MAX_TOLD);

	for (messages = 0; pex_next(&told, swarm, 0, &m); messages++) {
		cr_expect_leq(m.dropped_count, PEX_MAX);
		dropped += m.dropped_count;
	}
	cr_expect_eq(messages, PEX_MAX_TOLD / PEX_MAX);
	cr_expect_eq(dropped, PEX_MAX_TOLD);
}
