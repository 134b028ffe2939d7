#ifndef CLIENT_DISCOVERY_PORTMAP_H
#define CLIENT_DISCOVERY_PORTMAP_H

#include <stdint.h>

#include "shared/endpoint.h"

/* Keeps our port reachable from outside of the local network: a thread asks the
 * router for it, again before the lease ends, and takes it back at the end.
 *
 * Threads: start, stop and destroy by one. */
struct portmap;

struct portmap_options {
	uint16_t port;               /* that we listen on, TCP and UDP */
	const struct endpoint *bind; /* copied; NULL: any */

	void *ctx;
	/* The port is mapped, or to another place than before: connections to
	 * `external` come to us (all of its address 0: not known), by `how`.
	 * From the thread; must not block for long. */
	void (*mapped)(
		void *ctx, const struct endpoint *external, const char *how);
};

/* NULL: no thread, or nothing to map: IPv6 has no need of it, and loopback is
 * nobody else's. */
struct portmap *portmap_start(const struct portmap_options *options);

/* Begin to end, without waiting. */
void portmap_stop(struct portmap *p);

/* Wait until the mapping is taken back, for 1.5 s at most: a thread that a
 * router holds up is left to itself.  Calls `mapped` no more.  NULL is allowed.
 */
void portmap_destroy(struct portmap *p);

#endif
