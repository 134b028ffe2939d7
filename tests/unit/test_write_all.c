#include "shared/write_all.h"

#include <errno.h>
#include <sys/wait.h>

#include "tests/unit/temp_folder.h"

Test(write_all, all_of_it_is_written_or_errno_says_why_not)
{
	struct temp_folder dir = temp_folder_make();
	int full = open("/dev/full", O_WRONLY);
	int fd = open("file", O_WRONLY | O_CREAT, 0600);

	cr_assert(fd >= 0 && full >= 0);
	cr_expect(write_all(fd, "abc", 3));
	cr_expect(write_all(fd, NULL, 0));
	cr_expect(write_all(fd, "def", 3));
	cr_expect(file_is("file", "abcdef", 6));
	errno = 0;
	cr_expect_not(write_all(full, "abc", 3));
	cr_expect_eq(errno, ENOSPC);
	close(full);
	close(fd);
	temp_folder_remove(&dir);
}

/* A pipe takes a part of what is more than fits, and is read meanwhile. */
Test(write_all, what_was_taken_in_part_is_gone_on_with)
{
	enum { LEN = 1000 * 1000 };
	uint8_t *out = malloc(LEN), *back = malloc(LEN);
	int ends[2];
	size_t have = 0;
	ssize_t n;
	int status;

	for (size_t i = 0; i < LEN; i++)
		out[i] = (uint8_t)(i * 7 >> 3);
	cr_assert_eq(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0)
		_exit(write_all(ends[1], out, LEN) ? 0 : 1);
	close(ends[1]);
	while ((n = read(ends[0], back + have, LEN - have)) > 0)
		have += (size_t)n;
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0);
	cr_expect_eq(have, LEN);
	cr_expect_eq(memcmp(out, back, LEN), 0);
	close(ends[0]);
	free(out);
	free(back);
}
