#include "client/storage/storage.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "client/storage/content_files.h"
#include "client/storage/content_root.h"
#include "client/storage/layout.h"
#include "client/storage/parts_file.h"
#include "shared/metainfo.h"

enum { MOVE_CHUNK = 256 * 1024 };

static_assert((int)STORAGE_SHOWN_SIZE == (int)SHOWN_PATH_SIZE, "one size");

struct storage {
	/* All set once, before several threads use it. */
	const struct metainfo *m;
	enum storage_mode mode;
	struct content_root root;
	char shown[SHOWN_PATH_SIZE]; /* its path */
	struct content_files *files;
	const uint8_t *selected;    /* NULL: all */
	struct parts_file *parts;   /* NULL: there is and will be none */
	struct error parts_warning; /* why one that is there is not used */
};

static bool is_selected(const struct storage *s, size_t file)
{
	return !s->selected || s->selected[file];
}

/* ---- birth and death ---- */

/* A seed has the files themselves where they are. */
static void forget_parts_of_files(struct storage *s)
{
	struct storage_stat st;

	for (size_t i = 0; i < s->m->file_count; i++) {
		storage_stat(s, i, &st);
		for (unsigned n = 0; st.exists && n < PARTS_STRETCHES; n++)
			parts_file_forget(s->parts, i, n);
	}
}

bool storage_open(const struct metainfo *m, const char *folder,
	const char *name, enum storage_mode mode, struct storage **ret,
	struct error *err)
{
	bool leech = mode == STORAGE_LEECH;
	struct storage *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set(err, "storage: out of memory");
	s->m = m;
	s->mode = mode;
	if (!content_root_open(&s->root, m, folder, name, leech, err)) {
		free(s);
		return false;
	}
	content_root_shown_path(s->root.path, "", s->shown);
	s->files = content_files_open(&s->root);
	if (!s->files) {
		storage_close(s);
		return error_set(err, "storage: out of memory");
	}
	s->parts = parts_file_open(&s->root, leech, &s->parts_warning);
	if (s->parts && !leech)
		forget_parts_of_files(s);
	*ret = s;
	return true;
}

bool storage_select(
	struct storage *s, const uint8_t *selected, struct error *err)
{
	assert(s->mode == STORAGE_LEECH);
	s->selected = selected;
	if (!s->parts)
		s->parts = parts_file_create(&s->root);
	return s->parts || error_set(err, "storage: out of memory");
}

void storage_close(struct storage *s)
{
	if (!s)
		return;
	parts_file_close(s->parts);
	content_files_close(s->files);
	content_root_close(&s->root);
	free(s);
}

/* ---- where bytes are ---- */

/* Bytes of one file in one place: in the file, or in the parts file. */
struct place {
	int fd;
	uint64_t at;
	uint64_t len;
	bool in_parts;
	struct file_pin pin; /* unless in_parts */
};

/* Whether the first bytes of the part are in the parts file.  Fills in all but
 * the pin: it may be that only the parts file is asked. */
static bool in_parts(const struct storage *s, const struct layout_part *part,
	struct place *ret)
{
	struct parts_place place;

	ret->len = part->len;
	ret->in_parts = false;
	if (!s->parts)
		return false;
	ret->in_parts =
		parts_file_find(s->parts, part->file, part->offset, &place);
	if (place.len < ret->len)
		ret->len = place.len;
	ret->fd = place.fd;
	ret->at = place.at;
	return ret->in_parts;
}

/* Of the part, which is in a file, as many bytes as lie together. */
static enum storage_result find_for_reading(struct storage *s,
	const struct layout_part *part, struct place *ret, struct error *err)
{
	if (in_parts(s, part, ret))
		return STORAGE_OK;
	enum storage_result r =
		content_files_pin(s->files, part->file, false, &ret->pin, err);
	ret->fd = ret->pin.fd;
	ret->at = part->offset;
	return r;
}

static bool find_for_writing(struct storage *s, const struct layout_part *part,
	struct place *ret, struct error *err)
{
	struct parts_place place;

	ret->in_parts = !is_selected(s, part->file);
	if (ret->in_parts) {
		if (!parts_file_make(
			    s->parts, part->file, part->offset, &place, err))
			return false;
		ret->fd = place.fd;
		ret->at = place.at;
		ret->len = part->len < place.len ? part->len : place.len;
		return true;
	}
	if (content_files_pin(s->files, part->file, true, &ret->pin, err) !=
		STORAGE_OK)
		return false;
	ret->fd = ret->pin.fd;
	ret->at = part->offset;
	ret->len = part->len;
	return true;
}

static void release(struct storage *s, const struct place *place)
{
	if (!place->in_parts)
		content_files_release(s->files, &place->pin);
}

static bool place_error(const struct storage *s, const struct place *place,
	size_t file, const char *what, struct error *err)
{
	return place->in_parts ? parts_file_error(s->parts, what, err)
			       : content_files_error(s->files, file, what, err);
}

static void skip(struct layout_part *part, uint64_t len)
{
	part->offset += len;
	part->len -= len;
}

/* ---- reading ---- */

