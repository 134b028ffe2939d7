#ifndef TRACKER_TRUSTED_PROXIES_H
#define TRACKER_TRUSTED_PROXIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/error.h"
#include "shared/span.h"

/* The proxies whose X-Forwarded-For is believed.  Pure. */
enum {
	TRUSTED_PROXIES_MAX = 64,
	/* Of a header, or several one behind the other; longer ones are
	 * refused. */
	FORWARDED_MAX_SIZE = 2048,
};

struct trusted_proxies {
	struct network {
		uint8_t ip[16]; /* IPv4 is mapped, as in struct endpoint */
		unsigned bits;  /* of it that count */
	} at[TRUSTED_PROXIES_MAX];
	size_t count;
};

/* The values of --trust-proxy: addresses, or networks like 10.0.0.0/8 and
 * fd00::/8. */
bool trusted_proxies_of_options(const char *const *texts, size_t count,
	struct trusted_proxies *ret, struct error *err);

bool trusted_proxies_has(
	const struct trusted_proxies *p, const struct endpoint *e);

/* Who is behind the proxies, by a header "CLIENT, PROXY, PROXY...": the last
 * one that is not trusted, for what is to the left of it anybody may have
 * written; the first when all are.  `ret->port` is left as it was.  False: the
 * header does not say. */
bool trusted_proxies_client(const struct trusted_proxies *p, struct span header,
	struct endpoint *ret);

#endif
