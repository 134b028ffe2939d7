#ifndef SHARED_SAFE_NAME_H
#define SHARED_SAFE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/error.h"
#include "shared/span.h"

/* Names of files as a torrent gives them, refused or made safe to create.
 * What is legal on Linux, however odd, stays as it is. */

enum {
	SAFE_NAME_MAX = 255,  /* bytes of one element of a path, NAME_MAX */
	SAFE_PATH_MAX = 4095, /* bytes of a whole path, PATH_MAX less NUL */
};

/* One element of a path.  Refused: empty, `.`, `..`, with `/` or NUL in it.
 * Control characters, invalid UTF-8 and backslashes become `_`.  One longer
 * than SAFE_NAME_MAX is cut at a character and keeps its extension. */
bool safe_name_mend(
	struct span element, char ret[SAFE_NAME_MAX + 1], struct error *err);

/* Whether no path (elements joined by '/') is there twice and none is also a
 * folder of another.  Sorts `paths`; O(n log n). */
bool safe_name_paths_distinct(
	const char **paths, size_t count, struct error *err);

#endif
