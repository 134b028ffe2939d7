#include "client/storage/parts_file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/storage/content_root.h"
#include "shared/metainfo.h"
#include "shared/reader.h"
#include "shared/writer.h"

/* On disk:
 *
 *	"tbt-parts 1\n"  and the info hash (20)
 *	records:         file (4), stretch (4), length (8), the bytes
 *
 * numbers in network byte order.  New records come to the end; one that is done
 * without has GONE for its stretch. */
static const char magic[] = "tbt-parts 1\n";

enum {
	MAGIC_SIZE = sizeof(magic) - 1,
	HEADER_SIZE = MAGIC_SIZE + INFO_HASH_SIZE,
	RECORD_SIZE = 16,
	HEAD = 0,
	TAIL = 1,
	GONE = 2,
	NAME_SIZE = 1 + 40 + sizeof(".tbt-parts"),
	NO_PLACE = 0, /* the header is there */
};

struct parts_file {
	/* Set once. */
	const struct content_root *root;
	const struct metainfo *m;
	bool writable;
	char name[NAME_SIZE];

	/* Held while the file is made, once; then `lock` is taken. */
	pthread_mutex_t making;
	pthread_mutex_t lock;

	/* Guarded by `lock`. */
	int fd;                              /* -1: there is no file yet */
	uint64_t end;                        /* where the next record goes */
	size_t count;                        /* of records */
	uint64_t (*places)[PARTS_STRETCHES]; /* of their bytes, by file */
	uint32_t writes; /* differs from `synced`: there is something to */
	uint32_t synced; /* sync */
	bool named;      /* its name may not be on disk yet */
	struct stat checked;
};

/* ---- words ---- */

static const char *shown(const struct parts_file *p, char ret[SHOWN_PATH_SIZE])
{
	return content_root_shown_path(p->root->folder, p->name, ret);
}

bool parts_file_error(
	const struct parts_file *p, const char *what, struct error *err)
{
	char path[SHOWN_PATH_SIZE];
	int saved = errno;

	shown(p, path);
	errno = saved;
	return error_set_errno(err, "%s: cannot %s", path, what);
}

/* ---- stretches ---- */

/* A stretch of a file, by its number; GONE: what lies between. */
struct stretch {
	uint64_t begin, end;
	uint32_t piece; /* of the head and the tail */
};

static struct stretch stretch_of(
	const struct metainfo *m, size_t file, unsigned number)
{
	const struct metainfo_file *f = &m->files[file];
	uint64_t piece_length = m->piece_length;

	if (f->length == 0 || f->pad)
		return (struct stretch){0};
	uint64_t first = f->offset / piece_length;
	uint64_t last = (f->offset + f->length - 1) / piece_length;
	uint64_t head_end = first == last
		? f->length
		: (first + 1) * piece_length - f->offset;
	uint64_t tail =
		first == last ? f->length : last * piece_length - f->offset;

	switch (number) {
	case HEAD:
		return (struct stretch){0, head_end, (uint32_t)first};
	case TAIL:
		return (struct stretch){tail, f->length, (uint32_t)last};
	default:
		return (struct stretch){head_end, tail, 0};
	}
}

/* The stretch that `offset` lies in. */
static unsigned number_of(
	const struct metainfo *m, size_t file, uint64_t offset)
{
	unsigned number = HEAD;

	while (number != GONE && offset >= stretch_of(m, file, number).end)
		number++;
	if (number == TAIL && offset < stretch_of(m, file, TAIL).begin)
		return GONE;
	return number;
}

/* ---- reading what is there ---- */

static bool read_at(int fd, void *ret, size_t len, uint64_t at)
{
	ssize_t n;

	do
		n = pread(fd, ret, len, (off_t)at);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)len;
}

