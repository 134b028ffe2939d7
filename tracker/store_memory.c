#include "tracker/store_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shared/announce.h"
#include "shared/random_bytes.h"
#include "tracker/dice.h"
#include "tracker/peer_array.h"
#include "tracker/peer_choice.h"
#include "tracker/swarm_part.h"
#include "tracker/swarm_store.h"

enum {
	SHARDS = 64, /* so that threads seldom meet at one lock */
	FIRST_BUCKETS = 16,

	/* Chunks of peers and empty buckets looked at before expiry lets go of
	 * a shard: a fraction of a millisecond, also when all of them go. */
	EXPIRE_STEP = 100,
};

/* Peers of an earlier run may be older than the clock: times from so many
 * seconds before 0 on are in order. */
static const uint64_t BEFORE_0_S = UINT64_C(1) << 32;

enum { V4, V6, FAMILIES };
enum { LEECHERS, SEEDERS, KINDS };

struct swarm {
	struct swarm *next; /* in its bucket */
	struct info_hash hash;
	uint32_t completed;
	struct peer_array peers[FAMILIES][KINDS];
};

struct shard {
	pthread_mutex_t lock;

	/* The rest is guarded by `lock`. */
	struct swarm **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t swarm_count;
	size_t seeders;
	size_t leechers;
	uint64_t dice; /* state of the generator that chooses peers */

	/* Where expiry is: it goes down from the last bucket, and in a swarm
	 * from the last chunk of each kind of peers. */
	size_t expire_bucket;
	bool expire_midway; /* it stopped inside of a swarm: this one */
	struct info_hash expire_swarm;
	uint32_t expire_chunk[FAMILIES][KINDS];
};

struct store_memory {
	struct swarm_store base;
	uint64_t seed; /* keyed, since anybody chooses info hashes */
	struct peer_family families[FAMILIES];
	size_t max_peers;
	uint64_t moment_s;        /* how long a moment of a peer_state is */
	atomic_size_t peer_count; /* over all shards */
	struct shard shards[SHARDS];
};

/* --- Swarms in a shard --- */

static uint64_t hash_of(
	const struct store_memory *m, const struct info_hash *hash)
{
	return XXH3_64bits_withSeed(hash->bytes, INFO_HASH_SIZE, m->seed);
}

/* The top bits choose the shard, the low ones the bucket in it. */
static struct shard *shard_of(struct store_memory *m, uint64_t hash)
{
	return &m->shards[hash >> 32 & (SHARDS - 1)];
}

/* Where the pointer to that swarm is, or the NULL where it would be. */
static struct swarm **find_locked(
	struct shard *s, uint64_t hash, const struct info_hash *info_hash)
{
	struct swarm **at = &s->buckets[(uint32_t)hash & (s->bucket_count - 1)];

	while (*at && !info_hash_equal(&(*at)->hash, info_hash))
		at = &(*at)->next;
	return at;
}

