#ifndef CLIENT_SESSION_SWARM_MEMBERS_H
#define CLIENT_SESSION_SWARM_MEMBERS_H

#include <stddef.h>

#include "client/peer/pex.h"

/* Whom the workers are connected to, by the addresses at which they can be
 * dialled: what peers are told of each other (BEP 11).
 *
 * Threads: put and remove by the worker concerned, list by any. */
struct swarm_members;

/* For workers [0, count).  NULL: out of memory. */
struct swarm_members *swarm_members_create(unsigned count);
void swarm_members_destroy(struct swarm_members *m);

/* Worker `worker` talks to `peer`, instead of whom it was said before. */
void swarm_members_put(struct swarm_members *m, unsigned worker, int torrent,
	const struct pex_peer *peer);
void swarm_members_remove(struct swarm_members *m, unsigned worker);

/* Copy those of a torrent, at most `max`; returns how many. */
size_t swarm_members_list(
	struct swarm_members *m, int torrent, struct pex_peer *ret, size_t max);

#endif
