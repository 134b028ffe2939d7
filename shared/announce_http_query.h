#ifndef SHARED_ANNOUNCE_HTTP_QUERY_H
#define SHARED_ANNOUNCE_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/announce.h"
#include "shared/error.h"
#include "shared/span.h"
#include "shared/writer.h"

/* What is asked over HTTP, in both directions: the client builds what the
 * tracker parses (BEP 3, 7, 21, 23, 48).  The answers are in
 * announce_http_reply. */

enum { ANNOUNCE_HTTP_MAX_URL = 8192 };

/* The URL to ask: `url` with the query added (after '?' or '&', before any
 * fragment, which is dropped).  `tracker_id` may be empty.  False: too long. */
bool announce_http_url(const char *url, const struct announce *a,
	struct span tracker_id, struct writer *ret);

/* The URL to ask for the counts of one torrent (BEP 48): `announce` behind the
 * last slash of the tracker's URL becomes `scrape`.  False: it has none there,
 * which means that it does not scrape; or too long. */
bool announce_http_scrape_url(
	const char *url, const struct info_hash *hash, struct writer *ret);

/* The query string of an announce ("info_hash=...&..."; without '?'), percent
 * escapes and all, exactly as it came.  `ret->peer.ip` is left untouched:
 * `ip=` and its kin are ignored.  False: refused; `err` says why, fit for a
 * failure reason.  Unknown keys are skipped; the last of doubled ones counts,
 * broken escapes are refused. */
bool announce_http_parse_query(
	struct span query, struct announce *ret, struct error *err);

/* The info hashes asked for in the query of a scrape (BEP 48), at most `max`;
 * further ones are left out.  False: refused, or none given. */
bool announce_http_parse_scrape(struct span query, struct info_hash *ret,
	size_t max, size_t *ret_count, struct error *err);

#endif