/* A record at `at` that ends at or before `size`.  Moves *at past it. */
static bool read_record(struct parts_file *p, uint64_t *at, uint64_t size)
{
	uint8_t bytes[RECORD_SIZE];

	if (size - *at < RECORD_SIZE ||
		!read_at(p->fd, bytes, sizeof(bytes), *at))
		return false;
	struct reader r = reader_of(bytes, sizeof(bytes));
	uint32_t file = reader_u32(&r);
	uint32_t number = reader_u32(&r);
	uint64_t len = reader_u64(&r);

	uint64_t place = *at + RECORD_SIZE;
	if (len == 0 || len > size - place)
		return false;
	if (number != GONE) {
		if (file >= p->m->file_count || number > TAIL)
			return false;
		struct stretch s = stretch_of(p->m, file, number);
		if (len != s.end - s.begin ||
			p->places[file][number] != NO_PLACE)
			return false;
		p->places[file][number] = place;
		p->count++;
	}
	*at = place + len;
	return true;
}

/* The records, up to the first that is none: what is behind it is lost. */
static void read_records(struct parts_file *p, uint64_t size)
{
	/* Each has its place once; as many again may have been done without. */
	size_t most = 2 * PARTS_STRETCHES * p->m->file_count;

	p->end = HEADER_SIZE;
	while (most-- > 0 && read_record(p, &p->end, size))
		;
}

static bool read_header(
	struct parts_file *p, uint64_t *ret_size, struct error *why)
{
	uint8_t header[HEADER_SIZE];
	struct stat st;

	if (fstat(p->fd, &st) != 0)
		return error_set_errno(why, "cannot read");
	if (!S_ISREG(st.st_mode))
		return error_set(why, "is not a regular file");
	if (st.st_nlink > 1)
		return error_set(why, "has a second name");
	if (st.st_size < HEADER_SIZE ||
		!read_at(p->fd, header, sizeof(header), 0) ||
		memcmp(header, magic, MAGIC_SIZE) != 0)
		return error_set(why, "damaged");
	if (memcmp(header + MAGIC_SIZE, p->m->info_hash.bytes,
		    INFO_HASH_SIZE) != 0)
		return error_set(why, "belongs to another torrent");
	*ret_size = (uint64_t)st.st_size;
	return true;
}

struct parts_file *parts_file_create(const struct content_root *root)
{
	struct parts_file *p = calloc(1, sizeof(*p));
	char hex[INFO_HASH_HEX_SIZE];

	if (!p)
		return NULL;
	p->root = root;
	p->m = root->m;
	p->writable = true;
	p->fd = -1;
	pthread_mutex_init(&p->making, NULL);
	pthread_mutex_init(&p->lock, NULL);
	info_hash_hex(&p->m->info_hash, hex);
	snprintf(p->name, sizeof(p->name), ".%s.tbt-parts", hex);
	p->places = calloc(p->m->file_count, sizeof(*p->places));
	if (!p->places) {
		parts_file_close(p);
		return NULL;
	}
	return p;
}

struct parts_file *parts_file_open(const struct content_root *root,
	bool writable, struct error *ret_warning)
{
	struct parts_file *p = parts_file_create(root);
	char path[SHOWN_PATH_SIZE];
	struct error why;
	uint64_t size = 0;

	*ret_warning = (struct error){""};
	if (!p) {
		error_set(ret_warning, "storage: out of memory");
		return NULL;
	}
	p->writable = writable;
	p->fd = openat(root->folder_fd, p->name,
		(writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_NONBLOCK |
			O_CLOEXEC);
	if (p->fd >= 0 && read_header(p, &size, &why)) {
		read_records(p, size);
		return p;
	}
	if (p->fd >= 0)
		error_set(ret_warning, "%s: %s", shown(p, path), why.text);
	else if (errno != ENOENT)
		parts_file_error(p, "open", ret_warning);
	parts_file_close(p);
	return NULL;
}

void parts_file_close(struct parts_file *p)
{
	if (!p)
		return;
	if (p->fd >= 0)
		close(p->fd);
	free(p->places);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->making);
	free(p);
}

/* ---- places ---- */

static uint64_t place_of_locked(
	const struct parts_file *p, size_t file, unsigned number)
{
	return number == GONE ? NO_PLACE : p->places[file][number];
}

