#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/ui/progress_line.h"

static struct progress_torrent moby(void)
{
	struct progress_torrent t = {
		.name = "moby.txt",
		.state = PROGRESS_LEECHING,
		.done = 671193497,
		.total = 1024 * 1024 * 1024,
		.down = 117860000,
		.up = 3250586,
		.peers = 12,
		.seeds = 3,
		.eta_s = 3,
	};

	memset(t.map, UINT8_MAX, PROGRESS_MAP_CELLS / 2);
	t.map[PROGRESS_MAP_CELLS / 2] = 1;
	return t;
}

static char line[PROGRESS_LINE_SIZE];

/* The line of a torrent that has the display to itself. */
static const char *format(const struct progress_torrent *t, unsigned width,
	bool utf8, bool colour)
{
	struct progress_look look = {width, utf8, colour};
	struct progress_layout layout;

	progress_layout(&t, 1, &look, &layout);
	return progress_format_line(t, &look, &layout, line);
}

Test(progress_line, shows_more_where_there_is_room)
{
	static const struct {
		unsigned width;
		const char *line;
	} cases[] = {
		{140,
			"moby.txt  ##################............   62.5%    "
			"640.1/1,024.0 MiB  down  112.4 MiB/s  up    3.1 MiB/s "
			" "
			"12 peers (3 seeds)  3 s left"},
		{120,
			"moby.txt  #########......   62.5%    "
			"640.1/1,024.0 MiB  down  112.4 MiB/s  up    3.1 MiB/s "
			" "
			"12 peers (3 seeds)  3 s left"},
		{80,
			"moby.txt  #######.....   62.5%    640.1/1,024.0 MiB"
			"  down  112.4 MiB/s  3 s left"},
		{40, "moby.txt   62.5%  down  112.4 MiB/s"},
		{20, "moby.txt   62.5%"},
		{8, "moby.txt"},
		{5, "moby~"},
		{1, "~"},
		{0, ""},
	};
	struct progress_torrent t = moby();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(format(&t, cases[i].width, false, false),
			cases[i].line);
}

Test(progress_line, never_is_wider_than_the_terminal)
{
	static const char *const names[] = {"", "a",
		"a rather long name of something that somebody has on a disk",
		"\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac"
		"\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e",
		"\xf0\x9f\x8d\x8c\xf0\x9f\x8d\x8c\xf0\x9f\x8d\x8c\xf0\x9f\x8d"
		"\x8c\xf0\x9f\x8d\x8c\xf0\x9f\x8d\x8c",
		"e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81"
		"\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81"};

	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++)
		for (unsigned s = 0; s <= PROGRESS_STOPPED; s++)
			for (unsigned width = 0; width <= PROGRESS_MAX_WIDTH;
				width++) {
				struct progress_torrent t = moby();
				struct progress_look look = {width, true, true};

				snprintf(
					t.name, sizeof(t.name), "%s", names[n]);
				t.state = (enum progress_state)s;
				t.down = t.up = t.done = t.total = UINT64_MAX;
				t.eta_s = INT64_MAX;
				t.peers = t.seeds = 4000000000;
				const char *text =
					format(&t, width, true, false);
				cr_assert_leq(progress_text_columns(text, true),
					width, "'%s'", text);
				text = format(&t, width, false, false);
				cr_assert_leq(
					strlen(text), width, "'%s'", text);
				format(&t, width, true, true);
				cr_assert_lt(
					strlen(line), PROGRESS_LINE_SIZE - 1);
				text = progress_format_map(&t, &look, line);
				cr_assert_leq(progress_text_columns(text, true),
					width);
			}
}

Test(progress_line, counts_the_columns_of_wide_characters)
{
	cr_expect_eq(progress_text_columns("", true), 0);
	cr_expect_eq(progress_text_columns("abc", true), 3);
	cr_expect_eq(progress_text_columns("\xc3\xbc", true), 1);
	cr_expect_eq(progress_text_columns("\xe6\x97\xa5", true), 2);
	cr_expect_eq(progress_text_columns("\xf0\x9f\x8d\x8c", true), 2);
	/* An accent apart from its letter, as a Mac writes it. */
	cr_expect_eq(progress_text_columns("e\xcc\x81t", true), 2);
	cr_expect_eq(
		progress_text_columns("\xe3\x81\x8b\xe3\x82\x99", true), 2);
}

