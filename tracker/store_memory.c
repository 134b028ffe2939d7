#include "tracker/store_memory.h"

#include <pthread.h>
#include <stdlib.h>

#include "shared/announce.h"
#include "tracker/swarm_choice.h"
#include "tracker/swarm_expiry.h"
#include "tracker/swarm_store.h"
#include "tracker/swarm_table.h"
#include "tracker/swarm_walk.h"

struct store_memory {
	struct swarm_store base;
	struct swarm_table table;
};

static struct swarm_table *table_of(struct swarm_store *store)
{
	return &((struct store_memory *)store)->table;
}

/* --- Announce --- */

static int kind_of(const struct announce *a)
{
	return a->left == 0 ? SEEDERS : LEECHERS;
}

/* Keep what it says; returns where it is then. */
static struct swarm_spot keep_peer_locked(struct swarm_table *t,
	struct swarm_shard *s, struct swarm *w, const struct announce *a,
	uint64_t now_s)
{
	int kind = kind_of(a);
	struct swarm_spot spot = swarm_table_find_peer(t, w, &a->peer, kind);
	struct peer_array *p = &w->peers[spot.family][spot.kind];
	const struct peer_family *family = &t->families[spot.family];
	struct peer_state state = {.seen = swarm_table_moment(t, now_s)};
	bool counted = false;

	if (spot.known)
		counted = peer_array_state(p, family, &spot.place).completed;
	state.completed =
		counted || (a->event == ANNOUNCE_COMPLETED && kind == SEEDERS);
	if (spot.known && spot.kind == kind) {
		peer_array_set_state(p, family, &spot.place, &state);
	} else if (spot.known) {
		if (!swarm_table_move_peer(
			    t, s, w, &a->peer, kind, &state, &spot))
			return spot;
	} else {
		spot.kind = kind;
		if (!swarm_table_add_peer(t, s, w, &a->peer, &state, &spot))
			return spot;
	}
	/* Once for each peer, however often it says so. */
	if (state.completed && !counted && w->completed < UINT32_MAX)
		w->completed++;
	return spot;
}

static void stop_peer_locked(struct swarm_table *t, struct swarm_shard *s,
	struct swarm **at, const struct announce *a, struct swarm_reply *ret)
{
	struct swarm *w = *at;

	if (!w)
		return;
	struct swarm_spot spot =
		swarm_table_find_peer(t, w, &a->peer, kind_of(a));
	if (spot.known)
		swarm_table_remove_peer(t, s, w, &spot);
	ret->counts = swarm_counts_of(w);
	if (swarm_is_empty(w))
		swarm_shard_drop(s, at);
}

static bool announce_locked(struct swarm_table *t, struct swarm_shard *s,
	uint64_t hash, const struct announce *a, uint64_t now_s,
	struct swarm_reply *ret, struct error *err)
{
	if (a->event == ANNOUNCE_STOPPED) {
		stop_peer_locked(
			t, s, swarm_shard_find(s, hash, &a->info_hash), a, ret);
		return true;
	}

	struct swarm **at = swarm_table_find_or_add(t, s, hash, &a->info_hash);
	if (!at)
		return error_set(err, "the tracker is full");

	struct swarm *w = *at;
	ret->is_new = swarm_is_empty(w); /* none has no peers for long */
	struct swarm_spot self = keep_peer_locked(t, s, w, a, now_s);
	if (swarm_is_empty(w)) {
		swarm_shard_drop(s, at);
		return error_set(err, "the tracker is full");
	}
	ret->counts = swarm_counts_of(w);
	swarm_choice_put(t, s, w, a, &self, ret);
	return true;
}

static bool memory_announce(struct swarm_store *store, const struct announce *a,
	uint64_t now_s, struct swarm_reply *ret, struct error *err)
{
	struct swarm_table *t = table_of(store);
	uint64_t hash = swarm_table_hash(t, &a->info_hash);
	struct swarm_shard *s = swarm_table_shard(t, hash);

	ret->counts = (struct swarm_counts){0};
	ret->is_new = false;
	ret->peer_count = 0;
	pthread_mutex_lock(&s->lock);
	bool ok = announce_locked(t, s, hash, a, now_s, ret, err);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

/* --- Counting --- */

static struct swarm_counts scrape_one(
	struct swarm_table *t, const struct info_hash *info_hash)
{
	uint64_t hash = swarm_table_hash(t, info_hash);
	struct swarm_shard *s = swarm_table_shard(t, hash);
	struct swarm_counts counts = {0};

	pthread_mutex_lock(&s->lock);
	const struct swarm *w = *swarm_shard_find(s, hash, info_hash);
	if (w)
		counts = swarm_counts_of(w);
	pthread_mutex_unlock(&s->lock);
	return counts;
}

static bool memory_scrape(struct swarm_store *store,
	const struct info_hash *hashes, size_t count, struct swarm_counts *ret,
	struct error *err)
{
	(void)err; /* memory is always within reach */
	for (size_t i = 0; i < count; i++)
		ret[i] = scrape_one(table_of(store), &hashes[i]);
	return true;
}

static bool memory_totals(
	struct swarm_store *store, struct swarm_totals *ret, struct error *err)
{
	struct swarm_table *t = table_of(store);
	struct swarm_totals totals = {0};

	(void)err;
	for (size_t i = 0; i < SWARM_SHARDS; i++) {
		struct swarm_shard *s = &t->shards[i];

		pthread_mutex_lock(&s->lock);
		totals.swarms += s->swarm_count;
		totals.seeders += s->seeders;
		totals.leechers += s->leechers;
		pthread_mutex_unlock(&s->lock);
	}
	*ret = totals;
	return true;
}

static bool memory_healthy(struct swarm_store *store, struct error *err)
{
	(void)store;
	(void)err;
	return true;
}

/* --- The rest --- */

static bool memory_expire(
	struct swarm_store *store, uint64_t before_s, struct error *err)
{
	(void)err;
	swarm_expiry_run(table_of(store), before_s);
	return true;
}

bool store_memory_next(struct swarm_store *store, struct store_walk *at,
	uint64_t now_s, struct swarm_part *ret)
{
	return swarm_walk_next(table_of(store), at, now_s, ret);
}

uint32_t store_memory_step_s(const struct swarm_store *store)
{
	return (uint32_t)((const struct store_memory *)store)->table.moment_s;
}

size_t store_memory_restore(struct swarm_store *store,
	const struct swarm_part *part, uint64_t now_s)
{
	return swarm_walk_restore(table_of(store), part, now_s);
}

static void memory_destroy(struct swarm_store *store)
{
	swarm_table_finish(table_of(store));
	free(store);
}

static const struct swarm_store_kind memory_kind = {
	.announce = memory_announce,
	.scrape = memory_scrape,
	.expire = memory_expire,
	.totals = memory_totals,
	.healthy = memory_healthy,
	.destroy = memory_destroy,
};

struct swarm_store *store_memory_create(size_t max_peers, uint64_t keep_s)
{
	struct store_memory *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->base.kind = &memory_kind;
	if (!swarm_table_init(&m->table, max_peers, keep_s)) {
		memory_destroy(&m->base);
		return NULL;
	}
	return &m->base;
}