/* Twice the buckets.  Without memory the chains get longer, that is all. */
static void grow_locked(struct store_memory *m, struct shard *s)
{
	size_t count = s->bucket_count * 2;
	struct swarm **buckets = calloc(count, sizeof(struct swarm *));

	if (!buckets)
		return;
	for (size_t i = 0; i < s->bucket_count; i++) {
		struct swarm *next;

		for (struct swarm *w = s->buckets[i]; w; w = next) {
			size_t to =
				(uint32_t)hash_of(m, &w->hash) & (count - 1);

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

static void drop_swarm_locked(struct shard *s, struct swarm **at)
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

static struct swarm_counts counts_of(const struct swarm *w)
{
	return (struct swarm_counts){
		.seeders = w->peers[V4][SEEDERS].count +
			w->peers[V6][SEEDERS].count,
		.leechers = w->peers[V4][LEECHERS].count +
			w->peers[V6][LEECHERS].count,
		.completed = w->completed,
	};
}

static bool is_empty(const struct swarm *w)
{
	struct swarm_counts counts = counts_of(w);

	return counts.seeders == 0 && counts.leechers == 0;
}

static void count_locked(struct shard *s, int kind, bool come)
{
	size_t *count = kind == SEEDERS ? &s->seeders : &s->leechers;

	*count += come ? 1 : (size_t)-1;
}

/* --- Choosing peers --- */

/* Where a peer is in its swarm. */
struct spot {
	bool known; /* or else nowhere */
	int family;
	int kind;
	struct peer_place place;
};

/* Of which kinds peers are to be chosen. */
struct kinds {
	int first;
	int end;
	bool one_family; /* that of the peer that asks */
};

/* How many there are of each kind, without the peer that asks. */
struct choice {
	uint32_t counts[FAMILIES][KINDS];
	uint32_t total;
};

static struct choice choice_of(
	const struct swarm *w, struct kinds kinds, const struct spot *self)
{
	struct choice c = {.total = 0};

	for (int f = 0; f < FAMILIES; f++) {
		if (kinds.one_family && f != self->family)
			continue;
		for (int k = kinds.first; k < kinds.end; k++)
			c.counts[f][k] = w->peers[f][k].count;
	}
	if (self->known && c.counts[self->family][self->kind] > 0)
		c.counts[self->family][self->kind]--;
	for (int f = 0; f < FAMILIES; f++)
		c.total += c.counts[f][LEECHERS] + c.counts[f][SEEDERS];
	return c;
}

/* How many of each kind are to be among `wanted` of them: of each its share,
 * and by chance one more, so that all peers are as likely.  (All in a row, each
 * `from->total` / `wanted`-th is taken, beginning anywhere.) */
static struct choice draw_kinds(
	const struct choice *from, uint32_t wanted, uint64_t *dice)
{
	struct choice drawn = {.total = wanted};
	uint64_t end = dice_below(dice, from->total);
	uint32_t before = 0;

	for (int f = 0; f < FAMILIES; f++) {
		for (int k = 0; k < KINDS; k++) {
			if (from->counts[f][k] == 0)
				continue;
			end += (uint64_t)from->counts[f][k] * wanted;
			uint32_t upto = (uint32_t)(end / from->total);
			drawn.counts[f][k] = upto - before;
			before = upto;
		}
	}
	return drawn;
}

/* Add up to `wanted` peers of those kinds to the reply. */
static void add_peers_locked(struct store_memory *m, struct shard *s,
	const struct swarm *w, struct kinds kinds, const struct spot *self,
	uint32_t wanted, struct swarm_reply *ret)
{
	struct choice c = choice_of(w, kinds, self);
	struct peer_places places;

	if (wanted > c.total)
		wanted = c.total;
	if (wanted == 0)
		return;
	c = draw_kinds(&c, wanted, &s->dice);
	places = peer_places_of(ret->peers + ret->peer_count, wanted, &s->dice);
	for (int f = 0; f < FAMILIES; f++) {
		for (int k = 0; k < KINDS; k++) {
			bool here = self->known && self->family == f &&
				self->kind == k;

			if (c.counts[f][k] == 0)
				continue;
			peer_choice_put(&w->peers[f][k], &m->families[f],
				here ? &self->place : NULL, c.counts[f][k],
				&s->dice, &places);
		}
	}
	ret->peer_count += wanted;
}

static void choose_peers_locked(struct store_memory *m, struct shard *s,
	const struct swarm *w, const struct announce *a,
	const struct spot *self, struct swarm_reply *ret)
{
	const struct kinds all = {LEECHERS, KINDS, a->one_family};
	const struct kinds leechers = {LEECHERS, SEEDERS, a->one_family};
	const struct kinds seeders = {SEEDERS, KINDS, a->one_family};
	uint32_t wanted =
		a->numwant < SWARM_MAX_PEERS ? a->numwant : SWARM_MAX_PEERS;

	if (a->left > 0) {
		add_peers_locked(m, s, w, all, self, wanted, ret);
		return;
	}
	add_peers_locked(m, s, w, leechers, self, wanted, ret);
	if (a->numwant_named)
		add_peers_locked(m, s, w, seeders, self,
			wanted - (uint32_t)ret->peer_count, ret);
}

/* --- Announce --- */

/* One more peer over all, unless there are too many. */
static bool reserve_peer(struct store_memory *m)
{
	if (atomic_fetch_add(&m->peer_count, 1) < m->max_peers)
		return true;
	atomic_fetch_sub(&m->peer_count, 1);
	return false;
}

/* Look where it says that it is first. */
static struct spot find_peer(const struct store_memory *m,
	const struct swarm *w, const struct announce *a)
{
	struct spot spot = {
		.family = endpoint_is_v4(&a->peer) ? V4 : V6,
		.kind = a->left == 0 ? SEEDERS : LEECHERS,
	};

	for (int i = 0; i < KINDS && !spot.known; i++) {
		if (i > 0)
			spot.kind = spot.kind == SEEDERS ? LEECHERS : SEEDERS;
		spot.known = peer_array_find(&w->peers[spot.family][spot.kind],
			&m->families[spot.family], &a->peer, &spot.place);
	}
	return spot;
}

static void remove_peer_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, const struct spot *spot)
{
	peer_array_remove(&w->peers[spot->family][spot->kind],
		&m->families[spot->family], &spot->place);
	count_locked(s, spot->kind, false);
	atomic_fetch_sub(&m->peer_count, 1);
}

/* False: there is no room for it. */
static bool add_peer_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, const struct endpoint *peer,
	const struct peer_state *state, struct spot *spot)
{
	if (!reserve_peer(m))
		return false;
	if (!peer_array_add(&w->peers[spot->family][spot->kind],
		    &m->families[spot->family], peer, state, &spot->place)) {
		atomic_fetch_sub(&m->peer_count, 1);
		return false;
	}
	spot->known = true;
	count_locked(s, spot->kind, true);
	return true;
}

static uint16_t moment_of(const struct store_memory *m, uint64_t time_s)
{
	return (uint16_t)((time_s + BEFORE_0_S) / m->moment_s % PEER_MOMENTS);
}

/* Keep what it says; returns where it is then. */
static struct spot keep_peer_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, const struct announce *a, uint64_t now_s)
{
	int kind = a->left == 0 ? SEEDERS : LEECHERS;
	struct spot spot = find_peer(m, w, a);
	struct peer_array *p = &w->peers[spot.family][spot.kind];
	const struct peer_family *family = &m->families[spot.family];
	struct peer_state state = {.seen = moment_of(m, now_s)};
	bool counted = false;

