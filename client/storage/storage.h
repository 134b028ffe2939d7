#ifndef CLIENT_STORAGE_STORAGE_H
#define CLIENT_STORAGE_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "shared/error.h"

struct metainfo;

/* A torrent's content on disk: the file, or the files below one folder, read
 * and written by their place in the content.
 *
 * Containment (PROMISES P1): every path is opened component by component below
 * the root with O_NOFOLLOW (see beneath.h), regular files only, O_NONBLOCK so
 * that a FIFO cannot hang us, and never O_TRUNC.  Pad files and symlinks of the
 * torrent are never created.  No mmap: a file cut short under a mapping kills
 * the process.
 *
 * Threads: read, write, sync and the rest may be called by any thread at any
 * time; open descriptors are kept in a small table (least recently used, at
 * most STORAGE_MAX_OPEN in one storage) behind a lock under which no I/O is
 * done.
 *
 * `err` always names the file: "DIR/name: cannot write: No space left on
 * device". */
struct storage;

enum { STORAGE_MAX_OPEN = 64 };

enum storage_mode {
	STORAGE_SEED,  /* read only; nothing is created, changed, or locked */
	STORAGE_LEECH, /* missing folders and files are made when first
			* written; locked against a second leech */
};

/* The content of `m` (which must outlive it) lies at `folder`/`name`; `name`
 * NULL means m->name.  `folder` is made if missing (with its parents) in mode
 * LEECH.  When the caller gives `name`, it is the user's word: it may be a
 * symlink.  Content checks decide what is good, never sizes.
 *
 * LEECH takes flock(LOCK_EX | LOCK_NB) on the root (the file, created empty if
 * missing, or the folder): who comes second, in this process or another, gets
 * "...: in use by another torrent or tbt-client". */
bool storage_open(const struct metainfo *m, const char *folder,
	const char *name, enum storage_mode mode, struct storage **ret,
	struct error *err);

/* A leech, before anything is read or written: of the files only those with a 1
 * in `selected` (one byte each, to outlive the storage) are made or changed.
 * What is written of others goes to a hidden file beside the content, and is
 * read from there: see parts_file.h.  One that is already there, of a run with
 * another selection, is read in any case. */
bool storage_select(
	struct storage *s, const uint8_t *selected, struct error *err);

/* Close everything; NULL is allowed. */
void storage_close(struct storage *s);

/* Read `len` bytes of the content at `offset`; pad bytes and gaps are zeros.
 * STORAGE_ABSENT: a file is missing or too short, so the bytes are not there
 * (no error when checking, one when seeding: `err` is filled in both). */
enum storage_result { STORAGE_OK, STORAGE_ABSENT, STORAGE_FAILED };
enum storage_result storage_read(struct storage *s, uint64_t offset, void *ret,
	size_t len, struct error *err);

/* Write the bytes of `iov` at `offset`, by pwritev straight from them; bytes of
 * pad files are skipped.  `iov` is not changed.  Mode LEECH only. */
bool storage_write(struct storage *s, uint64_t offset, const struct iovec *iov,
	size_t iov_count, struct error *err);

/* fdatasync whatever was written since the last call. */
bool storage_sync(struct storage *s, struct error *err);

/* Why a parts file that is there is not used; "": none is, or it is. */
const char *storage_parts_warning(const struct storage *s);

/* Put a 1 for each piece that lies in the parts file in part: no stat of any
 * file says what it is worth. */
void storage_mark_parts(struct storage *s, uint8_t *pieces);

/* After the check of a leech, before anything is written: what the parts file
 * has of selected files moves into them, if its piece is `good`.  With all
 * selected the parts file is then gone.  One thread only. */
bool storage_adopt_parts(
	struct storage *s, const uint8_t *good, struct error *err);

/* Complete, unlocked, and shared no longer: the parts file is gone, unless
 * another leech has taken over. */
void storage_drop_parts(struct storage *s);

/* Are the open files and the root still where we opened them (not unlinked,
 * not replaced, not cut)?  A few fstats; called twice a second in a leech, so
 * that data does not go into a file that nobody can find any more. */
bool storage_still_there(struct storage *s, struct error *err);

/* Bytes that can still be written, as the file system of the root says;
 * INT64_MAX: it does not. */
int64_t storage_room(const struct storage *s);

/* The last step of a download: make the empty files and folders, cut files
 * longer than the torrent says to their length, sync.  False also if a file is
 * not as it was found or left: cut, replaced, or changed by others. */
bool storage_complete(struct storage *s, struct error *err);

/* Nothing is written any more: let go of the lock. */
void storage_unlock(struct storage *s);

/* What the file system says about file `index`. */
struct storage_stat {
	bool exists; /* and is a regular file */
	uint64_t size;
	int64_t mtime_ns;
	int64_t ctime_ns; /* who puts back the time of the content, after a
			   * change of it, cannot put back this one */
	uint64_t inode;
};
void storage_stat(struct storage *s, size_t index, struct storage_stat *ret);

/* Before a check: remember every file's stat as "this was checked" ... */
void storage_remember(struct storage *s);

/* ... and tell by what stat file `index` may be believed later: how it looked
 * then or, if we have written to it since, looks now; but one that no file has
 * (it exists, at no time) if that is not the file any more, or is shorter. */
void storage_stat_as_left(
	struct storage *s, size_t index, struct storage_stat *ret);

/* ... and ask whether the files under a range still look so; on false,
 * `ret_file` is the first that does not.  A fstat a file, no reading. */
bool storage_unchanged(
	struct storage *s, uint64_t offset, uint64_t len, size_t *ret_file);

/* The first stretch of [offset, end) of the content that may hold data, by
 * SEEK_DATA: a sparse download of 100 GB is checked in a moment.  False: there
 * is none.  Conservative where the file system cannot tell. */
bool storage_next_data(
	struct storage *s, uint64_t offset, uint64_t end, uint64_t *ret_offset);

/* "folder/name" for messages: escaped, and not too long.  And the path of file
 * `index` below it. */
enum { STORAGE_SHOWN_SIZE = 200 };
const char *storage_root_path(const struct storage *s);
const char *storage_file_path(
	const struct storage *s, size_t index, char ret[STORAGE_SHOWN_SIZE]);

/* An open descriptor of the folder that holds the root, for the resume file; it
 * stays the storage's. */
int storage_folder_fd(const struct storage *s);

#endif
