/* How many announces a second a tracker answers, how fast, and whether rightly.
 *
 *	tracker_load udp|http|http-close ADDRESS:PORT [OPTIONS]
 *
 * Made-up peers of made-up swarms announce themselves once, and then over and
 * over by chance: every reply is followed by the next announce.  `http` keeps
 * its connections, `http-close` takes one for each announce.  All of them come
 * from one address, so a peer's port says which one it is, and of which swarm:
 * a reply with somebody from elsewhere, with somebody twice or with less than
 * there is counts as wrong; one with the asker himself is counted apart.  Two
 * thirds of the peers are leechers; a seeder need not be told of seeders.
 *
 * Prints one JSON object; the exit status is 1 when a reply was wrong. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/announce_http_query.h"
#include "shared/announce_http_reply.h"
#include "shared/announce_udp.h"
#include "shared/clock.h"
#include "shared/endpoint.h"
#include "shared/info_hash.h"
#include "shared/net.h"
#include "shared/options.h"
#include "shared/writer.h"

enum {
	FIRST_PORT = 1024,
	PORTS = 64000,
	MAX_CLASSES = 61, /* of swarms, told apart by their peers' ports */
	MAX_THREADS = 1024,
	MAX_WINDOW = 256,
	REPLY_TIMEOUT_S = 2,
	CONNECT_TRIES = 4,
	RESULT_LATENCIES = 1 << 20, /* kept by a thread; further ones are not */
};

static struct endpoint tracker;
static bool over_udp, keep;
static uint64_t swarms = 100, peers = 100, seconds = 5, threads = 16;
static uint64_t window = 16, numwant = 50;
static atomic_uint_fast64_t populated;
static uint64_t end_us; /* 0: populating */

struct worker {
	pthread_t id;
	uint64_t dice;
	uint64_t good, wrong, lost, told, selves;
	uint32_t *latencies_us;
	size_t latency_count;
	char sample[200]; /* of what was wrong */
	struct announce_reply reply;
};

/* Who announces, and when. */
struct ask {
	uint64_t swarm, peer, sent_us;
};

static void fail(const char *what)
{
	fprintf(stderr, "tracker_load: %s\n", what);
	exit(2);
}

/* --- Peers and swarms that are made up --- */

