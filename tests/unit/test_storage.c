/* The files of a torrent: written, read back, completed, few of them open; and
 * how errors are told. */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client/storage/file_table.h"
#include "tests/unit/storage_lab.h"

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

/* The kernel's, but for one call that fails: so many later, 0: none. */
static atomic_int sync_fails_after;

int fdatasync(int fd)
{
	if (atomic_load(&sync_fails_after) > 0 &&
		atomic_fetch_sub(&sync_fails_after, 1) == 1) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_fdatasync, fd);
}

Test(storage, a_sync_that_fails_once_among_many_has_failed)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = many_files();
	struct storage *s = opened(&t.m, NULL, STORAGE_LEECH);
	struct error err;

	write_all_of(s, &t);
	atomic_store(&sync_fails_after, MANY / 2);
	cr_expect_not(storage_sync(s, &err));
	cr_expect(strstr(err.text, "cannot sync: Input/output error") != NULL,
		"%s", err.text);
	cr_expect_not(storage_sync(s, &err), "the kernel tells once");
	storage_close(s);
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
	/* Not even those: what is there is not said to have vanished. */
	limit.rlim_cur = open_descriptors();
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	cr_expect(storage_complete(s, &err), "%s", err.text);
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