static enum storage_result read_place(struct storage *s,
	const struct place *place, size_t file, uint8_t *ret, struct error *err)
{
	uint64_t done = 0;

	while (done < place->len) {
		ssize_t n = pread(place->fd, ret + done, place->len - done,
			(off_t)(place->at + done));
		if (n > 0) {
			done += (uint64_t)n;
		} else if (n == 0) {
			char path[SHOWN_PATH_SIZE];
			error_set(err, "%s: shorter than the torrent says",
				content_root_shown_file(&s->root, file, path));
			return STORAGE_ABSENT;
		} else if (errno != EINTR) {
			place_error(s, place, file, "read", err);
			return STORAGE_FAILED;
		}
	}
	return STORAGE_OK;
}

static enum storage_result read_part(struct storage *s, struct layout_part part,
	uint8_t *ret, struct error *err)
{
	while (part.len > 0) {
		struct place place;

		enum storage_result r = find_for_reading(s, &part, &place, err);
		if (r != STORAGE_OK)
			return r;
		r = read_place(s, &place, part.file, ret, err);
		release(s, &place);
		if (r != STORAGE_OK)
			return r;
		ret += place.len;
		skip(&part, place.len);
	}
	return STORAGE_OK;
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
			r = read_part(s, part, to, err);
		if (r != STORAGE_OK)
			return r;
		to += part.len;
	}
	return STORAGE_OK;
}

/* ---- writing ---- */

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

/* Returns how much was written; less than the place holds: `err` says why. */
static uint64_t write_place(struct storage *s, const struct place *place,
	size_t file, struct iov_cursor *from, struct error *err)
{
	struct iovec batch[IOV_MAX];
	uint64_t done = 0;

	while (done < place->len) {
		int count = iov_next(from, place->len - done, batch);
		ssize_t n = pwritev(
			place->fd, batch, count, (off_t)(place->at + done));
		if (n > 0) {
			done += (uint64_t)n;
			iov_advance(from, (uint64_t)n);
		} else if (n == 0 || errno != EINTR) {
			if (n == 0)
				errno = EIO; /* no file does that */
			place_error(s, place, file, "write", err);
			break;
		}
	}
	return done;
}

static bool write_part(struct storage *s, struct layout_part part,
	struct iov_cursor *from, struct error *err)
{
	while (part.len > 0) {
		struct place place;

		if (!find_for_writing(s, &part, &place, err))
			return false;
		uint64_t done = write_place(s, &place, part.file, from, err);
		if (place.in_parts)
			parts_file_wrote(s->parts);
		else if (done > 0)
			content_files_wrote(
				s->files, part.file, part.offset + done);
		release(s, &place);
		if (done < place.len)
			return false;
		skip(&part, done);
	}
	return true;
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
		else if (!write_part(s, part, &from, err))
			return false;
	}
	return true;
}

bool storage_sync(struct storage *s, struct error *err)
{
	return content_files_sync(s->files, err) &&
		(!s->parts || parts_file_sync(s->parts, err));
}

/* ---- parts ---- */

const char *storage_parts_warning(const struct storage *s)
{
	return s->parts_warning.text;
}

void storage_mark_parts(struct storage *s, uint8_t *pieces)
{
	uint64_t begin, end;
	uint32_t piece;

	for (size_t i = 0; s->parts && i < s->m->file_count; i++) {
		for (unsigned n = 0; n < PARTS_STRETCHES; n++) {
			if (parts_file_stretch(
				    s->parts, i, n, &begin, &end, &piece))
				pieces[piece] = 1;
		}
	}
}

/* Copy a stretch of a file out of the parts file into the file. */
static bool move_stretch(struct storage *s, size_t file, uint64_t begin,
	uint64_t end, uint8_t *chunk, struct error *err)
{
	while (begin < end) {
		uint64_t len =
			end - begin < MOVE_CHUNK ? end - begin : MOVE_CHUNK;
		struct layout_part part = {file, begin, len};
		struct iovec iov = {chunk, len};
		struct iov_cursor from = {&iov, 1, 0};

		if (read_part(s, part, chunk, err) != STORAGE_OK ||
			!write_part(s, part, &from, err))
			return false;
		begin += len;
	}
	return true;
}

static bool move_good(struct storage *s, const uint8_t *good, struct error *err)
{
	uint8_t *chunk = malloc(MOVE_CHUNK);
	bool ok = chunk || error_set(err, "storage: out of memory");
	uint64_t begin, end;
	uint32_t piece;

	for (size_t i = 0; ok && i < s->m->file_count; i++) {
		for (unsigned n = 0; is_selected(s, i) && n < PARTS_STRETCHES;
			n++) {
			if (ok &&
				parts_file_stretch(
					s->parts, i, n, &begin, &end, &piece) &&
				good[piece])
				ok = move_stretch(s, i, begin, end, chunk, err);
		}
	}
	free(chunk);
	return ok;
}