static uint64_t roll(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static struct info_hash hash_of(uint64_t swarm)
{
	struct info_hash hash;
	uint64_t state = swarm;

	for (size_t i = 0; i < INFO_HASH_SIZE; i += 4) {
		uint64_t word = roll(&state);
		memcpy(hash.bytes + i, &word, 4);
	}
	return hash;
}

static uint64_t class_count(void)
{
	return PORTS / peers < MAX_CLASSES ? PORTS / peers : MAX_CLASSES;
}

static uint16_t port_of(const struct ask *q)
{
	return (uint16_t)(FIRST_PORT + q->peer * class_count() +
		q->swarm % class_count());
}

static bool is_seeder(const struct ask *q) { return q->peer % 3 == 0; }

static struct announce announce_of(const struct ask *q)
{
	struct announce a = {
		.info_hash = hash_of(q->swarm),
		.peer = tracker, /* its family */
		.left = is_seeder(q) ? 0 : 1000,
		.event = end_us == 0 ? ANNOUNCE_STARTED : ANNOUNCE_NONE,
		.numwant = (uint32_t)(end_us == 0 ? 0 : numwant),
		.compact = true,
	};

	memcpy(a.peer_id, "-LD0001-", 8);
	memcpy(a.peer_id + 8, &q->peer, sizeof(q->peer));
	a.peer.port = port_of(q);
	return a;
}

/* False: it is over. */
static bool next_ask(struct worker *w, struct ask *ret)
{
	if (end_us == 0) {
		uint64_t n = atomic_fetch_add(&populated, 1);

		ret->swarm = n % swarms;
		ret->peer = n / swarms;
		ret->sent_us = clock_us();
		return n < swarms * peers;
	}
	ret->swarm = roll(&w->dice) % swarms;
	ret->peer = roll(&w->dice) % peers;
	ret->sent_us = clock_us();
	return ret->sent_us < end_us;
}

/* --- Replies --- */

static void count_wrong(struct worker *w, const struct ask *q, const char *why)
{
	w->wrong++;
	if (w->sample[0] == '\0')
		snprintf(w->sample, sizeof(w->sample),
			"swarm %" PRIu64 ", peer %" PRIu64 ": %.120s", q->swarm,
			q->peer, why);
}

static bool is_asker(const struct ask *q, const struct endpoint *peer)
{
	return peer->port == port_of(q) &&
		endpoint_is_v4(peer) == endpoint_is_v4(&tracker);
}

/* NULL: it is right. */
static const char *what_is_wrong(
	const struct ask *q, const struct announce_reply *r)
{
	uint64_t seeders = (peers + 2) / 3;
	uint64_t others = is_seeder(q) ? peers - seeders : peers - 1;

	if (r->failure[0] != '\0')
		return r->failure;
	if (end_us == 0)
		return NULL;
	if (r->seeders + r->leechers < peers)
		return "the counts are not those of the swarm";
	if (r->peer_count < (others < numwant ? others : numwant))
		return "fewer peers than there are";
	for (size_t i = 0; i < r->peer_count; i++) {
		unsigned port = r->peers[i].port;
		uint64_t n = port - FIRST_PORT;

		if (port < FIRST_PORT || n / class_count() >= peers ||
			n % class_count() != q->swarm % class_count())
			return "a peer of another swarm";
		for (size_t k = 0; k < i; k++) {
			if (memcmp(&r->peers[k], &r->peers[i],
				    sizeof(r->peers[i])) == 0)
				return "a peer twice";
		}
	}
	return NULL;
}

static void count_reply(struct worker *w, const struct ask *q)
{
	uint64_t us = clock_us() - q->sent_us;
	const char *wrong = what_is_wrong(q, &w->reply);

	if (wrong) {
		count_wrong(w, q, wrong);
		return;
	}
	w->good++;
	w->told += w->reply.peer_count;
	for (size_t i = 0; i < w->reply.peer_count; i++)
		w->selves += is_asker(q, &w->reply.peers[i]);
	if (w->latency_count < RESULT_LATENCIES)
		w->latencies_us[w->latency_count++] =
			us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}

/* --- HTTP: one connection each thread --- */

static int dial(void)
{
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	int fd = net_dial(&tracker, NULL, REPLY_TIMEOUT_S * 1000, -1);

	if (fd >= 0)
		setsockopt(
			fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	return fd;
}

/* Send a request.  False: the connection is of no use. */
static bool send_request(int fd, const struct ask *q)
{
	struct announce a = announce_of(q);
	uint8_t bytes[1024];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_text(&w, "GET ");
	announce_http_url("/announce", &a, (struct span){NULL, 0}, &w);
	writer_text(&w, " HTTP/1.1\r\nHost: tracker\r\n");
	writer_text(&w, keep ? "\r\n" : "Connection: close\r\n\r\n");
	return !w.bad &&
		send(fd, bytes, writer_len(&w), MSG_NOSIGNAL) ==
		(ssize_t)writer_len(&w);
}

/* How long head and body are; 0: not to be seen yet. */
static size_t reply_len(const char *text, size_t *ret_head_len)
{
	const char *head_end = strstr(text, "\r\n\r\n");
	const char *length = strcasestr(text, "\r\nContent-Length:");

	if (!head_end || !length || length > head_end)
		return 0;
	*ret_head_len = (size_t)(head_end - text) + 4;
	return *ret_head_len + strtoul(length + 17, NULL, 10);
}

/* Read and count one reply.  False: the connection is at its end. */
static bool take_reply(struct worker *w, int fd, const struct ask *q)
{
	static _Thread_local char text[ANNOUNCE_HTTP_MAX_REPLY];
	size_t len = 0, head_len = 0, wanted = 0;
	struct error err;

	while (wanted == 0 || len < wanted) {
		ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);

		if (n <= 0) {
			w->lost++;
			return false;
		}
		len += (size_t)n;
		text[len] = '\0';
		wanted = reply_len(text, &head_len);
	}
	struct span body = {(uint8_t *)text + head_len, wanted - head_len};
	if (strncmp(text, "HTTP/1.", 7) != 0 || strncmp(text + 8, " 200", 4) ||
		!announce_http_parse_reply(body, &w->reply, &err))
		count_wrong(w, q, text);
	else
		count_reply(w, q);
	return keep && !strcasestr(text, "\r\nConnection: close");
}

/* Some close a connection after their reply without saying so before. */
static bool was_closed(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static void load_http(struct worker *w)
{
	struct ask q;
	int fd = -1;

	while (next_ask(w, &q)) {
		if (fd >= 0 && was_closed(fd)) {
			close(fd);
			fd = -1;
		}
		if (fd < 0)
			fd = dial();
		if (fd >= 0 && send_request(fd, &q) && take_reply(w, fd, &q))
			continue;
		if (fd < 0)
			w->lost++;
		else
			close(fd);
		fd = -1;
	}
	if (fd >= 0)
		close(fd);
}

/* --- UDP: a socket each thread, several announces under way --- */

struct flight {
	int fd;
	uint64_t connection_id;
	uint32_t generation[MAX_WINDOW]; /* even: nobody is under way */
	struct ask asks[MAX_WINDOW];
	size_t count;
};

static bool open_udp(struct flight *f)
{
	struct timeval timeout = {.tv_sec = REPLY_TIMEOUT_S};
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&tracker, &sa);

	f->fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return f->fd >= 0 && connect(f->fd, (struct sockaddr *)&sa, len) == 0 &&
		setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout,
			sizeof(timeout)) == 0;
}

