#ifndef CLIENT_DISCOVERY_DHT_STORE_H
#define CLIENT_DISCOVERY_DHT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/dht_id.h"

/* What other nodes announced to us: which peers have which torrents (BEP 5).
 * Bounded: the torrent, or the peer of it, that was announced longest ago makes
 * room.  An announce is forgotten after 30 minutes.  Pure: time is an argument.
 * Belongs to one thread. */
struct dht_store;

enum {
	DHT_STORE_TORRENTS = 1000,
	DHT_STORE_PEERS = 100,  /* of one torrent */
	DHT_STORE_PER_HOST = 8, /* ports of one host in a torrent */
	DHT_STORE_AGE_MS = 30 * 60 * 1000,
};

/* NULL: out of memory. */
struct dht_store *dht_store_create(void);
void dht_store_destroy(struct dht_store *s);

/* Without memory for it nothing happens. */
void dht_store_add(struct dht_store *s, const struct dht_id *torrent,
	const struct endpoint *peer, uint64_t now_ms);

/* Up to `max` peers of a torrent, of one family, from a place in the list that
 * `dice` says, so that each comes to be named. */
size_t dht_store_get(const struct dht_store *s, const struct dht_id *torrent,
	bool v4, uint32_t dice, uint64_t now_ms, size_t max,
	struct endpoint *ret);

/* Drop what is too old. */
void dht_store_expire(struct dht_store *s, uint64_t now_ms);

/* Torrents in it. */
size_t dht_store_count(const struct dht_store *s);

#endif
