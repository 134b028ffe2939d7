#ifndef CLIENT_DISCOVERY_DHT_ENTRANCES_H
#define CLIENT_DISCOVERY_DHT_ENTRANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* The nodes to enter the DHT by: their names are looked up in a thread of its
 * own, which ends when all are found.  Names that were given come first; the
 * usual public ones are asked for only when we know nobody, after a second or
 * at any time later.  What is not found is looked up again after a minute, then
 * ever more slowly, as long as we know nobody. */
struct dht_entrances;

struct dht_entrance {
	const char *host; /* outlives the thread; not checked */
	uint16_t port;
};

struct dht_entrances_options {
	const struct dht_entrance *given; /* copied */
	size_t given_count;
	bool public; /* may the usual public ones be used? */

	void *ctx;
	/* From the thread; must not block for long. */
	void (*found)(void *ctx, const struct endpoint *node);
	/* The same: do we know nobody in the DHT? */
	bool (*lonely)(void *ctx);
};

/* NULL: out of memory, or no thread. */
struct dht_entrances *dht_entrances_start(
	const struct dht_entrances_options *options);

/* Join the thread (within 100 ms, whatever a resolver does) and free; NULL is
 * allowed. */
void dht_entrances_destroy(struct dht_entrances *e);

#endif