	if (spot.known)
		counted = peer_array_state(p, family, &spot.place).completed;
	state.completed =
		counted || (a->event == ANNOUNCE_COMPLETED && kind == SEEDERS);
	if (spot.known && spot.kind == kind) {
		peer_array_set_state(p, family, &spot.place, &state);
	} else {
		if (spot.known)
			remove_peer_locked(m, s, w, &spot);
		spot.known = false;
		spot.kind = kind;
		if (!add_peer_locked(m, s, w, &a->peer, &state, &spot))
			return spot;
	}
	/* Once for each peer, however often it says so. */
	if (state.completed && !counted && w->completed < UINT32_MAX)
		w->completed++;
	return spot;
}

static void stop_peer_locked(struct store_memory *m, struct shard *s,
	struct swarm **at, const struct announce *a, struct swarm_reply *ret)
{
	struct swarm *w = *at;

	if (!w)
		return;
	struct spot spot = find_peer(m, w, a);
	if (spot.known)
		remove_peer_locked(m, s, w, &spot);
	ret->counts = counts_of(w);
	if (is_empty(w))
		drop_swarm_locked(s, at);
}

/* Where the pointer to that swarm is.  NULL: out of memory. */
static struct swarm **find_or_add_locked(struct store_memory *m,
	struct shard *s, uint64_t hash, const struct info_hash *info_hash)
{
	struct swarm **at = find_locked(s, hash, info_hash);

	if (*at)
		return at;
	if (s->swarm_count >= s->bucket_count) {
		grow_locked(m, s);
		at = find_locked(s, hash, info_hash);
	}
	*at = calloc(1, sizeof(struct swarm));
	if (!*at)
		return NULL;
	(*at)->hash = *info_hash;
	s->swarm_count++;
	return at;
}

static bool announce_locked(struct store_memory *m, struct shard *s,
	uint64_t hash, const struct announce *a, uint64_t now_s,
	struct swarm_reply *ret, struct error *err)
{
	if (a->event == ANNOUNCE_STOPPED) {
		stop_peer_locked(
			m, s, find_locked(s, hash, &a->info_hash), a, ret);
		return true;
	}

	struct swarm **at = find_or_add_locked(m, s, hash, &a->info_hash);
	if (!at)
		return error_set(err, "the tracker is full");

