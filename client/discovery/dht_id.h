#ifndef CLIENT_DISCOVERY_DHT_ID_H
#define CLIENT_DISCOVERY_DHT_ID_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* Ids of the DHT: of nodes, and of what is looked for (info hashes are ids,
 * too).  The distance of two is their XOR (BEP 5).  Pure. */
enum { DHT_ID_SIZE = 20, DHT_ID_BITS = 160 };

struct dht_id {
	uint8_t bytes[DHT_ID_SIZE];
};

struct dht_node {
	struct dht_id id;
	struct endpoint address;
};

bool dht_id_equal(const struct dht_id *a, const struct dht_id *b);

/* < 0: `a` is nearer to `target` than `b` is; 0: they are equal. */
int dht_id_compare(const struct dht_id *target, const struct dht_id *a,
	const struct dht_id *b);

/* Leading bits that the two share, 0 to DHT_ID_BITS. */
unsigned dht_id_common_bits(const struct dht_id *a, const struct dht_id *b);

/* Give `id`, which is random, the first `bits` of `near`, and then another bit
 * than `near` has (if there is one). */
void dht_id_move(struct dht_id *id, const struct dht_id *near, unsigned bits);

/* BEP 42: the first 21 bits of a node's id follow from its address and its
 * last byte, so that nobody chooses where in the DHT he sits.  dht_id_bind()
 * makes a random id such a one.  Addresses that mean nothing outside of their
 * own network are exempt: every id fits them. */
bool dht_id_fits(const struct dht_id *id, const struct endpoint *address);
void dht_id_bind(struct dht_id *id, const struct endpoint *address);

/* Loopback, link-local, or of a private network. */
bool dht_id_exempt(const struct endpoint *address);

#endif
