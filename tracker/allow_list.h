#ifndef TRACKER_ALLOW_LIST_H
#define TRACKER_ALLOW_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/error.h"
#include "shared/info_hash.h"

/* Which torrents are tracked: any, or those of given files and of a folder.
 *
 * Threads: allows and reload may be called from any. */
struct allow_list;

/* `files` (torrents, each of which must be good) and `folder` (its *.torrent
 * files; those that are not good are left out with a warning, but one that only
 * cannot be read now may be good; NULL: none) must outlive the list.  Neither
 * given: any torrent.  NULL: `err` names what could not be read. */
struct allow_list *allow_list_create(const char *const *files, size_t count,
	const char *folder, struct error *err);

bool allow_list_allows(struct allow_list *list, const struct info_hash *hash);

/* Read it all again, which takes seconds where there are 100,000 torrents: so
 * `go_on` (or NULL) is called between two of them, and when it says no, the
 * list stays as it was.  False: likewise, and `err` says why. */
bool allow_list_reload(struct allow_list *list, bool (*go_on)(void *cls),
	void *cls, struct error *err);

/* NULL is allowed. */
void allow_list_destroy(struct allow_list *list);

#endif
