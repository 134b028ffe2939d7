#ifndef TESTS_UNIT_UDP_SERVER_H
#define TESTS_UNIT_UDP_SERVER_H

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/announce_udp.h"
#include "shared/endpoint.h"
#include "shared/reader.h"
#include "shared/writer.h"

/* A UDP tracker on the loopback as bad as a test wants it: `connected` is asked
 * for the answer to a connect, `announced` for the one to an announce,
 * `scraped` for the one to a scrape of one torrent; each may send what it
 * likes. */
struct udp_server {
	void (*connected)(
		struct udp_server *s, const struct announce_udp_head *head);
	void (*announced)(struct udp_server *s,
		const struct announce_udp_head *head, const struct announce *a);
	void (*scraped)(struct udp_server *s,
		const struct announce_udp_head *head,
		const struct info_hash *hash);
	void *ctx;

	int fd;
	int stop;
	struct endpoint at;
	pthread_t thread;

	/* To be read when the client has its answer. */
	struct endpoint from; /* of the last packet */
	unsigned connect_count;
	unsigned announce_count;
	struct announce last;
	char options[2048]; /* what followed the last announce */
	size_t options_len;
};

/* `at` is an address with a port, which may be 0. */
static inline int udp_server_socket(const char *at, struct endpoint *ret)
{
	struct sockaddr_storage sa;
	struct endpoint wanted;

	if (!endpoint_parse(at, &wanted))
		abort();
	socklen_t len = endpoint_to_sockaddr(&wanted, &sa);
	int fd = socket(sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&sa, len) != 0) {
		close(fd);
		return -1;
	}
	len = sizeof(sa);
	getsockname(fd, (struct sockaddr *)&sa, &len);
	endpoint_from_sockaddr((struct sockaddr *)&sa, ret);
	return fd;
}

/* Send what was written to whoever asked last, from any socket. */
static inline void udp_server_send(
	const struct udp_server *s, int fd, const struct writer *w)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&s->from, &sa);

	if (w->bad ||
		sendto(fd, w->start, writer_len(w), MSG_NOSIGNAL,
			(struct sockaddr *)&sa, len) < 0)
		perror("udp_server");
}

/* The good answer to a connect. */
static inline void udp_server_connect(
	struct udp_server *s, const struct announce_udp_head *head)
{
	uint8_t packet[ANNOUNCE_UDP_MAX_PACKET];
	struct writer w = writer_of(packet, sizeof(packet));

	announce_udp_write_connected(&w, head->transaction, 0x1234567890abcdef);
	udp_server_send(s, s->fd, &w);
}

/* Say nothing. */
static inline void udp_server_mute(
	struct udp_server *s, const struct announce_udp_head *head)
{
	(void)s;
	(void)head;
}

static inline void udp_server_take(
	struct udp_server *s, const uint8_t *packet, size_t len)
{
	struct reader r = reader_of(packet, len);
	struct announce_udp_head head;
	struct announce a = {.peer = s->from};
	struct info_hash hash;
	size_t count;
	struct error err;

	if (!announce_udp_parse_head(&r, &head))
		return;
	if (head.action == ANNOUNCE_UDP_CONNECT) {
		s->connect_count++;
		s->connected(s, &head);
	} else if (head.action == ANNOUNCE_UDP_ANNOUNCE &&
		head.connection_id == 0x1234567890abcdef &&
		announce_udp_parse_announce(&r, &a, &err)) {
		struct span options = reader_rest(&r);

		if (options.len > sizeof(s->options))
			abort();
		memcpy(s->options, options.at, options.len);
		s->options_len = options.len;
		s->announce_count++;
		s->last = a;
		s->announced(s, &head, &a);
	} else if (head.action == ANNOUNCE_UDP_SCRAPE &&
		head.connection_id == 0x1234567890abcdef &&
		announce_udp_parse_scrape(&r, &hash, 1, &count, &err)) {
		s->scraped(s, &head, &hash);
	}
}

static inline void *udp_server_run(void *ctx)
{
	struct udp_server *s = ctx;
	uint8_t packet[4096];

	for (;;) {
		struct pollfd polled[] = {
			{.fd = s->fd, .events = POLLIN},
			{.fd = s->stop, .events = POLLIN},
		};
		struct sockaddr_storage sa;
		socklen_t len = sizeof(sa);

		if (poll(polled, 2, -1) < 0 || polled[1].revents != 0)
			return NULL;
		ssize_t n = recvfrom(s->fd, packet, sizeof(packet), 0,
			(struct sockaddr *)&sa, &len);
		if (n < 0)
			continue;
		endpoint_from_sockaddr((struct sockaddr *)&sa, &s->from);
		udp_server_take(s, packet, (size_t)n);
	}
}

/* The handlers and ctx are filled in.  False: no such address here. */
static inline bool udp_server_start_at(struct udp_server *s, const char *at)
{
	s->fd = udp_server_socket(at, &s->at);
	if (s->fd < 0)
		return false;
	s->stop = eventfd(0, EFD_CLOEXEC);
	pthread_create(&s->thread, NULL, udp_server_run, s);
	return true;
}

static inline void udp_server_start(struct udp_server *s)
{
	if (!udp_server_start_at(s, "127.0.0.1:0"))
		abort();
}

static inline void udp_server_stop(struct udp_server *s)
{
	eventfd_write(s->stop, 1);
	pthread_join(s->thread, NULL);
	close(s->stop);
	close(s->fd);
}

#endif
