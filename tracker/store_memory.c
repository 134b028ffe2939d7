#include "tracker/store_memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shared/announce.h"
#include "shared/random_bytes.h"
#include "tracker/peer_array.h"
#include "tracker/swarm_store.h"

enum {
	SHARDS = 64, /* so that threads seldom meet at one lock */
	FIRST_BUCKETS = 16,

	/* Peers and swarms looked at before expiry lets go of a shard: about a
	 * quarter of a millisecond when all of them go. */
	EXPIRE_STEP = 1000,
};

enum { V4, V6, FAMILIES };

struct swarm {
	struct swarm *next; /* in its bucket */
	struct info_hash hash;
	uint32_t completed;
	struct peer_array peers[FAMILIES];
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
	 * from the last peer. */
	size_t expire_bucket;
	bool expire_midway; /* it stopped inside of a swarm: this one */
	struct info_hash expire_swarm;
	uint32_t expire_at[FAMILIES];
};

struct store_memory {
	struct swarm_store base;
	uint64_t seed; /* keyed, since anybody chooses info hashes */
	struct peer_family families[FAMILIES];
	size_t max_peers;
	atomic_size_t peer_count; /* over all shards */
	struct shard shards[SHARDS];
};

/* --- Dice --- */

/* splitmix64: quick, and good enough to choose peers with.  Seeded from the
 * system's dice; nothing secret depends on it. */
static uint64_t roll(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A number in [0, bound), bound > 0. */
static uint32_t roll_below(uint64_t *state, uint32_t bound)
{
	return (uint32_t)((roll(state) >> 32) * bound >> 32);
}

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
	for (int f = 0; f < FAMILIES; f++)
		peer_array_finish(&w->peers[f]);
	free(w);
	s->swarm_count--;
}

static bool is_empty(const struct swarm *w)
{
	return w->peers[V4].count == 0 && w->peers[V6].count == 0;
}

static struct swarm_counts counts_of(const struct swarm *w)
{
	struct swarm_counts counts = {.completed = w->completed};

	for (int f = 0; f < FAMILIES; f++) {
		counts.leechers += w->peers[f].leechers;
		counts.seeders += w->peers[f].count - w->peers[f].leechers;
	}
	return counts;
}

static void count_locked(struct shard *s, bool seeder, bool come)
{
	size_t *count = seeder ? &s->seeders : &s->leechers;

	*count += come ? 1 : (size_t)-1;
}

/* --- Choosing peers --- */

/* Those a peer may be given: positions [0, counts[V4]) of the first array, then
 * [0, counts[V6]) of the second, but for itself. */
struct choice {
	uint32_t counts[FAMILIES];
	uint32_t total; /* without itself */
	uint32_t self;  /* its number, or PEER_ARRAY_NONE */
};

static struct choice choice_for(
	const struct swarm *w, bool seeder, int family, uint32_t self)
{
	struct choice c = {.self = PEER_ARRAY_NONE};

	for (int f = 0; f < FAMILIES; f++) {
		const struct peer_array *p = &w->peers[f];

		/* Leechers lie first: a seeder sees no further. */
		c.counts[f] = seeder ? p->leechers : p->count;
		c.total += c.counts[f];
	}
	if (self < c.counts[family]) {
		c.self = self + (family == V6 ? c.counts[V4] : 0);
		c.total--;
	}
	return c;
}

static struct endpoint chosen(const struct store_memory *m,
	const struct swarm *w, const struct choice *c, uint32_t number)
{
	if (number >= c->self)
		number++;
	int f = number < c->counts[V4] ? V4 : V6;
	return peer_array_peer(&w->peers[f], &m->families[f],
		f == V4 ? number : number - c->counts[V4]);
}

/* Numbers seen already; at most SWARM_MAX_PEERS, so it stays half empty. */
struct number_set {
	uint32_t slots[512]; /* number + 1, or 0 */
};

