#include "client/storage/content_root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/storage/beneath.h"
#include "shared/metainfo.h"
#include "shared/text.h"

/* ---- words ---- */

const char *content_root_shown_path(
	const char *root, const char *path, char ret[SHOWN_PATH_SIZE])
{
	char whole[2 * PATH_MAX];

	snprintf(whole, sizeof(whole), "%s%s%s", root,
		root[0] && path[0] ? "/" : "", path);

	size_t len = strlen(whole);
	if (len == 0)
		return strcpy(ret, "''");
	if (len <= SHOWN_PATH_MAX)
		return text_escape_str(whole, ret, SHOWN_PATH_SIZE);

	const char *end = whole + len - SHOWN_PATH_MAX;
	while (((unsigned char)*end & 0xC0) == 0x80) /* inside a character */
		end++;
	memcpy(ret, "...", 3);
	text_escape_str(end, ret + 3, SHOWN_PATH_SIZE - 3);
	return ret;
}

const char *content_root_shown_file(
	const struct content_root *r, size_t file, char ret[SHOWN_PATH_SIZE])
{
	const char *path = r->m->multi_file ? r->m->files[file].path : "";

	return content_root_shown_path(r->path, path, ret);
}

static const char *shown_root(const struct content_root *r, char *ret)
{
	return content_root_shown_path(r->path, "", ret);
}

/* ---- opening ---- */