	struct swarm *w = *at;
	ret->is_new = is_empty(w); /* none has no peers for long */
	struct spot self = keep_peer_locked(m, s, w, a, now_s);
	if (is_empty(w)) {
		drop_swarm_locked(s, at);
		return error_set(err, "the tracker is full");
	}
	ret->counts = counts_of(w);
	choose_peers_locked(m, s, w, a, &self, ret);
	return true;
}

static bool memory_announce(struct swarm_store *store, const struct announce *a,
	uint64_t now_s, struct swarm_reply *ret, struct error *err)
{
	struct store_memory *m = (struct store_memory *)store;
	uint64_t hash = hash_of(m, &a->info_hash);
	struct shard *s = shard_of(m, hash);

	ret->counts = (struct swarm_counts){0};
	ret->is_new = false;
	ret->peer_count = 0;
	pthread_mutex_lock(&s->lock);
	bool ok = announce_locked(m, s, hash, a, now_s, ret, err);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

/* --- Counting --- */

static struct swarm_counts scrape_one(
	struct store_memory *m, const struct info_hash *info_hash)
{
	uint64_t hash = hash_of(m, info_hash);
	struct shard *s = shard_of(m, hash);
	struct swarm_counts counts = {0};

	pthread_mutex_lock(&s->lock);
	const struct swarm *w = *find_locked(s, hash, info_hash);
	if (w)
		counts = counts_of(w);
	pthread_mutex_unlock(&s->lock);
	return counts;
}

static bool memory_scrape(struct swarm_store *store,
	const struct info_hash *hashes, size_t count, struct swarm_counts *ret,
	struct error *err)
{
	(void)err; /* memory is always within reach */
	for (size_t i = 0; i < count; i++)
		ret[i] = scrape_one((struct store_memory *)store, &hashes[i]);
	return true;
}

static bool memory_totals(
	struct swarm_store *store, struct swarm_totals *ret, struct error *err)
{
	struct store_memory *m = (struct store_memory *)store;
	struct swarm_totals totals = {0};

	(void)err;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &m->shards[i];

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

/* --- Expiry --- */

/* Take old peers out of one kind of a swarm's, from `expire_chunk` down; false
 * when `budget` ended before.  Announces between two steps may carry an old
 * peer past us: the next round finds it. */
static bool expire_kind_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, int family, int kind, uint64_t before_s,
	uint32_t *budget)
{
	struct peer_array *p = &w->peers[family][kind];
	uint32_t *at = &s->expire_chunk[family][kind];

	for (;;) {
		if (*at > p->chunk_count)
			*at = p->chunk_count; /* some were joined */
		if (*at == 0)
			return true;
		if (*budget == 0)
			return false;
		--*budget;
		--*at;

		uint32_t gone = peer_array_expire(
			p, &m->families[family], *at, moment_of(m, before_s));
		atomic_fetch_sub(&m->peer_count, gone);
		*(kind == SEEDERS ? &s->seeders : &s->leechers) -= gone;
	}
}

static bool expire_swarm_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, uint64_t before_s, uint32_t *budget)
{
	for (int f = 0; f < FAMILIES; f++) {
		for (int k = 0; k < KINDS; k++) {
			if (!expire_kind_locked(
				    m, s, w, f, k, before_s, budget))
				return false;
		}
	}
	return true;
}

/* The swarm to go on with: where the last step stopped, if it is still there,
 * or else the first of the bucket. */
static struct swarm **expire_resume_locked(struct shard *s)
{
	struct swarm **first = &s->buckets[s->expire_bucket - 1];

	for (struct swarm **at = first; s->expire_midway && *at;
		at = &(*at)->next) {
		if (info_hash_equal(&(*at)->hash, &s->expire_swarm))
			return at;
	}
	s->expire_midway = false;
	return first;
}

static bool expire_bucket_locked(struct store_memory *m, struct shard *s,
	uint64_t before_s, uint32_t *budget)
{
	struct swarm **at = expire_resume_locked(s);

	while (*at) {
		struct swarm *w = *at;

		if (!s->expire_midway) {
			s->expire_swarm = w->hash;
			for (int f = 0; f < FAMILIES; f++) {
				for (int k = 0; k < KINDS; k++)
					s->expire_chunk[f][k] =
						w->peers[f][k].chunk_count;
			}
		}
		s->expire_midway =
			!expire_swarm_locked(m, s, w, before_s, budget);
		if (s->expire_midway)
			return false;
		if (is_empty(w))
			drop_swarm_locked(s, at);
		else
			at = &w->next;
	}
	return true;
}

