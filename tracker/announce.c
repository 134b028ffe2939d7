#include "tracker/announce.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tracker/address_limit.h"
#include "tracker/allow_list.h"
#include "tracker/counters.h"
#include "tracker/passkeys.h"
#include "tracker/swarm_store.h"

enum {
	/* When to try again after the store failed: the least that BEP 31,
	 * which counts in minutes, can say. */
	RETRY_S = 60,
};

/* All that it may say, but not what would not be looked at. */
static void clear(struct announce_reply *reply)
{
	reply->failure[0] = reply->warning[0] = '\0';
	reply->interval_s = reply->min_interval_s = reply->retry_s = 0;
	reply->seeders = reply->leechers = reply->completed = 0;
	reply->tracker_id_len = 0;
	reply->peer_count = 0;
}

static void refuse(const struct announce_rules *rules,
	struct announce_reply *ret, const char *reason)
{
	counters_add(&rules->counters->refused);
	clear(ret);
	snprintf(ret->failure, sizeof(ret->failure), "%.*s",
		(int)sizeof(ret->failure) - 1, reason);
}

static void refuse_for_now(const struct announce_rules *rules,
	struct announce_reply *ret, const char *what, uint32_t retry_s)
{
	char reason[ANNOUNCE_TEXT_SIZE];

	snprintf(reason, sizeof(reason),
		"too many %s from your address, try again in %" PRIu32 " s",
		what, retry_s);
	refuse(rules, ret, reason);
	ret->retry_s = retry_s;
}

static bool may_use(const struct announce_rules *rules, struct span passkey,
	struct error *err)
{
	if (!rules->passkeys || passkeys_allow(rules->passkeys, passkey))
		return true;
	return error_set(err, "%s",
		passkey.len == 0
			? "this tracker is private: your URL has no passkey"
			: "this tracker does not know your passkey");
}

/* Whether that swarm may be a new one. */
static bool may_begin(const struct announce_rules *rules,
	const struct announce *a, uint64_t now_s, uint32_t *ret_retry_s)
{
	struct swarm_counts counts;
	struct error err;

	/* Only who has used up his share costs a second look. */
	return address_limit_ask(
		       rules->swarm_limit, &a->peer, now_s, ret_retry_s) ||
		a->event == ANNOUNCE_STOPPED ||
		(swarm_store_scrape(
			 rules->store, &a->info_hash, 1, &counts, &err) &&
			(counts.seeders > 0 || counts.leechers > 0));
}

void announce_handle(const struct announce_rules *rules,
	const struct announce *a, struct span passkey, uint64_t now_s,
	struct announce_reply *ret)
{
	struct swarm_reply swarm;
	uint32_t retry_s;
	struct error err;

	if (!may_use(rules, passkey, &err)) {
		refuse(rules, ret, err.text);
		return;
	}
	if (!allow_list_allows(rules->allowed, &a->info_hash)) {
		refuse(rules, ret, "this tracker does not know that torrent");
		return;
	}
	if (!address_limit_ask(
		    rules->announce_limit, &a->peer, now_s, &retry_s)) {
		refuse_for_now(rules, ret, "announces", retry_s);
		return;
	}
	address_limit_count(rules->announce_limit, &a->peer, now_s);
	if (!may_begin(rules, a, now_s, &retry_s)) {
		refuse_for_now(rules, ret, "new torrents", retry_s);
		return;
	}
	if (!swarm_store_announce(rules->store, a, now_s, &swarm, &err)) {
		refuse(rules, ret, err.text);
		ret->retry_s = RETRY_S;
		return;
	}

	if (swarm.is_new)
		address_limit_count(rules->swarm_limit, &a->peer, now_s);
	counters_add(&rules->counters->announces);
	clear(ret);
	ret->interval_s = rules->interval_s;
	ret->seeders = swarm.counts.seeders;
	ret->leechers = swarm.counts.leechers;
	ret->completed = swarm.counts.completed;
	ret->peer_count = swarm.peer_count;
	_Static_assert((int)SWARM_MAX_PEERS <= (int)ANNOUNCE_MAX_PEERS,
		"the codecs have room for all");
	memcpy(ret->peers, swarm.peers,
		swarm.peer_count * sizeof(swarm.peers[0]));
}

void announce_count_bad(const struct announce_rules *rules)
{
	counters_add(&rules->counters->refused);
}

bool announce_handle_scrape(const struct announce_rules *rules,
	const struct info_hash *hashes, size_t count, struct span passkey,
	struct scrape_entry *ret, size_t *ret_count, struct error *err)
{
	struct info_hash asked[ANNOUNCE_MAX_SCRAPE];
	struct swarm_counts counts[ANNOUNCE_MAX_SCRAPE];
	size_t known = 0;

	if (!may_use(rules, passkey, err))
		return false;
	for (size_t i = 0; i < count && known < ANNOUNCE_MAX_SCRAPE; i++) {
		if (allow_list_allows(rules->allowed, &hashes[i]))
			asked[known++] = hashes[i];
	}
	if (!swarm_store_scrape(rules->store, asked, known, counts, err))
		return false;
	counters_add(&rules->counters->scrapes);
	for (size_t i = 0; i < known; i++) {
		ret[i] = (struct scrape_entry){
			.info_hash = asked[i],
			.seeders = counts[i].seeders,
			.leechers = counts[i].leechers,
			.completed = counts[i].completed,
		};
	}
	*ret_count = known;
	return true;
}
