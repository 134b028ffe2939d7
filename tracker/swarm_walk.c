#include "tracker/swarm_walk.h"

#include "tracker/swarm_part.h"
#include "tracker/swarm_table.h"

enum {
	/* Empty buckets that a step passes before it lets go of a shard. */
	WALK_STEP = 500,

	/* Peers are copied so many at a time. */
	WALK_BATCH = 64,
};

/* How long ago it was. */
static uint32_t age_of(
	const struct swarm_table *t, uint16_t moment, uint64_t now_s)
{
	uint32_t moments = ((uint32_t)swarm_table_moment(t, now_s) - moment) &
		(PEER_MOMENTS - 1);

	/* More than half the way round: of a moment that is not over yet. */
	if (moments >= PEER_MOMENTS / 2)
		moments = 0;
	return moments * (uint32_t)t->moment_s;
}

/* Copy peers of one kind, from the walk's chunk and slot on.  False: there was
 * no room for all. */
static bool copy_kind_locked(const struct swarm_table *t, const struct swarm *w,
	struct store_walk *at, uint64_t now_s, struct swarm_part *ret)
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
			count = peer_array_copy(p, &t->families[family], &from,
				room < WALK_BATCH ? (uint32_t)room : WALK_BATCH,
				records);
			for (uint32_t i = 0; i < count; i++)
				ret->peers[ret->peer_count++] =
					(struct swarm_part_peer){
						.address = records[i].address,
						.age_s = age_of(t,
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
static void copy_swarm_locked(const struct swarm_table *t,
	const struct swarm *w, struct store_walk *at, uint64_t now_s,
	struct swarm_part *ret)
{
	ret->info_hash = w->hash;
	ret->completed = w->completed;
	for (; at->kind < FAMILIES * KINDS; at->kind++) {
		if (!copy_kind_locked(t, w, at, now_s, ret))
			return;
	}
}

/* The swarm of the walk's bucket that comes next: the one it is in, or the one
 * behind. */
static const struct swarm *walk_on_locked(
	const struct swarm_shard *s, struct store_walk *at)
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
static void walk_shard_locked(const struct swarm_table *t,
	const struct swarm_shard *s, struct store_walk *at, uint64_t now_s,
	struct swarm_part *ret)
{
	for (uint32_t passed = 0; at->bucket < s->bucket_count &&
		passed < WALK_STEP && ret->peer_count == 0;
		passed++) {
		const struct swarm *w = walk_on_locked(s, at);

		at->midway = w != NULL;
		if (!w) {
			at->bucket++;
			swarm_shard_foresee(s, at->bucket + SWARM_AHEAD);
			continue;
		}
		at->swarm = w->hash;
		copy_swarm_locked(t, w, at, now_s, ret);
	}
}

bool swarm_walk_next(struct swarm_table *t, struct store_walk *at,
	uint64_t now_s, struct swarm_part *ret)
{
	ret->peer_count = 0;
	while (at->shard < SWARM_SHARDS && ret->peer_count == 0) {
		struct swarm_shard *s = &t->shards[at->shard];

		pthread_mutex_lock(&s->lock);
		walk_shard_locked(t, s, at, now_s, ret);
		bool done = at->bucket >= s->bucket_count;
		pthread_mutex_unlock(&s->lock);
		if (done)
			*at = (struct store_walk){.shard = at->shard + 1};
	}
	return ret->peer_count > 0;
}

static bool restore_peer_locked(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct swarm_part_peer *peer, uint64_t now_s)
{
	int kind = peer->seeder ? SEEDERS : LEECHERS;
	struct peer_state state = {
		.seen = swarm_table_moment(t, now_s - peer->age_s),
		.completed = peer->completed,
	};
	struct swarm_spot spot =
		swarm_table_find_peer(t, w, &peer->address, kind);

	if (spot.known)
		return false;
	spot.kind = kind;
	return swarm_table_add_peer(t, s, w, &peer->address, &state, &spot);
}

size_t swarm_walk_restore(
	struct swarm_table *t, const struct swarm_part *part, uint64_t now_s)
{
	uint64_t hash = swarm_table_hash(t, &part->info_hash);
	struct swarm_shard *s = swarm_table_shard(t, hash);
	size_t restored = 0;

	pthread_mutex_lock(&s->lock);
	struct swarm **at =
		swarm_table_find_or_add(t, s, hash, &part->info_hash);
	for (size_t i = 0; at && i < part->peer_count; i++)
		restored +=
			restore_peer_locked(t, s, *at, &part->peers[i], now_s);
	if (at && (*at)->completed < part->completed)
		(*at)->completed = part->completed;
	if (at && swarm_is_empty(*at))
		swarm_shard_drop(s, at);
	pthread_mutex_unlock(&s->lock);
	return restored;
}
