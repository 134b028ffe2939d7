#include "client/torrent/smart_ban.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* A piece as a word: which letter each block holds; and who gave each block,
 * '?' where that is not known. */
static struct endpoint who(char name)
{
	return (struct endpoint){.ip = {[15] = (uint8_t)name}, .port = 1};
}

static void failed(struct smart_ban *s, uint32_t index, const char *content,
	const char *givers)
{
	uint32_t count = (uint32_t)strlen(content);
	struct smart_ban_failure *f = smart_ban_failure_create(index, count);

	for (uint32_t i = 0; i < count; i++) {
		f->blocks[i] = (struct smart_ban_block){
			.fingerprint = (uint64_t)content[i],
			.giver = who(givers[i]),
			.known = givers[i] != '?',
		};
	}
	smart_ban_failed(s, f);
}

static size_t passed(struct smart_ban *s, uint32_t index, const char *content,
	struct endpoint *ret, size_t max)
{
	uint64_t prints[16];
	uint32_t count = (uint32_t)strlen(content);

	for (uint32_t i = 0; i < count; i++)
		prints[i] = (uint64_t)content[i];
	return smart_ban_passed(s, index, prints, count, ret, max);
}

Test(smart_ban, names_the_liars_and_nobody_else)
{
	static const struct {
		const char *content[3], *givers[3]; /* that failed */
		const char *right;
		const char *liars;
	} cases[] = {
		{{"aXcd"}, {"ABAB"}, "abcd", "B"},
		{{"Xbcd"}, {"ABBB"}, "abcd", "A"},
		{{"abcX"}, {"AABB"}, "abcd", "B"},
		{{"XXcd"}, {"ABCC"}, "abcd", "AB"},
		{{"XXXX"}, {"ABCA"}, "abcd", "ABC"},
		{{"XXXd"}, {"AAAB"}, "abcd", "A"},
		/* Not known who: nobody is guessed. */
		{{"Xbcd"}, {"?BBB"}, "abcd", ""},
		{{"XXcd"}, {"?BAA"}, "abcd", "B"},
		/* It failed more than once. */
		{{"Xbcd", "abcX"}, {"ABBB", "BBBC"}, "abcd", "AC"},
		{{"Xbcd", "Xbcd"}, {"ABBB", "ABCC"}, "abcd", "A"},
		{{"aXcd", "Ybcd", "abcd"}, {"ALAA", "LBBB", "ABCD"}, "abcd",
			"L"},
		/* It failed though nothing differs (memory, say). */
		{{"abcd"}, {"ABCD"}, "abcd", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct smart_ban *s = smart_ban_create();
		struct endpoint guilty[8];
		size_t count;

		for (size_t f = 0; f < 3 && cases[i].content[f]; f++)
			failed(s, 5, cases[i].content[f], cases[i].givers[f]);
		failed(s, 6, "XXXX", "AZAZ"); /* another's story */
		cr_expect(smart_ban_remembers(s, 5));
		count = passed(s, 5, cases[i].right, guilty, 8);
		cr_expect_eq(count, strlen(cases[i].liars), "case %zu", i);
		for (size_t g = 0; g < count; g++)
			cr_expect(
				strchr(cases[i].liars, (char)guilty[g].ip[15]),
				"case %zu", i);
		cr_expect_not(smart_ban_remembers(s, 5));
		cr_expect(smart_ban_remembers(s, 6));
		cr_expect_eq(passed(s, 5, cases[i].right, guilty, 8), 0);
		smart_ban_destroy(s);
	}
}

Test(smart_ban, who_lied_behind_an_address_is_told_by_the_port)
{
	struct smart_ban *s = smart_ban_create();
	struct smart_ban_failure *f = smart_ban_failure_create(0, 4);
	uint64_t right[4] = {1, 20, 30, 4};
	struct endpoint guilty[4], liar = who('A');

	liar.port = 2;
	f->blocks[0] = (struct smart_ban_block){1, who('A'), true};
	f->blocks[1] = (struct smart_ban_block){2, liar, true};
	f->blocks[2] = (struct smart_ban_block){3, liar, true};
	f->blocks[3] = (struct smart_ban_block){4, who('B'), true};
	smart_ban_failed(s, f);
	cr_expect_eq(smart_ban_passed(s, 0, right, 4, guilty, 4), 1);
	cr_expect(endpoint_equal(&guilty[0], &liar));
	smart_ban_destroy(s);
}

Test(smart_ban, names_no_more_than_there_is_room_for)
{
	for (size_t max = 0; max < 4; max++) {
		struct smart_ban *s = smart_ban_create();
		struct endpoint guilty[4];

		failed(s, 0, "XXX", "ABC");
		cr_expect_eq(passed(s, 0, "abc", guilty, max), max);
		smart_ban_destroy(s);
	}
}

Test(smart_ban, forgets_the_oldest_when_there_is_too_much)
{
	enum { EACH = 1024, KEPT = SMART_BAN_MAX_BLOCKS / EACH };
	struct smart_ban *s = smart_ban_create();

	for (uint32_t i = 0; i < 3 * KEPT; i++) {
		smart_ban_failed(s, smart_ban_failure_create(i, EACH));
		cr_expect(smart_ban_remembers(s, i));
		if (i >= KEPT - 1)
			cr_expect(smart_ban_remembers(s, i - (KEPT - 1)));
		if (i >= KEPT)
			cr_expect_not(smart_ban_remembers(s, i - KEPT));
	}
	smart_ban_destroy(s);
}

Test(smart_ban, pieces_at_and_past_the_limit)
{
	struct smart_ban *s = smart_ban_create();

	failed(s, 1, "X", "A");
	cr_expect_null(smart_ban_failure_create(2, SMART_BAN_MAX_BLOCKS + 1));
	smart_ban_failed(s, smart_ban_failure_create(2, SMART_BAN_MAX_BLOCKS));
	cr_expect_not(smart_ban_remembers(s, 1));
	cr_expect(smart_ban_remembers(s, 2));
	failed(s, 3, "X", "A");
	cr_expect_not(smart_ban_remembers(s, 2));
	cr_expect(smart_ban_remembers(s, 3));
	smart_ban_destroy(s);
	smart_ban_destroy(NULL);
}

Test(smart_ban, goes_on_after_first_middle_and_last_were_forgotten)
{
	struct smart_ban *s = smart_ban_create();
	struct endpoint guilty[4];
	static const uint32_t order[] = {1, 0, 2, 4, 3};

	for (uint32_t i = 0; i < 4; i++)
		failed(s, i, "Xb", "AB");
	for (size_t i = 0; i < 3; i++)
		cr_expect_eq(passed(s, order[i], "ab", guilty, 4), 1);
	cr_expect(smart_ban_remembers(s, 3));
	failed(s, 4, "aX", "AB");
	for (size_t i = 3; i < 5; i++)
		cr_expect_eq(passed(s, order[i], "ab", guilty, 4), 1);
	failed(s, 9, "aX", "AB"); /* empty, then not */
	cr_expect(smart_ban_remembers(s, 9));
	smart_ban_destroy(s);
}

Test(smart_ban, a_liar_is_known_until_it_comes_back_or_many_others_lied)
{
	struct smart_ban *s = smart_ban_create();
	struct endpoint first = who('A'), second = who('B');

	cr_expect_not(smart_ban_convicted(s, &first));
	cr_expect(smart_ban_convict(s, &first));
	cr_expect_not(smart_ban_convict(s, &first));
	cr_expect(smart_ban_convict(s, &second));
	smart_ban_acquit(s, &first);
	smart_ban_acquit(s, &first);
	cr_expect_not(smart_ban_convicted(s, &first));
	cr_expect(smart_ban_convicted(s, &second));
	for (uint16_t port = 1; port < SMART_BAN_MAX_LIARS; port++) {
		first.port = 1000 + port;
		cr_expect(smart_ban_convict(s, &first));
	}
	cr_expect(smart_ban_convicted(s, &second));
	first.port = 1;
	cr_expect(smart_ban_convict(s, &first));
	cr_expect_not(smart_ban_convicted(s, &second));
	smart_ban_destroy(s);
}
