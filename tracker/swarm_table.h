#ifndef TRACKER_SWARM_TABLE_H
#define TRACKER_SWARM_TABLE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/info_hash.h"
#include "tracker/peer_array.h"

struct endpoint;
struct swarm_counts;

/* Swarms by their info hash, in shards with a lock each: what the store in
 * memory is made of, for the files of that store alone.
 *
 * Whoever looks at a shard or a swarm in it holds the shard's lock, but for
 * those functions that say otherwise. */

enum { V4, V6, FAMILIES };
enum { LEECHERS, SEEDERS, KINDS };

enum { SWARM_SHARDS = 64 }; /* so that threads seldom meet at one lock */

struct swarm {
	struct swarm *next; /* in its bucket */
	struct info_hash hash;
	uint32_t completed;
	struct peer_array peers[FAMILIES][KINDS];
};

struct swarm_shard {
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

struct swarm_table {
	uint64_t seed; /* keyed, since anybody chooses info hashes */
	struct peer_family families[FAMILIES];
	size_t max_peers;
	uint64_t moment_s;        /* how long a moment of a peer_state is */
	atomic_size_t peer_count; /* over all shards */
	struct swarm_shard shards[SWARM_SHARDS];
};

/* Into zeroed memory; as store_memory_create() says.  No lock is held.  False:
 * out of memory; it must be finished nonetheless. */
bool swarm_table_init(struct swarm_table *t, size_t max_peers, uint64_t keep_s);
void swarm_table_finish(struct swarm_table *t);

/* --- Swarms --- */

/* These two without a lock. */
uint64_t swarm_table_hash(
	const struct swarm_table *t, const struct info_hash *hash);
struct swarm_shard *swarm_table_shard(struct swarm_table *t, uint64_t hash);

/* Where the pointer to that swarm is, or the NULL where it would be. */
struct swarm **swarm_shard_find(struct swarm_shard *s, uint64_t hash,
	const struct info_hash *info_hash);

/* For who goes through all buckets: what he will find in that one (if there is
 * one) is fetched meanwhile.  Swarms lie anywhere, and to wait for memory each
 * time takes longer than all the rest. */
enum { SWARM_AHEAD = 8 }; /* buckets */
static inline void swarm_shard_foresee(
	const struct swarm_shard *s, size_t bucket)
{
	if (bucket >= s->bucket_count || !s->buckets[bucket])
		return;
	__builtin_prefetch(s->buckets[bucket]);
	__builtin_prefetch((const char *)s->buckets[bucket] + 64);
}

/* Where the pointer to that swarm is; perhaps it has no peers yet.  NULL: out
 * of memory. */
struct swarm **swarm_table_find_or_add(struct swarm_table *t,
	struct swarm_shard *s, uint64_t hash,
	const struct info_hash *info_hash);

/* Free the swarm there, and what is behind it takes its place. */
void swarm_shard_drop(struct swarm_shard *s, struct swarm **at);

struct swarm_counts swarm_counts_of(const struct swarm *w);
bool swarm_is_empty(const struct swarm *w);

/* --- Peers --- */

/* Where a peer is in its swarm. */
struct swarm_spot {
	bool known; /* or else nowhere */
	int family;
	int kind;
	struct peer_place place;
};

/* Look for that peer among those of `kind` first; if it is nowhere, `kind` is
 * void. */
struct swarm_spot swarm_table_find_peer(const struct swarm_table *t,
	const struct swarm *w, const struct endpoint *peer, int kind);

/* Add a peer that is not there to the spot's kind, and fill in the rest of the
 * spot.  False: there is no room for it. */
bool swarm_table_add_peer(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct endpoint *peer,
	const struct peer_state *state, struct swarm_spot *spot);

/* Move a peer that is at the spot to those of `kind`, with that state; the spot
 * is where it is then.  Nobody else can get its room meanwhile.  False: out of
 * memory, nothing changed. */
bool swarm_table_move_peer(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct endpoint *peer, int kind,
	const struct peer_state *state, struct swarm_spot *spot);

void swarm_table_remove_peer(struct swarm_table *t, struct swarm_shard *s,
	struct swarm *w, const struct swarm_spot *spot);

/* The moment of a time, which may be before 0.  Without a lock. */
uint16_t swarm_table_moment(const struct swarm_table *t, uint64_t time_s);

#endif
