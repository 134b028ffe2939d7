#include "client/storage/content_files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/storage/beneath.h"
#include "shared/metainfo.h"

/* What we know of one file; a torrent may have 100,000. */
struct file_state {
	uint64_t written_end; /* we wrote up to here: it is no shorter */
	uint32_t writes;      /* differs from `synced`: there is something to */
	uint32_t synced;      /* sync */
	uint32_t named;       /* 0, or the number of the change by which its
			       * name came to be and is not synced yet */
	struct storage_stat checked; /* as storage_remember() saw it */
	uint64_t inode;              /* of the file that we write to; 0: none */
};

struct content_files {
	/* Set once, by content_files_open(). */
	const struct content_root *root;
	struct file_table *open;

	pthread_mutex_t lock;

	/* The rest is guarded by `lock`. */
	uint32_t namings;        /* counts changes of folders */
	bool sync_failed;        /* once lost, data does not come back by */
	struct error sync_error; /* asking fsync again */
	struct file_state *files;
};

/* A small part of what the process may have, so that sockets get theirs. */
static size_t open_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
		limit.rlim_cur / 4 >= STORAGE_MAX_OPEN)
		return STORAGE_MAX_OPEN;
	return limit.rlim_cur / 4 < 2 ? 2 : (size_t)(limit.rlim_cur / 4);
}

struct content_files *content_files_open(const struct content_root *root)
{
	struct content_files *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	pthread_mutex_init(&f->lock, NULL);
	f->root = root;
	f->open = file_table_create(open_max());
	f->files = calloc(root->m->file_count, sizeof(*f->files));
	if (!f->open || !f->files) {
		content_files_close(f);
		return NULL;
	}
	return f;
}