bool storage_adopt_parts(
	struct storage *s, const uint8_t *good, struct error *err)
{
	assert(s->mode == STORAGE_LEECH);
	/* What is there and of no use is gone with the last need for it. */
	if (!s->parts && !s->parts_warning.text[0])
		return true;
	if (!s->parts)
		s->parts = parts_file_create(&s->root);
	if (!s->parts)
		return error_set(err, "storage: out of memory");
	if (!parts_file_empty(s->parts)) {
		/* On disk in their files before they are given up here. */
		if (!move_good(s, good, err) || !storage_sync(s, err))
			return false;
		for (size_t i = 0; i < s->m->file_count; i++) {
			for (unsigned n = 0;
				is_selected(s, i) && n < PARTS_STRETCHES; n++)
				parts_file_forget(s->parts, i, n);
		}
	}
	if (!s->selected) { /* nothing is in it any more */
		parts_file_remove(s->parts);
		parts_file_close(s->parts);
		s->parts = NULL;
	}
	return true;
}

void storage_drop_parts(struct storage *s)
{
	/* Not from under another leech, which may have begun meanwhile. */
	if (!s->parts || !content_root_lock(&s->root))
		return;
	parts_file_remove(s->parts);
	content_root_unlock(&s->root);
}

/* ---- looking after it ---- */

bool storage_still_there(struct storage *s, struct error *err)
{
	return content_files_still_there(s->files, err) &&
		(!s->parts || parts_file_still_there(s->parts, err));
}

int64_t storage_room(const struct storage *s)
{
	struct statvfs vfs;

	if (fstatvfs(s->root.fd, &vfs) != 0 || vfs.f_blocks == 0 ||
		vfs.f_frsize == 0 || vfs.f_bavail > INT64_MAX / vfs.f_frsize)
		return INT64_MAX;
	return (int64_t)(vfs.f_bavail * vfs.f_frsize);
}

void storage_stat(struct storage *s, size_t index, struct storage_stat *ret)
{
	content_files_stat(s->files, index, ret);
}

void storage_stat_as_left(
	struct storage *s, size_t index, struct storage_stat *ret)
{
	content_files_stat_as_left(s->files, index, ret);
}

void storage_remember(struct storage *s)
{
	content_files_remember(s->files);
	if (s->parts)
		parts_file_remember(s->parts);
}

bool storage_unchanged(
	struct storage *s, uint64_t offset, uint64_t len, size_t *ret_file)
{
	struct layout_walk w = layout_walk(s->m, offset, len);
	struct layout_part part;

	while (layout_next(&w, &part)) {
		while (part.file != LAYOUT_NO_FILE && part.len > 0) {
			struct place place;
			bool same = in_parts(s, &part, &place)
				? parts_file_unchanged(s->parts)
				: content_files_unchanged(s->files, part.file);
			if (!same) {
				*ret_file = part.file;
				return false;
			}
			skip(&part, place.len);
		}
	}
	return true;
}

/* Where in the part data may begin; part.len: nowhere. */
static uint64_t data_in_part(struct storage *s, struct layout_part part)
{
	uint64_t skipped = 0;

	while (part.file != LAYOUT_NO_FILE && part.len > 0) {
		struct place place;
		struct error err;

		enum storage_result r =
			find_for_reading(s, &part, &place, &err);
		if (r == STORAGE_FAILED) /* that is for the read to tell */
			return skipped;
		if (r == STORAGE_OK) {
			/* Moves the descriptor's own position, which nobody
			 * else uses. */
			off_t data = place.in_parts
				? (off_t)place.at
				: lseek(place.fd, (off_t)place.at, SEEK_DATA);
			bool nothing = data < 0 && errno == ENXIO;
			release(s, &place);
			if (data < 0 && !nothing)
				return skipped;
			if (!nothing && (uint64_t)data - place.at < place.len)
				return skipped + ((uint64_t)data - place.at);
		}
		skipped += place.len;
		skip(&part, place.len);
	}
	return skipped;
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
		uint64_t skipped = data_in_part(s, part);
		if (skipped < part.len) {
			*ret_offset = begin + skipped;
			return true;
		}
	}
	return false;
}

/* ---- the end of a download ---- */

static bool is_ours(const struct storage *s, size_t file)
{
	return content_files_on_disk(s->files, file) && is_selected(s, file);
}

bool storage_complete(struct storage *s, struct error *err)
{
	assert(s->mode == STORAGE_LEECH);
	for (size_t i = 0; i < s->m->file_count; i++) {
		if (is_ours(s, i) && !content_files_complete(s->files, i, err))
			return false;
	}
	if (!storage_sync(s, err))
		return false;
	/* Last, since the sync of many files takes long. */
	for (size_t i = 0; i < s->m->file_count; i++) {
		if (is_ours(s, i) && !content_files_as_left(s->files, i, err))
			return false;
	}
	return true;
}

void storage_unlock(struct storage *s)
{
	if (s->mode == STORAGE_LEECH)
		content_root_unlock(&s->root);
}

const char *storage_root_path(const struct storage *s) { return s->shown; }

const char *storage_file_path(
	const struct storage *s, size_t index, char ret[STORAGE_SHOWN_SIZE])
{
	return content_root_shown_path("", s->m->files[index].path, ret);
}

int storage_folder_fd(const struct storage *s) { return s->root.folder_fd; }
