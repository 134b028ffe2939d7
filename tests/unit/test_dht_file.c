#include "client/discovery/dht_file.h"
#include "tests/unit/temp_folder.h"

enum { MAX = 1000 };

static bool save(const char *text)
{
	struct buffer b;

	buffer_init(&b, MAX);
	buffer_append(&b, text, strlen(text));
	bool ok = dht_file_save(&b);
	buffer_finish(&b);
	return ok;
}

static void expect_loaded(const char *text)
{
	struct buffer b;

	buffer_init(&b, MAX);
	bool ok = dht_file_load(&b);
	cr_expect_eq(ok, text != NULL);
	if (ok && text) {
		cr_expect_eq(b.len, strlen(text));
		cr_expect_eq(memcmp(b.bytes, text, b.len), 0);
	}
	buffer_finish(&b);
}

Test(dht_file, what_was_saved_is_loaded)
{
	struct temp_folder t = temp_folder_make();
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/not/there/yet", t.path);
	setenv("XDG_STATE_HOME", path, 1);
	expect_loaded(NULL);
	cr_expect(save("one"));
	expect_loaded("one");
	cr_expect(save("the other"));
	expect_loaded("the other");
	/* Nobody else's business, and nothing beside it is left. */
	cr_assert_eq(stat("not/there/yet/tbt/dht-nodes", &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0600);
	cr_assert_eq(stat("not/there/yet/tbt", &st), 0);
	cr_expect_eq(st.st_mode & 0777, 0700);
	cr_expect_neq(rmdir("not/there/yet/tbt"), 0);
	cr_expect_eq(unlink("not/there/yet/tbt/dht-nodes"), 0);
	cr_expect_eq(rmdir("not/there/yet/tbt"), 0);
	temp_folder_remove(&t);
}

Test(dht_file, home_is_used_where_xdg_names_no_folder)
{
	static const char *const odd[] = {NULL, "", "relative"};
	struct temp_folder t = temp_folder_make();

	setenv("HOME", t.path, 1);
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		if (odd[i])
			setenv("XDG_STATE_HOME", odd[i], 1);
		else
			unsetenv("XDG_STATE_HOME");
		cr_expect(save("x"));
		cr_expect_eq(unlink(".local/state/tbt/dht-nodes"), 0);
	}
	unsetenv("HOME");
	cr_expect_not(save("x"));
	expect_loaded(NULL);
	temp_folder_remove(&t);
}

Test(dht_file, what_is_too_large_or_no_file_is_not_loaded)
{
	struct temp_folder t = temp_folder_make();
	char large[2 * MAX];

	setenv("XDG_STATE_HOME", t.path, 1);
	cr_assert_eq(mkdir("tbt", 0700), 0);
	cr_assert_eq(mkfifo("tbt/dht-nodes", 0600), 0);
	cr_expect(save("instead")); /* of the FIFO */
	expect_loaded("instead");
	cr_assert_eq(unlink("tbt/dht-nodes"), 0);
	cr_assert_eq(mkdir("tbt/dht-nodes", 0700), 0);
	cr_expect_not(save("x"));
	expect_loaded(NULL);
	cr_assert_eq(rmdir("tbt/dht-nodes"), 0);
	cr_assert_eq(symlink("/etc/passwd", "tbt/dht-nodes"), 0);
	expect_loaded(NULL);
	cr_assert_eq(unlink("tbt/dht-nodes"), 0);

	int fd = open("tbt/dht-nodes", O_WRONLY | O_CREAT, 0600);
	memset(large, 'x', sizeof(large));
	cr_assert_eq(write(fd, large, sizeof(large)), (ssize_t)sizeof(large));
	close(fd);
	expect_loaded(NULL);
	temp_folder_remove(&t);
}
