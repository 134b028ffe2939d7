#include <criterion/criterion.h>
#include <string.h>

#include "shared/text.h"
#include "tests/unit/guarded.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

Test(text, escape_leaves_nothing_that_moves_a_terminal)
{
	static const struct {
		const char *in;
		const char *out;
	} cases[] = {
		{"", ""},
		{"plain name.txt", "plain name.txt"},
		{"\xc3\xbc\xe2\x82\xac\xf0\x9f\x8d\x8c",
			"\xc3\xbc\xe2\x82\xac\xf0\x9f\x8d\x8c"}, /* ü€🍌 */
		{"a\nb\r\tc", "a\\x0ab\\x0d\\x09c"},
		{"\x1b[2J", "\\x1b[2J"},
		{"\x7f", "\\x7f"},
		{"\xc2\x9b"
		 "2J",
			"\\x9b2J"}, /* C1 CSI as UTF-8 */
		{"\xc2\x80\xc2\x9f\xc2\xa0", "\\x80\\x9f\xc2\xa0"},
		{"\x9b"
		 "2J",
			"\\x9b2J"}, /* and raw */
		{"\xff", "\\xff"},
		{"\xe2\x82", "\\xe2\\x82"}, /* cut off */
		{"\xc0\xaf", "\\xc0\\xaf"}, /* overlong */
		{"\xe2\x80\xae"
		 "exe.txt",
			"?exe.txt"}, /* U+202E */
		{"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", "???"},
		{"\xe2\x81\xa5\xe2\x81\xa6\xe2\x81\xa9\xe2\x81\xaa",
			"\xe2\x81\xa5??\xe2\x81\xaa"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[128];
		size_t len = strlen(cases[i].in);

		text_escape(guarded_span(cases[i].in, len), out, sizeof(out));
		cr_expect_str_eq(out, cases[i].out);
		cr_expect_str_eq(text_escape_str(cases[i].in, out, sizeof(out)),
			cases[i].out);
	}
}

Test(text, escape_shows_a_nul_inside)
{
	char out[16];

	text_escape(guarded_span("a\0b", 3), out, sizeof(out));
	cr_expect_str_eq(out, "a\\x00b");
}

Test(text, escape_is_cut_at_a_character)
{
	static const struct {
		size_t size;
		const char *out;
	} cases[] = {
		{1, ""},
		{2, "a"},
		{3, "a"}, /* no half of the ü */
		{4, "a\xc3\xbc"},
		{7, "a\xc3\xbc"}, /* no half of an escape */
		{8, "a\xc3\xbc\\x0a"},
		{9, "a\xc3\xbc\\x0az"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[16] = "untouched";

		text_escape_str("a\xc3\xbc\nz", out, cases[i].size);
		cr_expect_str_eq(out, cases[i].out);
	}
}

Test(text, utf8_is_what_the_standard_says)
{
	static const struct {
		const char *in;
		size_t len; /* of the first character, 0: invalid */
	} cases[] = {
		{"a", 1},
		{"\x7f", 1},
		{"\x80", 0},
		{"\xbf", 0},
		{"\xc1\xbf", 0}, /* overlong */
		{"\xc2\x80", 2}, /* U+0080 */
		{"\xdf\xbf", 2}, /* U+07FF */
		{"\xc3", 0},
		{"\xc3(", 0},
		{"\xe0\x9f\xbf", 0}, /* overlong */
		{"\xe0\xa0\x80", 3}, /* U+0800 */
		{"\xed\x9f\xbf", 3}, /* U+D7FF */
		{"\xed\xa0\x80", 0}, /* a surrogate */
		{"\xee\x80\x80", 3},
		{"\xef\xbf\xbf", 3},
		{"\xf0\x8f\xbf\xbf", 0}, /* overlong */
		{"\xf0\x90\x80\x80", 4}, /* U+10000 */
		{"\xf4\x8f\xbf\xbf", 4}, /* U+10FFFF */
		{"\xf4\x90\x80\x80", 0}, /* past the end */
		{"\xf5\x80\x80\x80", 0},
		{"\xf0\x9f\x8d", 0},
		{"\xf0\x9f\x8d(", 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		size_t len = strlen(cases[i].in);
		struct span in = guarded_span(cases[i].in, len);

		cr_expect_eq(text_utf8_char(in), cases[i].len, "case %zu", i);
		cr_expect_eq(text_utf8_valid(in), cases[i].len == len,
			"case %zu", i);
	}
	cr_expect_eq(text_utf8_char((struct span){NULL, 0}), 0);
	cr_expect(text_utf8_valid((struct span){NULL, 0}));
}

Test(text, repair_gives_valid_utf8_without_nul)
{
	char out[16];

	cr_expect_eq(text_utf8_repair(guarded_span("a\0\xff\xc3\xbc", 5), out,
			     sizeof(out)),
		9);
	cr_expect_str_eq(out, "a\xef\xbf\xbd\xef\xbf\xbd\xc3\xbc");

	/* No room for half a character. */
	cr_expect_eq(text_utf8_repair(guarded_span("a\xff", 2), out, 4), 1);
	cr_expect_str_eq(out, "a");
	cr_expect_eq(text_utf8_repair(guarded_span("a", 1), out, 0), 0);
}

Test(text, spaces_are_escaped_if_there_is_room)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"", ""},
		{"abc", "abc"},
		{" ", "%20"},
		{"a b", "a%20b"},
		{"  a%20 ", "%20%20a%20%20"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[32];
		size_t fits = strlen(cases[i].out) + 1;

		strcpy(text, cases[i].in);
		memset(text + fits, 'x', sizeof(text) - fits);
		cr_expect(text_escape_spaces(text, fits));
		cr_expect_str_eq(text, cases[i].out);
		cr_expect_eq(text[fits], 'x');
		if (strchr(cases[i].in, ' ') == NULL)
			continue;
		strcpy(text, cases[i].in);
		cr_expect_not(text_escape_spaces(text, fits - 1));
		cr_expect_str_eq(text, cases[i].in);
	}
}

Test(text, percent_goes_there_and_back)
{
	uint8_t all[256];
	uint8_t back[256];
	char text[3 * 256 + 1];
	size_t len = 0;

	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = (uint8_t)i;
	cr_assert(text_percent_encode(
		(struct span){all, sizeof(all)}, text, sizeof(text)));
	cr_expect_eq(strspn(text,
			     "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghij"
			     "klmnopqrstuvwxyz0123456789-._~%"),
		strlen(text));

	struct span in = guarded_text(text);
	cr_assert(text_percent_decode(in, back, sizeof(back), &len));
	cr_expect_eq(len, sizeof(all));
	cr_expect_arr_eq(back, all, sizeof(all));

	cr_expect_not(text_percent_decode(in, back, sizeof(back) - 1, &len));
	cr_expect_not(text_percent_encode(
		(struct span){all, sizeof(all)}, text, strlen(text)));
}

Test(text, broken_escapes_are_refused)
{
	static const char *const broken[] = {
		"%", "%4", "%g0", "%0g", "a%", "%%41"};
	uint8_t out[8];
	size_t len;

	for (size_t i = 0; i < COUNT(broken); i++)
		cr_expect_not(text_percent_decode(
			guarded_text(broken[i]), out, sizeof(out), &len));
	cr_assert(text_percent_decode(
		guarded_span("a+%2B%2b", 8), out, sizeof(out), &len));
	cr_expect_eq(len, 4);
	cr_expect_arr_eq(out, "a+++", 4);
}

Test(text, hex_wants_exactly_its_digits)
{
	uint8_t out[2] = {0};
	char text[5];

	cr_assert(text_hex_decode("0aFf", out, 2));
	cr_expect_arr_eq(out, "\x0a\xff", 2);
	text_hex_encode(out, 2, text);
	cr_expect_str_eq(text, "0aff");

	cr_expect_not(text_hex_decode("0aF", out, 2));
	cr_expect_not(text_hex_decode("0aFf0", out, 2));
	cr_expect_not(text_hex_decode("0aFg", out, 2));
	cr_expect_not(text_hex_decode("", out, 2));
}

Test(text, sizes_are_short)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1023, "1023 B"},
		{1024, "1.0 KiB"},
		{1536, "1.5 KiB"},
		{1024 * 1024 - 1, "1.0 MiB"}, /* not 1024.0 KiB */
		{1503238554, "1.4 GiB"},
		{UINT64_MAX, "16.0 EiB"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[TEXT_UNIT_SIZE];
		cr_expect_str_eq(
			text_size(cases[i].bytes, text), cases[i].text);
	}
}