/* One step; false when the shard is done. */
static bool expire_step_locked(
	struct store_memory *m, struct shard *s, uint64_t before_s)
{
	uint32_t budget = EXPIRE_STEP;

	while (s->expire_bucket > 0 && budget > 0) {
		if (!expire_bucket_locked(m, s, before_s, &budget))
			return true;
		s->expire_bucket--;
		/* An empty bucket is work, too. */
		if (budget > 0)
			budget--;
	}
	return s->expire_bucket > 0;
}

static bool memory_expire(
	struct swarm_store *store, uint64_t before_s, struct error *err)
{
	struct store_memory *m = (struct store_memory *)store;

	(void)err;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &m->shards[i];
		bool more = true;

		pthread_mutex_lock(&s->lock);
		s->expire_bucket = s->bucket_count;
		s->expire_midway = false;
		pthread_mutex_unlock(&s->lock);
		while (more) {
			pthread_mutex_lock(&s->lock);
			more = expire_step_locked(m, s, before_s);
			pthread_mutex_unlock(&s->lock);
		}
	}
	return true;
}

/* --- Saving and restoring --- */

enum {
	/* Empty buckets that a step passes before it lets go of a shard. */
	WALK_STEP = 500,

	/* Peers are copied so many at a time. */
	WALK_BATCH = 64,
};

/* How long ago it was. */
static uint32_t age_of(
	const struct store_memory *m, uint16_t moment, uint64_t now_s)
{
	uint32_t moments =
		((uint32_t)moment_of(m, now_s) - moment) & (PEER_MOMENTS - 1);

	/* More than half the way round: of a moment that is not over yet. */
	if (moments >= PEER_MOMENTS / 2)
		moments = 0;
	return moments * (uint32_t)m->moment_s;
}

/* Copy peers of one kind, from the walk's chunk and slot on.  False: there was
 * no room for all. */
static bool copy_kind_locked(const struct store_memory *m,
	const struct swarm *w, struct store_walk *at, uint64_t now_s,
	struct swarm_part *ret)
{
	uint32_t family = at->kind / KINDS;
	uint32_t kind = at->kind % KINDS;
	const struct peer_array *p = &w->peers[family][kind];

	for (; p->count > 0 && at->chunk < p->chunk_count; at->chunk++) {
		struct peer_record records[WALK_BATCH];
		uint32_t count = 0;

		do {
			size_t room = SWARM_PART_PEERS - ret->peer_count;
			struct peer_place from = {at->chunk, at->slot};

			if (room == 0)
				return false;
			count = peer_array_copy(p, &m->families[family], &from,
				room < WALK_BATCH ? (uint32_t)room : WALK_BATCH,
				records);
			for (uint32_t i = 0; i < count; i++)
				ret->peers[ret->peer_count++] =
					(struct swarm_part_peer){
						.address = records[i].address,
						.age_s = age_of(m,
							records[i].state.seen,
							now_s),
						.seeder = kind == SEEDERS,
						.completed = records[i]
								     .state
								     .completed,
					};
			at->slot += count;
		} while (count > 0);
		at->slot = 0;
	}
	at->chunk = 0;
	at->slot = 0;
	return true;
}

/* Copy as much of a swarm as there is room for. */
static void copy_swarm_locked(const struct store_memory *m,
	const struct swarm *w, struct store_walk *at, uint64_t now_s,
	struct swarm_part *ret)
{
	ret->info_hash = w->hash;
	ret->completed = w->completed;
	for (; at->kind < FAMILIES * KINDS; at->kind++) {
		if (!copy_kind_locked(m, w, at, now_s, ret))
			return;
	}
}

/* The swarm of the walk's bucket that comes next: the one it is in, or the one
 * behind. */
static const struct swarm *walk_on_locked(
	const struct shard *s, struct store_walk *at)
{
	const struct swarm *first = s->buckets[at->bucket];
	const struct swarm *w = first;

	if (!at->midway)
		return first;
	while (w && !info_hash_equal(&w->hash, &at->swarm))
		w = w->next;
	if (w && at->kind < FAMILIES * KINDS)
		return w;
	/* It is done; or it is gone, and the bucket begins again. */
	at->kind = at->chunk = at->slot = 0;
	return w ? w->next : first;
}

