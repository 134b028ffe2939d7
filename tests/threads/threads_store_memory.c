/* Many threads announce to the same swarms while others count and old peers
 * expire: in the end exactly those are there that did not stop.  And in a full
 * store nobody gets the place of a peer that changes.  Run it under the thread
 * sanitizer: meson setup -Db_sanitize=thread. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/announce.h"
#include "tracker/store_memory.h"
#include "tracker/swarm_part.h"
#include "tracker/swarm_store.h"

enum { PEERS = 4, ROUNDS = 4000, SWARMS = 7, NOW_S = 100 };

static struct swarm_store *store;
static atomic_bool done;
static atomic_uint failures;

static struct announce announce_of(unsigned thread, unsigned round)
{
	struct announce a = {.numwant = 50};
	unsigned swarm = round % SWARMS;

	memcpy(a.info_hash.bytes, &swarm, sizeof(swarm));
	a.peer.ip[10] = a.peer.ip[11] = round % 2 ? 0xff : 0;
	a.peer.ip[12] = 10;
	a.peer.ip[13] = (uint8_t)thread;
	a.peer.ip[14] = (uint8_t)(round >> 8);
	a.peer.ip[15] = (uint8_t)round;
	a.peer.port = 1;
	a.left = round % 3;
	return a;
}

static void announce(const struct announce *a, uint64_t now_s)
{
	struct swarm_reply reply;
	struct error err;

	if (!swarm_store_announce(store, a, now_s, &reply, &err))
		failures++;
}

/* Every announcer's odd rounds leave again, the even ones stay. */
static void *announcer(void *number)
{
	unsigned thread = *(unsigned *)number;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct announce a = announce_of(thread, i);

		announce(&a, NOW_S);
		if (i % 2) {
			a.event = ANNOUNCE_STOPPED;
			announce(&a, NOW_S);
		}
	}
	return NULL;
}

static void *counter(void *unused)
{
	struct swarm_totals totals;
	struct swarm_counts counts;
	struct error err;
	struct announce a = announce_of(0, 0);

	(void)unused;
	while (!done) {
		if (!swarm_store_totals(store, &totals, &err) ||
			!swarm_store_scrape(
				store, &a.info_hash, 1, &counts, &err))
			failures++;
	}
	return NULL;
}

/* Nobody is older than that; it only walks past everybody. */
static void *expirer(void *unused)
{
	struct error err;

	(void)unused;
	while (!done) {
		if (!swarm_store_expire(store, NOW_S, &err))
			failures++;
	}
	return NULL;
}

/* All peers as a walk for the state file meets them. */
static uint64_t walk(void)
{
	static struct swarm_part part;
	struct store_walk at = {.shard = 0};
	uint64_t peers = 0;

	while (store_memory_next(store, &at, NOW_S, &part)) {
		if (part.peer_count > SWARM_PART_PEERS)
			failures++;
		peers += part.peer_count;
	}
	return peers;
}

static void *walker(void *unused)
{
	(void)unused;
	while (!done)
		(void)walk();
	return NULL;
}

/* There is room for none. */
static void *newcomer(void *unused)
{
	struct announce a = announce_of(1, 1);
	struct swarm_reply reply;
	struct error err;

	(void)unused;
	while (!done) {
		if (swarm_store_announce(store, &a, NOW_S, &reply, &err))
			failures++;
	}
	return NULL;
}

/* One peer that is now a seeder and now a leecher has the only place. */
static void change_in_full_store(void)
{
	struct announce a = announce_of(0, 0);
	pthread_t other;

	store = store_memory_create(1, 3600);
	done = false;
	announce(&a, NOW_S);
	pthread_create(&other, NULL, newcomer, NULL);
	for (unsigned i = 0; i < 25 * ROUNDS; i++) {
		a.left = i % 2;
		announce(&a, NOW_S);
	}
	done = true;
	pthread_join(other, NULL);
	swarm_store_destroy(store);
}

int main(void)
{
	pthread_t announcers[PEERS], others[3];
	unsigned numbers[PEERS];
	struct swarm_totals totals = {0};
	struct error err;

	store = store_memory_create(1000000, 3600);
	pthread_create(&others[0], NULL, counter, NULL);
	pthread_create(&others[1], NULL, expirer, NULL);
	pthread_create(&others[2], NULL, walker, NULL);
	for (unsigned i = 0; i < PEERS; i++) {
		numbers[i] = i;
		pthread_create(&announcers[i], NULL, announcer, &numbers[i]);
	}
	for (unsigned i = 0; i < PEERS; i++)
		pthread_join(announcers[i], NULL);
	done = true;
	pthread_join(others[0], NULL);
	pthread_join(others[1], NULL);
	pthread_join(others[2], NULL);

	if (!swarm_store_totals(store, &totals, &err))
		failures++;
	if (walk() != PEERS * ROUNDS / 2)
		failures++;
	swarm_store_destroy(store);
	change_in_full_store();
	if (failures > 0 ||
		totals.seeders + totals.leechers != PEERS * ROUNDS / 2) {
		fprintf(stderr, "%u failures, %llu peers\n", failures,
			(unsigned long long)(totals.seeders + totals.leechers));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
