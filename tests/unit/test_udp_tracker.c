#include <criterion/criterion.h>
#include <netdb.h>
#include <stdatomic.h>

#include "client/discovery/udp_tracker.h"
#include "shared/clock.h"
#include "tests/unit/udp_server.h"

static const struct announce announce = {.peer.port = 6881,
	.left = 1000,
	.numwant = 80,
	.numwant_named = true,
	.key = 99};

static struct result {
	bool ok;
	bool on_loopback;
	struct error err;
	struct announce_reply reply;
} result;

static bool scrape;

static void ask_url(const char *url, const struct endpoint *bind,
	const _Atomic uint64_t *give_up_ms)
{
	result = (struct result){0};
	result.ok = udp_tracker_announce(
		&(struct udp_tracker_request){
			.url = url,
			.announce = &announce,
			.scrape = scrape,
			.bind = bind,
			.give_up_ms = give_up_ms,
		},
		&result.reply, &result.on_loopback, &result.err);
	cr_expect_null(strstr(result.err.text, "pass"), "%s", result.err.text);
}

/* Ask the server, with `rest` behind its address. */
static void ask(const struct udp_server *s, const char *rest)
{
	_Atomic uint64_t give_up_ms = clock_ms() + 10000;
	char at[ENDPOINT_TEXT_SIZE], url[2048];

	snprintf(url, sizeof(url), "udp://%s%s", endpoint_print(&s->at, at),
		rest);
	ask_url(url, NULL, &give_up_ms);
}

/* --- Answers --- */

/* A reply of `count` peers in the family of the one who asked. */
static void write_reply(struct udp_server *s, struct writer *w,
	uint32_t transaction, size_t count)
{
	struct announce to = {.peer = s->from};
	struct announce_reply reply = {
		.interval_s = 900, .seeders = 3, .leechers = 4};

	for (size_t i = 0; i < count; i++) {
		endpoint_parse_ip(
			endpoint_is_v4(&s->from) ? "1.2.3.4" : "2001:db8::1",
			&reply.peers[i]);
		reply.peers[i].port = (uint16_t)(i + 1);
	}
	reply.peer_count = count;
	announce_udp_write_reply(w, transaction, &to, &reply);
}

static void reply_from(
	struct udp_server *s, int fd, uint32_t transaction, size_t count)
{
	uint8_t packet[ANNOUNCE_UDP_MAX_PACKET];
	struct writer w = writer_of(packet, sizeof(packet));

	write_reply(s, &w, transaction, count);
	udp_server_send(s, fd, &w);
}

static void reply_two(struct udp_server *s,
	const struct announce_udp_head *head, const struct announce *a)
{
	(void)a;
	reply_from(s, s->fd, head->transaction, 2);
}

static void refuse(struct udp_server *s, const struct announce_udp_head *head,
	const char *reason)
{
	uint8_t packet[512];
	struct writer w = writer_of(packet, sizeof(packet));

	announce_udp_write_error(&w, head->transaction, reason);
	udp_server_send(s, s->fd, &w);
}

static void refuse_connect(
	struct udp_server *s, const struct announce_udp_head *head)
{
	refuse(s, head, "full");
}

static void refuse_announce(struct udp_server *s,
	const struct announce_udp_head *head, const struct announce *a)
{
	(void)a;
	refuse(s, head, "not here");
}

static void mute(struct udp_server *s, const struct announce_udp_head *head,
	const struct announce *a)
{
	(void)s;
	(void)head;
	(void)a;
}

Test(udp_tracker, an_answer_is_read)
{
	struct udp_server s = {
		.connected = udp_server_connect, .announced = reply_two};

	udp_server_start(&s);
	ask(&s, "/announce?pass=key#fragment");
	udp_server_stop(&s);

	cr_assert(result.ok, "%s", result.err.text);
	cr_expect(result.on_loopback);
	cr_expect_eq(result.reply.peer_count, 2);
	cr_expect_eq(result.reply.interval_s, 900);
	cr_expect(result.reply.counted);
	cr_expect_eq(result.reply.seeders, 3);
	cr_expect_eq(result.reply.leechers, 4);
	cr_expect_eq(s.connect_count, 1);
	cr_expect_eq(s.announce_count, 1);
	cr_expect_eq(s.last.peer.port, 6881);
	cr_expect_eq(s.last.left, 1000);
	cr_expect_eq(s.last.key, 99);
	cr_assert_eq(s.options_len, 20);
	cr_expect_eq(memcmp(s.options, "\2\x12/announce?pass=key", 20), 0);
}

