#include "client/storage/storage.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/resource.h>

#include "client/storage/file_table.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/torrent_maker.h"

enum { PIECE = 16 * 1024 };

static const struct made_file tree[] = {
	{.path = "one", .length = 1},
	{.path = "sub/empty"},
	{.path = "sub/two", .length = 3 * PIECE - 1},
	{.path = "pad", .length = 100, .pad = true},
	{.path = "deep/er/three", .length = 1000},
	{.path = "hollow/place/empty"},
	{0},
};

static const struct made_file single[] = {{.path = "", .length = 100}, {0}};

static struct storage *opened(
	const struct metainfo *m, const char *name, enum storage_mode mode)
{
	struct storage *s = NULL;
	struct error err;

	cr_assert(storage_open(m, "out", name, mode, &s, &err), "%s", err.text);
	return s;
}

static bool write_range(struct storage *s, const uint8_t *content,
	uint64_t offset, size_t len, struct error *err)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	memcpy(copy, content + offset, len);
	/* in three uneven segments, one of them empty */
	struct iovec iov[] = {
		{copy, len / 3},
		{copy + len / 3, 0},
		{copy + len / 3, len - len / 3},
	};
	bool ok = storage_write(s, offset, iov, 3, err);
	free(copy);
	return ok;
}

static void write_all_of(struct storage *s, const struct made_torrent *t)
{
	struct error err;

	cr_assert(write_range(s, t->content, 0, t->m.length, &err), "%s",
		err.text);
}

Test(storage, a_tree_is_written_read_back_and_completed)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	uint8_t *back = malloc(t.m.length);
	struct error err;

	cr_expect_not(path_exists("out/root/one"));
	for (uint64_t at = 0; at < t.m.length; at += 777) {
		uint64_t left = t.m.length - at;
		cr_assert(write_range(
			s, t.content, at, left < 777 ? left : 777, &err));
	}
	cr_assert(storage_sync(s, &err), "%s", err.text);
	cr_assert(storage_complete(s, &err), "%s", err.text);
	cr_assert(storage_still_there(s, &err), "%s", err.text);
	cr_assert_eq(storage_read(s, 0, back, t.m.length, &err), STORAGE_OK);
	cr_expect_eq(memcmp(back, t.content, t.m.length), 0);

	cr_expect(file_is("out/root/one", t.content, 1));
	cr_expect(file_is("out/root/sub/two", t.content + 1, 3 * PIECE - 1));
	cr_expect(file_is(
		"out/root/deep/er/three", t.content + 3 * PIECE + 100, 1000));
	cr_expect(file_is("out/root/sub/empty", "", 0));
	cr_expect(file_is("out/root/hollow/place/empty", "", 0));
	cr_expect_not(path_exists("out/root/pad"));

	cr_expect_str_eq(storage_root_path(s), "out/root");
	storage_close(s);
	free(back);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, missing_and_short_files_are_absent_and_holes_are_not)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	uint8_t b[10] = {1};
	struct error err;

	cr_expect_eq(storage_read(s, 0, b, 1, &err), STORAGE_ABSENT);
	cr_expect_str_eq(err.text,
		"out/root/one: cannot open: No such file or directory");
	cr_assert(write_range(s, t.content, 1 + 5000, 10, &err));
	cr_expect_eq(storage_read(s, 1, b, 10, &err), STORAGE_OK);
	cr_expect_eq(b[0], 0, "a hole");
	cr_expect_eq(storage_read(s, 1 + 5000, b, 10, &err), STORAGE_OK);
	cr_expect_eq(storage_read(s, 1 + 5001, b, 10, &err), STORAGE_ABSENT);
	cr_expect_str_eq(
		err.text, "out/root/sub/two: shorter than the torrent says");
	cr_expect_eq(storage_read(s, 3 * PIECE, b, 10, &err), STORAGE_OK,
		"a pad file is zeros");
	cr_expect_eq(b[9], 0);

	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, holes_are_skipped_to_the_next_data)
{
	static const struct made_file big[] = {
		{.path = "a", .length = 64 << 20},
		{.path = "gone", .length = 64 << 20},
		{.path = "b", .length = 1 << 20},
		{0},
	};
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", big, 1 << 20, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	uint64_t at = 0;
	struct error err;

	cr_expect_not(storage_next_data(s, 0, t.m.length, &at));
	cr_assert(write_range(s, t.content, 32 << 20, 1 << 20, &err));
	cr_assert(write_range(s, t.content, 128 << 20, 1, &err));
	cr_assert(storage_next_data(s, 0, t.m.length, &at));
	cr_expect(at <= 32 << 20, "never past data");
	cr_expect(at == 0 || at == 32 << 20, "%lu", (unsigned long)at);
	cr_assert(storage_next_data(s, 33 << 20, t.m.length, &at));
	cr_expect_eq(at, 128 << 20);
	cr_expect_not(storage_next_data(s, 64 << 20, 128 << 20, &at));
	cr_expect_not(storage_next_data(s, 5, 5, &at));

	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

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

Test(storage, nothing_planted_in_the_tree_is_followed_or_waited_for)
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

Test(storage, a_link_planted_while_we_run_is_not_followed_either)
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

Test(storage, a_link_in_place_of_the_root_counts_only_as_the_users_word)
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

Test(storage, the_folder_itself_may_be_a_link_and_is_made_with_its_parents)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("one", single, PIECE, NULL);
	struct storage *s = NULL;
	struct error err;

	mkdir("real", 0755);
	cr_assert_eq(symlink("real", "link"), 0);
	cr_assert(
		storage_open(&t.m, "link/a/b/", NULL, STORAGE_LEECH, &s, &err));
	write_all_of(s, &t);
	cr_expect(file_is("real/a/b/one", t.content, 100));
	cr_expect_str_eq(storage_root_path(s), "link/a/b/one");
	storage_close(s);

	put_file("file", "", 0);
	cr_expect_not(
		storage_open(&t.m, "file/a", NULL, STORAGE_LEECH, &s, &err));
	cr_expect_str_eq(err.text, "file/a: cannot create: Not a directory");
	cr_expect_not(storage_open(&t.m, "none", NULL, STORAGE_SEED, &s, &err));
	cr_expect_str_eq(
		err.text, "none: cannot open: No such file or directory");
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, a_seed_changes_nothing_and_a_missing_root_is_absent)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent both[] = {
		made_torrent_of("root", tree, PIECE, NULL),
		made_torrent_of("root", single, PIECE, NULL),
	};
	uint8_t b;
	struct error err;

	mkdir("out", 0755);
	for (size_t i = 0; i < 2; i++) {
		struct storage *s = opened(&both[i].m, NULL, STORAGE_SEED);
		struct storage *second = opened(&both[i].m, NULL, STORAGE_SEED);
		struct storage_stat st;
		cr_expect_eq(storage_read(s, 0, &b, 1, &err), STORAGE_ABSENT);
		storage_stat(s, 0, &st);
		cr_expect_not(st.exists);
		cr_expect(storage_still_there(s, &err));
		cr_expect_not(path_exists("out/root"));
		storage_close(s);
		storage_close(second);
		made_torrent_finish(&both[i]);
	}
	temp_folder_remove(&dir);
}

