#include <criterion/criterion.h>

#include "client/discovery/http_tracker.h"
#include "shared/clock.h"
#include "tests/unit/http_server.h"

static struct announce announce = {.peer.port = 6881, .compact = true};

struct result {
	bool ok;
	bool on_loopback;
	struct error err;
	struct announce_reply reply;
};

static struct result result;
static bool scrape;

/* Ask the server, with `prefix` before its address. */
static void ask(const struct http_server *s, const char *prefix,
	const struct endpoint *bind, const _Atomic uint64_t *give_up_ms)
{
	char at[ENDPOINT_TEXT_SIZE];
	char url[256];

	http_tracker_global_init();
	snprintf(url, sizeof(url), "%s%s/announce?pass=key", prefix,
		endpoint_print(&s->at, at));
	result = (struct result){0};
	result.ok = http_tracker_announce(
		&(struct http_tracker_request){
			.url = url,
			.announce = &announce,
			.scrape = scrape,
			.bind = bind,
			.give_up_ms = give_up_ms,
		},
		&result.reply, &result.on_loopback, &result.err);
	cr_expect_null(strstr(result.err.text, "pass"), "%s", result.err.text);
}

static void ask_once(
	void (*handler)(struct http_server *s, int fd, const char *request),
	void *ctx)
{
	struct http_server s = {.handler = handler, .ctx = ctx};
	_Atomic uint64_t give_up_ms = clock_ms() + 5000;

	http_server_start(&s);
	ask(&s, "http://", NULL, &give_up_ms);
	http_server_stop(&s);
}

static void say_ctx(struct http_server *s, int fd, const char *request)
{
	(void)request;
	http_server_say(fd, s->ctx);
}

Test(http_tracker, an_answer_is_read_or_refused_in_a_few_words)
{
	static const struct {
		const char *answer;
		bool ok;
		const char *error;
		const char *failure;
		size_t peers;
		uint32_t interval_s;
	} cases[] = {
		{"HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n"
		 "d8:intervali900e5:peers6:\x01\x02\x03\x04\x1a\xe1"
		 "e",
			true, "", "", 1, 900},
		{"HTTP/1.0 200 OK\r\n\r\n"
		 "d5:peers12:\x01\x02\x03\x04\x1a\xe1\x7f\x01\x01\x01\x1a\xe2"
		 "e",
			true, "", "", 2, 0},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		 "8\r\nd8:inter\r\n"
		 "a;x=y\r\nvali900e5:\r\n"
		 "9\r\npeers0:ee\r\n0\r\n\r\n",
			true, "", "", 0, 900},
		{"HTTP/1.1 200 OK\r\n\r\nd14:failure reason3:no!e", true, "",
			"no!", 0, 0},
		{"HTTP/1.1 500 Oops\r\n\r\nd5:peers0:e", false, "HTTP 500", "",
			0, 0},
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false,
			"HTTP 404", "", 0, 0},
		{"HTTP/1.1 204 Nothing\r\n\r\n", false, "HTTP 204", "", 0, 0},
		{"HTTP/1.1 304 Same\r\n\r\n", false, "HTTP 304", "", 0, 0},
		{"HTTP/1.1 302 Look\r\nLocation: file:///etc/passwd\r\n\r\n",
			false,
			"redirected to something that is not http or https", "",
			0, 0},
		{"HTTP/1.1 302 Look\r\nLocation: gopher://127.0.0.1:1/\r\n\r\n",
			false,
			"redirected to something that is not http or https", "",
			0, 0},
		{"HTTP/1.1 302 Look\r\nLocation: /again\r\n\r\n", false,
			"more than 5 redirects", "", 0, 0},
		{"HTTP/1.1 200 OK\r\n\r\n<html>", false,
			"not a tracker's answer", "", 0, 0},
		{"HTTP/1.1 200 OK\r\n\r\n", false, "not a tracker's answer", "",
			0, 0},
		{"d5:peers0:e", false, "not an HTTP answer", "", 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		/* Cast: the server's ctx serves other tests as well. */
		char answer[512];

		snprintf(answer, sizeof(answer), "%s", cases[i].answer);
		ask_once(say_ctx, answer);
		cr_expect_eq(result.ok, cases[i].ok, "case %zu: %s", i,
			result.err.text);
		cr_expect_str_eq(
			result.err.text, cases[i].error, "case %zu", i);
		cr_expect_str_eq(
			result.reply.failure, cases[i].failure, "case %zu", i);
		cr_expect_eq(
			result.reply.peer_count, cases[i].peers, "case %zu", i);
		cr_expect_eq(result.reply.interval_s, cases[i].interval_s,
			"case %zu", i);
		cr_expect_eq(result.on_loopback, cases[i].ok, "case %zu", i);
	}
}