static bool connect_udp(struct flight *f)
{
	uint8_t bytes[ANNOUNCE_UDP_CONNECT_SIZE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	announce_udp_write_connect(&w, 1);
	(void)send(f->fd, bytes, sizeof(bytes), 0);
	ssize_t n = recv(f->fd, bytes, sizeof(bytes), 0);
	return n > 0 &&
		announce_udp_parse_connected(
			(struct span){bytes, (size_t)n}, 1, &f->connection_id);
}

/* The transaction says which of the window it is, and the how manyth there. */
static bool launch(struct worker *w, struct flight *f, uint32_t slot)
{
	uint8_t bytes[ANNOUNCE_UDP_MAX_PACKET];
	struct writer out = writer_of(bytes, sizeof(bytes));

	if (!next_ask(w, &f->asks[slot]))
		return false;
	struct announce a = announce_of(&f->asks[slot]);
	f->generation[slot]++;
	announce_udp_write_announce(&out, f->connection_id,
		f->generation[slot] * MAX_WINDOW + slot, &a,
		(struct span){NULL, 0});
	(void)send(f->fd, bytes, writer_len(&out), 0); /* or it is lost */
	f->count++;
	return true;
}

/* Wait for one answer; returns whose it is, or MAX_WINDOW. */
static uint32_t land(struct worker *w, struct flight *f)
{
	uint8_t bytes[ANNOUNCE_UDP_MAX_PACKET];
	ssize_t n = recv(f->fd, bytes, sizeof(bytes), 0);
	struct span packet = {bytes, n > 0 ? (size_t)n : 0};
	bool v4 = endpoint_is_v4(&tracker);

	if (packet.len < 8)
		return MAX_WINDOW;
	uint32_t transaction = (uint32_t)bytes[4] << 24 |
		(uint32_t)bytes[5] << 16 | (uint32_t)bytes[6] << 8 | bytes[7];
	uint32_t slot = transaction % MAX_WINDOW;
	if (f->generation[slot] % 2 == 0 ||
		transaction != f->generation[slot] * MAX_WINDOW + slot)
		return MAX_WINDOW; /* given up already */
	f->generation[slot]++;
	f->count--;
	w->reply.failure[0] = '\0';
	if (announce_udp_parse_reply(packet, transaction, v4, &w->reply))
		count_reply(w, &f->asks[slot]);
	else
		count_wrong(w, &f->asks[slot],
			announce_udp_parse_error(
				packet, transaction, w->reply.failure)
				? w->reply.failure
				: "not an answer to an announce");
	return slot;
}

static void give_up_all(struct worker *w, struct flight *f)
{
	w->lost += f->count;
	f->count = 0;
	for (uint32_t i = 0; i < MAX_WINDOW; i++)
		f->generation[i] += f->generation[i] % 2;
}

static void load_udp(struct worker *w)
{
	struct flight *f = calloc(1, sizeof(*f));
	bool more = true;

	bool connected = f && open_udp(f);
	for (int i = 0; connected && !connect_udp(f); i++)
		connected = i < CONNECT_TRIES;
	if (!connected)
		fail("the tracker does not answer");
	while (more || f->count > 0) {
		if (f->count == 0) {
			for (uint32_t i = 0; more && i < window; i++)
				more = launch(w, f, i);
			continue;
		}
		uint32_t slot = land(w, f);
		if (slot < MAX_WINDOW)
			more = more && launch(w, f, slot);
		else if (errno == EAGAIN)
			give_up_all(w, f);
	}
	close(f->fd);
	free(f);
}

/* --- All together --- */

static void *work(void *arg)
{
	if (over_udp)
		load_udp(arg);
	else
		load_http(arg);
	return NULL;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void run_all(struct worker *workers)
{
	for (uint64_t i = 0; i < threads; i++) {
		if (pthread_create(&workers[i].id, NULL, work, &workers[i]))
			fail("no thread");
	}
	for (uint64_t i = 0; i < threads; i++)
		pthread_join(workers[i].id, NULL);
}

/* All into the first one. */
static void gather(struct worker *w)
{
	size_t count = 0;

	for (uint64_t i = 0; i < threads; i++)
		count += w[i].latency_count;
	uint32_t *all = reallocarray(NULL, count + 1, sizeof(*all));
	if (!all)
		fail("out of memory");
	count = 0;
	for (uint64_t i = 0; i < threads; i++) {
		memcpy(all + count, w[i].latencies_us,
			w[i].latency_count * sizeof(*all));
		count += w[i].latency_count;
		free(w[i].latencies_us);
		if (i == 0)
			continue;
		w->good += w[i].good;
		w->wrong += w[i].wrong;
		w->lost += w[i].lost;
		w->told += w[i].told;
		w->selves += w[i].selves;
		if (w->sample[0] == '\0')
			memcpy(w->sample, w[i].sample, sizeof(w->sample));
	}
	qsort(all, count, sizeof(*all), compare);
	w->latencies_us = all;
	w->latency_count = count;
}

static uint32_t percentile(const struct worker *w, double share)
{
	size_t count = w->latency_count;

	return count > 0
		? w->latencies_us[(size_t)((double)(count - 1) * share)]
		: 0;
}

static void print_hashes(void)
{
	for (uint64_t i = 0; i < swarms; i++) {
		struct info_hash hash = hash_of(i);

		for (size_t k = 0; k < INFO_HASH_SIZE; k++)
			printf("%02x", hash.bytes[k]);
		putchar('\n');
	}
}

static int measure(void)
{
	struct worker *w = calloc(threads, sizeof(*w));

	if (!w)
		fail("out of memory");
	for (uint64_t i = 0; i < threads; i++) {
		w[i].dice = i << 32 ^ clock_us();
		w[i].latencies_us = calloc(RESULT_LATENCIES, sizeof(uint32_t));
		if (!w[i].latencies_us)
			fail("out of memory");
	}
	run_all(w);
	for (uint64_t i = 0; i < threads; i++) {
		if (w[i].wrong > 0)
			fail(w[i].sample);
		w[i].good = w[i].told = w[i].selves = w[i].lost = 0;
		w[i].latency_count = 0;
	}

	uint64_t start_us = clock_us();
	end_us = start_us + seconds * 1000000;
	run_all(w);
	double took_s = (double)(clock_us() - start_us) / 1e6;
	gather(w);

	for (char *c = w->sample; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\' || *c < ' ' || *c > '~')
			*c = '.';
	}
	printf("{\"per_s\": %.0f, \"good\": %" PRIu64 ", \"wrong\": %" PRIu64
	       ", \"lost\": %" PRIu64 ", \"selves\": %" PRIu64
	       ", \"peers\": %.1f, \"p50_us\": %" PRIu32
	       ", \"p99_us\": %" PRIu32 ", \"p999_us\": %" PRIu32
	       ", \"sample\": \"%s\"}\n",
		(double)w->good / took_s, w->good, w->wrong, w->lost, w->selves,
		(double)w->told / (double)(w->good + (w->good == 0)),
		percentile(w, .5), percentile(w, .99), percentile(w, .999),
		w->sample);
	return w->wrong > 0;
}

int main(int argc, char **argv)
{
	bool hashes = false;
	const struct option table[] = {
		{0, "swarms", OPTION_NUMBER, &swarms, "N", "default: 100", 1,
			100000000},
		{0, "peers", OPTION_NUMBER, &peers, "N",
			"in each swarm; default: 100", 1, PORTS},
		{0, "seconds", OPTION_NUMBER, &seconds, "N", "default: 5", 1,
			3600},
		{0, "threads", OPTION_NUMBER, &threads, "N",
			"with a connection or socket each; default: 16", 1,
			MAX_THREADS},
		{0, "window", OPTION_NUMBER, &window, "N",
			"UDP: announces of a thread under way; default: 16", 1,
			MAX_WINDOW},
		{0, "numwant", OPTION_NUMBER, &numwant, "N", "default: 50", 0,
			200},
		{0, "hashes", OPTION_FLAG, &hashes, NULL,
			"only print the info hashes, for an allow list", 0, 0},
		{0},
	};
	struct option_list words = {0};
	struct error err;

	if (!options_parse(table, argc, argv, &words, &err))
		fail(err.text);
	if (hashes) {
		print_hashes();
		return 0;
	}
	if (words.count != 2 || !endpoint_parse(words.items[1], &tracker))
		fail("wants udp, http or http-close, and ADDRESS:PORT");
	over_udp = strcmp(words.items[0], "udp") == 0;
	keep = strcmp(words.items[0], "http") == 0;
	if (!over_udp && !keep && strcmp(words.items[0], "http-close") != 0)
		fail("wants udp, http or http-close");
	return measure();
}
