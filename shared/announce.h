#ifndef SHARED_ANNOUNCE_H
#define SHARED_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/info_hash.h"

/* What a peer tells a tracker and what comes back, whatever the transport:
 * HTTP (BEP 3, 7, 23) or UDP (BEP 15).  Both programs use these types; the
 * codecs are announce_http_query, announce_http_reply and announce_udp. */

enum {
	PEER_ID_SIZE = 20,
	ANNOUNCE_DEFAULT_NUMWANT = 50,
	ANNOUNCE_MAX_PEERS = 200,        /* a tracker of ours hands out */
	ANNOUNCE_REPLY_MAX_PEERS = 1000, /* a client of ours uses */
	ANNOUNCE_TEXT_SIZE = 201,        /* foreign texts are cut there */
};

enum announce_event {
	ANNOUNCE_NONE, /* a regular one (BEP 15 numbers) */
	ANNOUNCE_COMPLETED,
	ANNOUNCE_STARTED,
	ANNOUNCE_STOPPED,
};

struct announce {
	struct info_hash info_hash;
	uint8_t peer_id[PEER_ID_SIZE];
	struct endpoint peer; /* ip: where the announce came from, known to the
			       * tracker only; port: where the peer listens */
	uint64_t uploaded;
	uint64_t downloaded;
	uint64_t left;
	enum announce_event event;
	bool partial_seed;  /* wants no more, and has not all (BEP 21); a
			     * tracker of ours does not tell it apart */
	uint32_t numwant;   /* peers asked for */
	bool numwant_named; /* by the peer itself, else the tracker chooses */
	uint32_t key;       /* random per run; 0: none */
	bool one_family;    /* only peers of its own address family are of use:
			     * a reply over UDP has room for no others */
	bool compact;       /* BEP 23 */
	bool no_peer_id;
};

struct announce_reply {
	char failure[ANNOUNCE_TEXT_SIZE]; /* not "": the rest is void */
	char warning[ANNOUNCE_TEXT_SIZE];
	uint32_t interval_s; /* as the tracker said it; 0: did not */
	uint32_t min_interval_s;
	uint32_t retry_s; /* with a failure (BEP 31); 0: not said */
	bool counted;     /* the tracker said seeders or leechers */
	uint32_t seeders;
	uint32_t leechers;
	uint32_t completed;
	uint8_t tracker_id_len; /* BEP 3's `trackerid`, to be sent back */
	uint8_t tracker_id[100];
	size_t peer_count;
	struct endpoint peers[ANNOUNCE_REPLY_MAX_PEERS];
};

/* How many peers a tracker counts. */
struct announce_counts {
	bool known; /* it said so */
	uint32_t seeders;
	uint32_t leechers;
};

/* Put what a tracker said over another address family (BEP 7) with what it said
 * before: peers of both, the longer interval, the larger counts.  Neither has a
 * failure. */
void announce_reply_add(
	struct announce_reply *all, const struct announce_reply *more);

/* One swarm's entry in a scrape reply (BEP 48, BEP 15). */
struct scrape_entry {
	struct info_hash info_hash;
	uint32_t seeders;
	uint32_t leechers;
	uint32_t completed;
};

/* Fill in the counts, as a scrape told them. */
void announce_reply_count(
	struct announce_reply *reply, const struct scrape_entry *entry);

const char *announce_event_name(enum announce_event event); /* "" for none */

#endif
