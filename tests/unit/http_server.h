#ifndef TESTS_UNIT_HTTP_SERVER_H
#define TESTS_UNIT_HTTP_SERVER_H

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/endpoint.h"
#include "shared/net.h"

/* A web server, on 127.0.0.1 unless told otherwise, as bad as a test wants it:
 * one connection at a time, one request each, answered by `handler` and closed.
 */
struct http_server {
	void (*handler)(struct http_server *s, int fd, const char *request);
	void *ctx;

	int listener;
	struct endpoint at;
	pthread_t thread;

	/* To be read when the client has its answer. */
	unsigned request_count;
	char request[8192]; /* the last one */
	struct endpoint from;
};

static inline bool http_server_read_request(struct http_server *s, int fd)
{
	size_t len = 0;

	s->request[0] = '\0';
	while (strstr(s->request, "\r\n\r\n") == NULL) {
		ssize_t n = recv(
			fd, s->request + len, sizeof(s->request) - 1 - len, 0);
		if (n <= 0)
			return false;
		len += (size_t)n;
		s->request[len] = '\0';
	}
	return true;
}

static inline void *http_server_run(void *ctx)
{
	struct http_server *s = ctx;
	int fd;

	while ((fd = net_accept(s->listener, &s->from)) >= 0) {
		if (http_server_read_request(s, fd)) {
			s->request_count++;
			s->handler(s, fd, s->request);
		}
		close(fd);
	}
	return NULL;
}

/* Handler and ctx are filled in; and `at`, if it is to be elsewhere. */
static inline void http_server_start(struct http_server *s)
{
	struct error err;

	if (s->at.port == 0 && !endpoint_is_loopback(&s->at))
		endpoint_parse("127.0.0.1:0", &s->at);
	if (!net_listen(&s->at, 64, &s->listener, &s->at, &err)) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	pthread_create(&s->thread, NULL, http_server_run, s);
}

static inline void http_server_stop(struct http_server *s)
{
	shutdown(s->listener, SHUT_RDWR); /* ends the accept */
	pthread_join(s->thread, NULL);
	close(s->listener);
}

/* False: the client has had enough. */
static inline bool http_server_send(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

static inline bool http_server_say(int fd, const char *text)
{
	return http_server_send(fd, text, strlen(text));
}

/* Say nothing until the client goes. */
static inline void http_server_hang(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

#endif
