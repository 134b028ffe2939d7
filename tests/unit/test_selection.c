#include "client/torrent/selection.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/torrent_maker.h"

enum { PIECE = 16 * 1024 };

/* 1 to 8; number 5 is a pad file.  Pieces: 0 one, two; 1 two; 2 two, docs/a;
 * 3 the rest of docs/a and its pad; 4 docs/b.txt; 5 it and big. */
static const struct made_file tree[] = {
	{.path = "one", .length = 100},
	{.path = "two.iso", .length = 2 * PIECE},
	{.path = "docs/empty"},
	{.path = "docs/a.txt", .length = PIECE},
	{.path = ".pad/0", .length = PIECE - 100, .pad = true},
	{.path = "docs/deep/b.txt", .length = PIECE + 1},
	{.path = "big, and [1].bin", .length = 100},
	{.path = "8", .length = 1},
	{0},
};

static struct made_torrent torrent_of_tree(void)
{
	return made_torrent_of("root", tree, PIECE, NULL);
}

static bool choose(const struct made_torrent *t, const char *text,
	struct selection *ret, struct error *err)
{
	struct selection_list list = {0};
	bool ok = selection_list_add(&list, text, err) &&
		selection_choose(&list, &t->m, ret, err);

	selection_list_finish(&list);
	return ok;
}

/* "10010000" */
static const char *files_of(const struct selection *s, size_t count)
{
	static char text[64];

	for (size_t i = 0; i < count; i++)
		text[i] = !s->partial || s->files[i] ? '1' : '0';
	text[count] = '\0';
	return text;
}

Test(selection, files_are_chosen_by_number_and_by_glob)
{
	static const struct {
		const char *list, *files;
	} cases[] = {
		{"1", "10000000"},
		{"8", "00000001"},
		{"1,3-5", "10110000"}, /* a pad file is nobody's wish */
		{" 1 , 8 ", "10000001"},
		{"1,1,1-2,2", "11000000"},
		{"*.iso", "01000000"},
		{"*.txt", "00010100"}, /* by the last name, wherever */
		{"a.txt", "00010000"},
		{"docs/*", "00110000"}, /* by the path */
		{"docs/**", "00110100"},
		{"docs/", "00110100"}, /* a folder with all below it */
		{"do*/", "00110100"},
		{"**/deep/*", "00000100"},
		{"*, and*", NULL}, /* two globs, one of which starts with
				    * a blank that is taken off */
		{"*\\, and*", "00000010"},
		{"*[[]1]*", "00000010"},
		{"[8]", "00000001"},
		{"08", "00000001"},
		{"1,*.iso,8", "11000001"},
		{"3", "00100000"},
	};
	struct made_torrent t = torrent_of_tree();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selection s = {0};
		struct error err;
		bool ok = choose(&t, cases[i].list, &s, &err);

		cr_expect_eq(ok, cases[i].files != NULL, "%s: %s",
			cases[i].list, ok ? "" : err.text);
		if (ok && cases[i].files)
			cr_expect_str_eq(files_of(&s, t.m.file_count),
				cases[i].files, "%s", cases[i].list);
		selection_finish(&s);
	}
	made_torrent_finish(&t);
}

Test(selection, what_is_not_there_is_named_with_what_is)
{
	static const struct {
		const char *list, *says;
	} cases[] = {
		{"9",
			"--select: '9' is no file of root, which has 1 one, "
			"2 two.iso, 3 docs/empty and 5 more"},
		{"1,7-9", "'7-9' is no file"},
		{"1,*.mkv", "'*.mkv' is no file of root"},
		{"5", "'5' is no file"}, /* a pad file */
		{"0", "wants numbers from 1 up"}, {"5-3", "not '5-3'"},
		{"99999999999999999999", "wants numbers"},
		{"1-99999999999999999999", "wants numbers"},
		{"", "wants files"},
		{"1,", "something before and after each comma"},
		{",1", "each comma"}, {"1,,2", "each comma"},
		{"1-", "'1-' is no file"},
		{"two", "'two' is no file"}, /* whole names */
	};
	struct made_torrent t = torrent_of_tree();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selection s;
		struct error err = {""};

		cr_expect_not(choose(&t, cases[i].list, &s, &err), "%s",
			cases[i].list);
		cr_expect(strstr(err.text, cases[i].says), "%s: %s",
			cases[i].list, err.text);
	}
	made_torrent_finish(&t);
}

Test(selection, a_link_counts_from_0_and_passes_over_what_is_not_there)
{
	static const struct {
		const char *list, *files; /* NULL: refused */
	} cases[] = {
		{"0", "10000000"},
		{"0,2,3-5", "10110100"},
		{"7,20", "00000001"},
		{"1-99", "01110111"},
		{"8", NULL},
		{"4", NULL},
		{"*", NULL},
		{"2-1", NULL},
	};
	struct made_torrent t = torrent_of_tree();

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct selection_list list = {0};
		struct selection s = {0};
		struct error err;
		bool ok = selection_list_add_indices(
				  &list, cases[i].list, &err) &&
			selection_choose(&list, &t.m, &s, &err);

		cr_expect_eq(ok, cases[i].files != NULL, "%s", cases[i].list);
		if (ok && cases[i].files)
			cr_expect_str_eq(files_of(&s, t.m.file_count),
				cases[i].files, "%s", cases[i].list);
		else
			cr_expect(strstr(err.text, "magnet link: so"), "%s",
				err.text);
		selection_finish(&s);
		selection_list_finish(&list);
	}
	made_torrent_finish(&t);
}

