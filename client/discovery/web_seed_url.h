#ifndef CLIENT_DISCOVERY_WEB_SEED_URL_H
#define CLIENT_DISCOVERY_WEB_SEED_URL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/metainfo.h"
#include "shared/safe_name.h"
#include "shared/span.h"

/* What a web seed (BEP 19) is asked for, and whether what it says is an answer
 * to that.  Pure. */

enum {
	/* With each byte of the names as an escape, slashes and a NUL. */
	WEB_SEED_URL_SIZE = METAINFO_MAX_URL + 3 * SAFE_PATH_MAX + 8,
};

/* Where the web seed `base` has file `file`: the URL itself for a single file,
 * unless it ends with '/'; else name and path are appended.  False: there the
 * file goes by a name that we do not know (metainfo keeps mended ones only). */
bool web_seed_url(const struct metainfo *m, const char *base, size_t file,
	char ret[WEB_SEED_URL_SIZE]);

/* Content-Range (RFC 9110, 14.4), as "bytes 0-499/1234". */
struct content_range {
	uint64_t first;
	uint64_t last;
	uint64_t total; /* UINT64_MAX: not said ("*") */
};

/* False: not of that form, or last < first, or beyond the total. */
bool content_range_read(struct span value, struct content_range *ret);

/* `len` (> 0) bytes from `offset` of a file that has `file_len`. */
struct web_seed_request {
	uint64_t offset;
	uint64_t len;
	uint64_t file_len;
};

enum web_seed_answer {
	WEB_SEED_GOOD,  /* exactly what was asked for follows */
	WEB_SEED_WHOLE, /* the whole file does: it serves no ranges */
	WEB_SEED_LATER, /* it may go better another time */
	WEB_SEED_LACKS, /* it does not have this file, or another by its name */
	WEB_SEED_NEVER, /* this is not a web seed for this torrent */
};

/* What an answer says of itself. */
struct web_seed_head {
	long status;
	bool has_range; /* there is a Content-Range that was understood */
	struct content_range range;
	int64_t len; /* of its body; -1: not said */
};

/* Unless GOOD or WHOLE, `err` says why, in few words. */
enum web_seed_answer web_seed_judge(const struct web_seed_request *request,
	const struct web_seed_head *head, struct error *err);

#endif
