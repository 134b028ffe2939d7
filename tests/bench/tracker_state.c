/* tracker_state PEERS SWARMS FILE: how long a tracker's state takes to be saved
 * and loaded, and what an announce pays for a limit by address. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "shared/announce.h"
#include "shared/clock.h"
#include "shared/text.h"
#include "tracker/address_limit.h"
#include "tracker/state_file.h"
#include "tracker/store_memory.h"
#include "tracker/swarm_store.h"

enum { KEEP_S = 3600, MOST = 100000000, ASKS = 10000000 };

static const struct state_times times = {.now_s = 1000, .wall_s = 500000};

static void print(
	const char *what, uint64_t since_us, struct swarm_store *store)
{
	double seconds = (double)(clock_us() - since_us) / 1e6;
	struct swarm_totals totals = {0};
	struct rusage usage;
	struct error err;

	(void)swarm_store_totals(store, &totals, &err);
	getrusage(RUSAGE_SELF, &usage);
	printf("%s: %.3f s, %llu peers, at most %ld MiB\n", what, seconds,
		(unsigned long long)(totals.seeders + totals.leechers),
		usage.ru_maxrss / 1024);
}

static void fill(struct swarm_store *store, uint32_t peers, uint32_t swarms)
{
	static struct swarm_reply reply;
	struct error err;

	for (uint32_t n = 0; n < peers; n++) {
		struct announce a = {.left = n % 3};
		uint32_t swarm = n % swarms * 2654435761U;
		uint32_t ip = n * 2246822519U;

		(void)endpoint_parse("1.2.3.4:6881", &a.peer);
		memcpy(a.info_hash.bytes, &swarm, sizeof(swarm));
		memcpy(a.peer.ip + 12, &ip, sizeof(ip));
		a.peer.ip[12] = (uint8_t)(a.peer.ip[12] % 128 + 64);
		a.peer.port = (uint16_t)(n % 60000 + 1);
		if (!swarm_store_announce(store, &a, times.now_s, &reply, &err))
			puts(err.text);
	}
}

static void ask_limit(uint32_t addresses)
{
	struct address_limit *limit = address_limit_create(&(
		struct address_limit_options){.per_minute = 30000, .seed = 7});
	uint64_t since_us = clock_us();
	struct endpoint who;
	uint32_t retry_s;

	(void)endpoint_parse_ip("1.2.3.4", &who);
	for (uint32_t i = 0; limit && i < ASKS; i++) {
		uint32_t ip = i * 2654435761U % addresses;
		uint64_t now_s = 1000 + i / 500000;

		memcpy(who.ip + 12, &ip, sizeof(ip));
		if (address_limit_ask(limit, &who, now_s, &retry_s))
			address_limit_count(limit, &who, now_s);
	}
	printf("limit, %u addresses: %.1f ns an announce\n", addresses,
		(double)(clock_us() - since_us) * 1e3 / ASKS);
	address_limit_destroy(limit);
}

int main(int argc, char **argv)
{
	struct swarm_store *before = store_memory_create(MOST, KEEP_S);
	struct swarm_store *after = store_memory_create(MOST, KEEP_S);
	struct state_loaded loaded;
	uint64_t peers, swarms;
	struct error err;

	if (argc != 4 || !before || !after ||
		!text_parse_number(argv[1], 1, MOST, &peers) ||
		!text_parse_number(argv[2], 1, MOST, &swarms)) {
		fputs("usage: tracker_state PEERS SWARMS FILE\n", stderr);
		return 2;
	}
	uint64_t since_us = clock_us();
	fill(before, (uint32_t)peers, (uint32_t)swarms);
	print("announced", since_us, before);
	since_us = clock_us();
	if (!state_file_save(argv[3], before, &times, NULL, &err)) {
		puts(err.text);
		return 1;
	}
	print("saved", since_us, before);
	swarm_store_destroy(before);
	since_us = clock_us();
	if (!state_file_load(argv[3], after, &times, KEEP_S, &loaded, &err)) {
		puts(err.text);
		return 1;
	}
	print("loaded", since_us, after);
	swarm_store_destroy(after);
	ask_limit(256);
	ask_limit(1 << 20);
	return 0;
}