Test(http_tracker, other_garbage_is_a_failure_too)
{
	static const char *const answers[] = {
		"",
		"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\nd",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nd",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nde",
		"HTTP/1.1 302 Look\r\nLocation: http://:0:x/\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		char answer[512];

		snprintf(answer, sizeof(answer), "%s", answers[i]);
		ask_once(say_ctx, answer);
		cr_expect_not(result.ok, "case %zu", i);
		cr_expect_neq(result.err.text[0], '\0', "case %zu", i);
	}
}

static void send_for_ever(struct http_server *s, int fd, const char *request)
{
	static const char filler[16384];

	(void)request;
	http_server_say(fd, s->ctx);
	while (http_server_send(fd, filler, sizeof(filler)))
		;
}

static void header_for_ever(struct http_server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	http_server_say(fd, "HTTP/1.1 200 OK\r\n");
	while (http_server_say(fd, "X-More: and more\r\n"))
		;
}

/* Zeros in deflate's fixed code: one, and then runs of 258 by 13 bits each. */
static size_t deflate_zeros(size_t runs, uint8_t *ret)
{
	uint32_t bits = 0x3; /* last block, fixed code (3 bits: 011) */
	unsigned pending = 3;
	size_t len = 0;

	/* Literal 0 is 00110000, length 258 11000101, distance 1 00000; codes
	 * go in with their first bit lowest. */
	bits |= 0x0cU << pending;
	pending += 8;
	for (size_t i = 0; i <= runs; i++) {
		for (; pending >= 8; pending -= 8, bits >>= 8)
			ret[len++] = (uint8_t)bits;
		bits |= 0xa3U << pending;
		pending += 13;
	}
	return len;
}

static void send_bomb(struct http_server *s, int fd, const char *request)
{
	enum { RUNS = 100 * 1024 * 1024 / 258 };
	static const uint8_t gzip_header[10] = {0x1f, 0x8b, 8};
	static uint8_t zeros[RUNS * 2];

	(void)s;
	(void)request;
	http_server_say(
		fd, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n");
	http_server_send(fd, gzip_header, sizeof(gzip_header));
	http_server_send(fd, zeros, deflate_zeros(RUNS, zeros));
}

Test(http_tracker, too_much_is_cut_off)
{
	static char endless[] = "HTTP/1.1 200 OK\r\n\r\n";
	static char short_length[] =
		"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n";

	ask_once(send_for_ever, endless);
	cr_expect_str_eq(result.err.text, "answer too long");
	ask_once(send_for_ever, short_length);
	cr_expect_str_eq(result.err.text, "answer too long");
	ask_once(send_bomb, NULL);
	cr_expect_str_eq(result.err.text, "answer too long");
	ask_once(header_for_ever, NULL);
	cr_expect_str_eq(result.err.text, "headers too long");
}

static void hang(struct http_server *s, int fd, const char *request)
{
	_Atomic uint64_t *give_up_ms = s->ctx;

	(void)request;
	if (give_up_ms != NULL)
		*give_up_ms = clock_ms();
	http_server_hang(fd);
}

static void trickle(struct http_server *s, int fd, const char *request)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	(void)s;
	(void)request;
	http_server_say(fd, "HTTP/1.1 200 OK\r\n\r\n");
	while (poll(&p, 1, 10) == 0 && http_server_say(fd, "d"))
		;
}

Test(http_tracker, a_server_that_hangs_or_trickles_is_left_in_time)
{
	void (*const handlers[])(struct http_server *, int, const char *) = {
		hang, trickle};

	for (size_t i = 0; i < 2; i++) {
		struct http_server s = {.handler = handlers[i]};
		uint64_t start_ms = clock_ms();
		_Atomic uint64_t give_up_ms = start_ms + 100;

		http_server_start(&s);
		ask(&s, "http://", NULL, &give_up_ms);
		http_server_stop(&s);
		cr_expect_not(result.ok);
		cr_expect_str_eq(result.err.text, "timed out after 0 s");
		cr_expect_lt(clock_ms() - start_ms, 1000);
	}
}

Test(http_tracker, another_thread_can_end_it_at_once)
{
	uint64_t start_ms = clock_ms();
	_Atomic uint64_t give_up_ms = start_ms + 25000;
	struct http_server s = {.handler = hang, .ctx = &give_up_ms};

	http_server_start(&s);
	ask(&s, "http://", NULL, &give_up_ms);
	http_server_stop(&s);
	cr_expect_not(result.ok);
	cr_expect_str_eq(result.err.text, "given up");
	cr_expect_lt(clock_ms() - start_ms, 1000);
}

