#include <criterion/criterion.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "client/discovery/announcer.h"
#include "client/discovery/http_tracker.h"
#include "shared/clock.h"
#include "shared/metainfo.h"
#include "tests/unit/http_server.h"
#include "tests/unit/udp_server.h"

/* What the announcer said and the servers saw, in one line each. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t count;
	char lines[50][256];
} story = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, {{0}}};

static void add_line(const char *fmt, ...)
	__attribute__((format(printf, 1, 2)));

static void add_line(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	pthread_mutex_lock(&story.lock);
	cr_assert_lt(story.count, 50);
	vsnprintf(
		story.lines[story.count++], sizeof(story.lines[0]), fmt, args);
	pthread_cond_broadcast(&story.changed);
	pthread_mutex_unlock(&story.lock);
	va_end(args);
}

/* Wait for the story's line `index` (from 0) and compare it. */
static void expect_line(size_t index, const char *expected)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 10;
	pthread_mutex_lock(&story.lock);
	while (story.count <= index) {
		int late = pthread_cond_timedwait(
			&story.changed, &story.lock, &end);
		cr_assert_eq(late, 0, "never came: %s", expected);
	}
	pthread_mutex_unlock(&story.lock);
	cr_expect_str_eq(story.lines[index], expected);
}

/* The value of `key` in a query. */
static const char *value_of(const char *request, const char *key)
{
	static char value[64];
	char with_sign[32];

	snprintf(with_sign, sizeof(with_sign), "&%s=", key);
	const char *at = strstr(request, with_sign);
	if (at == NULL)
		return "";
	at += strlen(with_sign);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "& "), at);
	return value;
}

static void see(const char *request)
{
	char event[64];

	snprintf(event, sizeof(event), "%s", value_of(request, "event"));
	add_line("saw '%s' left %s", event, value_of(request, "left"));
}

static void answer(struct http_server *s, int fd, const char *request)
{
	see(request);
	http_server_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	http_server_say(fd, s->ctx);
}

static void answer_start_only(
	struct http_server *s, int fd, const char *request)
{
	if (strstr(request, "event=started") != NULL) {
		answer(s, fd, request);
	} else {
		see(request);
		http_server_hang(fd);
	}
}

static void hang(struct http_server *s, int fd, const char *request)
{
	(void)s;
	see(request);
	http_server_hang(fd);
}

static atomic_uint left;

static void fill(void *ctx, struct announce *a)
{
	(void)ctx;
	a->left = left;
}

static void peers(void *ctx, const struct endpoint *list, size_t count)
{
	char text[ENDPOINT_TEXT_SIZE];

	(void)ctx;
	add_line("%zu peers, first %s", count, endpoint_print(list, text));
}

static void report(void *ctx, const struct announcer_news *news)
{
	const char *event = announce_event_name(news->event);

	(void)ctx;
	if (news->error != NULL)
		add_line("report '%s' error %s", event, news->error);
	else
		add_line("report '%s' %zu", event, news->peers);
}

static void counts(void *ctx, const char *url, const struct announce_counts *c)
{
	(void)ctx;
	(void)url;
	add_line("%u seeders, %u leechers", (unsigned)c->seeders,
		(unsigned)c->leechers);
}

static struct announcer *start_with(const struct metainfo *m)
{
	return announcer_start(&(struct announcer_options){
		.m = m,
		.port = 6881,
		.fill = fill,
		.peers = peers,
		.report = report,
		.counts = counts,
	});
}

/* A torrent whose trackers are the first `count` servers, a tier each. */
struct torrent {
	char urls[4][128];
	struct metainfo_tracker trackers[4];
	struct metainfo m;
};

static struct announcer *start(
	struct torrent *t, struct http_server *servers, size_t count)
{
	char at[ENDPOINT_TEXT_SIZE];

