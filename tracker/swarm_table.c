#include "tracker/swarm_table.h"

#include <stdlib.h>
#include <xxhash.h>

#include "shared/endpoint.h"
#include "shared/random_bytes.h"
#include "tracker/swarm_store.h"

enum { FIRST_BUCKETS = 16 };

/* Peers of an earlier run may be older than the clock: times from so many
 * seconds before 0 on are in order. */
static const uint64_t BEFORE_0_S = UINT64_C(1) << 32;

/* --- Swarms --- */

uint64_t swarm_table_hash(
	const struct swarm_table *t, const struct info_hash *hash)
{
	return XXH3_64bits_withSeed(hash->bytes, INFO_HASH_SIZE, t->seed);
}

/* The upper 32 bits choose the shard, the lower ones the bucket in it. */
struct swarm_shard *swarm_table_shard(struct swarm_table *t, uint64_t hash)
{
	return &t->shards[hash >> 32 & (SWARM_SHARDS - 1)];
}

struct swarm **swarm_shard_find(
	struct swarm_shard *s, uint64_t hash, const struct info_hash *info_hash)
{
	struct swarm **at = &s->buckets[(uint32_t)hash & (s->bucket_count - 1)];

	while (*at && !info_hash_equal(&(*at)->hash, info_hash))
		at = &(*at)->next;
	return at;
}

/* Twice the buckets.  Without memory the chains get longer, that is all. */
static void grow_locked(struct swarm_table *t, struct swarm_shard *s)
{
	size_t count = s->bucket_count * 2;
	struct swarm **buckets = calloc(count, sizeof(struct swarm *));

	if (!buckets)
		return;
	for (size_t i = 0; i < s->bucket_count; i++) {
		struct swarm *next;

		for (struct swarm *w = s->buckets[i]; w; w = next) {
			size_t to = (uint32_t)swarm_table_hash(t, &w->hash) &
				(count - 1);

			next = w->next;
			w->next = buckets[to];
			buckets[to] = w;
		}
	}
	free(s->buckets);
	s->buckets = buckets;
	s->bucket_count = count;
	s->expire_bucket = count; /* begin again: they have moved */
	s->expire_midway = false;
}

void swarm_shard_drop(struct swarm_shard *s, struct swarm **at)
{
	struct swarm *w = *at;

	*at = w->next;
	for (int f = 0; f < FAMILIES; f++) {
		for (int k = 0; k < KINDS; k++)
			peer_array_finish(&w->peers[f][k]);
	}
	free(w);
	s->swarm_count--;
}

struct swarm_counts swarm_counts_of(const struct swarm *w)
{
	return (struct swarm_counts){
		.seeders = w->peers[V4][SEEDERS].count +
			w->peers[V6][SEEDERS].count,
		.leechers = w->peers[V4][LEECHERS].count +
			w->peers[V6][LEECHERS].count,
		.completed = w->completed,
	};
}

bool swarm_is_empty(const struct swarm *w)
{
	struct swarm_counts counts = swarm_counts_of(w);

	return counts.seeders == 0 && counts.leechers == 0;
}

struct swarm **swarm_table_find_or_add(struct swarm_table *t,
	struct swarm_shard *s, uint64_t hash, const struct info_hash *info_hash)
{
	struct swarm **at = swarm_shard_find(s, hash, info_hash);

	if (*at)
		return at;
	if (s->swarm_count >= s->bucket_count) {
		grow_locked(t, s);
		at = swarm_shard_find(s, hash, info_hash);
	}
	*at = calloc(1, sizeof(struct swarm));
	if (!*at)
		return NULL;
	(*at)->hash = *info_hash;
	s->swarm_count++;
	return at;
}

/* --- Peers --- */

static void count_locked(struct swarm_shard *s, int kind, bool come)
{
	size_t *count = kind == SEEDERS ? &s->seeders : &s->leechers;

	*count += come ? 1 : (size_t)-1;
}