bool parts_file_find(struct parts_file *p, size_t file, uint64_t offset,
	struct parts_place *ret)
{
	unsigned number = number_of(p->m, file, offset);
	struct stretch s = stretch_of(p->m, file, number);

	pthread_mutex_lock(&p->lock);
	uint64_t place = place_of_locked(p, file, number);
	ret->fd = p->fd;
	pthread_mutex_unlock(&p->lock);

	ret->at = place + (offset - s.begin);
	ret->len = s.end - offset;
	return place != NO_PLACE;
}

static bool write_at(int fd, const void *bytes, size_t len, uint64_t at)
{
	ssize_t n;

	do
		n = pwrite(fd, bytes, len, (off_t)at);
	while (n < 0 && errno == EINTR);
	if (n >= 0 && n < (ssize_t)len)
		errno = ENOSPC;
	return n == (ssize_t)len;
}

static void discard(const struct parts_file *p)
{
	(void)unlinkat(p->root->folder_fd, p->name, 0);
}

/* The file itself, in place of what may be there and is of no use. */
static int make_file(const struct parts_file *p, struct error *err)
{
	uint8_t header[HEADER_SIZE];

	memcpy(header, magic, MAGIC_SIZE);
	memcpy(header + MAGIC_SIZE, p->m->info_hash.bytes, INFO_HASH_SIZE);
	discard(p); /* never written through */
	int fd = openat(p->root->folder_fd, p->name,
		O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0) {
		parts_file_error(p, "create", err);
		return -1;
	}
	if (!write_at(fd, header, sizeof(header), 0)) {
		parts_file_error(p, "write", err);
		close(fd);
		return -1;
	}
	return fd;
}

static bool have_file(struct parts_file *p, struct error *err)
{
	pthread_mutex_lock(&p->making);
	pthread_mutex_lock(&p->lock);
	bool there = p->fd >= 0;
	pthread_mutex_unlock(&p->lock);

	int fd = there ? -1 : make_file(p, err);
	if (fd >= 0) {
		pthread_mutex_lock(&p->lock);
		p->fd = fd;
		p->end = HEADER_SIZE;
		p->named = true;
		pthread_mutex_unlock(&p->lock);
	}
	pthread_mutex_unlock(&p->making);
	return there || fd >= 0;
}

