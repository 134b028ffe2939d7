/* Many torrents on one tracker are started, told things and stopped, some
 * while their first announce is still under way: every one ends.  Run it
 * under the thread sanitizer: meson setup -Db_sanitize=thread. */

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "client/discovery/announcer.h"
#include "client/discovery/http_tracker.h"
#include "shared/metainfo.h"
#include "tests/unit/http_server.h"

enum { TORRENTS = 20, ROUNDS = 5 };

static atomic_uint told, failed;

static void fill(void *ctx, struct announce *a)
{
	(void)ctx;
	a->left = 1;
}

static void peers(void *ctx, const struct endpoint *list, size_t count)
{
	(void)ctx;
	(void)list;
	told += (unsigned)count;
}

static void report(void *ctx, const struct announcer_news *news)
{
	(void)ctx;
	failed += news->error != NULL;
}

static void counts(void *ctx, const char *url, const struct announce_counts *c)
{
	(void)ctx;
	(void)url;
	told += c->seeders + c->leechers;
}

static void answer(struct http_server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	http_server_say(fd,
		"HTTP/1.1 200 OK\r\n\r\n"
		"d5:peers6:\x01\x02\x03\x04\x05\x06"
		"e");
}

static bool one_round(const struct metainfo *m)
{
	struct announcer *all[TORRENTS];

	for (size_t i = 0; i < TORRENTS; i++) {
		all[i] = announcer_start(&(struct announcer_options){
			.m = m,
			.fill = fill,
			.peers = peers,
			.report = report,
			.counts = counts,
		});
		if (all[i] == NULL)
			return false;
	}
	for (size_t i = 0; i < TORRENTS; i++) {
		announcer_hungry(all[i], true);
		announcer_count(all[i]);
		announcer_completed(all[i]);
	}
	for (size_t i = 0; i < TORRENTS; i++)
		announcer_stop(all[i], i % 2 == 0 ? 0 : 2000);
	for (size_t i = 0; i < TORRENTS; i++)
		announcer_destroy(all[i]);
	return true;
}

int main(void)
{
	struct http_server server = {.handler = answer};
	struct metainfo_tracker tracker = {0};
	struct metainfo m = {.trackers = &tracker, .tracker_count = 1};
	char url[128], at[ENDPOINT_TEXT_SIZE];
	bool ok = true;

	http_tracker_global_init();
	http_server_start(&server);
	snprintf(url, sizeof(url), "http://%s/announce",
		endpoint_print(&server.at, at));
	tracker.url = url;
	for (size_t i = 0; i < ROUNDS && ok; i++)
		ok = one_round(&m);
	http_server_stop(&server);

	printf("%u peers, %u announces cut off\n", (unsigned)told,
		(unsigned)failed);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}
