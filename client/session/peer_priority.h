#ifndef CLIENT_SESSION_PEER_PRIORITY_H
#define CLIENT_SESSION_PEER_PRIORITY_H

#include <stdint.h>

#include "shared/endpoint.h"

/* Which of two peers is to be preferred when there is not room for both (BEP
 * 40): the one with the larger number.  Both ends of a connection come to the
 * same, so they want each other alike, and nobody can choose an address that
 * everybody prefers.  Pure.
 *
 * `us` is as the peer sees us; both are of one family, and the ports are where
 * each listens. */
uint32_t peer_priority(const struct endpoint *us, const struct endpoint *peer);

#endif
