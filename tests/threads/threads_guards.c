/* Many threads ask whether they may, by passkey and by address, and connect,
 * while the keys are read again and again: a key that is in every version of
 * the file is always good, one that is in none never, and the reader of the
 * file gets its turn.  Run it under the thread sanitizer: meson setup
 * -Db_sanitize=thread. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tracker/address_counts.h"
#include "tracker/address_limit.h"
#include "tracker/open_connections.h"
#include "tracker/passkeys.h"

enum { THREADS = 4, RELOADS = 300, LIMIT = 1000, NOW_S = 100, SERVERS = 2 };

static struct passkeys *keys;
static struct address_limit *limit;
static struct address_counts *counts;
static struct open_connections *connections;
static atomic_bool done;
static atomic_uint failures;

static bool allows(const char *key)
{
	return passkeys_allow(
		keys, (struct span){(const uint8_t *)key, strlen(key)});
}

/* Come, be served, and go, while others have to make room: nothing is at the
 * other end. */
static void connect_once(const struct endpoint *who, unsigned server)
{
	struct open_connection *c =
		open_connections_add(connections, server, -1, who, NOW_S);

	if (!c)
		failures++;
	open_connection_renew(c, NOW_S + 1);
	(void)open_connections_make_room(connections, who);
	open_connections_enforce(connections, NOW_S);
	open_connections_remove(connections, c);
}

/* Everybody is at the same address, and its limit is reached soon. */
static void *asker(void *unused)
{
	struct endpoint who;
	uint32_t retry_s;
	unsigned times = 0;

	(void)unused;
	if (!endpoint_parse_ip("9.8.7.6", &who))
		failures++;
	while (!done) {
		if (!allows("always") || allows("never"))
			failures++;
		address_counts_add(counts, &who, 1);
		if (address_counts_of(counts, &who) == 0)
			failures++;
		address_counts_add(counts, &who, -1);
		connect_once(&who, times % SERVERS);
		if (address_limit_ask(limit, &who, NOW_S, &retry_s)) {
			address_limit_count(limit, &who, NOW_S);
			times++;
		}
	}
	if (times > LIMIT)
		failures++;
	return NULL;
}

static bool write_keys(const char *path, unsigned version)
{
	char temporary[128];

	snprintf(temporary, sizeof(temporary), "%s.new", path);
	FILE *f = fopen(temporary, "w");
	if (!f)
		return false;
	fprintf(f, "always\nversion%u\n", version);
	return fclose(f) == 0 && rename(temporary, path) == 0;
}

int main(void)
{
	char path[] = "/tmp/tbt-threads-guards-XXXXXX";
	pthread_t threads[THREADS];
	struct error err = {""};
	int fd = mkstemp(path);

	if (fd < 0 || !write_keys(path, 0))
		return EXIT_FAILURE;
	close(fd);
	keys = passkeys_create(path, &err);
	limit = address_limit_create(
		&(struct address_limit_options){.per_minute = LIMIT});
	counts = address_counts_create(1);
	connections = open_connections_create(SERVERS, 1, 1);
	if (!keys || !limit || !counts || !connections)
		return EXIT_FAILURE;
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, asker, NULL);
	for (unsigned i = 1; i <= RELOADS; i++) {
		char key[32];

		snprintf(key, sizeof(key), "version%u", i);
		if (!write_keys(path, i) || !passkeys_reload(keys, &err) ||
			!allows(key))
			failures++;
	}
	done = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	unlink(path);
	passkeys_destroy(keys);
	address_limit_destroy(limit);
	address_counts_destroy(counts);
	open_connections_destroy(connections);
	if (failures > 0) {
		fprintf(stderr, "%u failures %s\n", failures, err.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
