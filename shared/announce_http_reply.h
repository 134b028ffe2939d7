#ifndef SHARED_ANNOUNCE_HTTP_REPLY_H
#define SHARED_ANNOUNCE_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/error.h"
#include "shared/span.h"
#include "shared/writer.h"

/* What is answered over HTTP, in both directions: the client reads what the
 * tracker writes (BEP 3, 7, 23, 24, 31, 48). */

enum {
	/* A compact reply with ANNOUNCE_MAX_PEERS fits, a dictionary one too.
	 */
	ANNOUNCE_HTTP_MAX_REPLY = 32 * 1024,
};

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
