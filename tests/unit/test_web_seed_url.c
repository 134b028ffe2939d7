#include "client/discovery/web_seed_url.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/guarded.h"

static struct metainfo_file files[] = {
	{.length = 5, .path = "a b/\xd0\xba.txt"},
	{.length = 5, .path = "100%?#&+"},
	{.length = 5, .path = "mended_name", .mended = true},
};

static const struct metainfo many = {
	.name = "the folder",
	.multi_file = true,
	.file_count = 3,
	.files = files,
};

static const struct metainfo one = {
	.name = "a thing",
	.file_count = 1,
	.files = (struct metainfo_file[]){{.length = 5, .path = "a thing"}},
};

static const struct metainfo mended = {
	.name = "a_thing",
	.name_mended = true,
	.file_count = 1,
	.files =
		(struct metainfo_file[]){
			{.length = 5, .path = "a_thing", .mended = true}},
};

Test(web_seed_url, names_are_appended_where_bep_19_says_so)
{
	static const struct {
		const struct metainfo *m;
		const char *base;
		size_t file;
		const char *url; /* NULL: none */
	} cases[] = {
		{&one, "http://h/x", 0, "http://h/x"},
		{&one, "http://h/x?y=z", 0, "http://h/x?y=z"},
		{&one, "http://h/", 0, "http://h/a%20thing"},
		{&mended, "http://h/x", 0, "http://h/x"},
		{&mended, "http://h/", 0, NULL},
		{&many, "http://h/", 0,
			"http://h/the%20folder/a%20b/%D0%BA.txt"},
		{&many, "http://h", 1,
			"http://h/the%20folder/100%25%3F%23%26%2B"},
		{&many, "https://h/d/", 2, NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char url[WEB_SEED_URL_SIZE];
		bool ok = web_seed_url(
			cases[i].m, cases[i].base, cases[i].file, url);

		cr_expect_eq(ok, cases[i].url != NULL, "case %zu", i);
		if (ok && cases[i].url)
			cr_expect(
				strcasecmp(url, cases[i].url) == 0, "%s", url);
	}
}

Test(web_seed_url, the_longest_names_fit)
{
	struct metainfo_file file = {.length = 1};
	struct metainfo m = {
		.multi_file = true, .file_count = 1, .files = &file};
	char *base = malloc(METAINFO_MAX_URL + 1);
	char *path = malloc(SAFE_PATH_MAX);
	char name[SAFE_NAME_MAX + 1];
	char url[WEB_SEED_URL_SIZE];

	memset(base, 'x', METAINFO_MAX_URL);
	base[METAINFO_MAX_URL] = '\0';
	memset(name, '%', SAFE_NAME_MAX);
	name[SAFE_NAME_MAX] = '\0';
	memset(path, '#', SAFE_PATH_MAX - SAFE_NAME_MAX - 1);
	path[SAFE_PATH_MAX - SAFE_NAME_MAX - 1] = '\0';
	m.name = name;
	file.path = path;
	cr_assert(web_seed_url(&m, base, 0, url));
	cr_expect_eq(strlen(url),
		METAINFO_MAX_URL + 1 + 3 * SAFE_NAME_MAX + 1 +
			3 * (SAFE_PATH_MAX - SAFE_NAME_MAX - 1));
	free(base);
	free(path);
}

Test(web_seed_url, content_range_is_read_strictly)
{
	static const struct {
		const char *in;
		bool ok;
		struct content_range range;
	} cases[] = {
		{"bytes 0-0/1", true, {0, 0, 1}},
		{" Bytes 5-9/10\r\n", true, {5, 9, 10}},
		{"bytes 5-9/*", true, {5, 9, UINT64_MAX}},
		{"bytes 0-9223372036854775806/9223372036854775807", true,
			{0, INT64_MAX - 1, INT64_MAX}},
		{"bytes 5-10/10", false, {0}},
		{"bytes 6-5/10", false, {0}},
		{"bytes */10", false, {0}},
		{"bytes 5-9", false, {0}},
		{"bytes 5/10", false, {0}},
		{"bytes -5-9/10", false, {0}},
		{"bytes 5-9/10x", false, {0}},
		{"bytes 5-9/99999999999999999999", false, {0}},
		{"bytes 5 - 9/10", false, {0}},
		{"bytes=5-9/10", false, {0}},
		{"items 5-9/10", false, {0}},
		{"bytes ", false, {0}},
		{"", false, {0}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct content_range got = {0};
		bool ok = content_range_read(guarded_text(cases[i].in), &got);

		cr_expect_eq(ok, cases[i].ok, "'%s'", cases[i].in);
		cr_expect_eq(
			got.first, cases[i].range.first, "'%s'", cases[i].in);
		cr_expect_eq(
			got.last, cases[i].range.last, "'%s'", cases[i].in);
		cr_expect_eq(
			got.total, cases[i].range.total, "'%s'", cases[i].in);
	}
}

Test(web_seed_url, only_what_was_asked_for_is_an_answer)
{
	static const struct {
		struct web_seed_request asked;
		struct web_seed_head head;
		enum web_seed_answer answer;
	} cases[] = {
		{{0, 10, 20}, {206, true, {0, 9, 20}, 10}, WEB_SEED_GOOD},
		{{10, 10, 20}, {206, true, {10, 19, UINT64_MAX}, -1},
			WEB_SEED_GOOD},
		{{0, 10, 20}, {206, true, {0, 10, 20}, 11}, WEB_SEED_NEVER},
		{{0, 10, 20}, {206, true, {0, 8, 20}, 9}, WEB_SEED_NEVER},
		{{1, 10, 20}, {206, true, {0, 9, 20}, 10}, WEB_SEED_NEVER},
		{{0, 10, 20}, {206, false, {0}, 10}, WEB_SEED_NEVER},
		{{0, 10, 20}, {206, true, {0, 9, 21}, 10}, WEB_SEED_LACKS},
		{{10, 10, 20}, {206, true, {10, 18, 19}, 9}, WEB_SEED_LACKS},
		{{10, 10, 20}, {206, true, {10, 18, 20}, 9}, WEB_SEED_NEVER},
		{{0, 20, 20}, {200, false, {0}, 20}, WEB_SEED_WHOLE},
		{{0, 10, 20}, {200, false, {0}, 20}, WEB_SEED_WHOLE},
		{{10, 10, 20}, {200, true, {0, 0, 1}, 20}, WEB_SEED_WHOLE},
		{{10, 10, 20}, {200, false, {0}, -1}, WEB_SEED_WHOLE},
		{{0, 10, 20}, {200, false, {0}, 19}, WEB_SEED_LACKS},
		{{0, 10, 20}, {200, false, {0}, 21}, WEB_SEED_LACKS},
		{{0, 10, 20}, {200, false, {0}, 0}, WEB_SEED_LACKS},
		{{0, 10, 20}, {404, false, {0}, 10}, WEB_SEED_LACKS},
		{{0, 10, 20}, {416, false, {0}, 0}, WEB_SEED_LACKS},
		{{0, 10, 20}, {204, false, {0}, -1}, WEB_SEED_LACKS},
		{{0, 10, 20}, {0, false, {0}, -1}, WEB_SEED_LACKS},
		{{0, 10, 20}, {429, false, {0}, 0}, WEB_SEED_LATER},
		{{0, 10, 20}, {503, false, {0}, 20}, WEB_SEED_LATER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct error err = {""};
		enum web_seed_answer answer =
			web_seed_judge(&cases[i].asked, &cases[i].head, &err);

		cr_expect_eq(answer, cases[i].answer, "case %zu", i);
		cr_expect_eq(err.text[0] == '\0',
			answer == WEB_SEED_GOOD || answer == WEB_SEED_WHOLE,
			"case %zu", i);
	}
}
