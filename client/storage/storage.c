#include "client/storage/storage.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/storage/beneath.h"
#include "client/storage/file_table.h"
#include "client/storage/layout.h"
#include "shared/metainfo.h"
#include "shared/text.h"

/* What we know of one file; a torrent may have 100,000. */
struct file_state {
	uint64_t written_end; /* we wrote up to here: it is no shorter */
	uint32_t writes;      /* differs from `synced`: there is something to */
	uint32_t synced;      /* sync */
	uint32_t named;       /* 0, or the number of the change by which its
			       * name came to be and is not synced yet */
	struct storage_stat checked; /* as storage_remember() saw it */
};

struct storage {
	/* All set once, by storage_open(). */
	const struct metainfo *m;
	enum storage_mode mode;
	char *folder;
	char *name;      /* the user's word for the root; NULL: m->name */
	char *root_path; /* for messages */
	int folder_fd;
	int root_fd; /* the root folder; in LEECH also the one file; -1: none */
	struct file_table *open;

	pthread_mutex_t lock;

	/* The rest is guarded by `lock`. */
	uint32_t namings;        /* counts changes of folders */
	bool sync_failed;        /* once lost, data does not come back by */
	struct error sync_error; /* asking fsync again */
	struct file_state *files;
};

/* ---- Words ---- */

enum { SHOWN_MAX = 120, SHOWN_SIZE = SHOWN_MAX + 80 };

/* A path for a message: escaped, and of a long one the end, since the message
 * has to have room for the reason. */
static const char *shown(const char *root, const char *path, char *ret)
{
	char whole[2 * PATH_MAX];

	snprintf(
		whole, sizeof(whole), "%s%s%s", root, path[0] ? "/" : "", path);

	size_t len = strlen(whole);
	if (len <= SHOWN_MAX)
		return text_escape_str(whole, ret, SHOWN_SIZE);

	const char *end = whole + len - SHOWN_MAX;
	while (((unsigned char)*end & 0xC0) == 0x80) /* inside a character */
		end++;
	memcpy(ret, "...", 3);
	text_escape_str(end, ret + 3, SHOWN_SIZE - 3);
	return ret;
}

static const char *shown_root(const struct storage *s, char *ret)
{
	return shown(s->root_path, "", ret);
}

static const char *shown_file(const struct storage *s, size_t file, char *ret)
{
	const char *path = s->m->multi_file ? s->m->files[file].path : "";

	return shown(s->root_path, path, ret);
}

/* "FILE: cannot WHAT: errno". */
static bool file_error(const struct storage *s, size_t file, const char *what,
	struct error *err)
{
	char path[SHOWN_SIZE];
	int saved = errno;

	shown_file(s, file, path);
	if (saved == ELOOP)
		return error_set(err,
			"%s: cannot %s: a symbolic link is in its place", path,
			what);
	errno = saved;
	return error_set_errno(err, "%s: cannot %s", path, what);
}

static bool file_lost(const struct storage *s, size_t file, const char *how,
	struct error *err)
{
	char path[SHOWN_SIZE];

	return error_set(
		err, "%s: %s while in use", shown_file(s, file, path), how);
}

/* ---- Opening ---- */

/* Whether the torrent wants this one on disk. */
static bool on_disk(const struct metainfo_file *f)
{
	return !f->pad && !f->symlink;
}