static bool set_add(struct number_set *set, uint32_t number)
{
	enum { MASK = sizeof(set->slots) / sizeof(set->slots[0]) - 1 };
	uint32_t slot = number * UINT32_C(2654435769) >> 23;

	for (; set->slots[slot] != 0; slot = (slot + 1) & MASK) {
		if (set->slots[slot] == number + 1)
			return false;
	}
	set->slots[slot] = number + 1;
	return true;
}

/* `wanted` of `total` different numbers, each set of them as likely as any
 * other (Floyd's method), in random order. */
static void choose_numbers(
	uint64_t *dice, uint32_t total, uint32_t wanted, uint32_t *ret)
{
	struct number_set set = {{0}};

	for (uint32_t i = 0; i < wanted; i++) {
		uint32_t top = total - wanted + i;
		uint32_t number = roll_below(dice, top + 1);

		if (!set_add(&set, number)) {
			number = top;
			(void)set_add(&set, top); /* new: larger than all */
		}

		/* Into a random place among those chosen so far. */
		uint32_t place = roll_below(dice, i + 1);
		ret[i] = ret[place];
		ret[place] = number;
	}
}

static void choose_peers_locked(struct store_memory *m, struct shard *s,
	const struct swarm *w, const struct choice *c, uint32_t numwant,
	struct swarm_reply *ret)
{
	uint32_t numbers[SWARM_MAX_PEERS] = {0};
	uint32_t wanted = numwant < SWARM_MAX_PEERS ? numwant : SWARM_MAX_PEERS;

	if (wanted > c->total)
		wanted = c->total;
	choose_numbers(&s->dice, c->total, wanted, numbers);
	for (uint32_t i = 0; i < wanted; i++)
		ret->peers[i] = chosen(m, w, c, numbers[i]);
	ret->peer_count = wanted;
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

static void remove_peer_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, int family, uint32_t at)
{
	count_locked(s, at >= w->peers[family].leechers, false);
	peer_array_remove(&w->peers[family], &m->families[family], at);
	atomic_fetch_sub(&m->peer_count, 1);
}

/* Keep what it says; returns its position, or PEER_ARRAY_NONE for one that
 * there was no room for. */
static uint32_t keep_peer_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, int family, const struct announce *a, uint64_t now_s)
{
	struct peer_array *p = &w->peers[family];
	const struct peer_family *kind = &m->families[family];
	uint32_t at = peer_array_find(p, kind, &a->peer);
	bool known = at != PEER_ARRAY_NONE;
	struct peer_state before = {0};
	struct peer_state state = {
		.seen_s = (uint32_t)now_s & INT32_MAX,
		.seeder = a->left == 0,
	};

	if (known)
		before = peer_array_state(p, kind, at);
	state.completed = before.completed ||
		(a->event == ANNOUNCE_COMPLETED && state.seeder);
	if (known) {
		count_locked(s, before.seeder, false);
		at = peer_array_update(p, kind, at, &state);
	} else {
		if (!reserve_peer(m))
			return PEER_ARRAY_NONE;
		if (!peer_array_add(p, kind, &a->peer, &state)) {
			atomic_fetch_sub(&m->peer_count, 1);
			return PEER_ARRAY_NONE;
		}
		at = state.seeder ? p->count - 1 : p->leechers - 1;
	}
	count_locked(s, state.seeder, true);
	/* Once for each peer, however often it says so. */
	if (state.completed && !before.completed && w->completed < UINT32_MAX)
		w->completed++;
	return at;
}

static void stop_peer_locked(struct store_memory *m, struct shard *s,
	struct swarm **at, int family, const struct announce *a,
	struct swarm_reply *ret)
{
	struct swarm *w = *at;

	if (!w)
		return;
	uint32_t peer = peer_array_find(
		&w->peers[family], &m->families[family], &a->peer);
	if (peer != PEER_ARRAY_NONE)
		remove_peer_locked(m, s, w, family, peer);
	ret->counts = counts_of(w);
	if (is_empty(w))
		drop_swarm_locked(s, at);
}