static void count(struct udp_server *s, const struct announce_udp_head *head,
	const struct info_hash *hash)
{
	const struct scrape_entry entry = {
		.seeders = 3, .leechers = 4, .completed = 5};
	uint8_t packet[ANNOUNCE_UDP_MAX_PACKET];
	struct writer w = writer_of(packet, sizeof(packet));

	cr_expect(info_hash_equal(hash, &announce.info_hash));
	announce_udp_write_scraped(&w, head->transaction, &entry, 1);
	udp_server_send(s, s->fd, &w);
}

static void refuse_scrape(struct udp_server *s,
	const struct announce_udp_head *head, const struct info_hash *hash)
{
	(void)hash;
	refuse(s, head, "no scrape");
}

Test(udp_tracker, a_scrape_brings_the_counts)
{
	struct udp_server s = {
		.connected = udp_server_connect, .scraped = count};

	scrape = true;
	udp_server_start(&s);
	ask(&s, "/announce");
	udp_server_stop(&s);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect(result.reply.counted);
	cr_expect_eq(result.reply.seeders, 3);
	cr_expect_eq(result.reply.leechers, 4);
	cr_expect_eq(result.reply.completed, 5);
	cr_expect_eq(s.announce_count, 0);
}

Test(udp_tracker, a_scrape_may_be_refused)
{
	struct udp_server s = {
		.connected = udp_server_connect, .scraped = refuse_scrape};

	scrape = true;
	udp_server_start(&s);
	ask(&s, "/announce");
	udp_server_stop(&s);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect_str_eq(result.reply.failure, "no scrape");
	cr_expect_not(result.reply.counted);
}

Test(udp_tracker, an_error_packet_is_an_answer)
{
	struct udp_server servers[] = {
		{.connected = refuse_connect, .announced = mute},
		{.connected = udp_server_connect, .announced = refuse_announce},
	};
	static const char *const reasons[] = {"full", "not here"};

	for (size_t i = 0; i < 2; i++) {
		udp_server_start(&servers[i]);
		ask(&servers[i], "");
		udp_server_stop(&servers[i]);
		cr_assert(result.ok, "%s", result.err.text);
		cr_expect_str_eq(result.reply.failure, reasons[i]);
		cr_expect(result.on_loopback);
		cr_expect_eq(servers[i].options_len, 0);
	}
}

/* --- What is no answer --- */

/* Everything that is wrong, and then the right thing. */
static void connect_after_nonsense(
	struct udp_server *s, const struct announce_udp_head *head)
{
	uint8_t packet[512];
	struct writer w = writer_of(packet, sizeof(packet));

	udp_server_send(s, s->fd, &w); /* nothing at all */
	announce_udp_write_connected(&w, head->transaction + 1, 666);
	udp_server_send(s, s->fd, &w);
	w = writer_of(packet, sizeof(packet));
	announce_udp_write_error(&w, head->transaction + 1, "no");
	udp_server_send(s, s->fd, &w);
	reply_from(s, s->fd, head->transaction, 9); /* of another question */
	w = writer_of(packet, sizeof(packet));
	announce_udp_write_connected(&w, head->transaction, 666);
	w.next--; /* torn */
	udp_server_send(s, s->fd, &w);
	udp_server_connect(s, head);
}

static void reply_after_nonsense(struct udp_server *s,
	const struct announce_udp_head *head, const struct announce *a)
{
	uint8_t packet[512];
	struct writer w = writer_of(packet, sizeof(packet));

	reply_from(s, s->fd, head->transaction + 1, 9);
	announce_udp_write_connected(&w, head->transaction, 666);
	udp_server_send(s, s->fd, &w);
	w = writer_of(packet, sizeof(packet));
	write_reply(s, &w, head->transaction, 0);
	w.next--;
	udp_server_send(s, s->fd, &w);
	reply_two(s, head, a);
}

Test(udp_tracker, only_the_right_transaction_and_action_count)
{
	struct udp_server s = {.connected = connect_after_nonsense,
		.announced = reply_after_nonsense};

	udp_server_start(&s);
	ask(&s, "");
	udp_server_stop(&s);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect_eq(result.reply.peer_count, 2);
	cr_expect_eq(s.connect_count, 1);
	cr_expect_eq(s.announce_count, 1);
}

/* The right answer comes from other doors first, of this host and another. */
static void reply_from_others_first(struct udp_server *s,
	const struct announce_udp_head *head, const struct announce *a)
{
	static const char *const others[] = {"127.0.0.1:0", "127.0.0.9:0"};

	for (size_t i = 0; i < 2; i++) {
		struct endpoint at;
		int other = udp_server_socket(others[i], &at);

		reply_from(s, other, head->transaction, 9);
		close(other);
	}
	reply_two(s, head, a);
}

Test(udp_tracker, only_the_address_asked_counts)
{
	struct udp_server s = {.connected = udp_server_connect,
		.announced = reply_from_others_first};

	udp_server_start(&s);
	ask(&s, "");
	udp_server_stop(&s);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect_eq(result.reply.peer_count, 2);
}

