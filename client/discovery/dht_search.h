#ifndef CLIENT_DISCOVERY_DHT_SEARCH_H
#define CLIENT_DISCOVERY_DHT_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/dht_id.h"
#include "client/discovery/dht_message.h"
#include "client/discovery/dht_table.h"

/* One search for the nodes nearest to an id (BEP 5): the nearest known ones are
 * asked, a few at a time; they name nearer ones; it is over when the 8 nearest
 * that are alive have answered.  Pure: time is an argument.
 *
 * Limits: so many candidates are kept, the nearest; so many are asked in all,
 * whatever is named to us; of one host (but loopback) one is taken. */

enum {
	DHT_SEARCH_MAX = 64,
	DHT_SEARCH_ASKED_MAX = 120,
	DHT_SEARCH_ALPHA = 4,
	/* One that has not answered for so long is likely dead: another is
	 * asked in its place, and the search ends without it.  Should it answer
	 * while that goes on, it counts again. */
	DHT_SEARCH_SLOW_MS = 1000,
};

struct dht_candidate {
	struct dht_node node;
	enum { CANDIDATE_NEW, CANDIDATE_ASKED, CANDIDATE_ANSWERED } state;
	uint64_t asked_ms;
	size_t token_len; /* 0: it gave none */
	uint8_t token[DHT_TOKEN_MAX];
};

struct dht_search {
	struct dht_id target;
	unsigned asked;    /* so far */
	unsigned answered; /* so far */
	size_t count;
	struct dht_candidate nearest[DHT_SEARCH_MAX]; /* nearest first */
};

void dht_search_begin(struct dht_search *s, const struct dht_id *target);

/* Somebody named this node. */
void dht_search_hear(struct dht_search *s, const struct dht_node *node);

/* The node to ask next, if it is time for one; it then counts as asked. */
bool dht_search_next(
	struct dht_search *s, uint64_t now_ms, struct dht_node *ret);

/* A node that was asked has answered, or will not (it is then dropped). */
void dht_search_answered(struct dht_search *s, const struct endpoint *address,
	struct span token);
void dht_search_failed(struct dht_search *s, const struct endpoint *address);

/* Nobody is left to be asked or to be waited for. */
bool dht_search_over(const struct dht_search *s, uint64_t now_ms);

#endif
