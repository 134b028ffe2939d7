#include "client/torrent/source_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/metainfo.h"
#include "shared/safe_name.h"
#include "shared/text.h"

enum { SHOWN_SIZE = 160 }; /* of a path in a message, escaped */

/* A listing under way. */
struct lister {
	struct source_files *to;
	size_t capacity;
	void (*skipped)(void *ctx, const char *path);
	void *ctx;
	struct error *err;

	char path[SAFE_PATH_MAX + 1]; /* of what is looked at, below the root */
	size_t path_len;
	size_t depth;
};

/* A path for a person: as it was given, then what is below it. */
static const char *show(
	const struct source_files *s, const char *below, char ret[SHOWN_SIZE])
{
	char whole[2 * PATH_MAX];
	size_t len = strlen(s->given);
	const char *slash = len > 0 && s->given[len - 1] == '/' ? "" : "/";

	if (!s->folder || *below == '\0')
		return text_escape_str(s->given, ret, SHOWN_SIZE);
	int n = snprintf(
		whole, sizeof(whole), "%s%s%s", s->given, slash, below);
	return text_escape_str(n > 0 ? whole : below, ret, SHOWN_SIZE);
}

static bool fail(struct lister *l, const char *why)
{
	char shown[SHOWN_SIZE];

	return error_set(l->err, "%s: %s", show(l->to, l->path, shown), why);
}

static bool fail_errno(struct lister *l, const char *why)
{
	char shown[SHOWN_SIZE];

	return error_set_errno(
		l->err, "%s: %s", show(l->to, l->path, shown), why);
}

/* NULL, or why a name could not stay as it is in a torrent: whoever downloads
 * it would change it, and nobody could seed it, for the files would not be
 * found under it. */
static const char *name_fault(const char *name)
{
	struct span bytes = {(const uint8_t *)name, strlen(name)};
	char mended[SAFE_NAME_MAX + 1];
	struct error why;

	if (!text_utf8_valid(bytes))
		return "its name is not UTF-8";
	if (!safe_name_mend(bytes, mended, &why) || strcmp(mended, name) != 0)
		return "its name has control characters or backslashes in it";
	return NULL;
}

static bool add_file(struct lister *l, const char *path, const struct stat *st)
{
	struct source_files *s = l->to;

	if (s->count == l->capacity) {
		size_t capacity = l->capacity ? 2 * l->capacity : 64;
		struct source_file *files =
			reallocarray(s->files, capacity, sizeof(*files));

		if (!files)
			return fail(l, "out of memory");
		s->files = files;
		l->capacity = capacity;
	}

	char *kept = strdup(path);
	if (!kept)
		return fail(l, "out of memory");
	s->files[s->count++] = (struct source_file){
		.path = kept,
		.offset = s->total,
		.size = (uint64_t)st->st_size,
		.device = st->st_dev,
		.inode = st->st_ino,
		.modified = st->st_mtim,
	};
	/* Sparse files may say anything: no sum of sizes may wrap. */
	if ((uint64_t)st->st_size > INT64_MAX - s->total)
		return fail(l, "too large together with those before it");
	s->total += (uint64_t)st->st_size;
	return true;
}

static bool list_folder(struct lister *l, int folder);