/* One more peer over all, unless there are too many. */
static bool reserve_peer(struct swarm_table *t)
{
	if (atomic_fetch_add(&t->peer_count, 1) < t->max_peers)
		return true;
	atomic_fetch_sub(&t->peer_count, 1);
	return false;
}

struct swarm_spot swarm_table_find_peer(const struct swarm_table *t,
	const struct swarm *w, const struct endpoint *peer, int kind)
{
	struct swarm_spot spot = {
		.family = endpoint_is_v4(peer) ? V4 : V6,
		.kind = kind,
	};

	for (int i = 0; i < KINDS && !spot.known; i++) {
		if (i > 0)
			spot.kind = spot.kind == SEEDERS ? LEECHERS : SEEDERS;
		spot.known = peer_array_find(&w->peers[spot.family][spot.kind],
			&t->families[spot.family], peer, &spot.place);
	}
	return spot;
}

/* Out of its array, whatever `t->peer_count` says. */
static void take_out(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct swarm_spot *spot)
{
	peer_array_remove(&w->peers[spot->family][spot->kind],
		&t->families[spot->family], &spot->place);
	count_locked(s, spot->kind, false);
}

/* Into an array, likewise.  False: out of memory. */
static bool put_in(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct endpoint *peer,
	const struct peer_state *state, struct swarm_spot *spot)
{
	if (!peer_array_add(&w->peers[spot->family][spot->kind],
		    &t->families[spot->family], peer, state, &spot->place))
		return false;
	spot->known = true;
	count_locked(s, spot->kind, true);
	return true;
}

void swarm_table_remove_peer(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct swarm_spot *spot)
{
	take_out(t, s, w, spot);
	atomic_fetch_sub(&t->peer_count, 1);
}

bool swarm_table_add_peer(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct endpoint *peer,
	const struct peer_state *state, struct swarm_spot *spot)
{
	if (!reserve_peer(t))
		return false;
	if (!put_in(t, s, w, peer, state, spot)) {
		atomic_fetch_sub(&t->peer_count, 1);
		return false;
	}
	return true;
}

bool swarm_table_move_peer(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct endpoint *peer, int kind,
	const struct peer_state *state, struct swarm_spot *spot)
{
	struct swarm_spot to = {.family = spot->family, .kind = kind};

	if (!put_in(t, s, w, peer, state, &to))
		return false;
	take_out(t, s, w, spot);
	*spot = to;
	return true;
}

uint16_t swarm_table_moment(const struct swarm_table *t, uint64_t time_s)
{
	return (uint16_t)((time_s + BEFORE_0_S) / t->moment_s % PEER_MOMENTS);
}

/* --- Life --- */

static bool shard_init(struct swarm_shard *s)
{
	pthread_mutex_init(&s->lock, NULL);
	s->dice = random_u64();
	s->bucket_count = FIRST_BUCKETS;
	s->buckets = calloc(FIRST_BUCKETS, sizeof(struct swarm *));
	return s->buckets;
}

static void shard_finish(struct swarm_shard *s)
{
	for (size_t b = 0; s->buckets && b < s->bucket_count; b++) {
		while (s->buckets[b])
			swarm_shard_drop(s, &s->buckets[b]);
	}
	free(s->buckets);
	pthread_mutex_destroy(&s->lock);
}

bool swarm_table_init(struct swarm_table *t, size_t max_peers, uint64_t keep_s)
{
	bool ok = true;

	t->max_peers = max_peers;
	/* Of all moments half are past, and half of those for peers that are
	 * due to go but not gone yet. */
	t->moment_s = 1 + keep_s / (PEER_MOMENTS / 4);
	t->seed = random_u64();
	for (int f = 0; f < FAMILIES; f++) {
		t->families[f].v6 = f == V6;
		t->families[f].seed = random_u64();
	}
	for (size_t i = 0; i < SWARM_SHARDS; i++)
		ok = shard_init(&t->shards[i]) && ok;
	return ok;
}

void swarm_table_finish(struct swarm_table *t)
{
	for (size_t i = 0; i < SWARM_SHARDS; i++)
		shard_finish(&t->shards[i]);
}
