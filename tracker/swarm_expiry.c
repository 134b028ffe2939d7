#include "tracker/swarm_expiry.h"

#include "tracker/swarm_table.h"

enum {
	/* Chunks of peers and empty buckets looked at before expiry lets go of
	 * a shard: a fraction of a millisecond, also when all of them go. */
	EXPIRE_STEP = 100,
};

/* Take old peers out of one kind of a swarm's, from `expire_chunk` down; false
 * when `budget` ended before.  Announces between two steps may carry an old
 * peer past us: the next round finds it. */
static bool expire_kind_locked(struct swarm_table *t, struct swarm_shard *s,
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

		uint32_t gone = peer_array_expire(p, &t->families[family], *at,
			swarm_table_moment(t, before_s));
		atomic_fetch_sub(&t->peer_count, gone);
		*(kind == SEEDERS ? &s->seeders : &s->leechers) -= gone;
	}
}

static bool expire_swarm_locked(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, uint64_t before_s, uint32_t *budget)
{
	for (int f = 0; f < FAMILIES; f++) {
		for (int k = 0; k < KINDS; k++) {
			if (!expire_kind_locked(
				    t, s, w, f, k, before_s, budget))
				return false;
		}
	}
	return true;
}

/* The swarm to go on with: where the last step stopped, if it is still there,
 * or else the first of the bucket. */
static struct swarm **expire_resume_locked(struct swarm_shard *s)
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

static bool expire_bucket_locked(struct swarm_table *t, struct swarm_shard *s,
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
			!expire_swarm_locked(t, s, w, before_s, budget);
		if (s->expire_midway)
			return false;
		if (swarm_is_empty(w))
			swarm_shard_drop(s, at);
		else
			at = &w->next;
	}
	return true;
}

/* One step; false when the shard is done. */
static bool expire_step_locked(
	struct swarm_table *t, struct swarm_shard *s, uint64_t before_s)
{
	uint32_t budget = EXPIRE_STEP;

	while (s->expire_bucket > 0 && budget > 0) {
		if (!expire_bucket_locked(t, s, before_s, &budget))
			return true;
		s->expire_bucket--;
		swarm_shard_foresee(s, s->expire_bucket - SWARM_AHEAD);
		/* An empty bucket is work, too. */
		if (budget > 0)
			budget--;
	}
	return s->expire_bucket > 0;
}

void swarm_expiry_run(struct swarm_table *t, uint64_t before_s)
{
	for (size_t i = 0; i < SWARM_SHARDS; i++) {
		struct swarm_shard *s = &t->shards[i];
		bool more = true;

		pthread_mutex_lock(&s->lock);
		s->expire_bucket = s->bucket_count;
		s->expire_midway = false;
		pthread_mutex_unlock(&s->lock);
		while (more) {
			pthread_mutex_lock(&s->lock);
			more = expire_step_locked(t, s, before_s);
			pthread_mutex_unlock(&s->lock);
		}
	}
}