Test(text, durations_are_short)
{
	static const struct {
		uint64_t seconds;
		const char *text;
	} cases[] = {
		{0, "0 s"},
		{59, "59 s"},
		{60, "1 min 00 s"},
		{3599, "59 min 59 s"},
		{3720, "1 h 02 min"},
		{86399, "23 h 59 min"},
		{90000, "1 d 01 h"},
		{UINT64_MAX, "213503982334601 d 07 h"},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		char text[TEXT_UNIT_SIZE];
		cr_expect_str_eq(
			text_duration(cases[i].seconds, text), cases[i].text);
	}
}

Test(text, sizes_are_read)
{
	static const struct {
		const char *text;
		bool ok;
		uint64_t value;
	} cases[] = {
		{"0", true, 0},
		{"16K", true, 16384},
		{"16k", true, 16384},
		{"16KiB", true, 16384},
		{"16KB", true, 16384},
		{"12B", true, 12},
		{"1.5M", true, 1536 * 1024},
		{"0.000001M", true, 1},
		{"2G", true, 1ull << 31},
		{"1T", true, 1ull << 40},
		{"18446744073709551615", true, UINT64_MAX},
		{"18446744073709551616", false, 0},
		{"16777215T", true, 16777215ull << 40},
		{"16777216T", false, 0},
		{"", false, 0},
		{"K", false, 0},
		{"-1", false, 0},
		{"+1", false, 0},
		{" 1", false, 0},
		{"1 K", false, 0},
		{"1.", false, 0},
		{"1.5", false, 0}, /* half a byte */
		{"1.K", false, 0},
		{"1.0000000K", false, 0}, /* too fine */
		{"1iB", false, 0},
		{"1KiBs", false, 0},
		{"1KK", false, 0},
		{"0x10", false, 0},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t value = 0;
		bool ok = text_parse_size(cases[i].text, UINT64_MAX, &value);

		cr_expect_eq(ok, cases[i].ok, "'%s'", cases[i].text);
		cr_expect_eq(value, cases[i].value, "'%s'", cases[i].text);
	}

	uint64_t value = 0;
	cr_expect(text_parse_size("1K", 1024, &value));
	cr_expect_not(text_parse_size("1025", 1024, &value));
	cr_expect_not(text_parse_size("1.001K", 1024, &value));
}

Test(text, numbers_are_read_whole_and_within_bounds)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{"1", true}, {"65535", true}, {"0", false}, {"65536", false},
		{"", false}, {"1x", false}, {"-1", false}, {" 1", false},
		{"18446744073709551617", false}, /* 2^64 + 1 */
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t value;
		cr_expect_eq(text_parse_number(cases[i].text, 1, 65535, &value),
			cases[i].ok, "'%s'", cases[i].text);
	}
}