void content_files_close(struct content_files *f)
{
	if (!f)
		return;
	file_table_destroy(f->open);
	free(f->files);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

bool content_files_on_disk(const struct content_files *f, size_t file)
{
	return metainfo_on_disk(&f->root->m->files[file]);
}

/* "FILE: cannot WHAT: errno". */
bool content_files_error(const struct content_files *f, size_t file,
	const char *what, struct error *err)
{
	char path[SHOWN_PATH_SIZE];
	int saved = errno;

	content_root_shown_file(f->root, file, path);
	if (saved == ELOOP)
		return error_set(err,
			"%s: cannot %s: a symbolic link is in its place", path,
			what);
	errno = saved;
	return error_set_errno(err, "%s: cannot %s", path, what);
}

static bool file_lost(const struct content_files *f, size_t file,
	const char *how, struct error *err)
{
	char path[SHOWN_PATH_SIZE];

	return error_set(err, "%s: %s while in use",
		content_root_shown_file(f->root, file, path), how);
}

/* ---- opening ---- */

static struct file_state state_of(struct content_files *f, size_t file)
{
	pthread_mutex_lock(&f->lock);
	struct file_state state = f->files[file];
	pthread_mutex_unlock(&f->lock);
	return state;
}

/* It is no shorter, if nobody has cut it: what was found there and what we have
 * written.  What is too long we cut ourselves in the end. */
static uint64_t least_size(const struct content_files *f, size_t file,
	const struct file_state *state)
{
	uint64_t found = state->checked.size;
	uint64_t length = f->root->m->files[file].length;

	if (found > length)
		found = length;
	return state->written_end > found ? state->written_end : found;
}

/* Good data may be in a file that does not exist: it has vanished, and a new
 * one in its place would hide that. */
static int open_or_make(
	const struct content_files *f, size_t file, bool write, bool had)
{
	int fd = content_root_open_file(
		f->root, file, write ? O_RDWR : O_RDONLY);

	if (fd < 0 && errno == ENOENT && write && !had)
		fd = content_root_open_file(f->root, file, O_RDWR | O_CREAT);
	return fd;
}

/* The name may be new.  It may also be from a run that was killed before it
 * could sync the folder, so it does not matter who made it. */
static void note_named(struct content_files *f, size_t file, uint64_t inode)
{
	pthread_mutex_lock(&f->lock);
	struct file_state *state = &f->files[file];
	if (state->written_end == 0)
		state->named = ++f->namings;
	state->inode = inode;
	pthread_mutex_unlock(&f->lock);
}

/* After an open that failed: true if there were no descriptors left, and now
 * are those that nobody uses. */
static bool made_room(const struct content_files *f)
{
	if (errno != EMFILE && errno != ENFILE)
		return false;
	file_table_close_unused(f->open);
	return true;
}

static enum storage_result open_file(struct content_files *f, size_t file,
	bool write, int *ret, struct error *err)
{
	struct file_state state = state_of(f, file);
	uint64_t least = least_size(f, file, &state);
	struct stat st;

	int fd = open_or_make(f, file, write, least > 0);
	if (fd < 0 && made_room(f))
		fd = open_or_make(f, file, write, least > 0);
	if (fd < 0) {
		bool absent = errno == ENOENT;
		if (absent && least > 0)
			file_lost(f, file, "vanished", err);
		else
			content_files_error(f, file, "open", err);
		return absent && least == 0 && !write ? STORAGE_ABSENT
						      : STORAGE_FAILED;
	}

	if (fstat(fd, &st) != 0) {
		content_files_error(f, file, "open", err);
	} else if (!S_ISREG(st.st_mode)) {
		char path[SHOWN_PATH_SIZE];
		error_set(err, "%s: is not a regular file",
			content_root_shown_file(f->root, file, path));
	} else if (write && least > 0 && st.st_ino != state.inode) {
		file_lost(f, file, "was replaced", err);
	} else if (write && (uint64_t)st.st_size < least) {
		file_lost(f, file, "was cut short", err);
	} else {
		if (write)
			note_named(f, file, st.st_ino);
		*ret = fd;
		return STORAGE_OK;
	}
	close(fd);
	return STORAGE_FAILED;
}

static bool is_cut_short(struct content_files *f, const struct file_pin *pin)
{
	/* Its state first: what others write meanwhile makes the file longer.
	 */
	struct file_state state = state_of(f, pin->file);
	struct stat st;

	return fstat(pin->fd, &st) == 0 &&
		(uint64_t)st.st_size < least_size(f, pin->file, &state);
}

enum storage_result content_files_pin(struct content_files *f, size_t file,
	bool write, struct file_pin *ret, struct error *err)
{
	int fd;

	if (file_table_find(f->open, file, write, ret)) {
		/* Now, or a write further on would hide it by a hole. */
		if (!write || !is_cut_short(f, ret))
			return STORAGE_OK;
		file_table_release(f->open, ret);
		file_lost(f, file, "was cut short", err);
		return STORAGE_FAILED;
	}

	file_table_reserve(f->open, ret);
	enum storage_result r = open_file(f, file, write, &fd, err);
	if (r != STORAGE_OK) {
		file_table_cancel(f->open, ret);
		return r;
	}
	file_table_publish(f->open, ret, file, fd, write);
	return STORAGE_OK;
}

void content_files_release(struct content_files *f, const struct file_pin *pin)
{
	file_table_release(f->open, pin);
}

void content_files_wrote(struct content_files *f, size_t file, uint64_t end)
{
	pthread_mutex_lock(&f->lock);
	struct file_state *state = &f->files[file];
	state->writes++;
	if (end > state->written_end)
		state->written_end = end;
	pthread_mutex_unlock(&f->lock);
}

/* ---- syncing ---- */

enum sync_result { SYNC_DONE, SYNC_NOT_OPENED, SYNC_FAILED };

static enum sync_result sync_data(
	struct content_files *f, size_t file, struct error *err)
{
	struct file_pin pin;

	pthread_mutex_lock(&f->lock);
	struct file_state *state = &f->files[file];
	uint32_t writes = state->writes;
	bool clean = writes == state->synced;
	pthread_mutex_unlock(&f->lock);
	if (clean)
		return SYNC_DONE;

	/* Its descriptor may have made room for others meanwhile; what was
	 * written through it is synced through any other. */
	if (content_files_pin(f, file, false, &pin, err) != STORAGE_OK)
		return SYNC_NOT_OPENED;
	bool ok = fdatasync(pin.fd) == 0 ||
		content_files_error(f, file, "sync", err);
	content_files_release(f, &pin);
	if (!ok)
		return SYNC_FAILED;

	pthread_mutex_lock(&f->lock);
	f->files[file].synced = writes;
	pthread_mutex_unlock(&f->lock);
	return SYNC_DONE;
}

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
static bool sync_folders(const struct content_files *f, size_t file,
	size_t skip, struct error *err)
{
	char *path = strdup(f->root->m->files[file].path);
	bool ok = path || error_set(err, "storage: out of memory");

	for (char *p = ok ? path + skip : NULL; ok && (p = strchr(p, '/'));
		p++) {
		*p = '\0';
		int fd =
			beneath_open(f->root->fd, path, O_RDONLY | O_DIRECTORY);
		ok = (fd >= 0 && content_root_sync_folder(fd)) ||
			content_files_error(f, file, "sync the folder", err);
		if (fd >= 0)
			close(fd);
		*p = '/';
	}
	free(path);
	return ok;
}

/* Every name that came to be before this call.  The files mostly come folder
 * by folder, so each folder is synced once or little more. */
static bool sync_names(struct content_files *f, struct error *err)
{
	const char *last = "";

	pthread_mutex_lock(&f->lock);
	uint32_t until = f->namings;
	pthread_mutex_unlock(&f->lock);
	if (until == 0)
		return true;

	for (size_t i = 0; i < f->root->m->file_count; i++) {
		const char *path = f->root->m->files[i].path;

		pthread_mutex_lock(&f->lock);
		uint32_t named = f->files[i].named;
		pthread_mutex_unlock(&f->lock);
		if (named == 0 || named > until)
			continue;

		if (f->root->m->multi_file &&
			!sync_folders(f, i, shared_folders(path, last), err))
			return false;
		last = path;

		pthread_mutex_lock(&f->lock);
		if (f->files[i].named == named)
			f->files[i].named = 0;
		pthread_mutex_unlock(&f->lock);
	}
	if (last[0] == '\0')
		return true;
	return content_root_sync(f->root, err);
}

/* One sync of the data of many files, by several threads: each mostly waits for
 * the disk's journal, and who waits at the same time waits for the same write
 * of it. */
struct sync_run {
	struct content_files *f;
	atomic_size_t next; /* file */
	atomic_bool failed;
	struct error err; /* of the first that failed */
};

enum {
	MAX_SYNCERS = 8,
	FILES_PER_SYNCER = 16,
};

static void *sync_thread(void *arg)
{
	struct sync_run *run = arg;
	struct error err;

	while (!atomic_load(&run->failed)) {
		size_t file = atomic_fetch_add(&run->next, 1);
		if (file >= run->f->root->m->file_count)
			break;
		enum sync_result result = sync_data(run->f, file, &err);
		/* Perhaps we are too many for the descriptors that are left:
		 * who is alone then will see. */
		if (result == SYNC_NOT_OPENED)
			break;
		if (result == SYNC_FAILED &&
			!atomic_exchange(&run->failed, true))
			run->err = err;
	}
	return NULL;
}

static size_t count_unsynced(struct content_files *f)
{
	size_t count = 0;

	pthread_mutex_lock(&f->lock);
	for (size_t i = 0; i < f->root->m->file_count; i++)
		count += f->files[i].writes != f->files[i].synced;
	pthread_mutex_unlock(&f->lock);
	return count;
}

/* Most of the data, if there are many files. */
static bool sync_side_by_side(struct content_files *f, struct error *err)
{
	struct sync_run run = {.f = f};
	pthread_t threads[MAX_SYNCERS];
	size_t most = count_unsynced(f) / FILES_PER_SYNCER;
	size_t count = 0;

	while (count < most && count < MAX_SYNCERS &&
		pthread_create(&threads[count], NULL, sync_thread, &run) == 0)
		count++;
	while (count > 0)
		pthread_join(threads[--count], NULL);
	if (run.failed)
		*err = run.err;
	return !run.failed;
}

static bool sync_all(struct content_files *f, struct error *err)
{
	if (!sync_side_by_side(f, err))
		return false;
	for (size_t i = 0; i < f->root->m->file_count; i++) {
		if (sync_data(f, i, err) != SYNC_DONE)
			return false;
	}
	return sync_names(f, err);
}

bool content_files_sync(struct content_files *f, struct error *err)
{
	pthread_mutex_lock(&f->lock);
	bool failed = f->sync_failed;
	if (failed)
		*err = f->sync_error;
	pthread_mutex_unlock(&f->lock);
	if (failed)
		return false;
	if (sync_all(f, err))
		return true;

	/* The kernel tells of lost data once; we remember it. */
	pthread_mutex_lock(&f->lock);
	f->sync_failed = true;
	f->sync_error = *err;
	pthread_mutex_unlock(&f->lock);
	return false;
}

/* ---- looking after them ---- */

static bool file_still_there(
	struct content_files *f, const struct file_pin *pin, struct error *err)
{
	const char *how = content_root_lost(
		pin->fd, content_root_open_file(f->root, pin->file, O_PATH));

	if (!how && is_cut_short(f, pin))
		how = "was cut short";
	return how ? file_lost(f, pin->file, how, err) : true;
}

bool content_files_still_there(struct content_files *f, struct error *err)
{
	bool ok = content_root_still_there(f->root, err);

	for (size_t i = 0; ok && i < file_table_max(f->open); i++) {
		struct file_pin pin;
		if (!file_table_at(f->open, i, &pin))
			continue;
		ok = file_still_there(f, &pin, err);
		content_files_release(f, &pin);
	}
	return ok;
}

static int64_t in_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * 1000000000 + t->tv_nsec;
}

