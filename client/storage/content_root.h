#ifndef CLIENT_STORAGE_CONTENT_ROOT_H
#define CLIENT_STORAGE_CONTENT_ROOT_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/error.h"

struct metainfo;

/* Where a torrent's content lies: a folder, and in it the root, which is the
 * one file or the folder of all files.  Opens them, names them in messages, and
 * tells whether they are still there.
 *
 * Threads: what is in it is set by content_root_open(); then any may call. */
struct content_root {
	const struct metainfo *m;
	char *folder;
	char *name; /* the user's word for the root; NULL: m->name */
	char *path; /* "folder/name", for messages */
	int folder_fd;
	int fd; /* the root folder; of a leech also the one file; -1: none */
};

/* As storage_open() says; `leech`: made if missing, and locked.  False: what
 * was opened is closed again. */
bool content_root_open(struct content_root *r, const struct metainfo *m,
	const char *folder, const char *name, bool leech, struct error *err);
void content_root_close(struct content_root *r);

/* Open file `file` of the torrent with open()'s `flags`; -1: errno. */
int content_root_open_file(
	const struct content_root *r, size_t file, int flags);

/* Nobody else may lock it; true also where the file system has no locks. */
bool content_root_lock(const struct content_root *r);
void content_root_unlock(const struct content_root *r);

/* Are folder and root still where we opened them? */
bool content_root_still_there(const struct content_root *r, struct error *err);

/* fsync of both: names in them are on disk. */
bool content_root_sync(const struct content_root *r, struct error *err);

/* fsync of a folder.  Some file systems cannot and say EINVAL: they need not.
 */
bool content_root_sync_folder(int fd);

/* How `fd` is no longer what its path leads to ("vanished", "was replaced"), or
 * NULL.  `path_fd`, which is closed, is what was found there; -1: errno. */
const char *content_root_lost(int fd, int path_fd);

/* A path for a message: escaped, and of a long one the end, since the message
 * has to have room for the reason.  `path` lies below `folder`; either may be
 * "", and if both are two quotes are shown. */
enum { SHOWN_PATH_MAX = 120, SHOWN_PATH_SIZE = SHOWN_PATH_MAX + 80 };
const char *content_root_shown_path(
	const char *folder, const char *path, char ret[SHOWN_PATH_SIZE]);
const char *content_root_shown_file(
	const struct content_root *r, size_t file, char ret[SHOWN_PATH_SIZE]);

#endif
