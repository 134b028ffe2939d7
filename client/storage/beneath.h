#ifndef CLIENT_STORAGE_BENEATH_H
#define CLIENT_STORAGE_BENEATH_H

/* Open a path from a torrent below a folder and nowhere else (PROMISES P1):
 * component by component with O_NOFOLLOW, so a symlink that somebody plants on
 * the way, before or while we look, is an error.  Stateless.
 *
 * `path` is relative, its components joined by one '/'.  The names were made
 * safe by metainfo; an empty one, "." and ".." are refused here once more
 * (EINVAL).
 *
 * `flags` are open()'s; O_NOFOLLOW, O_CLOEXEC and O_NONBLOCK (a FIFO must not
 * hang us) are added.  With O_CREAT missing folders on the way are made, too.
 *
 * Returns a descriptor, which may be of anything that is no symlink (with
 * O_PATH of a symlink, too): fstat it.  -1: errno, ELOOP for a symlink. */
int beneath_open(int root, const char *path, int flags);

#endif