static bool list_entry(struct lister *l, int folder, const char *name)
{
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return fail_errno(l, "cannot read");
	if (S_ISLNK(st.st_mode)) {
		if (l->skipped)
			l->skipped(l->ctx, l->path);
		return true;
	}
	const char *fault = name_fault(name);
	if (fault)
		return fail(l, fault);
	if (S_ISREG(st.st_mode)) {
		/* Now, not after an hour of hashing others. */
		if (faccessat(folder, name, R_OK, AT_EACCESS) != 0)
			return fail_errno(l, "cannot read");
		return add_file(l, l->path, &st);
	}
	if (!S_ISDIR(st.st_mode))
		return fail(l, "neither a file nor a folder");
	/* One element is the file's own. */
	if (l->depth + 1 >= METAINFO_MAX_DEPTH)
		return fail(l, "folders nested too deep");

	int inner = openat(
		folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (inner < 0)
		return fail_errno(l, "cannot open");
	l->depth++;
	bool ok = list_folder(l, inner);
	l->depth--;
	close(inner);
	return ok;
}

static int is_entry(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

/* alphasort() goes by the locale. */
static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Step into `name`, look at it, step out again. */
static bool list_below(struct lister *l, int folder, const char *name)
{
	size_t before = l->path_len;
	size_t len = strlen(name);
	/* The root's name stands before it in the torrent. */
	size_t room = SAFE_PATH_MAX - strlen(l->to->name) - 1;

	if (len + 1 > room - l->path_len)
		return fail(l, "the paths in it are too long");
	if (before > 0)
		l->path[l->path_len++] = '/';
	memcpy(l->path + l->path_len, name, len + 1);
	l->path_len += len;
	bool ok = list_entry(l, folder, name);
	l->path_len = before;
	l->path[before] = '\0';
	return ok;
}

/* Recursion is bounded by METAINFO_MAX_DEPTH. */
static bool list_folder(struct lister *l, int folder)
{
	struct dirent **entries;
	bool ok = true;

	int count = scandirat(folder, ".", &entries, is_entry, by_bytes);
	if (count < 0)
		return fail_errno(l, "cannot read the folder");
	for (int i = 0; i < count; i++) {
		ok = ok && list_below(l, folder, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return ok;
}

char *source_files_name(const char *path, struct error *err)
{
	char whole[PATH_MAX];
	char shown[SHOWN_SIZE];
	size_t len = strlen(path);

	text_escape_str(path, shown, sizeof(shown));
	while (len > 1 && path[len - 1] == '/')
		len--;
	const char *slash = memrchr(path, '/', len);
	const char *last = slash ? slash + 1 : path;
	size_t last_len = (size_t)(path + len - last);

	if (last_len == 0 || (last_len == 1 && last[0] == '.') ||
		(last_len == 2 && memcmp(last, "..", 2) == 0)) {
		if (!realpath(path, whole)) {
			error_set_errno(err, "%s: cannot read", shown);
			return NULL;
		}
		last = strrchr(whole, '/') + 1;
		last_len = strlen(last);
	}

	char *name = strndup(last, last_len);
	const char *fault = !name ? "out of memory"
		: last_len == 0   ? "the root folder has no name"
				  : name_fault(name);
	if (fault) {
		error_set(err, "%s: %s", shown, fault);
		free(name);
		return NULL;
	}
	return name;
}

static bool list(struct lister *l, const char *path)
{
	struct source_files *s = l->to;
	struct stat st;

	/* Before it is opened: opening a device may do things to it. */
	if (stat(path, &st) != 0)
		return fail_errno(l, "cannot read");
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return fail(l, "neither a file nor a folder");
	s->name = source_files_name(path, l->err);
	if (!s->name)
		return false;
	if (S_ISREG(st.st_mode)) {
		if (faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
			return fail_errno(l, "cannot read");
		return add_file(l, s->name, &st);
	}

	s->folder = true;
	s->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->root < 0)
		return fail_errno(l, "cannot open");
	return list_folder(l, s->root);
}

bool source_files_list(const char *path,
	void (*skipped)(void *ctx, const char *path), void *ctx,
	struct source_files *ret, struct error *err)
{
	struct source_files s = {.given = path, .root = -1};
	struct lister l = {
		.to = &s, .skipped = skipped, .ctx = ctx, .err = err};

	if (!list(&l, path)) {
		source_files_finish(&s);
		return false;
	}
	*ret = s;
	return true;
}

void source_files_finish(struct source_files *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->files[i].path);
	free(s->files);
	free(s->name);
	if (s->folder && s->root >= 0)
		close(s->root);
	*s = (struct source_files){0};
}

static bool changed(
	const struct source_files *s, size_t index, struct error *err)
{
	char shown[SHOWN_SIZE];

	return error_set(err, "%s: changed while it was read",
		show(s, s->files[index].path, shown));
}

int source_files_open(
	const struct source_files *s, size_t index, struct error *err)
{
	const struct source_file *f = &s->files[index];
	/* O_NONBLOCK: should a FIFO lie there by now, it is not waited for. */
	const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	char shown[SHOWN_SIZE];

	int fd = s->folder ? openat(s->root, f->path, flags | O_NOFOLLOW)
			   : open(s->given, flags);
	if (fd < 0) {
		error_set_errno(
			err, "%s: cannot open", show(s, f->path, shown));
		return -1;
	}
	if (!source_files_unchanged(s, index, fd, err)) {
		close(fd);
		return -1;
	}
	return fd;
}

bool source_files_read(const struct source_files *s, size_t index, int fd,
	uint64_t offset, void *to, size_t len, size_t *ret, struct error *err)
{
	char shown[SHOWN_SIZE];
	ssize_t n;

	do
		n = pread(fd, to, len, (off_t)offset);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_set_errno(err, "%s: cannot read",
			show(s, s->files[index].path, shown));
	if (n == 0)
		return changed(s, index, err);
	*ret = (size_t)n;
	return true;
}

bool source_files_unchanged(
	const struct source_files *s, size_t index, int fd, struct error *err)
{
	const struct source_file *f = &s->files[index];
	char shown[SHOWN_SIZE];
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_set_errno(
			err, "%s: cannot read", show(s, f->path, shown));
	if (st.st_dev == f->device && st.st_ino == f->inode &&
		(uint64_t)st.st_size == f->size &&
		st.st_mtim.tv_sec == f->modified.tv_sec &&
		st.st_mtim.tv_nsec == f->modified.tv_nsec)
		return true;
	return changed(s, index, err);
}
