/* Many threads announce to the same swarms in a Redis, which meanwhile hangs
 * and is killed and started again: nobody waits for long, and in the end
 * exactly those are there that came last.  Run it under the thread sanitizer:
 * meson setup -Db_sanitize=thread. */

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/announce.h"
#include "shared/clock.h"
#include "tracker/redis_url.h"
#include "tracker/store_redis.h"
#include "tracker/swarm_store.h"

enum {
	THREADS = 6,
	PEERS = 50, /* of each thread */
	SWARMS = 3,
	LONGEST_MS = 5000, /* half a second, on a machine that is busy */
};

static char folder[] = "/tmp/tbt-threads-XXXXXX";
static struct redis_url url;
static struct swarm_store *store;
static atomic_bool done;
static atomic_uint answered, refused, failures;

static pid_t start_server(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("redis-server", "redis-server", "--port", "0",
			"--unixsocket", url.path, "--save", "", "--dir", folder,
			"--logfile", "log", NULL);
		_exit(127);
	}
	return pid;
}

static void stop_server(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static struct announce announce_of(unsigned thread, unsigned n)
{
	struct announce a = {.numwant = 50, .left = n % 3};
	unsigned swarm = n % SWARMS;

	memcpy(a.info_hash.bytes, &swarm, sizeof(swarm));
	a.peer.ip[10] = a.peer.ip[11] = n % 2 ? 0xff : 0;
	a.peer.ip[12] = 10;
	a.peer.ip[13] = (uint8_t)thread;
	a.peer.ip[15] = (uint8_t)n;
	a.peer.port = 1;
	return a;
}

static bool announce(unsigned thread, unsigned n)
{
	struct announce a = announce_of(thread, n);
	uint64_t start_ms = clock_ms();
	struct swarm_reply reply;
	struct error err;

	bool ok = swarm_store_announce(store, &a, 0, &reply, &err);
	if (clock_ms() - start_ms > LONGEST_MS)
		failures++;
	atomic_fetch_add(ok ? &answered : &refused, 1);
	return ok;
}

static void *announcer(void *number)
{
	unsigned thread = *(unsigned *)number;

	for (unsigned i = 0; !done; i++) {
		if (!announce(thread, i % PEERS))
			poll(NULL, 0, 1);
	}
	return NULL;
}

static void *looker(void *unused)
{
	struct announce a = announce_of(0, 0);
	struct swarm_totals totals;
	struct swarm_counts counts;
	struct error err;

	while (!done) {
		(void)swarm_store_scrape(store, &a.info_hash, 1, &counts, &err);
		(void)swarm_store_totals(store, &totals, &err);
		(void)swarm_store_healthy(store, &err);
		(void)swarm_store_expire(store, 0, &err);
		poll(NULL, 0, 1);
	}
	return unused;
}

/* Till announces are `wanted`, or the patience ends. */
static void wait_till(atomic_uint *count)
{
	unsigned before = *count;

	for (int i = 0; i < 20000 && *count < before + 100; i++)
		poll(NULL, 0, 1);
	if (*count < before + 100)
		failures++;
}

static uint64_t peers_there(void)
{
	uint64_t peers = 0;
	struct error err;

	for (unsigned swarm = 0; swarm < SWARMS; swarm++) {
		struct announce a = announce_of(0, swarm);
		struct swarm_counts counts = {0};

		if (!swarm_store_scrape(store, &a.info_hash, 1, &counts, &err))
			failures++;
		peers += counts.seeders + counts.leechers;
	}
	return peers;
}

int main(void)
{
	const struct store_redis_options o = {
		.url = &url, .keep_s = 3600, .callers_time = true};
	pthread_t threads[THREADS], other;
	unsigned numbers[THREADS];
	struct error err;

	if (!mkdtemp(folder))
		return EXIT_FAILURE;
	snprintf(url.path, sizeof(url.path), "%s/socket", folder);
	pid_t server = start_server();
	store = store_redis_create(&o, &err);
	if (!store)
		return EXIT_FAILURE;
	pthread_create(&other, NULL, looker, NULL);
	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		pthread_create(&threads[i], NULL, announcer, &numbers[i]);
	}
	for (int round = 0; round < 3; round++) {
		wait_till(&answered);
		kill(server, SIGSTOP);
		wait_till(&refused);
		kill(server, SIGCONT);
		wait_till(&answered);
		stop_server(server);
		wait_till(&refused);
		server = start_server();
	}
	wait_till(&answered);
	done = true;
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_join(other, NULL);

	for (unsigned i = 0; i < THREADS; i++) {
		for (unsigned n = 0; n < PEERS; n++) {
			if (!announce(i, n))
				failures++;
		}
	}
	uint64_t peers = peers_there();
	swarm_store_destroy(store);
	stop_server(server);
	snprintf(url.path, sizeof(url.path), "%s/log", folder);
	unlink(url.path);
	snprintf(url.path, sizeof(url.path), "%s/socket", folder);
	unlink(url.path);
	rmdir(folder);
	if (failures > 0 || peers != THREADS * PEERS) {
		fprintf(stderr, "%u failures, %u peers\n", failures,
			(unsigned)peers);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
