#include "client/discovery/udp_tracker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/discovery/host_lookup.h"
#include "shared/announce_udp.h"
#include "shared/clock.h"
#include "shared/random_bytes.h"
#include "shared/text.h"
#include "shared/writer.h"

enum {
	MAX_TIME_MS = 30 * 1000,
	POLL_MS = 100,              /* how soon a changed give_up_ms is seen */
	RESEND_MS = 15 * 1000,      /* BEP 15; no time is left to double it */
	OTHER_FAMILY_MS = 2 * 1000, /* to answer after the first one has */

	MAX_HOST = 253,
	FAMILIES = 2,
	MAX_REPLY = ANNOUNCE_UDP_REPLY_SIZE +
		ANNOUNCE_REPLY_MAX_PEERS * ENDPOINT_V6_SIZE,
};

/* The parts of a tracker's URL. */
struct target {
	char host[MAX_HOST + 1];
	uint16_t port;
	struct span url_data; /* path and query, within the URL */
};

/* The talk with one address. */
struct exchange {
	struct endpoint at;
	int fd; /* connected, so only `at` is heard; -1: over */
	bool has_id;
	uint64_t connection_id;

	/* The question under way. */
	uint32_t transaction;
	uint64_t send_ms; /* when it is sent, or sent again */

	/* How it ended. */
	bool answered;
	char failure[ANNOUNCE_TEXT_SIZE]; /* by an error packet */
	int why;                          /* errno, or 0 */
};

/* One announce under way. */
struct announcing {
	const struct udp_tracker_request *request;
	struct span url_data;
	struct announce_reply *reply; /* all the answers in one */
	uint64_t start_ms;
	uint64_t planned_ms; /* give_up_ms at the start */
	uint64_t end_ms;
	size_t count;
	struct exchange exchanges[FAMILIES];
};

static bool parse_url(const char *url, struct target *ret)
{
	static const char scheme[] = "udp://";
	uint64_t port;

	if (strncasecmp(url, scheme, strlen(scheme)) != 0)
		return false;

	const char *host = url + strlen(scheme);
	const char *data = host + strcspn(host, "/?#");
	const char *colon = memrchr(host, ':', (size_t)(data - host));
	char digits[8];
	if (colon == NULL || (size_t)(data - colon) > sizeof(digits))
		return false;
	size_t digits_len = (size_t)(data - colon) - 1;
	memcpy(digits, colon + 1, digits_len);
	digits[digits_len] = '\0';
	if (!text_parse_number(digits, 1, UINT16_MAX, &port))
		return false;

	size_t host_len = (size_t)(colon - host);
	if (host_len >= 2 && host[0] == '[' && host[host_len - 1] == ']') {
		host++;
		host_len -= 2;
	}
	if (host_len == 0 || host_len > MAX_HOST)
		return false;
	memcpy(ret->host, host, host_len);
	ret->host[host_len] = '\0';
	ret->port = (uint16_t)port;
	ret->url_data =
		(struct span){(const uint8_t *)data, strcspn(data, "#")};
	return true;
}

/* --- The end of an exchange --- */

static void end(struct exchange *x)
{
	close(x->fd);
	x->fd = -1;
}

static void end_errno(struct exchange *x)
{
	x->why = errno;
	end(x);
}

/* --- Questions --- */

static void begin_question(struct exchange *x, uint64_t now_ms)
{
	x->transaction = random_u32();
	x->send_ms = now_ms;
}

static void write_question(
	const struct announcing *a, const struct exchange *x, struct writer *w)
{
	const struct announce *announce = a->request->announce;

	if (!x->has_id)
		announce_udp_write_connect(w, x->transaction);
	else if (a->request->scrape)
		announce_udp_write_scrape(w, x->connection_id, x->transaction,
			&announce->info_hash, 1);
	else
		announce_udp_write_announce(w, x->connection_id, x->transaction,
			announce, a->url_data);
}

