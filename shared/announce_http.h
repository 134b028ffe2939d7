#ifndef SHARED_ANNOUNCE_HTTP_H
#define SHARED_ANNOUNCE_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/announce.h"
#include "shared/error.h"
#include "shared/span.h"
#include "shared/writer.h"

/* Announces over HTTP in both directions: the client builds what the tracker
 * parses, and reads what the tracker writes (BEP 3, 7, 23, 31, 48). */

enum {
	ANNOUNCE_HTTP_MAX_URL = 8192,
	/* A compact reply with ANNOUNCE_MAX_PEERS fits, a dictionary one too.
	 */
	ANNOUNCE_HTTP_MAX_REPLY = 32 * 1024,
};

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

/* Tracker's side: write a reply, compact or with dictionaries as `a` asks
 * (without peer ids).  `external_ip` of BEP 24 is given from a->peer. */
void announce_http_write_reply(struct writer *w, const struct announce *a,
	const struct announce_reply *reply);
void announce_http_write_failure(
	struct writer *w, const char *reason, uint32_t retry_s);
void announce_http_write_scrape(
	struct writer *w, const struct scrape_entry *entries, size_t count);

/* Client's side: read a reply (BEP 3 lists, BEP 23 `peers`, BEP 7 `peers6`).
 * A `failure reason` is a reply too (true, with ret->failure set).  Bad
 * entries are skipped one by one; host names are not looked up.  False: not a
 * tracker's answer at all. */
bool announce_http_parse_reply(
	struct span body, struct announce_reply *ret, struct error *err);

/* Client's side: the entry of `ret->info_hash` in the reply to a scrape; what
 * is missing in it is 0.  False: there is none, or a failure reason instead;
 * `err` says so. */
bool announce_http_parse_scraped(
	struct span body, struct scrape_entry *ret, struct error *err);

#endif
