#ifndef CLIENT_SESSION_STALL_H
#define CLIENT_SESSION_STALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce.h"

/* Why is nothing coming?  Out of the client's own counters, in one line for a
 * person.  Pure. */

enum {
	STALL_MS = 10 * 1000,        /* nothing came for so long */
	STALL_COUNT_MS = 7 * 1000,   /* then what is still to be asked is */
	STALL_REPEAT_MS = 60 * 1000, /* the same reason is told again */
	STALL_TEXT_SIZE = 512,
};

/* Where peers come from, and what came. */
struct stall_sources {
	bool private;        /* then there are the tracker and web seeds only */
	size_t trackers;     /* that the torrent names */
	const char *tracker; /* how the last announce went; "": none ended */
	struct announce_counts counts; /* by that tracker */
	bool dht;                      /* it is in use, */
	size_t dht_nodes;              /* with so many nodes, ... */
	uint64_t dht_heard; /* ... who told us of so many addresses */
	bool lsd;           /* in use */
	uint64_t lsd_heard;
	uint64_t pex_heard;   /* addresses by other peers */
	uint64_t banned;      /* who gave bad data */
	size_t web_seeds;     /* that the torrent names */
	const char *web_seed; /* what is wrong with one; "": nothing yet */
};

struct stall_facts {
	bool fetching;      /* the metadata is to come first */
	unsigned connected; /* peers */
	unsigned choking;   /* of these, those that do not let us ask */
	unsigned offering;  /* of these, those that have something we lack */
	unsigned limited;   /* of these, those the download limit makes wait */
	unsigned limited_web_seeds; /* it does so, too */
	uint64_t limit;             /* that limit, bytes a second */
	size_t addresses;           /* known, and not connected */
	bool dialling;              /* workers are trying some of them */
	uint32_t missing;           /* the first piece that is missing */
	struct stall_sources sources;
};

/* Whether two reasons are the same but for numbers and what the sources say,
 * which changes all the time and is no news by itself. */
bool stall_same(const char *a, const char *b);

/* Writes the reason into `ret`; returns it. */
const char *stall_reason(
	const struct stall_facts *facts, char ret[STALL_TEXT_SIZE]);

#endif