Test(storage, a_second_leech_is_refused_until_the_first_lets_go)
{
	struct made_torrent both[] = {
		made_torrent_of("root", tree, PIECE, NULL),
		made_torrent_of("root", single, PIECE, NULL),
	};

	for (size_t i = 0; i < 2; i++) {
		struct temp_folder dir = temp_folder_make();
		struct storage *a = opened(&both[i].m, NULL, STORAGE_LEECH);
		struct storage *b = NULL;
		struct error err;

		cr_expect_not(storage_open(
			&both[i].m, "out", NULL, STORAGE_LEECH, &b, &err));
		cr_expect_str_eq(err.text,
			"out/root: in use by another torrent or tbt-client");
		storage_close(opened(&both[i].m, NULL, STORAGE_SEED));

		storage_unlock(a);
		b = opened(&both[i].m, NULL, STORAGE_LEECH);
		storage_close(b);
		storage_close(a);
		temp_folder_remove(&dir);
		made_torrent_finish(&both[i]);
	}
}

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

Test(storage, it_notices_when_its_files_go_away)
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
Test(storage, a_file_that_others_have_changed_is_not_believed_and_not_complete)
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
Test(storage, nothing_is_written_to_a_file_that_was_cut_short)
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

enum { MANY = 500, EACH = 100 };

static struct made_torrent many_files(void)
{
	static struct made_file files[MANY + 1];
	static char names[MANY][32];

	for (size_t i = 0; i < MANY; i++) {
		snprintf(names[i], sizeof(names[i]), "d%zu/f%zu", i % 7, i);
		files[i] = (struct made_file){names[i], EACH, false};
	}
	return made_torrent_of("root", files, PIECE, NULL);
}

