#include "client/discovery/dht_file.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/write_all.h"

static const char file_name[] = "dht-nodes";

/* The folder, with the slash at its end.  False: there is none to be had. */
static bool folder(char ret[PATH_MAX])
{
	const char *state = getenv("XDG_STATE_HOME");
	const char *home = getenv("HOME");
	int len;

	/* The XDG specification has relative ones ignored. */
	if (state && state[0] == '/')
		len = snprintf(ret, PATH_MAX, "%s/tbt/", state);
	else if (home && home[0] == '/')
		len = snprintf(ret, PATH_MAX, "%s/.local/state/tbt/", home);
	else
		return false;
	return len > 0 && len < PATH_MAX;
}

/* Each folder on the way, as far as it is missing. */
static void make_folders(char *path)
{
	for (char *at = path + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		(void)mkdir(path, 0700); /* or the open will tell */
		*at = '/';
	}
}

static int open_folder(bool make)
{
	char path[PATH_MAX];

	if (!folder(path))
		return -1;
	if (make)
		make_folders(path);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool dht_file_load(struct buffer *out)
{
	int dir = open_folder(false);
	uint8_t chunk[4096];
	ssize_t n = -1;

	if (dir < 0)
		return false;
	int fd = openat(
		dir, file_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0) {
		if (!buffer_append(out, chunk, (size_t)n))
			break;
	}
	if (fd >= 0)
		close(fd);
	close(dir);
	return n == 0 && !out->failed;
}

bool dht_file_save(const struct buffer *state)
{
	int dir = open_folder(true);
	char temp[64];

	if (dir < 0)
		return false;
	/* Of each process its own, since several may end at once. */
	snprintf(temp, sizeof(temp), "%s.%ld.new", file_name, (long)getpid());
	(void)unlinkat(dir, temp, 0); /* left over: never written through */
	int fd = openat(
		dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok = fd >= 0 && write_all(fd, state->bytes, state->len) &&
		fsync(fd) == 0;
	if (fd >= 0)
		ok = close(fd) == 0 && ok;
	ok = ok && renameat(dir, temp, dir, file_name) == 0;
	if (fd >= 0 && !ok)
		(void)unlinkat(dir, temp, 0); /* it is of no use */
	close(dir);
	return ok;
}
