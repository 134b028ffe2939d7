#ifndef TRACKER_ANNOUNCE_H
#define TRACKER_ANNOUNCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/error.h"
#include "shared/span.h"

struct address_limit;
struct allow_list;
struct announce_reply;
struct counters;
struct passkeys;
struct scrape_entry;
struct swarm_store;

enum {
	/* As many as fit in a URL, and their replies in
	 * ANNOUNCE_HTTP_MAX_REPLY: 20 bytes become less than 90. */
	ANNOUNCE_MAX_SCRAPE = 300,
};

/* The rules for an announce and a scrape, once for all fronts.
 *
 * Threads: any; the struct is filled in once and does not change. */
struct announce_rules {
	struct swarm_store *store;
	struct allow_list *allowed;
	struct passkeys *passkeys;            /* NULL: none is wanted */
	struct address_limit *announce_limit; /* NULL: no limit */
	struct address_limit *swarm_limit;    /* of new ones; NULL: no limit */
	struct counters *counters;
	uint32_t interval_s;
};

/* Answer an announce whose `peer.ip` is where it came from, and which brought
 * that passkey (perhaps none, the empty one).  `ret` gets what a front writes
 * out, possibly a failure; peers beyond peer_count are left as they were. */
void announce_handle(const struct announce_rules *rules,
	const struct announce *a, struct span passkey, uint64_t now_s,
	struct announce_reply *ret);

/* An announce that a front could not read: only count it. */
void announce_count_bad(const struct announce_rules *rules);

/* The counts of those `hashes` (at most ANNOUNCE_MAX_SCRAPE) that are tracked,
 * in the order asked.  False: `err` is fit for a failure reason. */
bool announce_handle_scrape(const struct announce_rules *rules,
	const struct info_hash *hashes, size_t count, struct span passkey,
	struct scrape_entry *ret, size_t *ret_count, struct error *err);

#endif
