#ifndef CLIENT_DISCOVERY_PORTMAP_RULES_H
#define CLIENT_DISCOVERY_PORTMAP_RULES_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* When a port mapping is asked for again, for which port, and whom we believe
 * to be a router.  Pure. */

enum {
	PORTMAP_LEASE_S = 3600, /* asked for */
	/* Renewed after half of the lease, within these. */
	PORTMAP_RENEW_MIN_MS = 60 * 1000,
	PORTMAP_RENEW_MAX_MS = 30 * 60 * 1000,
	/* Where nobody answers: again, doubling. */
	PORTMAP_RETRY_MS = 60 * 1000,
	PORTMAP_RETRY_MAX_MS = 60 * 60 * 1000,
	/* External ports tried when others have ours. */
	PORTMAP_PORTS_MAX = 4,
};

uint64_t portmap_renew_ms(uint32_t lease_s); /* 0: it has no end */
uint64_t portmap_retry_ms(unsigned failures);

/* The external port of try number `n`: ours first, then by dice. */
uint16_t portmap_port(uint16_t ours, unsigned n, uint32_t dice);

/* The address in "http://ADDRESS[:PORT]/...", as a device says that it can be
 * talked to (UPnP).  False: no such URL, a name, or an address that is not a
 * private one: whoever is in the local network must not send us to others. */
bool portmap_router_url(const char *url, struct endpoint *ret);

#endif
