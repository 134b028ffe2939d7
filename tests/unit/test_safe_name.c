#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/safe_name.h"
#include "shared/text.h"
#include "tests/unit/guarded.h"

Test(safe_name, element_is_refused_or_mended)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: refused */
		size_t len;      /* 0: of the text */
	} cases[] = {
		{"", NULL, 0},
		{".", NULL, 0},
		{"..", NULL, 0},
		{"...", "...", 0},
		{"a/b", NULL, 0},
		{"/", NULL, 0},
		{"a\0b", NULL, 3},
		{"\0", NULL, 1},
		{"a\nb\x1b\x7f", "a_b__", 0},
		{"..\\..\\x", ".._.._x", 0},
		{"\xc2\x85x", "_x", 0},              /* C1 */
		{"\xc2\xa0x", "\xc2\xa0x", 0},       /* the first past C1 */
		{"\xff\xfe", "__", 0},               /* no UTF-8 */
		{"\xc0\xae\xc0\xae", "____", 0},     /* overlong dots */
		{"\xe2\x82", "__", 0},               /* cut off */
		{"\xe2\x82\xac", "\xe2\x82\xac", 0}, /* the euro sign */
		{"~x", "~x", 0},
		{"-rf", "-rf", 0},
		{"$(x)", "$(x)", 0},
		{"CON", "CON", 0},
		{"a.", "a.", 0},
		{" ", " ", 0},
		{".bashrc", ".bashrc", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[SAFE_NAME_MAX + 1];
		struct error err;
		size_t len = cases[i].len ? cases[i].len : strlen(cases[i].in);
		bool ok = safe_name_mend(
			guarded_span(cases[i].in, len), out, &err);

		cr_expect_eq(ok, cases[i].out != NULL, "case %zu", i);
		if (ok && cases[i].out)
			cr_expect_str_eq(out, cases[i].out);
	}
}

static void long_name(
	char *ret, size_t len, const char *filler, const char *extension)
{
	size_t step = strlen(filler);
	size_t tail = strlen(extension);
	size_t i = 0;

	for (; i + step <= len - tail; i += step)
		memcpy(ret + i, filler, step);
	for (; i < len - tail; i++)
		ret[i] = 'x';
	memcpy(ret + i, extension, tail + 1);
}

static const char *mended(const char *in, char ret[SAFE_NAME_MAX + 1])
{
	struct error err;

	cr_assert(safe_name_mend(
		(struct span){(const uint8_t *)in, strlen(in)}, ret, &err));
	return ret;
}

Test(safe_name, long_element_is_cut_at_a_character_and_keeps_its_extension)
{
	char in[600];
	char out[SAFE_NAME_MAX + 1];

	long_name(in, 255, "a", ".mkv");
	cr_expect_str_eq(mended(in, out), in, "255 bytes fit");

	long_name(in, 256, "a", ".mkv");
	mended(in, out);
	cr_expect_eq(strlen(out), 255);
	cr_expect_str_eq(out + 251, ".mkv");

	long_name(in, 598, "\xe2\x82\xac", ".mkv");
	mended(in, out);
	cr_expect(strlen(out) <= 255);
	cr_expect(text_utf8_valid(
		(struct span){(const uint8_t *)out, strlen(out)}));

	cr_expect_eq(memcmp(out, in, strlen(out) - 4), 0);
	cr_expect_str_eq(out + strlen(out) - 4, ".mkv");

	long_name(in, 300, "a", "");
	in[1] = '.'; /* too far from the end to be an extension */
	cr_expect_eq(strlen(mended(in, out)), 255);
}

Test(safe_name, paths_are_distinct_and_no_file_is_a_folder)
{
	static const struct {
		const char *paths[4];
		bool ok;
	} cases[] = {
		{{"a"}, true},
		{{"a", "b"}, true},
		{{"a", "A"}, true},
		{{"a", "b", "a"}, false},
		{{"a/b", "a/c", "a/b"}, false},
		{{"a/b", "a"}, false},
		{{"a", "a!", "a/b"}, false}, /* '!' sorts before '/' */
		{{"a", "a-b", "ab/c"}, true},
		{{"a/b/c", "x", "a/b"}, false},
		{{"a/b", "ab", "a b"}, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *paths[4];
		struct error err;
		size_t count = 0;

		for (; count < 4 && cases[i].paths[count]; count++)
			paths[count] = cases[i].paths[count];
		cr_expect_eq(safe_name_paths_distinct(paths, count, &err),
			cases[i].ok, "case %zu", i);
	}
}
