#ifndef CLIENT_DISCOVERY_DHT_H
#define CLIENT_DISCOVERY_DHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/dht_id.h"
#include "shared/buffer.h"
#include "shared/info_hash.h"
#include "shared/span.h"

/* A node of the DHT (BEP 5, 32, 42, 43), as a machine: it is fed with packets
 * and the time, and gives out packets to send and peers that it found.  No
 * socket, no clock, no dice in it.
 *
 * IPv4 and IPv6 are two networks, each with a table and an id (BEP 32, 42).
 *
 * Belongs to one thread. */
struct dht;

enum {
	DHT_WANTED_MAX = 10000,    /* torrents that we look for */
	DHT_ENTRANCES_MAX = 64,    /* nodes to enter by */
	DHT_SAVED_MAX = 200,       /* nodes of a family, in a saved state */
	DHT_STATE_MAX = 16 * 1024, /* bytes of one */
	/* A torrent is searched for, and announced, so often (and up to 5
	 * minutes later, by dice). */
	DHT_ROUND_MS = 15 * 60 * 1000,
	/* When it is hungry, or no node answered: sooner, doubling. */
	DHT_HUNGRY_MS = 5 * 1000,
	DHT_HUNGRY_MAX_MS = 5 * 60 * 1000,
	DHT_TIMEOUT_MS = 3 * 1000, /* for an answer */
};

struct dht_options {
	bool v4, v6;    /* the networks there are; at least one */
	bool read_only; /* BEP 43: ask, but answer nothing */

	void *ctx;
	void (*random)(void *ret, size_t len);
	/* Send a packet, now; it is no matter if it is lost. */
	void (*send)(void *ctx, const struct endpoint *to, struct span packet);
	/* Peers of a wanted torrent; checked with endpoint_dialable(), and
	 * loopback ones left out unless who named them is on loopback too. */
	void (*peers)(void *ctx, const struct info_hash *torrent,
		const struct endpoint *peers, size_t count);
};

/* NULL: out of memory. */
struct dht *dht_create(const struct dht_options *options, uint64_t now_ms);
void dht_destroy(struct dht *d);

/* A packet came. */
void dht_packet(struct dht *d, const struct endpoint *from, struct span packet,
	uint64_t now_ms);

/* Do what is due; returns in how many milliseconds to call again at the
 * latest. */
unsigned dht_tick(struct dht *d, uint64_t now_ms);

/* A node to enter the network by, whenever we know none. */
void dht_entrance(struct dht *d, const struct endpoint *node);

/* A node somebody told us of (PORT of BEP 5): ask it whether it is there. */
void dht_try_node(struct dht *d, const struct endpoint *node);

/* Look for peers of a torrent from now on; announce that we have it, on the TCP
 * port given (0: do not).  Called again it changes these; `hungry`: more peers
 * are needed soon.  False: too many, or out of memory. */
bool dht_want(struct dht *d, const struct info_hash *torrent, uint16_t port,
	bool hungry, uint64_t now_ms);
void dht_forget(struct dht *d, const struct info_hash *torrent);

/* Nodes known, of both networks. */
size_t dht_node_count(const struct dht *d);

/* Where there are good nodes, for the next run: bencoded, at most
 * DHT_STATE_MAX.  Loading takes what is sound of it, and asks the nodes before
 * it believes in them; false: not such a state. */
void dht_save(const struct dht *d, struct buffer *out);
bool dht_load(struct dht *d, struct span state);

#endif