static size_t open_descriptors(void)
{
	size_t n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

Test(storage, many_files_need_few_descriptors_and_all_are_synced)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = many_files();
	size_t before = open_descriptors();
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	uint8_t *back = malloc(t.m.length);
	struct error err;

	write_all_of(s, &t);
	cr_expect_leq(open_descriptors(), before + STORAGE_MAX_OPEN + 2);
	cr_assert(storage_sync(s, &err), "%s", err.text);
	cr_assert_eq(storage_read(s, 0, back, t.m.length, &err), STORAGE_OK);
	cr_expect_eq(memcmp(back, t.content, t.m.length), 0);
	cr_expect_leq(open_descriptors(), before + STORAGE_MAX_OPEN + 2);
	storage_close(s);
	cr_expect_eq(open_descriptors(), before);
	free(back);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, it_lives_with_what_descriptors_are_left)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = many_files();
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	uint8_t *back = malloc(t.m.length);
	struct rlimit limit;
	struct error err;

	/* The table is for 64, but only a few more may be opened. */
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = open_descriptors() + 6;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	write_all_of(s, &t);
	cr_assert(storage_sync(s, &err), "%s", err.text);
	cr_assert_eq(storage_read(s, 0, back, t.m.length, &err), STORAGE_OK);
	cr_expect_eq(memcmp(back, t.content, t.m.length), 0);
	storage_close(s);
	free(back);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, data_in_a_file_no_longer_open_is_missed_when_it_is_gone)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = many_files();
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	struct error err;

	write_all_of(s, &t); /* file 0 made room for others long ago */
	cr_assert_eq(unlink("out/root/d0/f0"), 0);
	cr_expect_not(write_range(s, t.content, 0, 10, &err));
	cr_expect_str_eq(err.text, "out/root/d0/f0: vanished while in use");
	cr_expect_not(path_exists("out/root/d0/f0"));
	cr_expect_not(storage_sync(s, &err));
	put_file("out/root/d0/f0", t.content, EACH);
	cr_expect_not(storage_sync(s, &err), "a failed sync stays failed");
	cr_expect_str_eq(err.text, "out/root/d0/f0: vanished while in use");
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, a_full_disk_is_an_error_that_names_file_and_reason)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	struct rlimit limit = {10000, RLIM_INFINITY};
	uint8_t b[100];
	struct error err;

	/* No small file system at hand, but a limit fails the same way:
	 * first a short write, then an error. */
	signal(SIGXFSZ, SIG_IGN);
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	cr_expect_not(write_range(s, t.content, 0, t.m.length, &err));
	cr_expect_str_eq(
		err.text, "out/root/sub/two: cannot write: File too large");
	cr_expect_eq(storage_read(s, 1 + 9900, b, 100, &err), STORAGE_OK);
	cr_expect_eq(memcmp(b, t.content + 9901, 100), 0, "what fits is kept");

	limit.rlim_cur = RLIM_INFINITY;
	cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	write_all_of(s, &t);
	cr_expect(storage_complete(s, &err), "%s", err.text);
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, completing_cuts_what_is_too_long)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	uint8_t longer[200] = {0};
	struct error err;

	mkdir("out/root/sub", 0755);
	put_file("out/root/one", longer, sizeof(longer));
	put_file("out/root/sub/empty", longer, sizeof(longer));
	write_all_of(s, &t);
	cr_assert(storage_complete(s, &err), "%s", err.text);
	cr_expect(file_is("out/root/one", t.content, 1));
	cr_expect(file_is("out/root/sub/empty", "", 0));
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, completing_leaves_an_empty_file_alone_that_is_there)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", tree, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	const struct timespec times[2] = {{1, 0}, {1, 5}};
	struct storage_stat st;
	struct error err;

	mkdir("out/root/sub", 0755);
	put_file("out/root/sub/empty", "", 0);
	cr_assert_eq(utimensat(AT_FDCWD, "out/root/sub/empty", times, 0), 0);
	write_all_of(s, &t);
	cr_assert(storage_complete(s, &err), "%s", err.text);
	storage_stat(s, 1, &st);
	cr_expect_eq(st.mtime_ns, 1000000005);
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(storage, a_change_since_the_check_is_seen)
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

	struct timespec times[2] = {{1, 0}, {1, 5}};
	cr_assert_eq(utimensat(AT_FDCWD, "out/root/one", times, 0), 0);
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

Test(storage, a_long_or_odd_path_leaves_room_for_the_reason)
{
	struct temp_folder dir = temp_folder_make();
	char path[600];
	memset(path, 'x', sizeof(path));
	path[200] = path[400] = '/';
	path[599] = '\0';
	const struct made_file files[] = {{.path = path, .length = 10}, {0}};
	struct made_torrent t = made_torrent_of("-rf $(x)", files, PIECE, NULL);
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	struct error err;
	uint8_t b[10];

	cr_expect_eq(storage_read(s, 0, b, 10, &err), STORAGE_ABSENT);
	cr_expect(strstr(err.text, "xx: cannot open: No such file"), "%s",
		err.text);
	cr_expect(strncmp(err.text, "...", 3) == 0);
	write_all_of(s, &t);
	cr_expect_eq(storage_read(s, 0, b, 10, &err), STORAGE_OK);
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}
