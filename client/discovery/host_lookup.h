#ifndef CLIENT_DISCOVERY_HOST_LOOKUP_H
#define CLIENT_DISCOVERY_HOST_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"

struct error;

/* The addresses of a host, without being held up by a resolver that hangs: it
 * is asked in a thread of its own, which is left to end by itself when nobody
 * waits for it any longer.  So a caller must not look up the same name again
 * and again in no time. */

enum { HOST_LOOKUP_MAX = 16 }; /* addresses of one host */

enum host_lookup_result {
	HOST_LOOKUP_FOUND,
	HOST_LOOKUP_UNKNOWN, /* no such name, or no address */
	HOST_LOOKUP_GIVEN_UP,
	HOST_LOOKUP_NO_MEANS, /* out of memory, or no thread */
};

/* `host` is a name, or an address, for which nobody is asked ("::1" without
 * brackets).  Gives up at `*give_up_ms` on clock_ms(), which another thread may
 * bring forward: that is acted on within 100 ms.  The addresses come in the
 * resolver's order, at least one, each with `port`. */
enum host_lookup_result host_lookup(const char *host, uint16_t port,
	const _Atomic uint64_t *give_up_ms,
	struct endpoint ret[HOST_LOOKUP_MAX], size_t *ret_count);

/* In words: it has no address that could be asked from `bind`.  Returns
 * false. */
bool host_lookup_none(const struct endpoint *bind, struct error *err);

#endif