static void stat_of(const struct stat *st, struct storage_stat *ret)
{
	*ret = (struct storage_stat){
		.exists = true,
		.size = (uint64_t)st->st_size,
		.mtime_ns = in_ns(&st->st_mtim),
		.ctime_ns = in_ns(&st->st_ctim),
		.inode = st->st_ino,
	};
}

/* False, with errno: whether it exists cannot be told. */
static bool look_at(
	const struct content_files *f, size_t file, struct storage_stat *ret)
{
	struct stat st;

	*ret = (struct storage_stat){.exists = false};
	if (!content_files_on_disk(f, file))
		return true;
	int fd = content_root_open_file(f->root, file, O_PATH);
	if (fd < 0 && made_room(f))
		fd = content_root_open_file(f->root, file, O_PATH);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
	bool known = fstat(fd, &st) == 0;
	if (known && S_ISREG(st.st_mode))
		stat_of(&st, ret);
	close(fd);
	return known;
}

void content_files_stat(
	const struct content_files *f, size_t file, struct storage_stat *ret)
{
	(void)look_at(f, file, ret); /* what cannot be told is checked anew */
}

void content_files_remember(struct content_files *f)
{
	/* What is open may no longer be what the name leads to. */
	file_table_close_unused(f->open);
	for (size_t i = 0; i < f->root->m->file_count; i++) {
		struct storage_stat now;
		content_files_stat(f, i, &now);

		pthread_mutex_lock(&f->lock);
		f->files[i].checked = now;
		f->files[i].inode = now.inode;
		pthread_mutex_unlock(&f->lock);
	}
}

