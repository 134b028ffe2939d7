/* What others do to the files of a torrent: what they plant in its folder, take
 * away, replace, cut or change. */

#include "tests/unit/storage_lab.h"

/* ---- what is planted ---- */

/* Each plants something into the tree; the write of all must fail, name the
 * file, and leave the world outside alone. */
static void plant_file_link(void)
{
	put_file("victim", "safe", 4);
	cr_assert_eq(symlink("../../victim", "out/root/one"), 0);
}

static void plant_dangling_link(void)
{
	cr_assert_eq(symlink("../../made", "out/root/one"), 0);
}

static void plant_folder_link(void)
{
	mkdir("outside", 0755);
	cr_assert_eq(symlink("../../outside", "out/root/sub"), 0);
}

static void plant_inner_folder_link(void)
{
	mkdir("out/root/deep", 0755);
	cr_assert_eq(symlink("..", "out/root/deep/er"), 0);
}

static void plant_fifo(void) { cr_assert_eq(mkfifo("out/root/one", 0644), 0); }

static void plant_folder(void) { cr_assert_eq(mkdir("out/root/one", 0755), 0); }

static void plant_file_for_folder(void) { put_file("out/root/sub", "x", 1); }

static const struct {
	const char *name;
	void (*plant)(void);
	const char *file; /* that the message names */
} plants[] = {
	{"a link for a file", plant_file_link, "out/root/one"},
	{"a dangling link", plant_dangling_link, "out/root/one"},
	{"a link for a folder", plant_folder_link, "out/root/sub/two"},
	{"a link further down", plant_inner_folder_link,
		"out/root/deep/er/three"},
	{"a FIFO", plant_fifo, "out/root/one"},
	{"a folder for a file", plant_folder, "out/root/one"},
	{"a file for a folder", plant_file_for_folder, "out/root/sub/two"},
};

Test(storage_intruders, nothing_planted_in_the_tree_is_followed_or_waited_for)
{
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);
	uint8_t *back = malloc(t.m.length);

	for (size_t i = 0; i < sizeof(plants) / sizeof(plants[0]); i++) {
		struct temp_folder dir = temp_folder_make();
		struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
		struct error err = {""};
		const char *name = plants[i].name;

		plants[i].plant();
		cr_expect_not(write_range(s, t.content, 0, t.m.length, &err),
			"%s", name);
		cr_expect(strstr(err.text, plants[i].file) == err.text,
			"%s: %s", name, err.text);
		cr_expect_neq(storage_read(s, 0, back, t.m.length, &err),
			STORAGE_OK, "%s", name);
		cr_expect_not(path_exists("made"), "%s", name);
		cr_expect_not(path_exists("outside/two"), "%s", name);
		cr_expect_not(path_exists("out/root/three"), "%s", name);
		if (path_exists("victim"))
			cr_expect(file_is("victim", "safe", 4), "%s", name);
		storage_close(s);
		temp_folder_remove(&dir);
	}
	free(back);
	made_torrent_finish(&t);
}

Test(storage_intruders, a_link_planted_while_we_run_is_not_followed_either)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	struct error err;

	cr_assert(write_range(s, t.content, 0, 1, &err));
	mkdir("outside", 0755);
	cr_assert_eq(symlink("../../outside", "out/root/deep"), 0);
	cr_expect_not(write_range(s, t.content, 0, t.m.length, &err));
	cr_expect(strstr(err.text, "out/root/deep/er/three"), "%s", err.text);
	cr_expect_not(path_exists("outside/er"));

	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage_intruders,
	a_link_in_place_of_the_root_counts_only_as_the_users_word)
{
	struct made_torrent both[] = {
		made_torrent_of("root", tree, PIECE, NULL),
		made_torrent_of("root", single, PIECE, NULL),
	};

	for (size_t i = 0; i < 2; i++) {
		struct temp_folder dir = temp_folder_make();
		struct storage *s = NULL;
		struct error err;

		mkdir("out", 0755);
		if (i == 0)
			mkdir("elsewhere", 0755);
		else
			put_file("elsewhere", "", 0);
		cr_assert_eq(symlink("../elsewhere", "out/root"), 0);
		cr_expect_not(storage_open(
			&both[i].m, "out", NULL, STORAGE_LEECH, &s, &err));
		cr_expect(strstr(err.text, "out/root: ") == err.text, "%s",
			err.text);

		s = opened(&both[i].m, "root", STORAGE_LEECH);
		write_all_of(s, &both[i]);
		cr_expect(storage_complete(s, &err), "%s", err.text);
		cr_expect(storage_still_there(s, &err), "%s", err.text);
		cr_expect(file_is(i == 0 ? "elsewhere/one" : "elsewhere",
			both[i].content, i == 0 ? 1 : 100));
		storage_close(s);
		temp_folder_remove(&dir);
		made_torrent_finish(&both[i]);
	}
}

/* ---- what is taken away or changed ---- */

static void remove_file(void) { cr_assert_eq(unlink("out/root/one"), 0); }

static void move_file(void)
{
	cr_assert_eq(rename("out/root/one", "out/root/other"), 0);
}