	http_tracker_global_init();
	left = 1000;
	for (size_t i = 0; i < count; i++) {
		http_server_start(&servers[i]);
		snprintf(t->urls[i], sizeof(t->urls[i]), "http://%s/announce",
			endpoint_print(&servers[i].at, at));
		t->trackers[i].url = t->urls[i];
		t->trackers[i].tier = (unsigned)i;
	}
	t->m.trackers = t->trackers;
	t->m.tracker_count = count;
	return start_with(&t->m);
}

static void finish(
	struct announcer *a, struct http_server *servers, size_t count)
{
	announcer_destroy(a);
	for (size_t i = 0; i < count; i++)
		http_server_stop(&servers[i]);
}

static char two_peers[] =
	"d8:intervali900e5:peers12:\x7f\x01\x01\x01\x1a\xe1\x01\x02\x03\x04"
	"\x1a\xe2"
	"e";

Test(announcer, tells_a_tracker_the_life_of_a_download)
{
	struct http_server server = {.handler = answer, .ctx = two_peers};
	struct torrent t = {0};
	struct announcer *a = start(&t, &server, 1);

	expect_line(0, "saw 'started' left 1000");
	expect_line(1, "report 'started' 2");
	expect_line(2, "2 peers, first 127.1.1.1:6881");
	left = 0;
	announcer_completed(a);
	expect_line(3, "saw 'completed' left 0");
	expect_line(4, "report 'completed' 2");
	expect_line(5, "2 peers, first 127.1.1.1:6881");
	announcer_stop(a, 5000);
	finish(a, &server, 1);
	expect_line(6, "saw 'stopped' left 0");
	expect_line(7, "report 'stopped' 2");
	cr_expect_eq(story.count, 8);
}

static void answer_late(struct http_server *s, int fd, const char *request)
{
	see(request);
	(void)poll(NULL, 0, 50);
	http_server_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	http_server_say(fd, s->ctx);
}

Test(announcer, a_download_shorter_than_the_first_announce_is_told_of_as_well)
{
	struct http_server server = {.handler = answer_late, .ctx = two_peers};
	struct torrent t = {0};
	struct announcer *a = start(&t, &server, 1);

	expect_line(0, "saw 'started' left 1000");
	left = 0;
	announcer_completed(a);
	announcer_stop(a, 5000);
	finish(a, &server, 1);
	expect_line(3, "saw 'completed' left 0");
	expect_line(6, "saw 'stopped' left 0");
	expect_line(7, "report 'stopped' 2");
	cr_expect_eq(story.count, 8);
}

/* The server is a proxy here, so the tracker behind it is somewhere else. */
Test(announcer, only_a_tracker_on_loopback_may_name_peers_there)
{
	struct http_server server = {.handler = answer, .ctx = two_peers};
	struct metainfo_tracker remote = {0, "http://tracker.test/announce"};
	const struct metainfo m = {.trackers = &remote, .tracker_count = 1};
	char proxy[128], at[ENDPOINT_TEXT_SIZE];

	http_tracker_global_init();
	http_server_start(&server);
	snprintf(proxy, sizeof(proxy), "http://%s",
		endpoint_print(&server.at, at));
	setenv("http_proxy", proxy, 1);
	unsetenv("no_proxy");
	unsetenv("NO_PROXY");
	struct announcer *a = announcer_start(&(struct announcer_options){
		.m = &m, .fill = fill, .peers = peers, .report = report});

	expect_line(0, "saw 'started' left 0");
	expect_line(1, "report 'started' 1");
	expect_line(2, "1 peers, first 1.2.3.4:6882");
	announcer_stop(a, 5000);
	finish(a, &server, 1);
}

Test(announcer, completed_is_sent_even_if_the_end_follows_at_once)
{
	struct http_server server = {.handler = answer, .ctx = two_peers};
	struct torrent t = {0};
	struct announcer *a = start(&t, &server, 1);

	expect_line(2, "2 peers, first 127.1.1.1:6881");
	announcer_completed(a);
	announcer_stop(a, 5000);
	finish(a, &server, 1);
	expect_line(3, "saw 'completed' left 1000");
	cr_expect_str_eq(story.lines[story.count - 1], "report 'stopped' 2");
	for (size_t i = 4; i < story.count; i++)
		cr_expect_null(strstr(story.lines[i], "saw 'completed'"));
}

