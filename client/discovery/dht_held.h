#ifndef CLIENT_DISCOVERY_DHT_HELD_H
#define CLIENT_DISCOVERY_DHT_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/span.h"

/* Questions of strangers whose answer would be longer than what they sent.  The
 * address of a UDP packet may be somebody else's, who would get the answer; so
 * the stranger is asked something short first, and gets its answer once it has
 * given one itself.
 *
 * Pure: packets and the time come in.  What is longer than DHT_HELD_SIZE, or
 * finds no room, is not held: no question of a proper node is so long. */
enum {
	DHT_HELD_MAX = 64,
	DHT_HELD_SIZE = 320,
	DHT_HELD_MS = 5 * 1000, /* then nobody waits for the answer any more */
};

struct dht_held {
	struct held_question {
		struct endpoint from;
		uint64_t until_ms; /* 0: free */
		size_t len;
		uint8_t packet[DHT_HELD_SIZE];
	} questions[DHT_HELD_MAX];
};

/* False: not held; one of each address is. */
bool dht_held_put(struct dht_held *h, const struct endpoint *from,
	struct span packet, uint64_t now_ms);

/* The question of that address is given back into `ret`, and forgotten.
 * Returns its length; 0: none. */
size_t dht_held_take(struct dht_held *h, const struct endpoint *from,
	uint64_t now_ms, uint8_t ret[DHT_HELD_SIZE]);

#endif