static void send_question(
	const struct announcing *a, struct exchange *x, uint64_t now_ms)
{
	uint8_t packet[ANNOUNCE_UDP_MAX_PACKET];
	struct writer w = writer_of(packet, sizeof(packet));

	write_question(a, x, &w);
	x->send_ms = now_ms + RESEND_MS;
	ssize_t n = send(
		x->fd, packet, writer_len(&w), MSG_DONTWAIT | MSG_NOSIGNAL);
	/* A full queue is the same as a lost packet. */
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != EINTR)
		end_errno(x);
}

/* --- Answers --- */

static bool parse_reply(const struct announcing *a, const struct exchange *x,
	struct span packet, struct announce_reply *ret)
{
	struct scrape_entry entry;

	if (!a->request->scrape)
		return announce_udp_parse_reply(
			packet, x->transaction, endpoint_is_v4(&x->at), ret);
	if (!announce_udp_parse_scraped(packet, x->transaction, &entry, 1))
		return false;
	announce_reply_count(ret, &entry);
	return true;
}

static void judge_reply(
	struct announcing *a, struct exchange *x, struct span packet)
{
	struct announce_reply reply = {0};

	if (!parse_reply(a, x, packet, &reply))
		return;
	announce_reply_add(a->reply, &reply);
	x->answered = true;
	end(x);
}

/* What is no answer to our question is ignored, whoever may have sent it. */
static void judge(struct announcing *a, struct exchange *x, struct span packet)
{
	if (announce_udp_parse_error(packet, x->transaction, x->failure)) {
		end(x);
	} else if (x->has_id) {
		judge_reply(a, x, packet);
	} else if (announce_udp_parse_connected(
			   packet, x->transaction, &x->connection_id)) {
		x->has_id = true;
		begin_question(x, clock_ms());
	}
}

static void receive(struct announcing *a, struct exchange *x)
{
	uint8_t packet[MAX_REPLY];
	ssize_t n = recv(x->fd, packet, sizeof(packet), MSG_DONTWAIT);

	if (n >= 0)
		judge(a, x, (struct span){packet, (size_t)n});
	else if (errno != EAGAIN && errno != EINTR)
		end_errno(x);
}

/* --- All of it --- */