static bool write_record(const struct parts_file *p, int fd, size_t file,
	unsigned number, uint64_t len, uint64_t at, struct error *err)
{
	uint8_t bytes[RECORD_SIZE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u32(&w, (uint32_t)file);
	writer_u32(&w, number);
	writer_u64(&w, len);
	return write_at(fd, bytes, sizeof(bytes), at) ||
		parts_file_error(p, "write", err);
}

bool parts_file_make(struct parts_file *p, size_t file, uint64_t offset,
	struct parts_place *ret, struct error *err)
{
	unsigned number = number_of(p->m, file, offset);
	struct stretch s = stretch_of(p->m, file, number);
	uint64_t len = s.end - s.begin;

	if (parts_file_find(p, file, offset, ret))
		return true;
	if (number == GONE) {
		char path[SHOWN_PATH_SIZE];
		return error_set(err, "%s: is not selected",
			content_root_shown_file(p->root, file, path));
	}
	if (!have_file(p, err))
		return false;

	pthread_mutex_lock(&p->lock);
	bool first = p->places[file][number] == NO_PLACE;
	if (first) {
		p->places[file][number] = p->end + RECORD_SIZE;
		p->end += RECORD_SIZE + len;
		p->count++;
	}
	uint64_t place = p->places[file][number];
	int fd = p->fd;
	pthread_mutex_unlock(&p->lock);

	if (first &&
		!write_record(
			p, fd, file, number, len, place - RECORD_SIZE, err))
		return false;
	parts_file_wrote(p);
	*ret = (struct parts_place){
		fd, place + (offset - s.begin), s.end - offset};
	return true;
}

void parts_file_wrote(struct parts_file *p)
{
	pthread_mutex_lock(&p->lock);
	p->writes++;
	pthread_mutex_unlock(&p->lock);
}

bool parts_file_stretch(struct parts_file *p, size_t file, unsigned stretch,
	uint64_t *ret_begin, uint64_t *ret_end, uint32_t *ret_piece)
{
	struct stretch s = stretch_of(p->m, file, stretch);

	pthread_mutex_lock(&p->lock);
	bool there = place_of_locked(p, file, stretch) != NO_PLACE;
	pthread_mutex_unlock(&p->lock);
	*ret_begin = s.begin;
	*ret_end = s.end;
	*ret_piece = s.piece;
	return there;
}

void parts_file_forget(struct parts_file *p, size_t file, unsigned stretch)
{
	struct stretch s = stretch_of(p->m, file, stretch);
	struct error ignored; /* then it is there again, and judged again */

	pthread_mutex_lock(&p->lock);
	uint64_t place = place_of_locked(p, file, stretch);
	if (place != NO_PLACE) {
		p->places[file][stretch] = NO_PLACE;
		p->count--;
	}
	int fd = p->fd;
	pthread_mutex_unlock(&p->lock);
	if (place != NO_PLACE && p->writable)
		(void)write_record(p, fd, file, GONE, s.end - s.begin,
			place - RECORD_SIZE, &ignored);
}

bool parts_file_empty(struct parts_file *p)
{
	pthread_mutex_lock(&p->lock);
	bool empty = p->count == 0;
	pthread_mutex_unlock(&p->lock);
	return empty;
}

/* ---- looking after it ---- */

static int open_fd(struct parts_file *p)
{
	pthread_mutex_lock(&p->lock);
	int fd = p->fd;
	pthread_mutex_unlock(&p->lock);
	return fd;
}

static const char *lost(const struct parts_file *p, int fd)
{
	return content_root_lost(fd,
		openat(p->root->folder_fd, p->name,
			O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

void parts_file_remove(struct parts_file *p)
{
	int fd = open_fd(p);

	if (fd < 0 || !lost(p, fd))
		discard(p);
}

bool parts_file_sync(struct parts_file *p, struct error *err)
{
	pthread_mutex_lock(&p->lock);
	int fd = p->fd;
	uint32_t writes = p->writes;
	bool clean = writes == p->synced;
	bool named = p->named;
	pthread_mutex_unlock(&p->lock);

	if (clean)
		return true;
	if (fdatasync(fd) != 0 ||
		(named && !content_root_sync_folder(p->root->folder_fd)))
		return parts_file_error(p, "sync", err);

	pthread_mutex_lock(&p->lock);
	p->synced = writes;
	p->named = false;
	pthread_mutex_unlock(&p->lock);
	return true;
}

bool parts_file_still_there(struct parts_file *p, struct error *err)
{
	char path[SHOWN_PATH_SIZE];
	int fd = open_fd(p);
	const char *how = fd >= 0 ? lost(p, fd) : NULL;

	return !how ||
		error_set(err, "%s: %s while in use", shown(p, path), how);
}

void parts_file_remember(struct parts_file *p)
{
	struct stat now = {0};
	int fd = open_fd(p);

	if (fd < 0 || fstat(fd, &now) != 0)
		return;
	pthread_mutex_lock(&p->lock);
	p->checked = now;
	pthread_mutex_unlock(&p->lock);
}

bool parts_file_unchanged(struct parts_file *p)
{
	struct stat now;

	pthread_mutex_lock(&p->lock);
	struct stat then = p->checked;
	int fd = p->fd;
	pthread_mutex_unlock(&p->lock);
	return fd >= 0 && fstat(fd, &now) == 0 && now.st_size == then.st_size &&
		now.st_mtim.tv_sec == then.st_mtim.tv_sec &&
		now.st_mtim.tv_nsec == then.st_mtim.tv_nsec &&
		now.st_ctim.tv_sec == then.st_ctim.tv_sec &&
		now.st_ctim.tv_nsec == then.st_ctim.tv_nsec;
}