static bool announce_locked(struct store_memory *m, struct shard *s,
	uint64_t hash, const struct announce *a, uint64_t now_s,
	struct swarm_reply *ret, struct error *err)
{
	int family = endpoint_is_v4(&a->peer) ? V4 : V6;
	struct swarm **at = find_locked(s, hash, &a->info_hash);

	if (a->event == ANNOUNCE_STOPPED) {
		stop_peer_locked(m, s, at, family, a, ret);
		return true;
	}
	if (!*at) {
		if (s->swarm_count >= s->bucket_count) {
			grow_locked(m, s);
			at = find_locked(s, hash, &a->info_hash);
		}
		struct swarm *fresh = calloc(1, sizeof(*fresh));
		if (!fresh)
			return error_set(err, "the tracker is full");
		fresh->hash = a->info_hash;
		*at = fresh;
		s->swarm_count++;
	}

	struct swarm *w = *at;
	uint32_t self = keep_peer_locked(m, s, w, family, a, now_s);
	if (is_empty(w)) {
		drop_swarm_locked(s, at);
		return error_set(err, "the tracker is full");
	}

	struct choice c = choice_for(w, a->left == 0, family, self);
	ret->counts = counts_of(w);
	choose_peers_locked(m, s, w, &c, a->numwant, ret);
	return true;
}

static bool memory_announce(struct swarm_store *store, const struct announce *a,
	uint64_t now_s, struct swarm_reply *ret, struct error *err)
{
	struct store_memory *m = (struct store_memory *)store;
	uint64_t hash = hash_of(m, &a->info_hash);
	struct shard *s = shard_of(m, hash);

	ret->counts = (struct swarm_counts){0};
	ret->peer_count = 0;
	pthread_mutex_lock(&s->lock);
	bool ok = announce_locked(m, s, hash, a, now_s, ret, err);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

/* --- Counting --- */

static bool memory_scrape(struct swarm_store *store,
	const struct info_hash *info_hash, struct swarm_counts *ret,
	struct error *err)
{
	struct store_memory *m = (struct store_memory *)store;
	uint64_t hash = hash_of(m, info_hash);
	struct shard *s = shard_of(m, hash);

	(void)err; /* memory is always within reach */
	pthread_mutex_lock(&s->lock);
	const struct swarm *w = *find_locked(s, hash, info_hash);
	*ret = w ? counts_of(w) : (struct swarm_counts){0};
	pthread_mutex_unlock(&s->lock);
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

/* --- Expiry --- */

/* Take old peers out of a swarm, from `expire_at` down; false when `budget`
 * ended before the swarm did.  Announces between two steps may carry an old
 * peer past us: the next round finds it. */
static bool expire_swarm_locked(struct store_memory *m, struct shard *s,
	struct swarm *w, uint64_t before_s, uint32_t *budget)
{
	for (int f = 0; f < FAMILIES; f++) {
		struct peer_array *p = &w->peers[f];

		if (s->expire_at[f] > p->count)
			s->expire_at[f] = p->count;
		while (s->expire_at[f] > 0) {
			if (*budget == 0)
				return false;
			--*budget;

			uint32_t at = --s->expire_at[f];
			if (peer_array_state(p, &m->families[f], at).seen_s <
				before_s)
				remove_peer_locked(m, s, w, f, at);
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
			for (int f = 0; f < FAMILIES; f++)
				s->expire_at[f] = w->peers[f].count;
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
	.destroy = memory_destroy,
};

struct swarm_store *store_memory_create(size_t max_peers)
{
	struct store_memory *m = calloc(1, sizeof(*m));
	bool ok = m != NULL;

	if (!m)
		return NULL;
	m->base.kind = &memory_kind;
	m->max_peers = max_peers;
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
