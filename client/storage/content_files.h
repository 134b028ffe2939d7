#ifndef CLIENT_STORAGE_CONTENT_FILES_H
#define CLIENT_STORAGE_CONTENT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/storage/content_root.h"
#include "client/storage/file_table.h"
#include "client/storage/storage.h"
#include "shared/error.h"

/* The files of one torrent's content: open descriptors, what was written to
 * them and is to be synced, and whether they are still as we left them.  Where
 * in the content they lie is storage's matter.
 *
 * Threads: any may call everything but close at any time. */
struct content_files;

/* Files below `root`, which outlives it; NULL: out of memory. */
struct content_files *content_files_open(const struct content_root *root);
void content_files_close(struct content_files *f);

/* Whether the torrent wants this one on disk. */
bool content_files_on_disk(const struct content_files *f, size_t file);

/* An open descriptor of the file, until content_files_release(); `write`: the
 * file is made if it is missing and no good data was in it, and one that others
 * have cut is an error.  A thread holds at most one.  ABSENT: it is missing,
 * and `write` is false. */
enum storage_result content_files_pin(struct content_files *f, size_t file,
	bool write, struct file_pin *ret, struct error *err);
void content_files_release(struct content_files *f, const struct file_pin *pin);

/* Something was written to it, up to `end`. */
void content_files_wrote(struct content_files *f, size_t file, uint64_t end);

/* Make it if it is empty, cut it if it is too long. */
bool content_files_complete(
	struct content_files *f, size_t file, struct error *err);

/* Is it as we found it, or as we wrote it?  An error if not: others have cut,
 * replaced or changed it. */
bool content_files_as_left(
	struct content_files *f, size_t file, struct error *err);

/* See storage_sync(), storage_still_there(), storage_stat() and
 * storage_stat_as_left(). */
bool content_files_sync(struct content_files *f, struct error *err);
bool content_files_still_there(struct content_files *f, struct error *err);
void content_files_stat(
	const struct content_files *f, size_t file, struct storage_stat *ret);
void content_files_stat_as_left(
	struct content_files *f, size_t file, struct storage_stat *ret);

/* Remember the stat of every file; does a file still look so?  That is asked of
 * the descriptor that reads use, so that read, then ask, has no gap. */
void content_files_remember(struct content_files *f);
bool content_files_unchanged(struct content_files *f, size_t file);

/* "FILE: cannot WHAT: errno". */
bool content_files_error(const struct content_files *f, size_t file,
	const char *what, struct error *err);

#endif
