#ifndef CLIENT_STORAGE_PARTS_FILE_H
#define CLIENT_STORAGE_PARTS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

struct content_root;

/* Bytes of files that are not to be there, since they are not selected, in
 * pieces that are: a piece in which one file ends and the next begins can be
 * proven, resumed and shared as a whole only.  They lie in one hidden file,
 * ".HASH.tbt-parts" beside the resume file (HASH: the info hash in hex, so no
 * torrent can have a file of that name).
 *
 * Of a file there are at most two such stretches: its head, which is what lies
 * in the piece in which it begins, and its tail, in the piece in which it ends
 * if that is another.  Each is one record, of a length that the torrent says.
 *
 * A record only says where bytes may be: what they are worth the hash of their
 * piece says, after every start.  So it takes no checksum and no order of
 * writes, and what is damaged, cut or made up is as if it were not there.  The
 * file is opened without following symlinks, and only if it is a regular one
 * that has no other name; anything else is replaced when there is something to
 * write, but for a folder, which is an error.
 *
 * Threads: any may call find, make, and what looks after it, at any time. */
struct parts_file;

/* What there is beside `root`, which outlives it; NULL: nothing, or nothing of
 * use: then `ret_warning` says why, "" if there was no such file.  A file that
 * is not `writable` is only read. */
struct parts_file *parts_file_open(const struct content_root *root,
	bool writable, struct error *ret_warning);

/* A new one, with no file until there is something to write; what is in its
 * place is then replaced.  NULL: out of memory. */
struct parts_file *parts_file_create(const struct content_root *root);

/* NULL is allowed.  The file stays. */
void parts_file_close(struct parts_file *p);

/* Bytes of one file, and where they are. */
struct parts_place {
	int fd;       /* stays the parts file's */
	uint64_t at;  /* in it */
	uint64_t len; /* so many at least */
};

/* Is the byte at `offset` of `file` in it?  If not, only `len` is set: the same
 * holds for so many. */
bool parts_file_find(struct parts_file *p, size_t file, uint64_t offset,
	struct parts_place *ret);

/* The place for it, made if there is none. */
bool parts_file_make(struct parts_file *p, size_t file, uint64_t offset,
	struct parts_place *ret, struct error *err);

/* Something was written to a place. */
void parts_file_wrote(struct parts_file *p);

/* The stretches of `file`: [*ret_begin, *ret_end) of it, in piece *ret_piece.
 * False: there is no record of it. */
enum { PARTS_STRETCHES = 2 };
bool parts_file_stretch(struct parts_file *p, size_t file, unsigned stretch,
	uint64_t *ret_begin, uint64_t *ret_end, uint32_t *ret_piece);

/* Do without that record: on disk if it is writable, else for this run. */
void parts_file_forget(struct parts_file *p, size_t file, unsigned stretch);

/* Are there no records? */
bool parts_file_empty(struct parts_file *p);

/* Remove the file, or what is in its place and of no use; not one that somebody
 * else has put there meanwhile. */
void parts_file_remove(struct parts_file *p);

/* As the functions of storage.h; fdatasync once something was written. */
bool parts_file_sync(struct parts_file *p, struct error *err);
bool parts_file_still_there(struct parts_file *p, struct error *err);
void parts_file_remember(struct parts_file *p);
bool parts_file_unchanged(struct parts_file *p);

/* "DIR/.HASH.tbt-parts: cannot WHAT: errno". */
bool parts_file_error(
	const struct parts_file *p, const char *what, struct error *err);

#endif
