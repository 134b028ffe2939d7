#ifndef CLIENT_SESSION_LISTENER_H
#define CLIENT_SESSION_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/error.h"

struct peer_queue;

/* The thread that accepts connections and pushes them to the queue; what finds
 * no room there is closed at once. */
struct listener;

/* Listen on the first port of [first, last] that is free on `bind`, or, NULL,
 * on all addresses of IPv4 and IPv6 (either alone will do).  0, 0: any port.
 * No thread yet. */
bool listener_open(struct listener **ret, const struct endpoint *bind,
	uint16_t first, uint16_t last, struct error *err);

uint16_t listener_port(const struct listener *l);

bool listener_start(
	struct listener *l, struct peer_queue *queue, struct error *err);

/* Ends the thread, if there is one.  NULL is allowed. */
void listener_destroy(struct listener *l);

#endif