/* Any path that the user named. */
static int open_named(int folder, const char *name, int flags)
{
	int fd;

	do
		fd = openat(folder, name, flags | O_CLOEXEC | O_NONBLOCK, 0666);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int open_root(const struct content_root *r, int flags)
{
	if (r->name)
		return open_named(r->folder_fd, r->name, flags);
	return beneath_open(r->folder_fd, r->m->name, flags);
}

/* mkdir -p: the user's own path, symlinks and all. */
static bool make_folder(const char *folder, struct error *err)
{
	char path[PATH_MAX];
	char words[SHOWN_PATH_SIZE];

	int n = snprintf(path, sizeof(path), "%s", folder);
	if (n < 0 || (size_t)n >= sizeof(path))
		return error_set(err, "%s: path too long",
			content_root_shown_path(folder, "", words));

	for (char *p = path; *p; p++) {
		if (*p != '/' || p == path)
			continue;
		*p = '\0';
		(void)mkdir(path, 0777); /* the last one tells */
		*p = '/';
	}
	if (mkdir(path, 0777) != 0 && errno != EEXIST)
		return error_set_errno(err, "%s: cannot create",
			content_root_shown_path(folder, "", words));
	return true;
}

static bool open_folder(struct content_root *r, bool leech, struct error *err)
{
	char path[SHOWN_PATH_SIZE];

	if (leech && !make_folder(r->folder, err))
		return false;
	r->folder_fd = open(r->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->folder_fd < 0)
		return error_set_errno(err, "%s: cannot open",
			content_root_shown_path(r->folder, "", path));
	return true;
}

static bool root_error(const struct content_root *r, struct error *err)
{
	char path[SHOWN_PATH_SIZE];

	shown_root(r, path);
	return errno == ELOOP ? error_set(err,
					"%s: cannot open: a symbolic link is "
					"in its place",
					path)
			      : error_set_errno(err, "%s: cannot open", path);
}

/* A seed whose root is missing simply has nothing. */
static bool open_seed_root(struct content_root *r, struct error *err)
{
	if (!r->m->multi_file)
		return true;
	r->fd = open_root(r, O_RDONLY | O_DIRECTORY);
	return r->fd >= 0 || errno == ENOENT || root_error(r, err);
}

static bool open_leech_root(struct content_root *r, struct error *err)
{
	char path[SHOWN_PATH_SIZE];
	struct stat st;

	if (r->m->multi_file) {
		const char *name = r->name ? r->name : r->m->name;
		if (mkdirat(r->folder_fd, name, 0777) != 0 && errno != EEXIST)
			return error_set_errno(
				err, "%s: cannot create", shown_root(r, path));
		r->fd = open_root(r, O_RDONLY | O_DIRECTORY);
	} else {
		r->fd = open_root(r, O_RDONLY | O_CREAT);
	}
	if (r->fd < 0)
		return root_error(r, err);
	if (fstat(r->fd, &st) != 0)
		return root_error(r, err);
	if (!r->m->multi_file && !S_ISREG(st.st_mode))
		return error_set(
			err, "%s: is not a regular file", shown_root(r, path));
	return true;
}

static char *join(const char *folder, const char *name)
{
	size_t len = strlen(folder);
	char *path;

	while (len > 0 && folder[len - 1] == '/')
		len--;
	if (strcmp(folder, ".") == 0 || name[0] == '/')
		return strdup(name);
	if (asprintf(&path, "%.*s/%s", (int)len, folder, name) < 0)
		return NULL;
	return path;
}

bool content_root_open(struct content_root *r, const struct metainfo *m,
	const char *folder, const char *name, bool leech, struct error *err)
{
	char path[SHOWN_PATH_SIZE];

	*r = (struct content_root){
		.m = m,
		.folder = strdup(folder),
		.name = name ? strdup(name) : NULL,
		.path = join(folder, name ? name : m->name),
		.folder_fd = -1,
		.fd = -1,
	};
	bool ok = (r->folder && (!name || r->name) && r->path) ||
		error_set(err, "storage: out of memory");
	ok = ok && open_folder(r, leech, err) &&
		(leech ? open_leech_root(r, err) : open_seed_root(r, err));
	if (ok && leech && !content_root_lock(r))
		ok = error_set(err,
			"%s: in use by another torrent or tbt-client",
			shown_root(r, path));
	if (!ok)
		content_root_close(r);
	return ok;
}

void content_root_close(struct content_root *r)
{
	if (r->fd >= 0)
		close(r->fd);
	if (r->folder_fd >= 0)
		close(r->folder_fd);
	free(r->path);
	free(r->name);
	free(r->folder);
	*r = (struct content_root){.folder_fd = -1, .fd = -1};
}

int content_root_open_file(const struct content_root *r, size_t file, int flags)
{
	if (!r->m->multi_file)
		return open_root(r, flags);
	if (r->fd < 0) {
		errno = ENOENT;
		return -1;
	}
	return beneath_open(r->fd, r->m->files[file].path, flags);
}

/* Where a file system has no locks, the user has to see to it himself. */
bool content_root_lock(const struct content_root *r)
{
	return flock(r->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
}

void content_root_unlock(const struct content_root *r)
{
	(void)flock(r->fd, LOCK_UN); /* closing does it, too */
}

/* ---- looking after it ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

const char *content_root_lost(int fd, int path_fd)
{
	int saved = errno;
	struct stat now, found;
	const char *how = NULL;

	bool known = fstat(fd, &now) == 0;
	if (known && path_fd >= 0 && fstat(path_fd, &found) == 0 &&
		!same_file(&now, &found))
		how = "was replaced";
	else if (!known || now.st_nlink == 0 ||
		(path_fd < 0 &&
			(saved == ENOENT || saved == ENOTDIR ||
				saved == ELOOP)))
		how = "vanished";
	if (path_fd >= 0)
		close(path_fd);
	return how;
}

bool content_root_still_there(const struct content_root *r, struct error *err)
{
	char path[SHOWN_PATH_SIZE];
	const char *how = content_root_lost(r->folder_fd,
		open(r->folder, O_PATH | O_DIRECTORY | O_CLOEXEC));

	if (how)
		return error_set(err, "%s: %s while in use",
			content_root_shown_path(r->folder, "", path), how);
	if (r->fd < 0)
		return true;
	how = content_root_lost(r->fd, open_root(r, O_PATH));
	if (how)
		return error_set(
			err, "%s: %s while in use", shown_root(r, path), how);
	return true;
}

bool content_root_sync_folder(int fd)
{
	return fsync(fd) == 0 || errno == EINVAL;
}

bool content_root_sync(const struct content_root *r, struct error *err)
{
	char path[SHOWN_PATH_SIZE];

	if (content_root_sync_folder(r->fd) &&
		content_root_sync_folder(r->folder_fd))
		return true;
	return error_set_errno(err, "%s: cannot sync", shown_root(r, path));
}