/* Any path that the user named. */
static int open_named(int folder, const char *name, int flags)
{
	int fd;

	do
		fd = openat(folder, name, flags | O_CLOEXEC | O_NONBLOCK, 0666);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int open_root(const struct storage *s, int flags)
{
	if (s->name)
		return open_named(s->folder_fd, s->name, flags);
	return beneath_open(s->folder_fd, s->m->name, flags);
}

static int open_path(const struct storage *s, size_t file, int flags)
{
	if (!s->m->multi_file)
		return open_root(s, flags);
	if (s->root_fd < 0) {
		errno = ENOENT;
		return -1;
	}
	return beneath_open(s->root_fd, s->m->files[file].path, flags);
}

static uint64_t written_end(struct storage *s, size_t file)
{
	pthread_mutex_lock(&s->lock);
	uint64_t end = s->files[file].written_end;
	pthread_mutex_unlock(&s->lock);
	return end;
}

/* Our own data may be in a file that does not exist: it has vanished, and a new
 * one in its place would hide that. */
static int open_or_make(
	const struct storage *s, size_t file, bool write, bool ours)
{
	int fd = open_path(s, file, write ? O_RDWR : O_RDONLY);

	if (fd < 0 && errno == ENOENT && write && !ours)
		fd = open_path(s, file, O_RDWR | O_CREAT);
	return fd;
}

static enum storage_result open_file(
	struct storage *s, size_t file, bool write, int *ret, struct error *err)
{
	uint64_t ours = written_end(s, file);
	struct stat st;

	int fd = open_or_make(s, file, write, ours > 0);
	if (fd < 0 && (errno == EMFILE || errno == ENFILE)) {
		file_table_close_unused(s->open);
		fd = open_or_make(s, file, write, ours > 0);
	}
	if (fd < 0) {
		bool absent = errno == ENOENT;
		if (absent && ours > 0)
			file_lost(s, file, "vanished", err);
		else
			file_error(s, file, "open", err);
		return absent && ours == 0 && !write ? STORAGE_ABSENT
						     : STORAGE_FAILED;
	}

	if (fstat(fd, &st) != 0) {
		file_error(s, file, "open", err);
	} else if (!S_ISREG(st.st_mode)) {
		char path[SHOWN_SIZE];
		error_set(err, "%s: is not a regular file",
			shown_file(s, file, path));
	} else if (write && (uint64_t)st.st_size < ours) {
		file_lost(s, file, "cut short", err);
	} else {
		*ret = fd;
		return STORAGE_OK;
	}
	close(fd);
	return STORAGE_FAILED;
}

/* The name may be new.  It may also be from a run that was killed before it
 * could sync the folder, so it does not matter who made it. */
static void note_named(struct storage *s, size_t file)
{
	pthread_mutex_lock(&s->lock);
	struct file_state *f = &s->files[file];
	if (f->written_end == 0)
		f->named = ++s->namings;
	pthread_mutex_unlock(&s->lock);
}

static enum storage_result pin_file(struct storage *s, size_t file, bool write,
	struct file_pin *ret, struct error *err)
{
	int fd;

	if (file_table_find(s->open, file, write, ret))
		return STORAGE_OK;

	file_table_reserve(s->open, ret);
	enum storage_result r = open_file(s, file, write, &fd, err);
	if (r != STORAGE_OK) {
		file_table_cancel(s->open, ret);
		return r;
	}
	if (write)
		note_named(s, file);
	file_table_publish(s->open, ret, file, fd, write);
	return STORAGE_OK;
}

/* ---- Birth and death ---- */

/* A small part of what the process may have, so that sockets get theirs. */
static size_t open_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
		limit.rlim_cur / 4 >= STORAGE_MAX_OPEN)
		return STORAGE_MAX_OPEN;
	return limit.rlim_cur / 4 < 2 ? 2 : (size_t)(limit.rlim_cur / 4);
}

/* mkdir -p: the user's own path, symlinks and all. */
static bool make_folder(const char *folder, struct error *err)
{
	char path[PATH_MAX];
	char words[SHOWN_SIZE];

	int n = snprintf(path, sizeof(path), "%s", folder);
	if (n < 0 || (size_t)n >= sizeof(path))
		return error_set(
			err, "%s: path too long", shown(folder, "", words));

	for (char *p = path; *p; p++) {
		if (*p != '/' || p == path)
			continue;
		*p = '\0';
		(void)mkdir(path, 0777); /* the last one tells */
		*p = '/';
	}
	if (mkdir(path, 0777) != 0 && errno != EEXIST)
		return error_set_errno(
			err, "%s: cannot create", shown(folder, "", words));
	return true;
}

