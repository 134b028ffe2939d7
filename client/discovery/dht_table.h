#ifndef CLIENT_DISCOVERY_DHT_TABLE_H
#define CLIENT_DISCOVERY_DHT_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/dht_id.h"

/* The nodes of the DHT that we know, many near our own id and few far from it
 * (BEP 5): buckets of 8, of which the one around our id is split when it is
 * full.  Only nodes that have answered us get in.  Pure: time is an argument.
 *
 * A node that answered within the last 15 minutes, or once did and has asked
 * us something within them, is good; two questions in a row that it did not
 * answer make it bad; otherwise it is questionable.  Bad ones give way to
 * others.  Of good ones the oldest stay: they are likeliest to last (BEP 5).
 *
 * Against who wants many places: one node for an address (for an IPv6 /64), and
 * in one bucket one for an IPv4 /24.  Loopback addresses are free of that.  An
 * id that does not fit its address (BEP 42) is taken, but gives way to one that
 * does: many honest nodes still have such ids.
 *
 * Belongs to one thread. */
struct dht_table;

enum {
	DHT_K = 8, /* nodes of a bucket */
	DHT_FRESH_MS = 15 * 60 * 1000,
	DHT_BAD_FAILURES = 2,
	DHT_TABLE_MAX = DHT_ID_BITS * DHT_K,
};

/* NULL: out of memory. */
struct dht_table *dht_table_create(const struct dht_id *ours, uint64_t now_ms);
void dht_table_destroy(struct dht_table *t);

/* The node has answered us: take it in, if there is a place for it, or keep it
 * as a reserve for its bucket. */
void dht_table_answered(
	struct dht_table *t, const struct dht_node *node, uint64_t now_ms);

/* The node has asked us something, which may be a lie.  True: it is not known,
 * and there would be a place for it if it answered. */
bool dht_table_asked(
	struct dht_table *t, const struct dht_node *node, uint64_t now_ms);

/* A question to this address was not answered. */
void dht_table_failed(struct dht_table *t, const struct endpoint *address);

/* Up to `max` nodes that are not bad, nearest to `target` first. */
size_t dht_table_closest(const struct dht_table *t, const struct dht_id *target,
	size_t max, struct dht_node *ret);

/* Nodes that are not bad. */
size_t dht_table_count(const struct dht_table *t);

/* A questionable node that should be asked now, the longest silent one; each is
 * named once a minute at most. */
bool dht_table_doubtful(
	struct dht_table *t, uint64_t now_ms, struct dht_node *ret);

/* A bucket in which nothing has changed for 15 minutes: `id`, which is random,
 * is moved into it, to be searched for.  The bucket then counts as changed. */
bool dht_table_stale(struct dht_table *t, uint64_t now_ms, struct dht_id *id);

#endif