static void replace_file(void)
{
	put_file("new", "zz", 2);
	cr_assert_eq(rename("new", "out/root/one"), 0);
}

static void cut_file(void) { cr_assert_eq(truncate("out/root/one", 0), 0); }

static void move_root(void) { cr_assert_eq(rename("out/root", "away"), 0); }

static void replace_root(void)
{
	move_root();
	mkdir("out/root", 0755);
}

static void move_folder(void) { cr_assert_eq(rename("out", "away"), 0); }

Test(storage_intruders, it_notices_when_its_files_go_away)
{
	static const struct {
		void (*disturb)(void);
		const char *message;
	} cases[] = {
		{remove_file, "out/root/one: vanished while in use"},
		{move_file, "out/root/one: vanished while in use"},
		{replace_file, "out/root/one: was replaced while in use"},
		{cut_file, "out/root/one: was cut short while in use"},
		{move_root, "out/root: vanished while in use"},
		{replace_root, "out/root: was replaced while in use"},
		{move_folder, "out: vanished while in use"},
	};
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct temp_folder dir = temp_folder_make();
		struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
		struct error err;

		cr_assert(write_range(s, t.content, 0, 1, &err));
		cr_assert(storage_still_there(s, &err), "%s", err.text);
		cases[i].disturb();
		cr_expect_not(storage_still_there(s, &err), "case %zu", i);
		cr_expect_str_eq(err.text, cases[i].message);
		storage_close(s);
		temp_folder_remove(&dir);
	}
	made_torrent_finish(&t);
}

static void leave_file(void) {}

static void touch_file(void)
{
	struct timespec times[2] = {{1, 0}, {1, 5}};

	cr_assert_eq(utimensat(AT_FDCWD, "out/root/one", times, 0), 0);
}

/* What a resume file will believe, and what ends in exit 0. */
Test(storage_intruders,
	a_file_that_others_have_changed_is_not_believed_and_not_complete)
{
	static const struct {
		void (*disturb)(void);
		const char *found;   /* if it was there when we came */
		const char *written; /* if it is we who write it */
	} cases[] = {
		{leave_file, "", ""},
		{touch_file, "was changed", ""}, /* as our own writes do */
		{remove_file, "vanished", "vanished"},
		{replace_file, "was replaced", "was replaced"},
		{cut_file, "was cut short", "was cut short"},
	};
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		bool found = i % 2 == 0;
		const char *how =
			found ? cases[i / 2].found : cases[i / 2].written;
		struct temp_folder dir = temp_folder_make();
		struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
		struct storage_stat left, now;
		char message[100] = "";
		struct error err = {0};

		if (!found)
			storage_remember(s);
		write_all_of(s, &t);
		if (found) {
			storage_close(s);
			s = opened(&t.m, NULL, STORAGE_LEECH);
			storage_remember(s);
		}
		cases[i / 2].disturb();

		storage_stat_as_left(s, 0, &left);
		storage_stat(s, 0, &now);
		cr_expect_eq(now.exists && left.exists &&
				left.size == now.size &&
				left.mtime_ns == now.mtime_ns,
			how[0] == '\0', "case %zu", i);
		if (how[0])
			snprintf(message, sizeof(message),
				"out/root/one: %s while in use", how);
		cr_expect_eq(storage_complete(s, &err), how[0] == '\0',
			"case %zu", i);
		cr_expect_str_eq(err.text, message, "case %zu", i);
		storage_close(s);
		temp_folder_remove(&dir);
	}
	made_torrent_finish(&t);
}

/* The next write would make it as long as before, with a hole. */
Test(storage_intruders, nothing_is_written_to_a_file_that_was_cut_short)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", single, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	struct error err;

	cr_assert(write_range(s, t.content, 0, 50, &err), "%s", err.text);
	cr_assert_eq(truncate("out/root", 49), 0);
	cr_expect_not(write_range(s, t.content, 50, 50, &err));
	cr_expect_str_eq(err.text, "out/root: was cut short while in use");
	cr_expect(file_is("out/root", t.content, 49));
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage_intruders, a_change_since_the_check_is_seen)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	size_t file = 99;
	struct storage_stat st;
	struct error err;

	write_all_of(s, &t);
	cr_expect_not(storage_unchanged(s, 0, 1, &file), "never remembered");
	storage_remember(s);
	cr_expect(storage_unchanged(s, 0, t.m.length, &file));

	touch_file();
	cr_expect_not(storage_unchanged(s, 0, t.m.length, &file));
	cr_expect_eq(file, 0);
	cr_expect(storage_unchanged(s, 1, t.m.length - 1, &file));
	storage_stat(s, 0, &st);
	cr_expect(st.exists);
	cr_expect_eq(st.size, 1);
	cr_expect_eq(st.mtime_ns, 1000000005);

	cr_assert_eq(truncate("out/root/deep/er/three", 999), 0);
	cr_expect_not(storage_unchanged(s, 1, t.m.length - 1, &file));
	cr_expect_eq(file, 4);
	cr_expect(storage_still_there(s, &err) == false);
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}
