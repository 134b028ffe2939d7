#ifndef TRACKER_STORE_REDIS_H
#define TRACKER_STORE_REDIS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

struct redis_url;
struct swarm_store;

/* A store in a Redis (5 or later) or a Redis Cluster: several trackers that use
 * the same one know the same peers.  An announce is one round trip.  How a
 * swarm lies there is told in store_redis.c.
 *
 * What there is no room for Redis refuses (`maxmemory`): then so does the
 * store. A swarm is kept up to 131,072 peers; further ones are answered, but
 * not kept.
 *
 * The totals are not known, but for the number of swarms where Redis is no
 * cluster and has nothing else in that database. */
struct store_redis_options {
	const struct redis_url *url;

	/* A swarm goes when it was not heard of for so long; peers that are
	 * expired (swarm_store_expire) are gone before. */
	uint64_t keep_s;

	/* For tests: take the times as they come.  Or else they become those
	 * of Redis's clock, since trackers on other machines have other
	 * clocks. */
	bool callers_time;
};

/* Tries to reach Redis, for a second or so; one that is away is no failure but
 * a warning.  NULL: out of memory or threads. */
struct swarm_store *store_redis_create(
	const struct store_redis_options *o, struct error *err);

#endif