static bool open_folder(struct storage *s, struct error *err)
{
	char path[SHOWN_SIZE];

	if (s->mode == STORAGE_LEECH && !make_folder(s->folder, err))
		return false;
	s->folder_fd = open(s->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->folder_fd < 0)
		return error_set_errno(
			err, "%s: cannot open", shown(s->folder, "", path));
	return true;
}

static bool root_error(const struct storage *s, struct error *err)
{
	char path[SHOWN_SIZE];

	shown_root(s, path);
	return errno == ELOOP ? error_set(err,
					"%s: cannot open: a symbolic link is "
					"in its place",
					path)
			      : error_set_errno(err, "%s: cannot open", path);
}

/* A seed whose root is missing simply has nothing. */
static bool open_seed_root(struct storage *s, struct error *err)
{
	if (!s->m->multi_file)
		return true;
	s->root_fd = open_root(s, O_RDONLY | O_DIRECTORY);
	return s->root_fd >= 0 || errno == ENOENT || root_error(s, err);
}

static bool open_leech_root(struct storage *s, struct error *err)
{
	char path[SHOWN_SIZE];
	struct stat st;

	if (s->m->multi_file) {
		const char *name = s->name ? s->name : s->m->name;
		if (mkdirat(s->folder_fd, name, 0777) != 0 && errno != EEXIST)
			return error_set_errno(
				err, "%s: cannot create", shown_root(s, path));
		s->root_fd = open_root(s, O_RDONLY | O_DIRECTORY);
	} else {
		s->root_fd = open_root(s, O_RDONLY | O_CREAT);
	}
	if (s->root_fd < 0)
		return root_error(s, err);
	if (fstat(s->root_fd, &st) != 0)
		return root_error(s, err);
	if (!s->m->multi_file && !S_ISREG(st.st_mode))
		return error_set(
			err, "%s: is not a regular file", shown_root(s, path));
	return true;
}

