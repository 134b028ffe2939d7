#ifndef TRACKER_FRONT_HTTP_H
#define TRACKER_FRONT_HTTP_H

#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/error.h"

struct announce_rules;
struct trusted_proxies;

/* The tracker over HTTP, by libmicrohttpd with threads of its own: /announce,
 * /scrape, /, /stats, /metrics and /health on one listening address.  Reads and
 * writes only; what is right is decided in announce.c. */
struct front_http;

struct front_http_options {
	struct endpoint listen; /* port 0: any */
	unsigned threads;       /* > 0 */
	/* At least two a thread; further ones wait outside. */
	unsigned max_connections;
	unsigned max_per_address; /* connections of one; 0: no limit */
	/* These two outlive the front. */
	const struct announce_rules *rules;
	const struct trusted_proxies *proxies;
	uint64_t started_ms;
};

/* `ret_bound`: where it listens.  NULL: `err` names the address. */
struct front_http *front_http_start(const struct front_http_options *o,
	struct endpoint *ret_bound, struct error *err);

/* To be called every second or so: close connections that do not come to the
 * end of a request. */
void front_http_tick(struct front_http *f, uint64_t now_ms);

/* Close all connections, join its threads, free it.  NULL is allowed. */
void front_http_stop(struct front_http *f);

#endif
