#ifndef TRACKER_CONNECTION_ID_H
#define TRACKER_CONNECTION_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "tracker/siphash.h"

struct endpoint;

/* The connection ids of BEP 15, which show that a client gets what is sent to
 * the address that it claims.  An id is a keyed hash of that address and the
 * minute, so the tracker remembers nothing of any client, and nobody makes one
 * for an address that he cannot read the mail of.  The port is not part of it:
 * some gateways change it between two packets.
 *
 * An id is good for one to two minutes.  Times are seconds of any clock that
 * never goes back.
 *
 * Threads: any; the key is made once and does not change. */
struct connection_ids {
	uint8_t key[SIPHASH_KEY_SIZE];
};

/* With a key that the system's dice give. */
struct connection_ids connection_ids_random(void);

uint64_t connection_id_make(const struct connection_ids *ids,
	const struct endpoint *client, uint64_t now_s);

bool connection_id_valid(const struct connection_ids *ids,
	const struct endpoint *client, uint64_t now_s, uint64_t id);

#endif
