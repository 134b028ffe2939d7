#ifndef TRACKER_ADDRESS_LIMIT_H
#define TRACKER_ADDRESS_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* How often each address may do something: so many times a minute, and that
 * many at once when it was quiet for a minute before.  For IPv6 it is the /64
 * that counts, since a client has all of one.
 *
 * It takes ADDRESS_LIMIT_BYTES, however many addresses there are, and remembers
 * only those that did something lately.  When they are too many it forgets the
 * quietest ones: nobody is ever refused for what another one did.
 *
 * Threads: any.  Two that count the same address at the same moment may count
 * one. */
struct address_limit;

enum {
	ADDRESS_LIMIT_MAX = 1000 * 1000, /* a minute */
	ADDRESS_LIMIT_BYTES = 1 << 20,
};

struct address_limit_options {
	uint32_t per_minute; /* 1 to ADDRESS_LIMIT_MAX */

	/* Do not count loopback, private and link-local addresses: who comes
	 * from there is of the house, or is everybody, behind a container's
	 * address translation. */
	bool spare_private;

	uint64_t seed; /* random: anybody may choose addresses */
};

/* NULL: out of memory. */
struct address_limit *address_limit_create(
	const struct address_limit_options *o);

/* Whether it may do so now; NULL, no limit, is allowed.  False: `ret_retry_s`
 * says when it may. */
bool address_limit_ask(struct address_limit *limit, const struct endpoint *who,
	uint64_t now_s, uint32_t *ret_retry_s);

/* It has done so; NULL is allowed. */
void address_limit_count(struct address_limit *limit,
	const struct endpoint *who, uint64_t now_s);

/* NULL is allowed. */
void address_limit_destroy(struct address_limit *limit);

#endif
