#include "tracker/announce.h"

#include <stdio.h>
#include <string.h>

#include "shared/announce_http.h"
#include "tracker/allow_list.h"
#include "tracker/counters.h"
#include "tracker/swarm_store.h"

/* Everything but the peers, which are many. */
static void clear(struct announce_reply *reply)
{
	memset(reply, 0, offsetof(struct announce_reply, peers));
}

static void refuse(const struct announce_rules *rules,
	struct announce_reply *ret, const char *reason)
{
	counters_add(&rules->counters->refused);
	clear(ret);
	snprintf(ret->failure, sizeof(ret->failure), "%.*s",
		(int)sizeof(ret->failure) - 1, reason);
}

void announce_handle(const struct announce_rules *rules,
	const struct announce *a, uint64_t now_s, struct announce_reply *ret)
{
	struct announce asked = *a;
	struct swarm_reply swarm;
	struct error err;

	if (!allow_list_allows(rules->allowed, &a->info_hash)) {
		refuse(rules, ret, "this tracker does not know that torrent");
		return;
	}
	if (asked.numwant > ANNOUNCE_MAX_PEERS)
		asked.numwant = ANNOUNCE_MAX_PEERS;
	if (!swarm_store_announce(rules->store, &asked, now_s, &swarm, &err)) {
		refuse(rules, ret, err.text);
		return;
	}

	counters_add(&rules->counters->announces);
	clear(ret);
	ret->interval_s = rules->interval_s;
	ret->seeders = swarm.counts.seeders;
	ret->leechers = swarm.counts.leechers;
	ret->completed = swarm.counts.completed;
	ret->peer_count = swarm.peer_count;
	memcpy(ret->peers, swarm.peers,
		swarm.peer_count * sizeof(swarm.peers[0]));
}

void announce_count_bad(const struct announce_rules *rules)
{
	counters_add(&rules->counters->refused);
}

bool announce_handle_scrape(const struct announce_rules *rules,
	const struct info_hash *hashes, size_t count, struct scrape_entry *ret,
	size_t *ret_count, struct error *err)
{
	size_t known = 0;

	counters_add(&rules->counters->scrapes);
	for (size_t i = 0; i < count; i++) {
		struct swarm_counts counts;

		if (!allow_list_allows(rules->allowed, &hashes[i]))
			continue;
		if (!swarm_store_scrape(rules->store, &hashes[i], &counts, err))
			return false;
		ret[known++] = (struct scrape_entry){
			.info_hash = hashes[i],
			.seeders = counts.seeders,
			.leechers = counts.leechers,
			.completed = counts.completed,
		};
	}
	*ret_count = known;
	return true;
}
