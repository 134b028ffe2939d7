#ifndef CLIENT_DISCOVERY_DHT_MESSAGE_H
#define CLIENT_DISCOVERY_DHT_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/dht_id.h"
#include "shared/span.h"

/* Packets of the DHT to bytes and back: KRPC (BEP 5), with `nodes6` and `want`
 * (BEP 32), `ip` (BEP 42) and `ro` (BEP 43).  Pure. */

enum {
	DHT_PACKET_MAX = 1500, /* read; a longer one is no packet of the DHT */
	DHT_PACKET_SENT_MAX = 1400, /* fits every path, IPv6 too */
	DHT_TRANSACTION_MAX = 32,
	DHT_TOKEN_MAX = 40,   /* ours have 8 bytes, others' up to 20 or so */
	DHT_NODES_MAX = 32,   /* of one packet, both families together */
	DHT_VALUES_MAX = 100, /* peers of one packet */
};

enum dht_kind {
	DHT_PING,
	DHT_FIND_NODE,
	DHT_GET_PEERS,
	DHT_ANNOUNCE_PEER,
	DHT_UNKNOWN_QUERY, /* a query of another name */
	DHT_REPLY,
	DHT_ERROR,
};

/* Spans point into the bytes read, or to what is to be written. */
struct dht_message {
	enum dht_kind kind;
	struct span transaction;
	struct dht_id id; /* the sender's; not in an error */

	/* Queries. */
	bool read_only;       /* `ro`: does not answer itself */
	struct dht_id target; /* of FIND_NODE, else the info hash */
	bool want_v4, want_v6;
	uint16_t port;     /* ANNOUNCE_PEER */
	bool implied_port; /* its UDP port is meant */

	/* GET_PEERS' reply gives it, ANNOUNCE_PEER gives it back; len 0: none.
	 * One longer than DHT_TOKEN_MAX is as none. */
	struct span token;

	/* Replies. */
	bool has_ip;        /* `ip`: the receiver's address as it was seen */
	struct endpoint ip; /* (in errors, too) */
	size_t node_count;
	struct dht_node nodes[DHT_NODES_MAX]; /* port 0 and the like left out */
	size_t value_count;
	struct endpoint values[DHT_VALUES_MAX]; /* likewise */

	int64_t code; /* ERROR */
};

/* False: not a packet of the DHT, or one that lacks what its kind must have.
 * `ret` is then undefined. */
bool dht_message_read(struct span bytes, struct dht_message *ret);

/* The length written, of at most DHT_PACKET_SENT_MAX; 0: it does not fit, or
 * there is no memory. */
size_t dht_message_write(
	const struct dht_message *m, uint8_t ret[DHT_PACKET_SENT_MAX]);

/* Compact nodes (BEP 5: 26 bytes, BEP 32: 38 bytes each). */
enum { DHT_NODE_V4_SIZE = 26, DHT_NODE_V6_SIZE = 38 };

#endif
