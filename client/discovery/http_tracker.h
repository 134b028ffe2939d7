#ifndef CLIENT_DISCOVERY_HTTP_TRACKER_H
#define CLIENT_DISCOVERY_HTTP_TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/error.h"
#include "shared/span.h"

/* One blocking announce or scrape over HTTP(S), by libcurl; to a name over IPv4
 * and IPv6, side by side (BEP 7).  Limits (PROMISES, Trackers): the whole
 * request 30 s, 5 redirects, to http(s) only; body 2 MiB after decompression;
 * no cookies, no credentials kept, no proxies but the environment's. */
struct http_tracker_request {
	const char *url;                 /* of the tracker */
	const struct announce *announce; /* of a scrape: the info hash only */
	bool scrape;                     /* for its counts alone (BEP 48) */
	struct span tracker_id;
	const struct endpoint *bind; /* local address to ask from; NULL: any */
	/* When to give up, on clock_ms(); but after 30 s at the latest. Another
	 * thread may bring it forward: that is acted on within 200 ms. */
	const _Atomic uint64_t *give_up_ms;
};

/* Whether the URL is one of those that can be scraped (BEP 48). */
bool http_tracker_scrapes(const char *url);

/* Once one family has answered the other has 2 s left; the peers of both are
 * put together, and what fails over one is no failure if the other works.
 *
 * False: no answer that could be read; `err` says why ("HTTP 404", "Connection
 * refused"), without the URL, which may hold a passkey.  A failure reason is
 * an answer (true).  `ret_on_loopback`: all that answered was on the
 * loopback, so it may name peers there. */
bool http_tracker_announce(const struct http_tracker_request *request,
	struct announce_reply *ret, bool *ret_on_loopback, struct error *err);

/* curl_global_init, once, before any other thread. */
void http_tracker_global_init(void);

#endif
