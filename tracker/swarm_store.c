#include "tracker/swarm_store.h"

bool swarm_store_announce(struct swarm_store *store, const struct announce *a,
	uint64_t now_s, struct swarm_reply *ret, struct error *err)
{
	return store->kind->announce(store, a, now_s, ret, err);
}

bool swarm_store_scrape(struct swarm_store *store,
	const struct info_hash *hashes, size_t count, struct swarm_counts *ret,
	struct error *err)
{
	return store->kind->scrape(store, hashes, count, ret, err);
}

bool swarm_store_expire(
	struct swarm_store *store, uint64_t before_s, struct error *err)
{
	return store->kind->expire(store, before_s, err);
}

bool swarm_store_totals(
	struct swarm_store *store, struct swarm_totals *ret, struct error *err)
{
	return store->kind->totals(store, ret, err);
}

bool swarm_store_healthy(struct swarm_store *store, struct error *err)
{
	return store->kind->healthy(store, err);
}

void swarm_store_destroy(struct swarm_store *store)
{
	if (store)
		store->kind->destroy(store);
}
