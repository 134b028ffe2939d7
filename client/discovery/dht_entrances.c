#include "client/discovery/dht_entrances.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "client/discovery/host_lookup.h"
#include "shared/clock.h"
#include "shared/log.h"

enum {
	GIVEN_MAX = 64,
	PUBLIC_AFTER_MS = 1000,
	LOOK_MS = 15 * 1000, /* whether we know somebody */
	RETRY_MS = 60 * 1000,
	RETRY_MAX_MS = 30 * 60 * 1000,
};

/* Run by the makers of clients, for whoever comes. */
static const struct dht_entrance public_ones[] = {
	{"dht.libtorrent.org", 25401},
	{"dht.transmissionbt.com", 6881},
	{"router.bittorrent.com", 6881},
	{"router.utorrent.com", 6881},
};
enum { PUBLIC_COUNT = sizeof(public_ones) / sizeof(public_ones[0]) };

struct name {
	struct dht_entrance entrance;
	bool found;
};

struct dht_entrances {
	struct dht_entrances_options o;
	size_t count;
	struct name names[GIVEN_MAX + PUBLIC_COUNT];
	pthread_t thread;

	_Atomic uint64_t give_up_ms; /* 0: we are to end */
	pthread_mutex_t lock;
	pthread_cond_t ending; /* with `lock`: give_up_ms was set to 0 */
};

/* False: we are to end. */
static bool pause_for(struct dht_entrances *e, uint64_t ms)
{
	uint64_t until_ms = clock_ms() + ms;
	struct timespec until = {
		.tv_sec = (time_t)(until_ms / 1000),
		.tv_nsec = (long)(until_ms % 1000) * 1000000,
	};

	pthread_mutex_lock(&e->lock);
	while (e->give_up_ms != 0 && clock_ms() < until_ms)
		pthread_cond_timedwait(&e->ending, &e->lock, &until);
	bool goes_on = e->give_up_ms != 0;
	pthread_mutex_unlock(&e->lock);
	return goes_on;
}

static void look_up(struct dht_entrances *e, struct name *name)
{
	struct endpoint found[HOST_LOOKUP_MAX];
	size_t count;

	if (host_lookup(name->entrance.host, name->entrance.port,
		    &e->give_up_ms, found, &count) != HOST_LOOKUP_FOUND)
		return;
	name->found = true;
	for (size_t i = 0; i < count; i++)
		e->o.found(e->o.ctx, &found[i]);
}

/* Those that were not found yet; returns how many are left. */
static size_t look_up_all(struct dht_entrances *e)
{
	size_t left = 0;

	for (size_t i = 0; i < e->count && e->give_up_ms != 0; i++) {
		if (!e->names[i].found)
			look_up(e, &e->names[i]);
		left += !e->names[i].found;
	}
	return left;
}

static void add_public(struct dht_entrances *e)
{
	for (size_t i = 0; i < PUBLIC_COUNT; i++)
		e->names[e->count++].entrance = public_ones[i];
}

static void *run(void *arg)
{
	struct dht_entrances *e = arg;
	bool public_left = e->o.public;
	size_t left = look_up_all(e);
	uint64_t wait_ms = RETRY_MS;
	uint64_t again_ms = clock_ms() + wait_ms;
	uint64_t pause_ms = PUBLIC_AFTER_MS;

	/* Nodes of the last run may all go while we look for others: so long
	 * as there are names that may be needed, it is looked after. */
	while ((left > 0 || public_left) && pause_for(e, pause_ms)) {
		pause_ms = LOOK_MS;
		if (!e->o.lonely(e->o.ctx) ||
			(!public_left && clock_ms() < again_ms))
			continue;
		if (public_left) {
			add_public(e);
			public_left = false;
		}
		left = look_up_all(e);
		if (left == e->count && wait_ms == RETRY_MS)
			log_verbose("DHT: no node to enter by could be looked "
				    "up");
		again_ms = clock_ms() + wait_ms;
		wait_ms =
			2 * wait_ms < RETRY_MAX_MS ? 2 * wait_ms : RETRY_MAX_MS;
	}
	return NULL;
}

struct dht_entrances *dht_entrances_start(
	const struct dht_entrances_options *options)
{
	struct dht_entrances *e = calloc(1, sizeof(*e));
	pthread_condattr_t attr;

	if (!e)
		return NULL;
	e->o = *options;
	for (size_t i = 0; i < options->given_count && i < GIVEN_MAX; i++)
		e->names[e->count++].entrance = options->given[i];
	e->give_up_ms = UINT64_MAX;
	pthread_mutex_init(&e->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&e->ending, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&e->thread, NULL, run, e) == 0)
		return e;
	pthread_cond_destroy(&e->ending);
	pthread_mutex_destroy(&e->lock);
	free(e);
	return NULL;
}

void dht_entrances_destroy(struct dht_entrances *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->give_up_ms = 0;
	pthread_cond_signal(&e->ending);
	pthread_mutex_unlock(&e->lock);
	pthread_join(e->thread, NULL);
	pthread_cond_destroy(&e->ending);
	pthread_mutex_destroy(&e->lock);
	free(e);
}