Test(http_tracker, a_closed_port_is_called_so)
{
	struct http_server s = {.handler = hang};
	_Atomic uint64_t give_up_ms = clock_ms() + 5000;

	http_server_start(&s);
	http_server_stop(&s);
	ask(&s, "http://", NULL, &give_up_ms);
	cr_expect_not(result.ok);
	cr_expect_str_eq(result.err.text, "Connection refused");
}

/* A cookie, and a way to a second request. */
static void give_cookie(struct http_server *s, int fd, const char *request)
{
	(void)request;
	http_server_say(fd,
		s->request_count == 1
			? "HTTP/1.1 302 Look\r\nSet-Cookie: a=b\r\n"
			  "Location: /next\r\n\r\n"
			: "HTTP/1.1 200 OK\r\n\r\nd5:peers0:e");
}

Test(http_tracker, a_request_tells_nothing_but_the_announce)
{
	struct http_server s = {.handler = give_cookie};
	_Atomic uint64_t give_up_ms = clock_ms() + 5000;
	struct endpoint from;

	endpoint_parse_ip("127.0.0.2", &from);
	http_server_start(&s);
	ask(&s, "http://user:word@", &from, &give_up_ms);
	http_server_stop(&s);

	cr_expect(result.ok, "%s", result.err.text);
	cr_expect_eq(s.request_count, 2);
	cr_expect_not_null(strstr(s.request, "GET /next HTTP/1.1\r\n"));
	cr_expect_not_null(
		strstr(s.request, "User-Agent: tbt/" TBT_VERSION "\r\n"));
	cr_expect_null(strcasestr(s.request, "cookie"));
	cr_expect_null(strcasestr(s.request, "authorization"));
	cr_expect_null(strcasestr(s.request, "referer"));
	cr_expect(endpoint_same_ip(&s.from, &from));
}

static void ask_for_password(struct http_server *s, int fd, const char *request)
{
	(void)s;
	(void)request;
	http_server_say(fd,
		"HTTP/1.1 401 Who\r\n"
		"WWW-Authenticate: Basic realm=\"x\"\r\n"
		"Content-Length: 0\r\n\r\n");
}

Test(http_tracker, credentials_are_not_sent)
{
	struct http_server s = {.handler = ask_for_password};
	_Atomic uint64_t give_up_ms = clock_ms() + 5000;

	http_server_start(&s);
	ask(&s, "http://user:word@", NULL, &give_up_ms);
	http_server_stop(&s);
	cr_expect_str_eq(result.err.text, "HTTP 401");
	cr_expect_eq(s.request_count, 1);
	cr_expect_null(strcasestr(s.request, "authorization"));
}

Test(http_tracker, the_url_carries_the_announce)
{
	static char answer[] = "HTTP/1.1 200 OK\r\n\r\nd5:peers0:e";
	struct http_server s = {.handler = say_ctx, .ctx = answer};
	_Atomic uint64_t give_up_ms = clock_ms() + 5000;

	http_server_start(&s);
	ask(&s, "http://", NULL, &give_up_ms);
	http_server_stop(&s);
	cr_expect(result.ok, "%s", result.err.text);
	cr_expect_not_null(strstr(
		s.request, "GET /announce?pass=key&info_hash=%00%00%00"));
	cr_expect_not_null(strstr(s.request, "&port=6881&"));
}

Test(http_tracker, a_scrape_brings_the_counts)
{
	static char answer[] = "HTTP/1.1 200 OK\r\n\r\nd5:filesd20:"
			       "--------------------"
			       "d8:completei3e10:incompletei4eeee";
	struct http_server s = {.handler = say_ctx, .ctx = answer};
	_Atomic uint64_t give_up_ms = clock_ms() + 5000;

	scrape = true;
	http_server_start(&s);
	ask(&s, "http://", NULL, &give_up_ms);
	http_server_stop(&s);
	/* Not of the torrent that was asked for. */
	cr_expect_not(result.ok);
	cr_expect_str_eq(result.err.text, "the tracker does not count it");
	cr_expect_not_null(strstr(s.request,
		"GET /scrape?pass=key&info_hash=%00%00%00%00%00%00%00%00%00%00"
		"%00%00%00%00%00%00%00%00%00%00 HTTP"));

	memset(strchr(answer, '-'), 'a', INFO_HASH_SIZE);
	memset(announce.info_hash.bytes, 'a', INFO_HASH_SIZE);
	http_server_start(&s);
	ask(&s, "http://", NULL, &give_up_ms);
	http_server_stop(&s);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect(result.reply.counted);
	cr_expect_eq(result.reply.seeders, 3);
	cr_expect_eq(result.reply.leechers, 4);
}

