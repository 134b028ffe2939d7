#ifndef CLIENT_DISCOVERY_PORTMAP_GATEWAY_H
#define CLIENT_DISCOVERY_PORTMAP_GATEWAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/error.h"

/* Asks the router to hand connections on to us: by NAT-PMP (RFC 6886,
 * libnatpmp), or else by UPnP (miniupnpc).  Blocking; for a thread of its own.
 *
 * What a router says is read by these libraries, and bounded by them: a hostile
 * one in the local network can make a call last long, not more.  Hence nobody
 * waits for this thread without an end. */

enum portmap_by { PORTMAP_NATPMP, PORTMAP_UPNP };

struct portmap_request {
	uint16_t port;               /* ours, TCP and UDP */
	uint16_t external;           /* wanted; the router may give another */
	const struct endpoint *bind; /* our address; NULL: any */
	uint32_t dice;               /* for other ports, if that is taken */
	/* Set, and readable: end soon. */
	const atomic_bool *stopping;
	int stop_fd;
	/* Becomes true before a mapping is asked for, and then none is if
	 * `stopping` is set by now: as long as it is false there is none. */
	atomic_bool *asked;
};

struct portmap_lease {
	enum portmap_by by;
	struct endpoint external; /* all of its address 0: not said */
	uint32_t lease_s;         /* 0: it has no end */
	/* UPnP: whom to tell that it is not needed any more. */
	char control_url[256];
	char service[128];
};

/* Maps TCP and, if it can be had on the same external port, UDP.  False: `err`
 * says why, or that we are stopping. */
bool portmap_gateway_map(const struct portmap_request *r,
	struct portmap_lease *ret, struct error *err);

/* Take it back; takes a second at most with a router that is well. */
void portmap_gateway_unmap(
	const struct portmap_request *r, const struct portmap_lease *lease);

#endif
