#include <criterion/criterion.h>
#include <string.h>

#include "tracker/redis_redirect.h"

static struct span span_of(const char *text)
{
	return (struct span){(const uint8_t *)text, strlen(text)};
}

/* As `redis-cli cluster keyslot KEY` says. */
Test(redis_redirect, a_key_has_the_slot_that_redis_gives_it)
{
	static const struct {
		const char *key;
		unsigned slot;
	} cases[] = {
		{"123456789", 0x31c3},
		{"", 0},
		{"foo", 12182},
		{"{foo}", 12182},
		{"bar{foo}baz{bar}", 12182},
		{"foo{}{bar}", 8363},    /* {} is nothing: all of it counts */
		{"foo{{bar}}zap", 4015}, /* {bar */
		{"{foo", 13308},
		{"tbt:{0123456789012345678901234567890123456789}", 4577},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(redis_slot_of(span_of(cases[i].key)),
			cases[i].slot, "%s: %u", cases[i].key,
			redis_slot_of(span_of(cases[i].key)));
}

Test(redis_redirect, a_redirection_says_which_slot_is_where)
{
	static const struct {
		const char *error;
		struct redis_redirect redirect;
	} cases[] = {
		{"MOVED 3999 127.0.0.1:6381",
			{.slot = 3999, .host = "127.0.0.1", .port = 6381}},
		{"ASK 16383 10.0.0.1:1",
			{.ask = true,
				.slot = 16383,
				.host = "10.0.0.1",
				.port = 1}},
		{"MOVED 0 ::1:7000", {.host = "::1", .port = 7000}},
		{"MOVED 1 :7000", {.slot = 1, .port = 7000}},
		{"MOVED 1 node-7.example:7000",
			{.slot = 1, .host = "node-7.example", .port = 7000}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct redis_redirect *wanted = &cases[i].redirect;
		struct redis_redirect r;

		cr_assert(redis_redirect_parse(span_of(cases[i].error), &r),
			"%s", cases[i].error);
		cr_expect_eq(r.ask, wanted->ask);
		cr_expect_eq(r.slot, wanted->slot);
		cr_expect_eq(r.port, wanted->port);
		cr_expect_str_eq(r.host, wanted->host);
	}
}

Test(redis_redirect, other_errors_are_none)
{
	static const char *const cases[] = {
		"",
		"MOVED",
		"MOVED ",
		"MOVED 1",
		"MOVED 1 ",
		"MOVED 1 h",
		"MOVED 1 h:",
		"MOVED 1 h:0",
		"MOVED 1 h:65536",
		"MOVED 16384 h:1",
		"MOVED -1 h:1",
		"MOVED x h:1",
		"MOVED 1 h:1 more",
		"MOVED 1 ?:1",
		"moved 1 h:1",
		"ERR MOVED 1 h:1",
		"CLUSTERDOWN The cluster is down",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct redis_redirect r;

		cr_expect_not(redis_redirect_parse(span_of(cases[i]), &r), "%s",
			cases[i]);
	}
}