Test(selection, everything_is_no_selection)
{
	static const char *const lists[] = {"1-8", "*", "**", "1-4,6-8"};
	struct made_torrent t = torrent_of_tree();
	struct selection_list none = {0};
	struct selection s;
	struct error err;

	cr_assert(selection_choose(&none, &t.m, &s, &err));
	cr_expect_not(s.partial);
	cr_expect_eq(selection_piece_bytes(&s, &t.m, 0), PIECE);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		cr_assert(choose(&t, lists[i], &s, &err), "%s", err.text);
		cr_expect_not(s.partial, "%s", lists[i]);
	}
	made_torrent_finish(&t);
}

/* What the pieces of a selection come to, reckoned byte by byte. */
static void check_pieces(
	const struct made_torrent *t, const struct selection *s)
{
	const struct metainfo *m = &t->m;
	uint32_t *bytes = calloc(m->piece_count, sizeof(*bytes));
	uint64_t length = 0;

	for (size_t f = 0; f < m->file_count; f++) {
		if (!s->files[f])
			continue;
		for (uint64_t i = 0; i < m->files[f].length; i++, length++)
			bytes[(m->files[f].offset + i) / PIECE]++;
	}
	cr_expect_eq(s->length, length);
	for (uint32_t p = 0; p < m->piece_count; p++) {
		cr_expect_eq(bitfield_has(&s->unwanted, p), bytes[p] == 0,
			"piece %u", p);
		cr_expect_eq(selection_piece_bytes(s, m, p), bytes[p],
			"piece %u", p);
	}
	free(bytes);
}

Test(selection, pieces_and_bytes_are_those_of_the_files)
{
	struct made_torrent t = torrent_of_tree();

	/* Every set of files but for none and all. */
	for (unsigned set = 1; set < 255; set++) {
		char list[32] = "";
		size_t len = 0;
		struct selection s;
		struct error err;

		for (unsigned f = 0; f < 8; f++) {
			if (set >> f & 1)
				len += (size_t)snprintf(list + len,
					sizeof(list) - len, "%s%u",
					len > 0 ? "," : "", f + 1);
		}
		if (!choose(&t, list, &s, &err)) {
			cr_expect_eq(set, 16, "only the pad file: %s", list);
			continue;
		}
		if (s.partial)
			check_pieces(&t, &s);
		selection_finish(&s);
	}
	made_torrent_finish(&t);
}

Test(selection, lists_add_up)
{
	struct made_torrent t = torrent_of_tree();
	struct selection_list list = {0};
	struct selection s;
	struct error err;

	for (int i = 0; i < 10; i++)
		cr_assert(selection_list_add(&list, "1,2", &err));
	cr_assert(selection_list_add(&list, "*.txt", &err));
	cr_assert(selection_choose(&list, &t.m, &s, &err));
	cr_expect_str_eq(files_of(&s, t.m.file_count), "11010100");
	cr_expect_eq(s.file_count, 4);
	selection_finish(&s);
	selection_list_finish(&list);
	made_torrent_finish(&t);
}

/* As many as there may be, each naming nearly all the files that there may be:
 * one by one that would be 10,000,000,000 steps. */
Test(selection, overlapping_ranges_take_no_longer_than_others, .timeout = 10)
{
	enum { FILES = 100000, RANGES = 1000, LISTS = 100 };
	struct metainfo m = {
		.name = "root",
		.multi_file = true,
		.length = FILES,
		.piece_length = PIECE,
		.piece_count = FILES / PIECE + 1,
		.file_count = FILES,
		.files = calloc(FILES, sizeof(*m.files)),
	};
	char *text = malloc(RANGES * 8 + 1);
	struct selection_list list = {0};
	struct selection s;
	struct error err;

	for (uint64_t i = 0; i < FILES; i++)
		m.files[i] = (struct metainfo_file){
			.offset = i, .length = 1, .path = "a"};
	for (size_t i = 0; i < RANGES; i++)
		strcpy(text + i * 8, "2-99999,");
	text[RANGES * 8 - 1] = '\0';
	for (size_t i = 0; i < LISTS; i++)
		cr_assert(
			selection_list_add(&list, text, &err), "%s", err.text);
	cr_assert(selection_choose(&list, &m, &s, &err), "%s", err.text);
	cr_expect_eq(s.file_count, FILES - 2);
	cr_expect_eq(s.files[0] + s.files[FILES - 1], 0);
	cr_expect_eq(s.files[1] + s.files[FILES - 2], 2);

	cr_expect(!selection_list_add(&list, "1", &err), "one more");
	selection_finish(&s);
	selection_list_finish(&list);
	free(text);
	free(m.files);
}