/* A socket that hears nobody but `to`. */
static int open_socket(const struct endpoint *to, const struct endpoint *from)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(to, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (from != NULL) {
		struct endpoint any_port = *from;
		struct sockaddr_storage here;

		any_port.port = 0;
		socklen_t here_len = endpoint_to_sockaddr(&any_port, &here);
		if (bind(fd, (struct sockaddr *)&here, here_len) != 0)
			goto fail;
	}
	if (connect(fd, (struct sockaddr *)&sa, len) != 0)
		goto fail;
	return fd;

fail:;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static bool has_family_of(const struct announcing *a, const struct endpoint *e)
{
	for (size_t i = 0; i < a->count; i++) {
		if (endpoint_is_v4(&a->exchanges[i].at) == endpoint_is_v4(e))
			return true;
	}
	return false;
}

static void add_exchange(struct announcing *a, const struct endpoint *at)
{
	const struct endpoint *from = a->request->bind;
	struct exchange *x;

	if (!endpoint_dialable(at) || has_family_of(a, at) ||
		(from != NULL && endpoint_is_v4(from) != endpoint_is_v4(at)))
		return;
	x = &a->exchanges[a->count++];
	x->at = *at;
	x->fd = open_socket(at, from);
	if (x->fd < 0)
		x->why = errno;
	begin_question(x, clock_ms());
}

static bool under_way(const struct announcing *a)
{
	for (size_t i = 0; i < a->count; i++) {
		if (a->exchanges[i].fd >= 0)
			return true;
	}
	return false;
}

static void turn(struct announcing *a, uint64_t now_ms)
{
	struct pollfd polled[FAMILIES];
	bool answered = false;

	for (size_t i = 0; i < a->count; i++) {
		struct exchange *x = &a->exchanges[i];

		if (x->fd >= 0 && now_ms >= x->send_ms)
			send_question(a, x, now_ms);
		polled[i] = (struct pollfd){.fd = x->fd, .events = POLLIN};
	}
	if (!under_way(a) || poll(polled, a->count, POLL_MS) <= 0)
		return;
	for (size_t i = 0; i < a->count; i++) {
		struct exchange *x = &a->exchanges[i];

		if (x->fd >= 0 && polled[i].revents != 0)
			receive(a, x);
		answered |= x->answered;
	}
	if (answered && clock_ms() + OTHER_FAMILY_MS < a->end_ms)
		a->end_ms = clock_ms() + OTHER_FAMILY_MS;
}

static void run(struct announcing *a)
{
	uint64_t now_ms;

	while (under_way(a) && (now_ms = clock_ms()) < a->end_ms &&
		now_ms < *a->request->give_up_ms)
		turn(a, now_ms);
	for (size_t i = 0; i < a->count; i++) {
		if (a->exchanges[i].fd >= 0)
			end(&a->exchanges[i]);
	}
}

/* Why time ran out. */
static bool explain_end(const struct announcing *a, struct error *err)
{
	if (*a->request->give_up_ms < a->planned_ms)
		return error_set(err, "given up");
	return error_set(err, "timed out after %u s",
		(unsigned)((clock_ms() - a->start_ms + 500) / 1000));
}

/* What came of it.  True: an answer, if only an error packet. */
static bool conclude(const struct announcing *a, bool *ret_on_loopback)
{
	const struct exchange *failed = NULL;
	bool answered = false;
	bool on_loopback = true;

	for (size_t i = 0; i < a->count; i++) {
		const struct exchange *x = &a->exchanges[i];

		if (x->answered)
			on_loopback &= endpoint_is_loopback(&x->at);
		else if (x->failure[0] != '\0')
			failed = x;
		answered |= x->answered;
	}
	if (!answered && failed == NULL)
		return false;
	if (!answered) {
		memcpy(a->reply->failure, failed->failure,
			sizeof(failed->failure));
		on_loopback = endpoint_is_loopback(&failed->at);
	}
	*ret_on_loopback = on_loopback;
	return true;
}

/* What the system says of an address is the reason only if no other address
 * was just silent.  The resolver puts those first that can be reached. */
static bool explain_silence(const struct announcing *a, struct error *err)
{
	char words[96];

	for (size_t i = 0; i < a->count; i++) {
		if (a->exchanges[i].why == 0)
			return explain_end(a, err);
	}
	return error_set(err, "%s",
		strerror_r(a->exchanges[0].why, words, sizeof(words)));
}

static bool find_host(
	struct announcing *a, const struct target *target, struct error *err)
{
	struct endpoint found[HOST_LOOKUP_MAX];
	size_t count = 0;

	switch (host_lookup(target->host, target->port, a->request->give_up_ms,
		found, &count)) {
	case HOST_LOOKUP_FOUND:
		break;
	case HOST_LOOKUP_UNKNOWN:
		return error_set(err, "host not found");
	case HOST_LOOKUP_GIVEN_UP:
		return explain_end(a, err);
	case HOST_LOOKUP_NO_MEANS:
		return error_set(err, "out of memory");
	}
	for (size_t i = 0; i < count; i++)
		add_exchange(a, &found[i]);
	if (a->count > 0)
		return true;
	return a->request->bind != NULL
		? host_lookup_none(a->request->bind, err)
		: error_set(err, "the host has no address to ask");
}

bool udp_tracker_announce(const struct udp_tracker_request *request,
	struct announce_reply *ret, bool *ret_on_loopback, struct error *err)
{
	uint64_t now_ms = clock_ms();
	struct announce_reply reply = {0};
	struct announcing a = {
		.request = request,
		.reply = &reply,
		.start_ms = now_ms,
		.planned_ms = *request->give_up_ms,
		.end_ms = now_ms + MAX_TIME_MS,
	};
	struct target target;

	if (!parse_url(request->url, &target))
		return error_set(err, "not the address of a UDP tracker");
	if (target.url_data.len > ANNOUNCE_UDP_MAX_URL_DATA)
		return error_set(err, "the URL is too long");
	a.url_data = target.url_data;
	if (!find_host(&a, &target, err))
		return false;
	run(&a);
	if (!conclude(&a, ret_on_loopback))
		return explain_silence(&a, err);
	*ret = reply;
	return true;
}