/* --- Silence --- */

static void give_up_at_connect(
	struct udp_server *s, const struct announce_udp_head *head)
{
	_Atomic uint64_t *give_up_ms = s->ctx;

	(void)head;
	*give_up_ms = clock_ms();
}

static void give_up_at_announce(struct udp_server *s,
	const struct announce_udp_head *head, const struct announce *a)
{
	(void)a;
	give_up_at_connect(s, head);
}

Test(udp_tracker, another_thread_can_end_it_at_once)
{
	struct udp_server servers[] = {
		{.connected = give_up_at_connect, .announced = mute},
		{.connected = udp_server_connect,
			.announced = give_up_at_announce},
	};

	for (size_t i = 0; i < 2; i++) {
		uint64_t start_ms = clock_ms();
		_Atomic uint64_t give_up_ms = start_ms + 25000;
		char at[ENDPOINT_TEXT_SIZE], url[128];

		servers[i].ctx = &give_up_ms;
		udp_server_start(&servers[i]);
		snprintf(url, sizeof(url), "udp://%s",
			endpoint_print(&servers[i].at, at));
		ask_url(url, NULL, &give_up_ms);
		udp_server_stop(&servers[i]);
		cr_expect_not(result.ok);
		cr_expect_str_eq(result.err.text, "given up");
		cr_expect_lt(clock_ms() - start_ms, 1000);
	}
}

Test(udp_tracker, silence_ends_in_time)
{
	struct udp_server s = {.connected = udp_server_mute, .announced = mute};
	uint64_t start_ms = clock_ms();
	_Atomic uint64_t give_up_ms = start_ms + 100;
	char at[ENDPOINT_TEXT_SIZE], url[128];

	udp_server_start(&s);
	snprintf(url, sizeof(url), "udp://%s", endpoint_print(&s.at, at));
	ask_url(url, NULL, &give_up_ms);
	udp_server_stop(&s);
	cr_expect_not(result.ok);
	cr_expect_str_eq(result.err.text, "timed out after 0 s");
	cr_expect_lt(clock_ms() - start_ms, 1000);
	cr_expect_eq(s.connect_count, 1); /* not hammered */
}

Test(udp_tracker, a_closed_port_is_called_so)
{
	struct udp_server s = {.connected = udp_server_mute, .announced = mute};

	udp_server_start(&s);
	udp_server_stop(&s);
	ask(&s, "");
	cr_expect_not(result.ok);
	cr_expect_str_eq(result.err.text, "Connection refused");
}

/* --- Addresses --- */

Test(udp_tracker, what_cannot_be_asked_is_refused_at_once)
{
	static char long_url[1500] = "udp://127.0.0.1:80/";
	const struct {
		const char *url;
		const char *error;
	} cases[] = {
		{"http://127.0.0.1:80/", "not the address of a UDP tracker"},
		{"udp://127.0.0.1/announce",
			"not the address of a UDP tracker"},
		{"udp://127.0.0.1:/", "not the address of a UDP tracker"},
		{"udp://127.0.0.1:0/", "not the address of a UDP tracker"},
		{"udp://127.0.0.1:65536/", "not the address of a UDP tracker"},
		{"udp://127.0.0.1:99999999/",
			"not the address of a UDP tracker"},
		{"udp://:80/", "not the address of a UDP tracker"},
		{"udp://[]:80/", "not the address of a UDP tracker"},
		{"udp://", "not the address of a UDP tracker"},
		{"udp://224.0.0.1:80", "the host has no address to ask"},
		{"udp://255.255.255.255:80", "the host has no address to ask"},
		{"udp://[ff02::1]:80", "the host has no address to ask"},
		{"udp://0.0.0.0:80", "the host has no address to ask"},
		{long_url, "the URL is too long"},
	};
	_Atomic uint64_t give_up_ms = clock_ms() + 10000;

	memset(long_url + strlen(long_url), 'a',
		sizeof(long_url) - strlen(long_url) - 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ask_url(cases[i].url, NULL, &give_up_ms);
		cr_expect_not(result.ok, "case %zu", i);
		cr_expect_str_eq(
			result.err.text, cases[i].error, "case %zu", i);
	}
}

Test(udp_tracker, it_asks_from_the_address_it_is_bound_to)
{
	struct udp_server s = {
		.connected = udp_server_connect, .announced = reply_two};
	_Atomic uint64_t give_up_ms = clock_ms() + 10000;
	char at[ENDPOINT_TEXT_SIZE], url[128];
	struct endpoint from, other_family;

	endpoint_parse("127.0.0.2:77", &from);
	endpoint_parse_ip("::1", &other_family);
	udp_server_start(&s);
	snprintf(url, sizeof(url), "udp://%s", endpoint_print(&s.at, at));
	ask_url(url, &from, &give_up_ms);
	cr_expect(result.ok, "%s", result.err.text);
	cr_expect(endpoint_same_ip(&s.from, &from));
	ask_url(url, &other_family, &give_up_ms);
	udp_server_stop(&s);
	cr_expect_not(result.ok);
	cr_expect_str_eq(
		result.err.text, "no IPv6 address of it to ask from ::1");
}

