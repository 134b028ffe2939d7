#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/torrent/source_files.h"

static void append(const char *path, const char *text)
{
	FILE *f = fopen(path, "ab");

	cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

Test(source_files, change_of_a_file_is_seen_and_named)
{
	char dir[] = "/tmp/tbt-source-XXXXXX";
	struct source_files s;
	struct error err;
	char bytes[8];
	size_t n;

	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
	append("a", "hello");
	append("b", "x");
	cr_assert(source_files_list(dir, NULL, NULL, &s, &err));
	cr_expect_eq(s.total, 6);
	cr_expect_eq(s.files[1].offset, 5);

	int fd = source_files_open(&s, 0, &err);
	cr_assert(fd >= 0);
	cr_expect(source_files_read(&s, 0, fd, 2, bytes, 8, &n, &err));
	cr_expect(n == 3 && memcmp(bytes, "llo", 3) == 0);
	cr_expect(source_files_unchanged(&s, 0, fd, &err));

	append("a", "!"); /* grown while it was read */
	cr_expect_not(source_files_unchanged(&s, 0, fd, &err));
	cr_expect(strstr(err.text, "/a: changed"), "%s", err.text);
	cr_assert_eq(truncate("a", 1), 0); /* cut short */
	cr_expect_not(source_files_read(&s, 0, fd, 2, bytes, 8, &n, &err));
	close(fd);
	cr_expect_lt(source_files_open(&s, 0, &err), 0);

	/* Another file under the old name, and something else altogether. */
	append("new", "x");
	cr_assert_eq(rename("new", "b"), 0);
	cr_expect_lt(source_files_open(&s, 1, &err), 0);
	cr_assert_eq(unlink("b"), 0);
	cr_assert_eq(mkfifo("b", 0600), 0);
	cr_expect_lt(source_files_open(&s, 1, &err), 0);
	cr_expect(strstr(err.text, "/b: changed"), "%s", err.text);

	unlink("a");
	unlink("b");
	cr_assert_eq(rmdir(dir), 0);
	source_files_finish(&s);
	source_files_finish(&s);
}
