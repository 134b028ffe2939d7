#ifndef CLIENT_TORRENT_SOURCE_FILES_H
#define CLIENT_TORRENT_SOURCE_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "shared/error.h"

/* The files that a torrent is to be made of: what lies at a path, back to
 * back, in the order of their names' bytes. */
struct source_file {
	char *path;      /* below the root, elements joined by '/' */
	uint64_t offset; /* in the torrent's content */
	uint64_t size;
	/* To know it again when it is read. */
	dev_t device;
	ino_t inode;
	struct timespec modified;
};

struct source_files {
	const char *given; /* the path as it was given; the caller's */
	char *name;        /* its last element: the torrent's name */
	bool folder;
	int root; /* the folder */
	uint64_t total;
	size_t count;
	struct source_file *files;
};

/* What a torrent of `path` is called: its last element, also of `.` and of
 * what ends in slashes; to be freed.  NULL: `err` names it. */
char *source_files_name(const char *path, struct error *err);

/* List what lies at `path`.  Symlinks inside a folder are left out and told to
 * `skipped` (may be NULL).  False, and `err` names the file: one that is no
 * file or folder, that cannot be read, or whose name could not stay as it is
 * in a torrent (PROMISES, names). */
bool source_files_list(const char *path,
	void (*skipped)(void *ctx, const char *path), void *ctx,
	struct source_files *ret, struct error *err);

/* Zeroed memory is allowed. */
void source_files_finish(struct source_files *s);

/* Open one to be read; -1: `err` names it.  Threads: any. */
int source_files_open(
	const struct source_files *s, size_t index, struct error *err);

/* Read some of it, at least one byte, from a place before its end (`len` > 0);
 * false: `err` names it.  Threads: any. */
bool source_files_read(const struct source_files *s, size_t index, int fd,
	uint64_t offset, void *to, size_t len, size_t *ret, struct error *err);

/* Whether it still is as it was listed; false: `err` names it.
 * Threads: any. */
bool source_files_unchanged(
	const struct source_files *s, size_t index, int fd, struct error *err);

#endif