/* Fill `ret`, if the shard has more; a bucket that has moved to twice the
 * number (grow_locked) is met there again. */
static void walk_shard_locked(const struct store_memory *m,
	const struct shard *s, struct store_walk *at, uint64_t now_s,
	struct swarm_part *ret)
{
	for (uint32_t passed = 0; at->bucket < s->bucket_count &&
		passed < WALK_STEP && ret->peer_count == 0;
		passed++) {
		const struct swarm *w = walk_on_locked(s, at);

		at->midway = w != NULL;
		if (!w) {
			at->bucket++;
			continue;
		}
		at->swarm = w->hash;
		copy_swarm_locked(m, w, at, now_s, ret);
	}
}

bool store_memory_next(struct swarm_store *store, struct store_walk *at,
	uint64_t now_s, struct swarm_part *ret)
{
	struct store_memory *m = (struct store_memory *)store;

	ret->peer_count = 0;
	while (at->shard < SHARDS && ret->peer_count == 0) {
		struct shard *s = &m->shards[at->shard];

		pthread_mutex_lock(&s->lock);
		walk_shard_locked(m, s, at, now_s, ret);
		bool done = at->bucket >= s->bucket_count;
		pthread_mutex_unlock(&s->lock);
		if (done)
			*at = (struct store_walk){.shard = at->shard + 1};
	}
	return ret->peer_count > 0;
}

uint32_t store_memory_step_s(const struct swarm_store *store)
{
	return (uint32_t)((const struct store_memory *)store)->moment_s;
}

static bool restore_peer_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, const struct swarm_part_peer *peer, uint64_t now_s)
{
	struct announce a = {.peer = peer->address, .left = !peer->seeder};
	struct peer_state state = {
		.seen = moment_of(m, now_s - peer->age_s),
		.completed = peer->completed,
	};
	struct spot spot = find_peer(m, w, &a);

	if (spot.known)
		return false;
	spot.kind = peer->seeder ? SEEDERS : LEECHERS;
	return add_peer_locked(m, s, w, &peer->address, &state, &spot);
}

size_t store_memory_restore(struct swarm_store *store,
	const struct swarm_part *part, uint64_t now_s)
{
	struct store_memory *m = (struct store_memory *)store;
	uint64_t hash = hash_of(m, &part->info_hash);
	struct shard *s = shard_of(m, hash);
	size_t restored = 0;

	pthread_mutex_lock(&s->lock);
	struct swarm **at = find_or_add_locked(m, s, hash, &part->info_hash);
	for (size_t i = 0; at && i < part->peer_count; i++)
		restored +=
			restore_peer_locked(m, s, *at, &part->peers[i], now_s);
	if (at && (*at)->completed < part->completed)
		(*at)->completed = part->completed;
	if (at && is_empty(*at))
		drop_swarm_locked(s, at);
	pthread_mutex_unlock(&s->lock);
	return restored;
}

/* --- Life --- */

static void memory_destroy(struct swarm_store *store)
{
	struct store_memory *m = (struct store_memory *)store;

	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &m->shards[i];

		for (size_t b = 0; s->buckets && b < s->bucket_count; b++) {
			while (s->buckets[b])
				drop_swarm_locked(s, &s->buckets[b]);
		}
		free(s->buckets);
		pthread_mutex_destroy(&s->lock);
	}
	free(m);
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
	bool ok = m != NULL;

	if (!m)
		return NULL;
	m->base.kind = &memory_kind;
	m->max_peers = max_peers;
	/* Of all moments half are past, and half of those for peers that are
	 * due to go but not gone yet. */
	m->moment_s = 1 + keep_s / (PEER_MOMENTS / 4);
	m->seed = random_u64();
	for (int f = 0; f < FAMILIES; f++) {
		m->families[f].v6 = f == V6;
		m->families[f].seed = random_u64();
	}
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &m->shards[i];

		pthread_mutex_init(&s->lock, NULL);
		s->dice = random_u64();
		s->bucket_count = FIRST_BUCKETS;
		s->buckets = calloc(FIRST_BUCKETS, sizeof(struct swarm *));
		ok = ok && s->buckets;
	}
	if (!ok) {
		memory_destroy(&m->base);
		return NULL;
	}
	return &m->base;
}