Test(announcer, goes_on_to_the_next_tracker_when_one_refuses)
{
	static char refusal[] = "d14:failure reason8:not heree";
	struct http_server servers[] = {
		{.handler = answer, .ctx = refusal},
		{.handler = answer, .ctx = two_peers},
	};
	struct torrent t = {0};
	struct announcer *a = start(&t, servers, 2);

	expect_line(0, "saw 'started' left 1000");
	expect_line(1, "report 'started' error not here");
	expect_line(2, "saw 'started' left 1000");
	expect_line(3, "report 'started' 2");
	announcer_stop(a, 5000);
	finish(a, servers, 2);
	expect_line(5, "saw 'stopped' left 1000"); /* once */
	expect_line(6, "report 'stopped' 2");
	cr_expect_eq(story.count, 7);
}

Test(announcer, a_tracker_that_hangs_from_the_start_does_not_hold_up_the_end)
{
	struct http_server server = {.handler = hang};
	struct torrent t = {0};
	struct announcer *a = start(&t, &server, 1);

	expect_line(0, "saw 'started' left 1000");
	uint64_t start_ms = clock_ms();
	announcer_stop(a, 5000);
	finish(a, &server, 1);
	cr_expect_lt(clock_ms() - start_ms, 1000);
	/* That we cut it short is no failure of the tracker's, and it does not
	 * know us. */
	cr_expect_eq(story.count, 1);
}

Test(announcer, a_tracker_that_hangs_does_not_hold_up_the_next_one)
{
	struct http_server servers[] = {
		{.handler = hang},
		{.handler = answer, .ctx = two_peers},
	};
	struct torrent t = {0};
	uint64_t start_ms = clock_ms();
	struct announcer *a = start(&t, servers, 2);

	expect_line(0, "saw 'started' left 1000");
	expect_line(1, "saw 'started' left 1000");
	expect_line(2, "report 'started' 2");
	cr_expect_lt(clock_ms() - start_ms, 5000);
	expect_line(3, "2 peers, first 127.1.1.1:6881");
	announcer_stop(a, 5000);
	finish(a, servers, 2);
	expect_line(4, "saw 'stopped' left 1000");
	expect_line(5, "report 'stopped' 2");
	cr_expect_eq(story.count, 6);
}

static void answer_and_count(struct http_server *s, int fd, const char *request)
{
	static const char scraped[] = "d5:filesd20:--------------------"
				      "d8:completei2e10:incompletei5eeee";
	(void)s;
	if (strncmp(request, "GET /scrape?info_hash=", 22) == 0) {
		http_server_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
		http_server_say(fd, scraped);
	} else {
		answer(s, fd, request);
	}
}

Test(announcer, counts_that_are_of_interest_are_asked_for)
{
	struct http_server server = {
		.handler = answer_and_count, .ctx = two_peers};
	struct torrent t = {.m.info_hash = {"--------------------"}};
	struct announcer *a = start(&t, &server, 1);

	announcer_count(a); /* too early: it is no use to ask */
	expect_line(2, "2 peers, first 127.1.1.1:6881");
	announcer_count(a);
	expect_line(3, "2 seeders, 5 leechers");
	announcer_count(a);
	announcer_stop(a, 5000);
	finish(a, &server, 1);
	expect_line(4, "saw 'stopped' left 1000");
	expect_line(5, "report 'stopped' 2");
	cr_expect_eq(story.count, 6);
}

Test(announcer, a_tracker_that_hangs_at_the_end_gets_no_more_than_its_time)
{
	struct http_server server = {
		.handler = answer_start_only, .ctx = two_peers};
	struct torrent t = {0};
	struct announcer *a = start(&t, &server, 1);

	expect_line(2, "2 peers, first 127.1.1.1:6881");
	announcer_completed(a);
	expect_line(3, "saw 'completed' left 1000");
	uint64_t start_ms = clock_ms();
	announcer_stop(a, 400);
	finish(a, &server, 1);
	cr_expect_lt(clock_ms() - start_ms, 1000);
}