/* Where a file system has no locks, the user has to see to it himself. */
static bool lock_root(const struct storage *s, struct error *err)
{
	char path[SHOWN_SIZE];

	if (flock(s->root_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return error_set(err, "%s: in use by another tbt-client",
			shown_root(s, path));
	return true;
}

static bool open_all(struct storage *s, struct error *err)
{
	if (!open_folder(s, err))
		return false;
	if (s->mode == STORAGE_SEED)
		return open_seed_root(s, err);
	return open_leech_root(s, err) && lock_root(s, err);
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

bool storage_open(const struct metainfo *m, const char *folder,
	const char *name, enum storage_mode mode, struct storage **ret,
	struct error *err)
{
	struct storage *s = calloc(1, sizeof(*s));
	if (!s)
		return error_set(err, "storage: out of memory");

	pthread_mutex_init(&s->lock, NULL);
	s->m = m;
	s->mode = mode;
	s->folder_fd = -1;
	s->root_fd = -1;
	s->folder = strdup(folder);
	s->name = name ? strdup(name) : NULL;
	s->root_path = join(folder, name ? name : m->name);
	s->open = file_table_create(open_max());
	s->files = calloc(m->file_count, sizeof(*s->files));
	if (!s->folder || (name && !s->name) || !s->root_path || !s->open ||
		!s->files) {
		error_set(err, "storage: out of memory");
		goto fail;
	}
	if (!open_all(s, err))
		goto fail;
	*ret = s;
	return true;

fail:
	storage_close(s);
	return false;
}

void storage_close(struct storage *s)
{
	if (!s)
		return;
	file_table_destroy(s->open);
	if (s->root_fd >= 0)
		close(s->root_fd);
	if (s->folder_fd >= 0)
		close(s->folder_fd);
	free(s->files);
	free(s->root_path);
	free(s->name);
	free(s->folder);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* ---- Reading ---- */

static enum storage_result read_part(struct storage *s,
	const struct layout_part *part, uint8_t *ret, struct error *err)
{
	struct file_pin pin;
	uint64_t done = 0;

	enum storage_result r = pin_file(s, part->file, false, &pin, err);
	if (r != STORAGE_OK)
		return r;

	while (done < part->len && r == STORAGE_OK) {
		ssize_t n = pread(pin.fd, ret + done, part->len - done,
			(off_t)(part->offset + done));
		if (n > 0) {
			done += (uint64_t)n;
		} else if (n == 0) {
			char path[SHOWN_SIZE];
			error_set(err, "%s: shorter than the torrent says",
				shown_file(s, part->file, path));
			r = STORAGE_ABSENT;
		} else if (errno != EINTR) {
			file_error(s, part->file, "read", err);
			r = STORAGE_FAILED;
		}
	}
	file_table_release(s->open, &pin);
	return r;
}

enum storage_result storage_read(struct storage *s, uint64_t offset, void *ret,
	size_t len, struct error *err)
{
	struct layout_walk w = layout_walk(s->m, offset, len);
	struct layout_part part;
	uint8_t *to = ret;

	while (layout_next(&w, &part)) {
		enum storage_result r = STORAGE_OK;
		if (part.file == LAYOUT_NO_FILE)
			memset(to, 0, part.len);
		else
			r = read_part(s, &part, to, err);
		if (r != STORAGE_OK)
			return r;
		to += part.len;
	}
	return STORAGE_OK;
}

/* ---- Writing ---- */

/* A place in the bytes of an iovec. */
struct iov_cursor {
	const struct iovec *iov;
	size_t count;
	size_t used; /* of iov[0] */
};

static void iov_advance(struct iov_cursor *c, uint64_t len)
{
	while (c->count > 0 && len >= c->iov->iov_len - c->used) {
		len -= c->iov->iov_len - c->used;
		c->iov++;
		c->count--;
		c->used = 0;
	}
	c->used += (size_t)len;
}

/* The next at most `len` bytes as segments; returns how many these are. */
static int iov_next(
	const struct iov_cursor *c, uint64_t len, struct iovec ret[IOV_MAX])
{
	size_t skip = c->used;
	int n = 0;

	for (size_t i = 0; i < c->count && n < IOV_MAX && len > 0; i++) {
		size_t here = c->iov[i].iov_len - skip;
		if (here > len)
			here = (size_t)len;
		ret[n++] = (struct iovec){
			(uint8_t *)c->iov[i].iov_base + skip, here};
		len -= here;
		skip = 0;
	}
	return n;
}

static void note_written(struct storage *s, size_t file, uint64_t end)
{
	pthread_mutex_lock(&s->lock);
	struct file_state *f = &s->files[file];
	f->writes++;
	if (end > f->written_end)
		f->written_end = end;
	pthread_mutex_unlock(&s->lock);
}

static bool write_part(struct storage *s, const struct layout_part *part,
	struct iov_cursor *from, struct error *err)
{
	struct iovec batch[IOV_MAX];
	struct file_pin pin;
	uint64_t done = 0;
	bool ok = true;

	if (pin_file(s, part->file, true, &pin, err) != STORAGE_OK)
		return false;

	while (done < part->len && ok) {
		int count = iov_next(from, part->len - done, batch);
		ssize_t n = pwritev(
			pin.fd, batch, count, (off_t)(part->offset + done));
		if (n > 0) {
			done += (uint64_t)n;
			iov_advance(from, (uint64_t)n);
		} else if (n == 0 || errno != EINTR) {
			if (n == 0)
				errno = EIO; /* no file does that */
			ok = file_error(s, part->file, "write", err);
		}
	}
	if (done > 0)
		note_written(s, part->file, part->offset + done);
	file_table_release(s->open, &pin);
	return ok;
}

bool storage_write(struct storage *s, uint64_t offset, const struct iovec *iov,
	size_t iov_count, struct error *err)
{
	struct iov_cursor from = {iov, iov_count, 0};
	struct layout_part part;
	uint64_t len = 0;

	assert(s->mode == STORAGE_LEECH);
	for (size_t i = 0; i < iov_count; i++)
		len += iov[i].iov_len;

	struct layout_walk w = layout_walk(s->m, offset, len);
	while (layout_next(&w, &part)) {
		if (part.file == LAYOUT_NO_FILE)
			iov_advance(&from, part.len);
		else if (!write_part(s, &part, &from, err))
			return false;
	}
	return true;
}

/* ---- Syncing ---- */

static bool sync_data(struct storage *s, size_t file, struct error *err)
{
	struct file_pin pin;

	pthread_mutex_lock(&s->lock);
	struct file_state *f = &s->files[file];
	uint32_t writes = f->writes;
	bool clean = writes == f->synced;
	pthread_mutex_unlock(&s->lock);
	if (clean)
		return true;

	/* Its descriptor may have made room for others meanwhile; what was
	 * written through it is synced through any other. */
	if (pin_file(s, file, false, &pin, err) != STORAGE_OK)
		return false;
	bool ok = fdatasync(pin.fd) == 0 || file_error(s, file, "sync", err);
	file_table_release(s->open, &pin);
	if (!ok)
		return false;

	pthread_mutex_lock(&s->lock);
	s->files[file].synced = writes;
	pthread_mutex_unlock(&s->lock);
	return true;
}

/* Some file systems cannot sync a folder and say EINVAL: they need not. */
static bool fsync_folder(int fd) { return fsync(fd) == 0 || errno == EINVAL; }

/* Length of the path's folders that `path` shares with `other`. */
static size_t shared_folders(const char *path, const char *other)
{
	size_t len = 0;

	for (size_t i = 0; path[i] && path[i] == other[i]; i++) {
		if (path[i] == '/')
			len = i + 1;
	}
	return len;
}

/* The folders on the way to a file, but for the first `skip` bytes of its path
 * and the root. */
static bool sync_folders(
	const struct storage *s, size_t file, size_t skip, struct error *err)
{
	char *path = strdup(s->m->files[file].path);
	bool ok = path || error_set(err, "storage: out of memory");

	for (char *p = ok ? path + skip : NULL; ok && (p = strchr(p, '/'));
		p++) {
		*p = '\0';
		int fd = beneath_open(s->root_fd, path, O_RDONLY | O_DIRECTORY);
		ok = (fd >= 0 && fsync_folder(fd)) ||
			file_error(s, file, "sync the folder", err);
		if (fd >= 0)
			close(fd);
		*p = '/';
	}
	free(path);
	return ok;
}

/* Every name that came to be before this call.  The files mostly come folder
 * by folder, so each folder is synced once or little more. */
static bool sync_names(struct storage *s, struct error *err)
{
	char root[SHOWN_SIZE];
	const char *last = "";

	pthread_mutex_lock(&s->lock);
	uint32_t until = s->namings;
	pthread_mutex_unlock(&s->lock);
	if (until == 0)
		return true;

	for (size_t i = 0; i < s->m->file_count; i++) {
		const char *path = s->m->files[i].path;

		pthread_mutex_lock(&s->lock);
		uint32_t named = s->files[i].named;
		pthread_mutex_unlock(&s->lock);
		if (named == 0 || named > until)
			continue;

		if (s->m->multi_file &&
			!sync_folders(s, i, shared_folders(path, last), err))
			return false;
		last = path;

		pthread_mutex_lock(&s->lock);
		if (s->files[i].named == named)
			s->files[i].named = 0;
		pthread_mutex_unlock(&s->lock);
	}
	if (last[0] == '\0')
		return true;
	if (!fsync_folder(s->root_fd) || !fsync_folder(s->folder_fd))
		return error_set_errno(
			err, "%s: cannot sync", shown_root(s, root));
	return true;
}

static bool sync_all(struct storage *s, struct error *err)
{
	for (size_t i = 0; i < s->m->file_count; i++) {
		if (!sync_data(s, i, err))
			return false;
	}
	return sync_names(s, err);
}

bool storage_sync(struct storage *s, struct error *err)
{
	pthread_mutex_lock(&s->lock);
	bool failed = s->sync_failed;
	if (failed)
		*err = s->sync_error;
	pthread_mutex_unlock(&s->lock);
	if (failed)
		return false;
	if (sync_all(s, err))
		return true;

	/* The kernel tells of lost data once; we remember it. */
	pthread_mutex_lock(&s->lock);
	s->sync_failed = true;
	s->sync_error = *err;
	pthread_mutex_unlock(&s->lock);
	return false;
}

/* ---- Looking after it ---- */

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* How `fd` is no longer what its path leads to, or NULL.  `path_fd`, which is
 * closed, is what was found there. */
static const char *lost(int fd, int path_fd)
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

static bool root_still_there(const struct storage *s, struct error *err)
{
	char path[SHOWN_SIZE];
	const char *how = lost(s->folder_fd,
		open(s->folder, O_PATH | O_DIRECTORY | O_CLOEXEC));

	if (how)
		return error_set(err, "%s: %s while in use",
			shown(s->folder, "", path), how);
	if (s->root_fd < 0)
		return true;
	how = lost(s->root_fd, open_root(s, O_PATH));
	if (how)
		return error_set(
			err, "%s: %s while in use", shown_root(s, path), how);
	return true;
}

static bool file_still_there(
	struct storage *s, const struct file_pin *pin, struct error *err)
{
	/* Ask first: what others write meanwhile makes the file longer. */
	uint64_t ours = written_end(s, pin->file);
	const char *how = lost(pin->fd, open_path(s, pin->file, O_PATH));
	struct stat st;

	if (!how && fstat(pin->fd, &st) == 0 && (uint64_t)st.st_size < ours)
		how = "was cut short";
	return how ? file_lost(s, pin->file, how, err) : true;
}

bool storage_still_there(struct storage *s, struct error *err)
{
	bool ok = root_still_there(s, err);

	for (size_t i = 0; ok && i < file_table_max(s->open); i++) {
		struct file_pin pin;
		if (!file_table_at(s->open, i, &pin))
			continue;
		ok = file_still_there(s, &pin, err);
		file_table_release(s->open, &pin);
	}
	return ok;
}

static void stat_of(const struct stat *st, struct storage_stat *ret)
{
	*ret = (struct storage_stat){
		.exists = true,
		.size = (uint64_t)st->st_size,
		.mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 +
			st->st_mtim.tv_nsec,
		.inode = st->st_ino,
	};
}

void storage_stat(struct storage *s, size_t index, struct storage_stat *ret)
{
	struct stat st;
	struct storage_stat is = {.exists = false};

	if (on_disk(&s->m->files[index])) {
		int fd = open_path(s, index, O_PATH);
		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
			stat_of(&st, &is);
		if (fd >= 0)
			close(fd);
	}
	*ret = is;
}

void storage_remember(struct storage *s)
{
	for (size_t i = 0; i < s->m->file_count; i++) {
		struct storage_stat now;
		storage_stat(s, i, &now);

		pthread_mutex_lock(&s->lock);
		s->files[i].checked = now;
		pthread_mutex_unlock(&s->lock);
	}
}

static bool file_unchanged(struct storage *s, size_t file)
{
	struct file_pin pin;
	struct error err;
	struct stat st;
	struct storage_stat now;

	pthread_mutex_lock(&s->lock);
	struct storage_stat then = s->files[file].checked;
	pthread_mutex_unlock(&s->lock);

	/* By the descriptor that reads use, so that read, then ask, has no
	 * gap. */
	if (pin_file(s, file, false, &pin, &err) != STORAGE_OK)
		return false;
	bool known = fstat(pin.fd, &st) == 0;
	file_table_release(s->open, &pin);
	if (!known)
		return false;
	stat_of(&st, &now);
	return then.exists && now.size == then.size &&
		now.mtime_ns == then.mtime_ns && now.inode == then.inode;
}

bool storage_unchanged(
	struct storage *s, uint64_t offset, uint64_t len, size_t *ret_file)
{
	struct layout_walk w = layout_walk(s->m, offset, len);
	struct layout_part part;

	while (layout_next(&w, &part)) {
		if (part.file != LAYOUT_NO_FILE &&
			!file_unchanged(s, part.file)) {
			*ret_file = part.file;
			return false;
		}
	}
	return true;
}

/* Where in the part data may begin; part->len: nowhere. */
static uint64_t data_in_part(struct storage *s, const struct layout_part *part)
{
	struct file_pin pin;
	struct error err;

	if (part->file == LAYOUT_NO_FILE)
		return 0;
	enum storage_result r = pin_file(s, part->file, false, &pin, &err);
	if (r != STORAGE_OK) /* a failure is for the read to tell */
		return r == STORAGE_ABSENT ? part->len : 0;

	/* Moves the descriptor's own position, which nobody else uses. */
	off_t at = lseek(pin.fd, (off_t)part->offset, SEEK_DATA);
	bool nothing = at < 0 && errno == ENXIO;
	file_table_release(s->open, &pin);

	if (nothing)
		return part->len;
	if (at < 0)
		return 0;
	uint64_t skipped = (uint64_t)at - part->offset;
	return skipped < part->len ? skipped : part->len;
}

bool storage_next_data(
	struct storage *s, uint64_t offset, uint64_t end, uint64_t *ret_offset)
{
	if (offset >= end)
		return false;

	struct layout_walk w = layout_walk(s->m, offset, end - offset);
	struct layout_part part;

	while (layout_next(&w, &part)) {
		uint64_t begin = w.offset - part.len;
		uint64_t skipped = data_in_part(s, &part);
		if (skipped < part.len) {
			*ret_offset = begin + skipped;
			return true;
		}
	}
	return false;
}

/* ---- The end of a download ---- */

static bool cut_file(struct storage *s, size_t file, struct error *err)
{
	struct file_pin pin;

	if (pin_file(s, file, true, &pin, err) != STORAGE_OK)
		return false;
	bool ok = ftruncate(pin.fd, (off_t)s->m->files[file].length) == 0 ||
		file_error(s, file, "cut to its length", err);
	note_written(s, file, 0);
	file_table_release(s->open, &pin);
	return ok;
}

static bool complete_file(struct storage *s, size_t file, struct error *err)
{
	const struct metainfo_file *f = &s->m->files[file];
	uint64_t ours = written_end(s, file);
	struct storage_stat st;

	storage_stat(s, file, &st);
	if (st.exists && st.size < ours)
		return file_lost(s, file, "was cut short", err);
	if (!st.exists && ours > 0)
		return file_lost(s, file, "vanished", err);
	if ((st.exists && st.size > f->length) || f->length == 0)
		return cut_file(s, file, err);
	return true;
}

bool storage_complete(struct storage *s, struct error *err)
{
	assert(s->mode == STORAGE_LEECH);
	for (size_t i = 0; i < s->m->file_count; i++) {
		if (on_disk(&s->m->files[i]) && !complete_file(s, i, err))
			return false;
	}
	return storage_sync(s, err);
}

void storage_unlock(struct storage *s)
{
	if (s->mode == STORAGE_LEECH)
		(void)flock(s->root_fd, LOCK_UN); /* closing does it, too */
}

const char *storage_root_path(const struct storage *s) { return s->root_path; }

int storage_folder_fd(const struct storage *s) { return s->folder_fd; }
