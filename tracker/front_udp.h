#ifndef TRACKER_FRONT_UDP_H
#define TRACKER_FRONT_UDP_H

#include "shared/endpoint.h"
#include "shared/error.h"

struct announce_rules;

/* The tracker over UDP (BEP 15) on one address, with threads of its own.
 * Reads and writes only; what is right is decided in announce.c.
 *
 * Who has not shown that he is where he claims to be is sent nothing that is
 * longer than what he sent, so nobody can be flooded by way of us. */
struct front_udp;

struct front_udp_options {
	struct endpoint listen;             /* port 0: any */
	unsigned threads;                   /* > 0 */
	const struct announce_rules *rules; /* outlives the front */
};

/* `ret_bound`: where it listens.  NULL: `err` names the address. */
struct front_udp *front_udp_start(const struct front_udp_options *o,
	struct endpoint *ret_bound, struct error *err);

/* Answer what has been read, join its threads, free it.  NULL is allowed. */
void front_udp_stop(struct front_udp *f);

#endif
