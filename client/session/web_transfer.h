#ifndef CLIENT_SESSION_WEB_TRANSFER_H
#define CLIENT_SESSION_WEB_TRANSFER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "client/discovery/web_seed_url.h"
#include "shared/error.h"

struct endpoint;
struct rate_limit;

/* Requests to one web seed over libcurl, one after the other: each is judged by
 * its answer's head, takes its share of the download limit, and ends when it is
 * of no use any more.
 *
 * Belongs to one thread. */
struct web_transfer;

struct web_transfer_options {
	const struct endpoint *bind; /* the local address; NULL: any */
	struct rate_limit *limit;    /* of the download */
	atomic_uint *limited;        /* counts those whom it makes wait now */
	/* An eventfd by which others want the thread to look up; it is read
	 * here, and outlives every thread that draws from the limit. */
	int wake_fd;

	void *ctx;
	/* Is what comes still of use?  Asked for each bit of it, and at least
	 * once a second. */
	bool (*of_use)(void *ctx);
	/* The next bytes.  False: out of memory. */
	bool (*take)(void *ctx, const char *bytes, size_t len);
	/* A server without ranges sends all of the file: which stretch of it is
	 * wanted next, at or after `at`?  False: none. */
	bool (*next)(void *ctx, uint64_t at, struct web_seed_request *ret);
};

/* NULL: out of memory. */
struct web_transfer *web_transfer_create(
	const struct web_transfer_options *options);

/* NULL is allowed. */
void web_transfer_destroy(struct web_transfer *t);

/* Fetch a stretch of the file at `url`; and what next() names, from a server
 * that sends all of it.  For such ones as many bytes are passed over as
 * `may_pass_over` allows, which become less: WEB_SEED_LACKS when it is spent.
 * WEB_SEED_GOOD: all was taken, or it was of no use any more.  Else `err` says
 * why not, in few words. */
enum web_seed_answer web_transfer_run(struct web_transfer *t, const char *url,
	const struct web_seed_request *request, uint64_t *may_pass_over,
	struct error *err);

/* How long the last answer asked us to stay away (Retry-After, RFC 9110,
 * 10.2.3); 0: it did not. */
uint64_t web_transfer_retry_ms(const struct web_transfer *t);

#endif
