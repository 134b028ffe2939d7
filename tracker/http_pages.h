#ifndef TRACKER_HTTP_PAGES_H
#define TRACKER_HTTP_PAGES_H

#include <microhttpd.h>
#include <stdatomic.h>
#include <stdint.h>

struct announce_rules;
struct trusted_proxies;

/* What a request over HTTP gets: announces, scrapes, and the pages about the
 * tracker.
 *
 * Threads: any, each with a connection of its own. */
struct http_site {
	const struct announce_rules *rules;
	const struct trusted_proxies *proxies;
	uint64_t started_ms;
	atomic_flag warned; /* of a proxy that adds no header */
};

/* Answer a GET or HEAD; `target` is what the request line has, escapes and all.
 */
enum MHD_Result http_pages_answer(
	struct http_site *site, struct MHD_Connection *c, const char *target);

/* Answer with a line of text. */
enum MHD_Result http_answer_text(
	struct MHD_Connection *c, unsigned status, const char *text);

#endif