Test(progress_line, in_ascii_each_character_takes_one_column)
{
	static const struct {
		const char *name, *shown;
	} cases[] = {
		{"e\xcc\x81t", "e?t  failed"},
		{"\xe6\x97\xa5\xe6\x9c\xac", "??  failed"},
		{"caf\xc3\xa9", "caf?  failed"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct progress_torrent t = {.state = PROGRESS_FAILED};

		snprintf(t.name, sizeof(t.name), "%s", cases[i].name);
		cr_expect_str_eq(format(&t, 20, false, false), cases[i].shown);
	}
}

Test(progress_line, bars_have_halves_and_colours)
{
	struct progress_torrent t = moby();

	t.state = PROGRESS_CHECKING;
	t.done = 25;
	t.total = 100;
	t.down = 0;
	t.eta_s = -1;
	snprintf(t.name, sizeof(t.name), "x");
	cr_expect_str_eq(format(&t, 43, true, true),
		"x  \x1b[33m\xe2\x94\x81\xe2\x94\x81\xe2\x95\xb8\x1b[0;2m"
		"\xe2\x94\x81\xe2\x94\x81\xe2\x94\x81\xe2\x94\x81\xe2\x94\x81"
		"\xe2\x94\x81\xe2\x94\x81\xe2\x94\x81\x1b[0m   "
		"25.0%   25/100 B  checking");
}

Test(progress_line, a_check_has_a_speed_where_it_is_known)
{
	struct progress_torrent t = moby();

	t.state = PROGRESS_CHECKING;
	cr_expect_str_eq(format(&t, 66, false, false),
		"moby.txt   62.5%    640.1/1,024.0 MiB   112.4 MiB/s  3 s "
		"left");
}

Test(progress_line, says_100_percent_only_when_nothing_is_missing)
{
	struct progress_torrent t = moby();

	t.done = t.total - 1;
	cr_expect_not_null(strstr(format(&t, 80, false, false), " 99.9%"));
	t.done = t.total;
	cr_expect_not_null(strstr(format(&t, 80, false, false), "100.0%"));
	t.done = t.total = 0;
	cr_expect_not_null(strstr(format(&t, 80, false, false), " 0.0%"));
}

Test(progress_line, several_torrents_stand_in_columns)
{
	struct progress_torrent a = moby();
	struct progress_torrent b = moby();
	const struct progress_torrent *both[] = {&a, &b};
	struct progress_look look = {200, false, false};
	struct progress_layout layout;
	char other[PROGRESS_LINE_SIZE];

	snprintf(b.name, sizeof(b.name), "a longer name");
	b.total = 2000;
	b.done = 1;
	b.down = 0;
	progress_layout(both, 2, &look, &layout);
	progress_format_line(&a, &look, &layout, line);
	progress_format_line(&b, &look, &layout, other);
	cr_expect_eq(strchr(line, '%') - line, strchr(other, '%') - other);
	cr_expect_eq(
		strstr(line, "down") - line, strstr(other, "down") - other);
	cr_expect_eq(
		strstr(line, "peers") - line, strstr(other, "peers") - other);
}

Test(progress_line, the_map_shows_nothing_some_and_all)
{
	struct progress_torrent t = moby();
	struct progress_look look = {10, false, false};

	cr_expect_str_eq(progress_format_map(&t, &look, line), "[####:...]");
	look.utf8 = true;
	look.width = 4;
	cr_expect_str_eq(progress_format_map(&t, &look, line),
		"\xe2\x96\x95\xe2\x96\x88\xe2\x96\x91\xe2\x96\x8f");

	/* More columns than cells. */
	look = (struct progress_look){2 * PROGRESS_MAP_CELLS + 2, false, false};
	progress_format_map(&t, &look, line);
	cr_expect_eq(strspn(line + 1, "#"), PROGRESS_MAP_CELLS);
	cr_expect_eq(strspn(line + 1, "#:"), PROGRESS_MAP_CELLS + 2);
	cr_expect_eq(strlen(line), look.width);
}

Test(progress_line, plain_lines_are_for_reading)
{
	struct progress_torrent t = moby();

	cr_expect_str_eq(progress_format_plain(&t, line, sizeof(line)),
		"moby.txt: 62.5%, 640.1 of 1,024.0 MiB, down 112.4 MiB/s, up "
		"3.1 MiB/s, 12 peers (3 seeds), 3 s left");
	t.eta_s = -1;
	t.peers = 1;
	t.seeds = 0;
	cr_expect_str_eq(progress_format_plain(&t, line, sizeof(line)),
		"moby.txt: 62.5%, 640.1 of 1,024.0 MiB, down 112.4 MiB/s, up "
		"3.1 MiB/s, 1 peer");
	t.state = PROGRESS_SEEDING;
	t.uploaded = t.total / 2;
	cr_expect_str_eq(progress_format_plain(&t, line, sizeof(line)),
		"moby.txt: seeding, ratio 0.50, up 3.1 MiB/s, 1 peer");
	t.state = PROGRESS_CHECKING;
	cr_expect_str_eq(progress_format_plain(&t, line, sizeof(line)),
		"moby.txt: checking, 62.5%, 640.1 of 1,024.0 MiB");
	t.state = PROGRESS_FETCHING;
	cr_expect_str_eq(progress_format_plain(&t, line, sizeof(line)),
		"moby.txt: fetching metadata, 1 peer");
	t.state = PROGRESS_FAILED;
	cr_expect_str_eq(progress_format_plain(&t, line, sizeof(line)),
		"moby.txt: failed");
}