static void see_udp(struct udp_server *s, const struct announce_udp_head *head,
	const struct announce *a)
{
	struct announce_reply reply = {.interval_s = 900, .peer_count = 1};
	uint8_t packet[ANNOUNCE_UDP_MAX_PACKET];
	struct writer w = writer_of(packet, sizeof(packet));

	add_line("saw '%s' left %llu", announce_event_name(a->event),
		(unsigned long long)a->left);
	endpoint_parse("127.1.1.1:6881", &reply.peers[0]);
	announce_udp_write_reply(&w, head->transaction, a, &reply);
	udp_server_send(s, s->fd, &w);
}

/* A torrent with a UDP tracker. */
struct udp_torrent {
	char url[128];
	struct metainfo_tracker tracker;
	struct metainfo m;
};

static struct announcer *start_udp(
	struct udp_torrent *t, struct udp_server *server)
{
	char at[ENDPOINT_TEXT_SIZE];

	*t = (struct udp_torrent){
		.tracker.url = t->url,
		.m = {.trackers = &t->tracker, .tracker_count = 1},
	};
	udp_server_start(server);
	snprintf(t->url, sizeof(t->url), "UDP://%s/announce",
		endpoint_print(&server->at, at));
	return start_with(&t->m);
}

/* Ends the announcer once more while it is about to say `stopped`. */
static void stop_again(
	struct udp_server *s, const struct announce_udp_head *head)
{
	if (s->announce_count > 0)
		announcer_stop(s->ctx, 5000);
	udp_server_connect(s, head);
}

Test(announcer, being_stopped_twice_cuts_nothing_off)
{
	struct udp_server server = {
		.connected = stop_again, .announced = see_udp};
	struct udp_torrent t;
	struct announcer *a = start_udp(&t, &server);

	server.ctx = a;
	expect_line(2, "1 peers, first 127.1.1.1:6881");
	announcer_stop(a, 5000);
	expect_line(3, "saw 'stopped' left 0");
	expect_line(4, "report 'stopped' 1");
	announcer_destroy(a);
	udp_server_stop(&server);
}

Test(announcer, without_trackers_it_does_nothing)
{
	struct torrent t = {0};
	struct announcer *a = start(&t, NULL, 0);

	cr_assert_not_null(a);
	announcer_hungry(a, true);
	announcer_completed(a);
	announcer_stop(a, 5000);
	announcer_destroy(a);
	announcer_destroy(NULL);
	cr_expect_eq(story.count, 0);
}

Test(announcer, one_that_could_not_be_started_takes_every_call)
{
	announcer_completed(NULL);
	announcer_hungry(NULL, true);
	announcer_renew(NULL);
	announcer_count(NULL);
	announcer_stop(NULL, 1000);
	announcer_destroy(NULL);
}

Test(announcer, udp_trackers_are_told_as_well)
{
	struct udp_server server = {
		.connected = udp_server_connect, .announced = see_udp};
	struct udp_torrent t;
	struct announcer *a = start_udp(&t, &server);

	expect_line(0, "saw 'started' left 0");
	expect_line(1, "report 'started' 1");
	expect_line(2, "1 peers, first 127.1.1.1:6881");
	announcer_stop(a, 5000);
	expect_line(3, "saw 'stopped' left 0");
	expect_line(4, "report 'stopped' 1");
	announcer_destroy(a);
	udp_server_stop(&server);
}

Test(announcer, a_mute_udp_tracker_does_not_hold_up_the_end)
{
	struct udp_server server = {
		.connected = udp_server_mute, .announced = see_udp};
	struct udp_torrent t;
	struct announcer *a = start_udp(&t, &server);
	uint64_t start_ms = clock_ms();

	announcer_stop(a, 5000);
	announcer_destroy(a);
	cr_expect_lt(clock_ms() - start_ms, 1000);
	udp_server_stop(&server);
}
