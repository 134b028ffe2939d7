#include "client/storage/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The component at the start of `path`, as a string.  False: errno. */
static bool component(const char *path, size_t len, char ret[NAME_MAX + 1])
{
	if (len > NAME_MAX) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(ret, path, len);
	ret[len] = '\0';
	if (len == 0 || strcmp(ret, ".") == 0 || strcmp(ret, "..") == 0) {
		errno = EINVAL;
		return false;
	}
	return true;
}

/* Where a folder is wanted, Linux says of a symlink that it is none. */
static void name_symlink(int folder, const char *name)
{
	struct stat st;
	int saved = errno;

	errno = saved == ENOTDIR &&
			fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISLNK(st.st_mode)
		? ELOOP
		: saved;
}

static int enter(int folder, const char *name, bool make)
{
	const int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

	int fd = openat(folder, name, flags);
	if (fd < 0 && errno == ENOENT && make) {
		if (mkdirat(folder, name, 0777) != 0 && errno != EEXIST)
			return -1;
		fd = openat(folder, name, flags);
	}
	if (fd < 0)
		name_symlink(folder, name);
	return fd;
}

static int open_last(int folder, const char *name, int flags)
{
	int fd;

	do /* network file systems may be interrupted */
		fd = openat(folder, name,
			flags | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0666);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		name_symlink(folder, name);
	return fd;
}

int beneath_open(int root, const char *path, int flags)
{
	int folder = root;
	int fd = -1;

	for (;;) {
		char name[NAME_MAX + 1];
		size_t len = strcspn(path, "/");
		if (!component(path, len, name))
			break;
		path += len;
		if (*path == '\0') {
			fd = open_last(folder, name, flags);
			break;
		}
		path++;

		int next = enter(folder, name, (flags & O_CREAT) != 0);
		if (next < 0)
			break;
		if (folder != root)
			close(folder);
		folder = next;
	}

	int saved = errno;
	if (folder != root)
		close(folder);
	errno = saved;
	return fd;
}
