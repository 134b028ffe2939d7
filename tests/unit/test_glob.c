#include "client/torrent/glob.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DEEP "**"

Test(glob, patterns_match_whole_texts)
{
	static const struct {
		const char *pattern, *text;
		bool matches;
	} cases[] = {
		{"", "", true},
		{"", "a", false},
		{"a", "", false},
		{"a", "a", true},
		{"a", "ab", false},
		{"ab", "a", false},
		{"?", "a", true},
		{"?", "\xc3\xa9", true}, /* one character */
		{"??", "\xc3\xa9", false},
		{"?", "/", false},
		{"*", "", true},
		{"*", "abc", true},
		{"*", "a/b", false},
		{"*.iso", "debian.iso", true},
		{"*.iso", ".iso", true},
		{"*.iso", "debian.iso.txt", false},
		{"a*b*c", "aXbYbZc", true},
		{"a*b*c", "aXbYbZ", false},
		{"*/x", "a/x", true},
		{"*/x", "a/b/x", false},
		{"a/*", "a/b", true},
		{"a/*", "a/b/c", false},
		{DEEP, "", true},
		{DEEP, "a/b/c", true},
		{"docs/" DEEP, "docs/a/b", true},
		{"docs/" DEEP, "docs/", true},
		{"docs/" DEEP, "docs", false},
		{DEEP "/x", "x", true},
		{DEEP "/x", "a/x", true},
		{DEEP "/x", "a/b/x", true},
		{DEEP "/x", "a/bx", false},
		{"a/" DEEP "/b", "a/b", true},
		{"a/" DEEP "/b", "a/x/y/b", true},
		{"a/" DEEP "/b", "a/xb", false},
		{"a/" DEEP "b", "a/xb", true},
		{"a/" DEEP "b", "a/x/y/b", true},
		{DEEP "a*/c", "xa/ya/c", true},
		{"*a*/" DEEP "/z", "ba/z", true},
		{"a" DEEP "/b", "axb", false},
		{"a" DEEP "/b", "ax/y/b", true},
		{"[abc]", "b", true},
		{"[abc]", "d", false},
		{"[a-c]x", "bx", true},
		{"[!a-c]", "b", false},
		{"[!a-c]", "d", true},
		{"[^a]", "b", true},
		{"[]]", "]", true},
		{"[!]]", "]", false},
		{"[a-]", "-", true},
		{"[!a]", "/", false},
		{"[/]", "/", false},
		{"[\xc3\xa0-\xc3\xaf]", "\xc3\xa9", true},
		{"[a", "[a", true},
		{"[", "[", true},
		{"[1]", "1", true},
		{"\\*", "*", true},
		{"\\*", "a", false},
		{"\\", "\\", true},
		{"[\\]]", "]", true},
		{"a\\,b", "a,b", true},
		{"\xff", "\xff", true}, /* no UTF-8 */
		{"A", "a", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(glob_match(cases[i].pattern, cases[i].text),
			cases[i].matches, "'%s' and '%s'", cases[i].pattern,
			cases[i].text);
}

/* The rules once more, without any thought of time. */
static bool plain_match(const char *p, const char *t, bool begins)
{
	if (*p == '\0')
		return *t == '\0';
	if (p[0] == '*' && p[1] == '*') {
		const char *rest = p + strspn(p, "*");
		bool folders = begins && *rest == '/';

		if (folders && plain_match(rest + 1, t, true))
			return true;
		if (!folders && plain_match(rest, t, false))
			return true;
		for (; *t; t++) {
			if (folders && *t == '/' &&
				plain_match(rest + 1, t + 1, true))
				return true;
			if (!folders && plain_match(rest, t + 1, false))
				return true;
		}
		return false;
	}
	if (*p == '*')
		return plain_match(p + 1, t, false) ||
			(*t && *t != '/' && plain_match(p, t + 1, false));
	if (*t == '\0' || (*p == '?' ? *t == '/' : *p != *t))
		return false;
	return plain_match(p + 1, t + 1, *p == '/');
}

Test(glob, going_back_to_the_last_stars_misses_nothing)
{
	static const char letters[] = "ab/*?";
	unsigned seed = 1;
	size_t matches = 0;

	for (int round = 0; round < 300000; round++) {
		char pattern[9] = "", text[9] = "";

		for (int i = 0, n = rand_r(&seed) % 9; i < n; i++)
			pattern[i] = letters[rand_r(&seed) % 5];
		for (int i = 0, n = rand_r(&seed) % 9; i < n; i++)
			text[i] = letters[rand_r(&seed) % 3];
		bool expected = plain_match(pattern, text, true);
		matches += expected;
		cr_assert_eq(glob_match(pattern, text), expected,
			"'%s' and '%s'", pattern, text);
	}
	cr_expect_gt(matches, 1000);
}

Test(glob, many_stars_take_no_time)
{
	char text[4096];
	struct timespec before, after;

	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	cr_expect_not(glob_match("*a*a*a*a*a*a*a*a*a*a*a*b", text));
	cr_expect_not(glob_match(DEEP "a*a*a" DEEP "a*a*a" DEEP "*a*b", text));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	cr_expect_lt(after.tv_sec - before.tv_sec, 5);
}
