#include "tracker/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shared/reader.h"
#include "shared/write_all.h"
#include "shared/writer.h"
#include "tracker/state_format.h"
#include "tracker/store_memory.h"
#include "tracker/swarm_part.h"

/* What both directions work with: one frame, and one part. */
struct work {
	int fd;
	const char *path; /* for errors */
	uint64_t frame;   /* its number */
	struct swarm_part part;
	uint8_t bytes[STATE_FRAME_HEAD_SIZE + STATE_FRAME_MAX];
};

/* --- Saving --- */

/* What stands at the start of the bytes. */
static bool write_out(struct work *w, size_t len, struct error *err)
{
	return write_all(w->fd, w->bytes, len) ||
		error_set_errno(err, "%s: cannot write", w->path);
}

static bool write_header(struct work *w, const struct swarm_store *store,
	uint64_t wall_s, struct error *err)
{
	struct state_header header = {
		.unit_s = store_memory_step_s(store),
		.saved_at_s = wall_s,
	};
	struct writer out = writer_of(w->bytes, STATE_HEADER_SIZE);

	state_write_header(&out, &header);
	return write_out(w, STATE_HEADER_SIZE, err);
}

/* The payload lies behind the place of its head. */
static bool write_frame(struct work *w, size_t len, struct error *err)
{
	struct writer head = writer_of(w->bytes, STATE_FRAME_HEAD_SIZE);
	struct span payload = {w->bytes + STATE_FRAME_HEAD_SIZE, len};

	state_write_frame_head(&head, w->frame++, payload);
	return write_out(w, STATE_FRAME_HEAD_SIZE + len, err);
}

static bool write_swarms(struct work *w, struct swarm_store *store,
	uint64_t now_s, const atomic_bool *stop, struct error *err)
{
	struct writer out =
		writer_of(w->bytes + STATE_FRAME_HEAD_SIZE, STATE_FRAME_MAX);
	struct writer empty = out;
	uint32_t unit_s = store_memory_step_s(store);
	struct store_walk at = {.shard = 0};

	while (store_memory_next(store, &at, now_s, &w->part)) {
		state_write_part(&out, &w->part, unit_s);
		if (writer_left(&out) >= STATE_PART_MAX)
			continue;
		if (stop && atomic_load(stop))
			return error_set(err, "%s: not saved", w->path);
		if (!write_frame(w, writer_len(&out), err))
			return false;
		out = empty;
	}
	return (writer_len(&out) == 0 ||
		       write_frame(w, writer_len(&out), err)) &&
		write_frame(w, 0, err);
}

