#ifndef TESTS_UNIT_TEMP_FOLDER_H
#define TESTS_UNIT_TEMP_FOLDER_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A folder of its own for a test, current while it runs, gone afterwards. */
struct temp_folder {
	char path[64];
};

static inline struct temp_folder temp_folder_make(void)
{
	struct temp_folder t = {"/tmp/tbt-test-XXXXXX"};

	cr_assert(mkdtemp(t.path));
	cr_assert_eq(chdir(t.path), 0);
	return t;
}

static inline int temp_folder_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void temp_folder_remove(struct temp_folder *t)
{
	cr_expect_eq(chdir("/"), 0);
	nftw(t->path, temp_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Replace what is in a file, making it. */
static inline void put_file(const char *path, const void *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	cr_assert(fd >= 0, "%s", path);
	cr_assert_eq(write(fd, bytes, len), (ssize_t)len);
	close(fd);
}

static inline bool file_is(const char *path, const void *bytes, size_t len)
{
	struct stat st;
	uint8_t *found = malloc(len + 1);
	int fd = open(path, O_RDONLY);
	bool same = fd >= 0 && fstat(fd, &st) == 0 &&
		(size_t)st.st_size == len &&
		read(fd, found, len + 1) == (ssize_t)len &&
		memcmp(found, bytes, len) == 0;

	if (fd >= 0)
		close(fd);
	free(found);
	return same;
}

static inline bool path_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

#endif