Test(udp_tracker, ipv6_is_asked_for_ipv6_peers)
{
	struct udp_server s = {
		.connected = udp_server_connect, .announced = reply_two};
	char text[ENDPOINT_TEXT_SIZE];

	if (!udp_server_start_at(&s, "[::1]:0"))
		cr_skip("no IPv6 here");
	ask(&s, "/announce");
	udp_server_stop(&s);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect(result.on_loopback);
	cr_assert_eq(result.reply.peer_count, 2);
	cr_expect_str_eq(endpoint_print(&result.reply.peers[1], text),
		"[2001:db8::1]:2");
}

/* --- A tracker with two addresses: ::1 and 127.0.0.1 --- */

/* In the place of the C library's: nobody else is asked by these tests. */
int getaddrinfo(const char *name, const char *service,
	const struct addrinfo *hints, struct addrinfo **ret)
{
	static struct sockaddr_storage sa[3];
	static struct addrinfo list[3];
	static const char *const ips[] = {"::1", "127.0.0.1", "127.0.0.7"};

	(void)service;
	(void)hints;
	if (strcmp(name, "both.test") != 0)
		return EAI_NONAME;
	for (size_t i = 0; i < 3; i++) {
		struct endpoint e;

		endpoint_parse_ip(ips[i], &e);
		list[i].ai_addrlen = endpoint_to_sockaddr(&e, &sa[i]);
		list[i].ai_addr = (struct sockaddr *)&sa[i];
		list[i].ai_next = i < 2 ? &list[i + 1] : NULL;
	}
	*ret = list;
	return 0;
}

void freeaddrinfo(struct addrinfo *list) { (void)list; }

/* A server on each address, with the same port. */
static void start_both(struct udp_server *v6, struct udp_server *v4)
{
	char text[ENDPOINT_TEXT_SIZE];

	udp_server_start(v4);
	snprintf(text, sizeof(text), "[::1]:%u", (unsigned)v4->at.port);
	if (!udp_server_start_at(v6, text))
		cr_skip("no IPv6 here");
}

static void ask_both(const struct udp_server *s, uint64_t patience_ms)
{
	_Atomic uint64_t give_up_ms = clock_ms() + patience_ms;
	char url[128];

	snprintf(url, sizeof(url), "udp://both.test:%u/announce",
		(unsigned)s->at.port);
	ask_url(url, NULL, &give_up_ms);
}

Test(udp_tracker, both_families_are_asked_and_their_peers_put_together)
{
	struct udp_server v6 = {.connected = udp_server_connect,
		.announced = reply_after_nonsense};
	struct udp_server v4 = {
		.connected = udp_server_connect, .announced = reply_two};
	unsigned v4_peers = 0;

	start_both(&v6, &v4);
	ask_both(&v4, 10000);
	udp_server_stop(&v6);
	udp_server_stop(&v4);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect_eq(result.reply.peer_count, 4);
	for (size_t i = 0; i < result.reply.peer_count; i++)
		v4_peers += endpoint_is_v4(&result.reply.peers[i]);
	cr_expect_eq(v4_peers, 2);
	cr_expect_eq(result.reply.seeders, 3);
	cr_expect_eq(v6.announce_count, 1);
	cr_expect_eq(v4.announce_count, 1);
}

Test(udp_tracker, one_family_that_answers_is_enough)
{
	struct udp_server silent = {
		.connected = udp_server_mute, .announced = mute};
	struct udp_server refusing = {
		.connected = refuse_connect, .announced = mute};
	struct udp_server *const v6[] = {&silent, &refusing};

	for (size_t i = 0; i < 2; i++) {
		struct udp_server v4 = {.connected = udp_server_connect,
			.announced = reply_two};

		start_both(v6[i], &v4);
		ask_both(&v4, 200);
		udp_server_stop(v6[i]);
		udp_server_stop(&v4);
		cr_expect(result.ok, "%s", result.err.text);
		cr_expect_str_empty(result.reply.failure);
		cr_expect_eq(result.reply.peer_count, 2);
	}
}

Test(udp_tracker, an_unknown_name_is_called_so)
{
	_Atomic uint64_t give_up_ms = clock_ms() + 10000;

	ask_url("udp://unknown.test:80/", NULL, &give_up_ms);
	cr_expect_not(result.ok);
	cr_expect_str_eq(result.err.text, "host not found");
}