Test(http_tracker, what_a_tracker_says_counts_more_than_its_status)
{
	static char refusal[] = "HTTP/1.1 403 Forbidden\r\n\r\n"
				"d14:failure reason12:unregisterede";
	static char not_one[] = "HTTP/1.1 403 Forbidden\r\n\r\n"
				"d8:intervali5e5:peers0:e";

	ask_once(say_ctx, refusal);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect_str_eq(result.reply.failure, "unregistered");
	ask_once(say_ctx, not_one);
	cr_expect_not(result.ok);
	cr_expect_str_eq(result.err.text, "HTTP 403");
}

Test(http_tracker, it_asks_from_the_address_it_is_bound_to)
{
	static char answer[] = "HTTP/1.1 200 OK\r\n\r\nd5:peers0:e";
	struct http_server s = {.handler = say_ctx, .ctx = answer};
	_Atomic uint64_t give_up_ms = clock_ms() + 5000;
	struct endpoint from, other_family;

	endpoint_parse("127.0.0.2:77", &from);
	endpoint_parse_ip("::1", &other_family);
	http_server_start(&s);
	ask(&s, "http://", &from, &give_up_ms);
	cr_expect(result.ok, "%s", result.err.text);
	cr_expect(endpoint_same_ip(&s.from, &from));
	ask(&s, "http://", &other_family, &give_up_ms);
	http_server_stop(&s);
	cr_expect_not(result.ok);
	cr_expect_str_eq(
		result.err.text, "no IPv6 address of it to ask from ::1");
}

/* ---- both families ---- */

static void say_slowly(struct http_server *s, int fd, const char *request)
{
	(void)request;
	if (s->ctx == NULL)
		(void)poll(NULL, 0, 5000);
	else
		http_server_say(fd, s->ctx);
}

/* Ask a tracker on "localhost" that says `v4` and `v6` (NULL: nothing for 5 s)
 * at its two addresses. */
static void ask_both(char *v4, char *v6, bool v6_listens)
{
	struct http_server one = {.handler = say_slowly, .ctx = v4};
	struct http_server other = {.handler = say_slowly, .ctx = v6};
	_Atomic uint64_t give_up_ms = clock_ms() + 8000;
	char url[64];

	http_server_start(&one);
	endpoint_parse("[::1]:0", &other.at);
	other.at.port = one.at.port;
	if (v6_listens)
		http_server_start(&other);
	http_tracker_global_init();
	snprintf(url, sizeof(url), "http://localhost:%u/announce", one.at.port);
	result = (struct result){0};
	result.ok = http_tracker_announce(
		&(struct http_tracker_request){
			.url = url,
			.announce = &announce,
			.give_up_ms = &give_up_ms,
		},
		&result.reply, &result.on_loopback, &result.err);
	http_server_stop(&one);
	if (v6_listens)
		http_server_stop(&other);
}

#define OK_BODY(peers) "HTTP/1.1 200 OK\r\n\r\nd8:intervali" peers "e"

static char four[] = OK_BODY("900") "5:peers6:\x0a\x01\x01\x01\x01\x01"
				    "e";
static char six[] = OK_BODY("1800") "5:peers6:\x0a\x02\x02\x02\x02\x02"
				    "e";
static char refusal[] = "HTTP/1.1 200 OK\r\n\r\nd14:failure reason9:no such 6e";
static char missing[] = "HTTP/1.1 404 Not Found\r\n\r\n";

Test(http_tracker, a_name_is_asked_over_both_families)
{
	ask_both(four, six, true);
	cr_assert(result.ok, "%s", result.err.text);
	cr_expect(result.on_loopback);
	cr_expect_eq(result.reply.peer_count, 2);
	cr_expect_eq(result.reply.interval_s, 1800);
}

Test(http_tracker, one_family_is_enough)
{
	static const struct {
		char *v4, *v6;
		bool v6_listens;
	} cases[] = {
		{four, NULL, false},
		{four, missing, true},
		{four, refusal, true},
		{missing, four, true},
		{refusal, four, true},
		{four, NULL, true}, /* hangs: has 2 s left */
		{NULL, four, true},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t start_ms = clock_ms();

		ask_both(cases[i].v4, cases[i].v6, cases[i].v6_listens);
		cr_assert(result.ok, "%zu: %s", i, result.err.text);
		cr_expect_eq(result.reply.peer_count, 1, "%zu", i);
		cr_expect_str_eq(result.reply.failure, "", "%zu", i);
		cr_expect_lt(clock_ms() - start_ms, 7000, "%zu", i);
	}
}

Test(http_tracker, when_both_families_fail_the_better_reason_is_told)
{
	ask_both(missing, NULL, false);
	cr_expect_not(result.ok);
	ask_both(refusal, missing, true);
	cr_expect(result.ok);
	cr_expect_str_eq(result.reply.failure, "no such 6");
}
