#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/unit/guarded.h"
#include "tests/unit/temp_folder.h"
#include "tracker/passkeys.h"

static struct temp_folder folder;

static void enter(void) { folder = temp_folder_make(); }

static void leave(void) { temp_folder_remove(&folder); }

TestSuite(passkeys, .init = enter, .fini = leave);

static void write_keys(const char *text)
{
	FILE *f = fopen("keys", "w");

	cr_assert(f);
	cr_assert_geq(fputs(text, f), 0);
	cr_assert_eq(fclose(f), 0);
}

static bool allows(struct passkeys *keys, const char *key)
{
	return passkeys_allow(keys, guarded_text(key));
}

Test(passkeys, a_line_has_one_key_or_none)
{
	static const struct {
		const char *line;
		bool ok;
		const char *key;
	} cases[] = {
		{"", true, ""},
		{" \t", true, ""},
		{"# alice", true, ""},
		{"  # alice", true, ""},
		{"abc", true, "abc"},
		{"  abc\t\r", true, "abc"},
		{"abc # alice", true, "abc"},
		{"abc\t#", true, "abc"},
		{"AZaz09-._~", true, "AZaz09-._~"},
		{"abc#alice", false, ""},
		{"abc def", false, ""},
		{"abc/def", false, ""},
		{"abc?", false, ""},
		{"%41", false, ""},
		{"k\xc3\xa4se", false, ""},
		{"abc\x01", false, ""},
	};
	char longest[PASSKEY_MAX_SIZE + 2] = "";

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span key = {NULL, 0};
		bool ok = passkey_of_line(guarded_text(cases[i].line), &key);

		cr_expect_eq(ok, cases[i].ok, "'%s'", cases[i].line);
		cr_expect_eq(
			key.len, strlen(cases[i].key), "'%s'", cases[i].line);
		cr_expect(key.len == 0 ||
			memcmp(key.at, cases[i].key, key.len) == 0);
	}

	struct span key;
	memset(longest, 'k', PASSKEY_MAX_SIZE);
	cr_expect(passkey_of_line(guarded_text(longest), &key));
	cr_expect_eq(key.len, PASSKEY_MAX_SIZE);
	longest[PASSKEY_MAX_SIZE] = 'k';
	cr_expect_not(passkey_of_line(guarded_text(longest), &key));
}

Test(passkeys, a_key_is_what_follows_the_page)
{
	static const struct {
		const char *path, *key;
	} cases[] = {
		{"/announce/abc", "abc"},
		{"/announce/abc?info_hash=x", "abc"},
		{"/announce/abc/def", "abc/def"}, /* no such key can be */
		{"/announce/?abc", ""},
		{"/announce/", ""},
		{"/announce", ""},
		{"/announce?abc", ""},
		{"/announcer/abc", ""},
		{"/scrape/abc", ""},
		{"announce/abc", ""},
		{"/", ""},
		{"", ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct span key = passkey_of_path(
			guarded_text(cases[i].path), "/announce");

		cr_expect_eq(
			key.len, strlen(cases[i].key), "'%s'", cases[i].path);
		cr_expect(key.len == 0 ||
			memcmp(key.at, cases[i].key, key.len) == 0);
	}
}

Test(passkeys, those_of_the_file_are_allowed_and_no_others)
{
	struct error err = {""};

	write_keys("# keys\nalice1\n\nbob2  # bob\r\nalice1\ncarol3");
	struct passkeys *keys = passkeys_create("keys", &err);
	cr_assert(keys, "%s", err.text);
	cr_expect(allows(keys, "alice1"));
	cr_expect(allows(keys, "bob2"));
	cr_expect(allows(keys, "carol3"));
	cr_expect_not(allows(keys, ""));
	cr_expect_not(allows(keys, "alice"));
	cr_expect_not(allows(keys, "alice11"));
	cr_expect_not(allows(keys, "Alice1"));
	cr_expect_not(allows(keys, "bob"));
	cr_expect_not(allows(keys, "# keys"));
	passkeys_destroy(keys);
}

Test(passkeys, a_bad_file_changes_nothing_and_names_the_line_but_no_key)
{
	static const char *const bad[] = {
		"", "# none\n\n", "dora4\nsecret key\n", "dora4\nse/cret\n"};
	struct error err = {""};
	char line[PASSKEYS_MAX_LINE + 10];

	write_keys("alice1\n");
	struct passkeys *keys = passkeys_create("keys", &err);
	cr_assert(keys, "%s", err.text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_keys(bad[i]);
		cr_expect_not(passkeys_reload(keys, &err), "'%s'", bad[i]);
		cr_expect(strstr(err.text, "keys: "), "%s", err.text);
		cr_expect_not(strstr(err.text, "cret"), "%s", err.text);
		cr_expect(i < 2 || strstr(err.text, "line 2"), "%s", err.text);
		cr_expect(allows(keys, "alice1"));
		cr_expect_not(allows(keys, "dora4"));
	}

	/* As long a line as there may be, and one more. */
	memset(line, ' ', sizeof(line));
	memcpy(line, "emil5", 5);
	memcpy(line + PASSKEYS_MAX_LINE, "\n#", 3);
	write_keys(line);
	cr_expect(passkeys_reload(keys, &err), "%s", err.text);
	cr_expect(allows(keys, "emil5"));
	cr_expect_not(allows(keys, "alice1"));
	memcpy(line + PASSKEYS_MAX_LINE, " \n#", 4);
	write_keys(line);
	cr_expect_not(passkeys_reload(keys, &err));

	cr_assert_eq(remove("keys"), 0);
	cr_expect_not(passkeys_reload(keys, &err));
	cr_assert_eq(mkdir("keys", 0700), 0);
	cr_expect_not(passkeys_reload(keys, &err));
	cr_assert_eq(remove("keys"), 0);
	cr_assert_eq(mkfifo("keys", 0600), 0);
	cr_expect_not(passkeys_reload(keys, &err));
	cr_expect(allows(keys, "emil5"));
	passkeys_destroy(keys);
}

Test(passkeys, a_file_that_is_not_there_is_an_error)
{
	struct error err = {""};

	cr_expect_null(passkeys_create("keys", &err));
	cr_expect(strstr(err.text, "keys: "), "%s", err.text);
}
