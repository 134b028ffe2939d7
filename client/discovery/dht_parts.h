#ifndef CLIENT_DISCOVERY_DHT_PARTS_H
#define CLIENT_DISCOVERY_DHT_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/dht.h"
#include "client/discovery/dht_held.h"
#include "client/discovery/dht_limits.h"
#include "client/discovery/dht_message.h"
#include "client/discovery/dht_search.h"
#include "client/discovery/dht_store.h"
#include "client/discovery/dht_table.h"

/* What the parts of a node of the DHT (dht.h) share; for these files only:
 *
 *	dht            a packet, a tick; keeps the table
 *	dht_queries    our questions, and whom to ask first of all
 *	dht_replies    what comes back, or does not
 *	dht_searches   searches and announces, for what is wanted
 *	dht_answers    the questions of others
 *	dht_saved      from run to run */

enum {
	DHT_FAMILIES = 2,      /* 0: IPv4, 1: IPv6 */
	DHT_MAX_QUERIES = 256, /* under way */
	DHT_MAX_SEARCHES = 8,  /* under way */
	DHT_MAX_TRIES = 512,   /* addresses that wait to be asked */
	DHT_TRANSACTION_SIZE = 4,

	/* Our address by what others see (BEP 42): so many of the last ones
	 * who told us are counted. */
	DHT_VOTES = 10,
};

enum dht_purpose {
	DHT_FOR_TABLE,
	DHT_FOR_ENTRANCE,
	DHT_FOR_SEARCH,
	DHT_FOR_ANNOUNCE
};

/* A question of ours under way. */
struct dht_query {
	bool used;
	uint8_t transaction[DHT_TRANSACTION_SIZE];
	struct endpoint to;
	bool id_known;
	struct dht_id id; /* that it should have */
	enum dht_purpose purpose;
	size_t search; /* DHT_FOR_SEARCH: which, and its serial number */
	uint64_t serial;
	uint64_t sent_ms;
};

struct dht_search_slot {
	bool running;
	bool for_peers; /* or for nodes only */
	int family;
	uint64_t serial;
	struct dht_search s;
};

struct dht_wanted {
	struct dht_id torrent;
	uint16_t port;
	bool hungry;
	struct {
		bool searching;
		unsigned rounds; /* since there was reason to be hungry */
		uint64_t ended_ms, due_ms;
	} of[DHT_FAMILIES];
};

struct dht_vote {
	struct endpoint voter, ours;
};

struct dht_family {
	bool on;
	struct dht_id id;
	struct dht_table *table;
	bool joined;       /* searched for our own id since we know somebody */
	uint64_t enter_ms; /* when to ask the entrances again */
	unsigned entered;  /* how often in vain */
	size_t vote_next;
	struct dht_vote votes[DHT_VOTES];
};

struct dht {
	struct dht_options o;
	struct dht_family families[DHT_FAMILIES];
	struct dht_limits *limits;
	struct dht_store *store;
	struct dht_held held;
	uint64_t serial;
	uint64_t expire_ms;

	size_t entrance_count;
	struct endpoint entrances[DHT_ENTRANCES_MAX];

	/* Addresses to be asked whether somebody is there: a ring. */
	size_t try_head, try_count;
	struct endpoint tries[DHT_MAX_TRIES];

	size_t wanted_count, wanted_capacity;
	struct dht_wanted *wanted;

	struct dht_search_slot searches[DHT_MAX_SEARCHES];
	struct dht_query queries[DHT_MAX_QUERIES];
};

/* ---- dht ---- */

uint32_t dht_parts_dice(struct dht *d);
struct dht_id dht_parts_random_id(struct dht *d);

int dht_parts_family_index(const struct endpoint *e);
struct dht_family *dht_parts_family(struct dht *d, const struct endpoint *e);

/* Is somebody at `from` to be believed about `named`, or told of it?  Loopback
 * is nobody else's business. */
bool dht_parts_may_name(
	const struct endpoint *from, const struct endpoint *named);

/* ---- dht_queries ---- */

/* Is there room for a question that can as well be asked later? */
bool dht_queries_may_ask(struct dht *d, uint64_t now_ms);

/* Send `m` (its kind, and what belongs to that) with what every question has.
 * `how` says what it is for.  False: no room for more of them. */
bool dht_queries_ask(struct dht *d, const struct dht_message *m,
	const struct dht_query *how, uint64_t now_ms);
bool dht_queries_ping(
	struct dht *d, const struct endpoint *to, uint64_t now_ms);

/* Is a question to that address under way? */
bool dht_queries_asked(struct dht *d, const struct endpoint *to);

/* The one that a message answers; NULL: none. */
struct dht_query *dht_queries_find(struct dht *d, const struct endpoint *from,
	const struct dht_message *m);

/* At a tick: ask some of the addresses that wait; the entrances of a network
 * where we know nobody, ever more slowly. */
void dht_queries_try_some(struct dht *d, uint64_t now_ms);
void dht_queries_enter(struct dht *d, int family, uint64_t now_ms);

/* ---- dht_replies ---- */

/* A reply or an error came. */
void dht_replies_take(struct dht *d, const struct endpoint *from,
	const struct dht_message *m, uint64_t now_ms);

/* At a tick: whose answer does not come. */
void dht_replies_give_up(struct dht *d, uint64_t now_ms);

/* ---- dht_searches ---- */

/* NULL: enough of that kind are under way. */
struct dht_search_slot *dht_searches_start(
	struct dht *d, int family, const struct dht_id *target, bool for_peers);

/* The search for our own place, begun if need be. */
struct dht_search_slot *dht_searches_for_ourselves(struct dht *d, int family);

/* The search that a query belongs to, if it is still under way. */
struct dht_search_slot *dht_searches_of(
	struct dht *d, const struct dht_query *q);

/* Ask on in those that are under way; end and announce those that are over. */
void dht_searches_run(struct dht *d, uint64_t now_ms);

/* At a tick: for the torrents that are due. */
void dht_searches_start_due(struct dht *d, int family, uint64_t now_ms);

/* NULL: nobody wants that torrent. */
struct dht_wanted *dht_searches_wanted(
	struct dht *d, const struct dht_id *torrent);

/* Hand on peers of a wanted torrent. */
void dht_searches_tell(struct dht *d, const struct dht_id *torrent,
	const struct endpoint *peers, size_t count);

/* ---- dht_answers ---- */

/* A query came, as that packet. */
void dht_answers_take(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, struct span packet, uint64_t now_ms);

/* Somebody has shown that it is at its address: it may wait for an answer. */
void dht_answers_held(
	struct dht *d, const struct endpoint *from, uint64_t now_ms);

#endif