/* So that a power cut cannot take the new name back. */
static void sync_folder(const char *path)
{
	char copy[PATH_MAX];

	snprintf(copy, sizeof(copy), "%s", path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	(void)fsync(fd); /* then an older state comes back: as good */
	close(fd);
}

bool state_file_save(const char *path, struct swarm_store *store,
	const struct state_times *times, const atomic_bool *stop,
	struct error *err)
{
	char temporary[PATH_MAX];
	bool ok = false;

	int n = snprintf(temporary, sizeof(temporary), "%s.new", path);
	if (n < 0 || (size_t)n >= sizeof(temporary))
		return error_set(err, "%s: name too long", path);

	struct work *w = malloc(sizeof(*w));
	if (!w)
		return error_set(err, "%s: out of memory", path);
	w->path = path;
	w->frame = 0;
	/* Left over from a kill, or planted: never written through. */
	(void)unlink(temporary);
	/* Where peers are is nobody else's business. */
	w->fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (w->fd < 0) {
		error_set_errno(err, "%s: cannot create", temporary);
		goto out;
	}
	if (!write_header(w, store, times->wall_s, err) ||
		!write_swarms(w, store, times->now_s, stop, err))
		goto out;
	if (fsync(w->fd) != 0) {
		error_set_errno(err, "%s: cannot write", path);
		goto out;
	}
	if (rename(temporary, path) != 0) {
		error_set_errno(err, "%s: cannot replace", path);
		goto out;
	}
	sync_folder(path);
	ok = true;

out:
	if (w->fd >= 0) {
		close(w->fd);
		if (!ok)
			unlink(temporary);
	}
	free(w);
	return ok;
}

/* --- Loading --- */

/* Up to `len` bytes; fewer at the end only.  -1 with errno. */
static ssize_t read_up_to(int fd, uint8_t *ret, size_t len)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = read(fd, ret + got, len - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

/* Exactly `len` bytes to the front of the buffer. */
static bool read_exactly(struct work *w, size_t len, struct error *damage)
{
	ssize_t n = read_up_to(w->fd, w->bytes, len);

	if (n < 0)
		return error_set_errno(damage, "%s: cannot read", w->path);
	return (size_t)n == len ||
		error_set(damage, "%s: it ends too early", w->path);
}

/* What every part needs to be taken in. */
struct intake {
	struct swarm_store *store;
	uint64_t now_s;
	uint64_t away_s; /* since the file was saved */
	uint64_t keep_s;
	uint32_t unit_s;
};

/* Leave out who is too old now. */
static void restore(struct swarm_part *part, const struct intake *in,
	struct state_loaded *loaded)
{
	size_t kept = 0;

	for (size_t i = 0; i < part->peer_count; i++) {
		struct swarm_part_peer p = part->peers[i];
		uint64_t age_s = p.age_s + in->away_s;

		if (age_s >= in->keep_s) {
			loaded->expired++;
			continue;
		}
		p.age_s = (uint32_t)age_s;
		part->peers[kept++] = p;
	}
	part->peer_count = kept;
	if (kept > 0)
		loaded->peers +=
			store_memory_restore(in->store, part, in->now_s);
}

/* One frame.  False: it was the end, or there is damage. */
static bool load_frame(
	struct work *w, const struct intake *in, struct state_loaded *ret)
{
	struct state_frame_head head;

	if (!read_exactly(w, STATE_FRAME_HEAD_SIZE, &ret->damage))
		return false;
	struct reader r = reader_of(w->bytes, STATE_FRAME_HEAD_SIZE);
	if (!state_read_frame_head(&r, &head))
		return error_set(&ret->damage, "%s: damaged", w->path);
	if (!read_exactly(w, head.len, &ret->damage))
		return false;

	struct span payload = {w->bytes, head.len};
	if (!state_frame_is_whole(&head, w->frame++, payload))
		return error_set(&ret->damage, "%s: damaged", w->path);
	if (head.len == 0)
		return false;
	r = reader_of_span(payload);
	while (reader_left(&r) > 0) {
		if (!state_read_part(&r, in->unit_s, &w->part))
			return error_set(&ret->damage, "%s: damaged", w->path);
		restore(&w->part, in, ret);
	}
	return true;
}

/* False: it does not begin as a state that we know. */
static bool load(struct work *w, struct intake *in,
	const struct state_times *times, struct state_loaded *ret)
{
	struct state_header header;
	struct error why;

	if (!read_exactly(w, STATE_HEADER_SIZE, &ret->damage))
		return false;
	struct reader r = reader_of(w->bytes, STATE_HEADER_SIZE);
	if (!state_read_header(&r, &header, &why)) {
		error_set(&ret->damage, "%s: %s", w->path, why.text);
		return false;
	}
	in->unit_s = header.unit_s;
	/* A calendar that went back cannot say how long it was. */
	if (times->wall_s > header.saved_at_s)
		in->away_s = times->wall_s - header.saved_at_s;
	while (load_frame(w, in, ret))
		;
	return true;
}

/* It may be dear to somebody who named it by mistake, or to a newer version,
 * and the next save would replace it.  False: it cannot be kept. */
static bool keep_aside(
	const char *path, struct error *damage, struct error *err)
{
	char aside[PATH_MAX];
	struct error why = *damage;
	struct stat st;

	if (stat(path, &st) == 0 && st.st_size == 0)
		return true;
	int n = snprintf(aside, sizeof(aside), "%s.old", path);
	if (n < 0 || (size_t)n >= sizeof(aside))
		return error_set(err, "%s: name too long", path);
	if (rename(path, aside) != 0)
		return error_set_errno(
			err, "%s; cannot keep it as %s", why.text, aside);
	error_set(damage, "%s; kept as %s", why.text, aside);
	return true;
}

/* `ret_fd` -1: there is no file, but there can be one. */
static bool open_state(const char *path, int *ret_fd, struct error *err)
{
	char copy[PATH_MAX];
	struct stat st;

	/* Better known now than when there is much to save. */
	snprintf(copy, sizeof(copy), "%s", path);
	if (faccessat(AT_FDCWD, dirname(copy), W_OK | X_OK, AT_EACCESS) != 0)
		return error_set_errno(
			err, "%s: cannot be written there", path);

	/* Not to wait for whoever may write to a FIFO. */
	*ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*ret_fd < 0)
		return errno == ENOENT ||
			error_set_errno(err, "%s: cannot open", path);
	if (fstat(*ret_fd, &st) == 0 && S_ISREG(st.st_mode))
		return true;
	close(*ret_fd);
	return error_set(err, "%s: not a file", path);
}

bool state_file_load(const char *path, struct swarm_store *store,
	const struct state_times *times, uint64_t keep_s,
	struct state_loaded *ret, struct error *err)
{
	struct intake in = {
		.store = store, .now_s = times->now_s, .keep_s = keep_s};
	struct work *w = malloc(sizeof(*w));

	*ret = (struct state_loaded){.peers = 0};
	if (!w)
		return error_set(err, "%s: out of memory", path);
	w->path = path;
	w->frame = 0;

	bool ok = open_state(path, &w->fd, err);
	if (ok && w->fd >= 0) {
		bool known = load(w, &in, times, ret);
		close(w->fd);
		ok = known || keep_aside(path, &ret->damage, err);
	}
	free(w);
	return ok;
}
