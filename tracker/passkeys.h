#ifndef TRACKER_PASSKEYS_H
#define TRACKER_PASSKEYS_H

#include <stdbool.h>

#include "shared/error.h"
#include "shared/span.h"

/* Who may use a private tracker: the keys of a file, one of which is in each
 * announce URL (".../announce/KEY").  The file has one key a line, perhaps with
 * a comment behind it; empty lines and those that begin with '#' are skipped.
 *
 * In memory there are fingerprints by a secret hash only, so neither a core
 * dump nor the time that a look-up takes tells of a key.
 *
 * Threads: any may call allow, one at a time reload. */
struct passkeys;

enum {
	PASSKEY_MAX_SIZE = 64, /* of A-Z, a-z, 0-9, '-', '.', '_', '~' */
	PASSKEYS_MAX_LINE = 1023,
	PASSKEYS_MAX_COUNT = 4 * 1000 * 1000,
};

/* `path` must outlive the keys.  NULL: `err` names the file, and the line but
 * never what is in it.  A file without a key is an error, too: it was caught
 * while somebody wrote it. */
struct passkeys *passkeys_create(const char *path, struct error *err);

bool passkeys_allow(struct passkeys *keys, struct span key);

/* Read the file again.  False: the keys stay as they were. */
bool passkeys_reload(struct passkeys *keys, struct error *err);

/* NULL is allowed. */
void passkeys_destroy(struct passkeys *keys);

/* What a line of the file, without its end, says: the key, or nothing (true,
 * and an empty one).  False: it is neither. */
bool passkey_of_line(struct span line, struct span *ret);

/* KEY of "PAGE/KEY" or "PAGE/KEY?...", where `page` is "/announce" or the
 * like; empty for any other path. */
struct span passkey_of_path(struct span path, const char *page);

#endif