static bool is_as_checked(
	const struct storage_stat *now, const struct storage_stat *then)
{
	return then->exists && now->size == then->size &&
		now->mtime_ns == then->mtime_ns &&
		now->ctime_ns == then->ctime_ns && now->inode == then->inode;
}

bool content_files_unchanged(struct content_files *f, size_t file)
{
	struct file_pin pin;
	struct error err;
	struct stat st;
	struct storage_stat now;

	struct file_state state = state_of(f, file);

	/* By the descriptor that reads use, so that read, then ask, has no
	 * gap. */
	if (content_files_pin(f, file, false, &pin, &err) != STORAGE_OK)
		return false;
	bool known = fstat(pin.fd, &st) == 0;
	content_files_release(f, &pin);
	if (!known)
		return false;
	stat_of(&st, &now);
	return is_as_checked(&now, &state.checked);
}

/* How it is no longer as we left it, or NULL.  What others write to a file that
 * we write to, too, cannot be told by its stat. */
static const char *how_lost(const struct content_files *f, size_t file,
	const struct file_state *state, const struct storage_stat *now)
{
	uint64_t least = least_size(f, file, state);

	if (least == 0)
		return NULL;
	if (!now->exists)
		return "vanished";
	if (now->inode != state->inode)
		return "was replaced";
	if (now->size < least)
		return "was cut short";
	if (state->writes == 0 && now->mtime_ns != state->checked.mtime_ns)
		return "was changed";
	return NULL;
}

bool content_files_as_left(
	struct content_files *f, size_t file, struct error *err)
{
	struct file_state state = state_of(f, file);
	struct storage_stat now;

	if (!look_at(f, file, &now))
		return content_files_error(f, file, "open", err);
	const char *how = how_lost(f, file, &state, &now);
	return how ? file_lost(f, file, how, err) : true;
}

void content_files_stat_as_left(
	struct content_files *f, size_t file, struct storage_stat *ret)
{
	struct storage_stat now;

	/* Its state first: what we write meanwhile makes the file longer. */
	struct file_state state = state_of(f, file);
	content_files_stat(f, file, &now);
	if (state.writes == 0)
		*ret = state.checked;
	else if (how_lost(f, file, &state, &now))
		*ret = (struct storage_stat){.exists = true};
	else
		*ret = now;
}

/* ---- the end of a download ---- */

static bool cut_file(struct content_files *f, size_t file, struct error *err)
{
	struct file_pin pin;

	if (content_files_pin(f, file, true, &pin, err) != STORAGE_OK)
		return false;
	bool ok =
		ftruncate(pin.fd, (off_t)f->root->m->files[file].length) == 0 ||
		content_files_error(f, file, "cut to its length", err);
	content_files_wrote(f, file, 0);
	content_files_release(f, &pin);
	return ok;
}

bool content_files_complete(
	struct content_files *f, size_t file, struct error *err)
{
	uint64_t length = f->root->m->files[file].length;
	struct storage_stat st;

	content_files_stat(f, file, &st);
	bool too_long = st.exists && st.size > length;
	bool to_be_made = !st.exists && length == 0;
	return (!too_long && !to_be_made) || cut_file(f, file, err);
}
