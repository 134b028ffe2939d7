#ifndef CLIENT_DISCOVERY_UDP_TRACKER_H
#define CLIENT_DISCOVERY_UDP_TRACKER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/error.h"

/* One blocking announce or scrape over UDP (BEP 15), to the first IPv4 and the
 * first IPv6 address that the tracker's name has, side by side (BEP 7).  What
 * is lost is asked again after 15 s; there is no time for a third try.  A
 * connection id is used for one announce only, so it never becomes too old. */
struct udp_tracker_request {
	const char *url; /* udp://HOST:PORT, and what may follow (BEP 41) */
	const struct announce *announce; /* of a scrape: the info hash only */
	bool scrape;                     /* for its counts alone */
	const struct endpoint *bind;     /* local address to ask from, which
					  * leaves one family; NULL: any */
	/* When to give up, on clock_ms(); but after 30 s at the latest. Another
	 * thread may bring it forward: that is acted on within 200 ms. */
	const _Atomic uint64_t *give_up_ms;
};

/* Once one address has answered the other has 2 s left; the peers of both are
 * put together, with the longer interval and the larger counts.
 *
 * False: no answer; `err` says why, without the URL, which may hold a
 * passkey.  An error packet is an answer (true, with ret->failure set) when
 * there is no better one.  `ret_on_loopback`: all that answered was on the
 * loopback, so it may name peers there. */
bool udp_tracker_announce(const struct udp_tracker_request *request,
	struct announce_reply *ret, bool *ret_on_loopback, struct error *err);

#endif
