#include "client/session/listener.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/discovery/peer_queue.h"
#include "shared/net.h"

enum {
	BACKLOG = 256,
	/* The number that is chosen for IPv4 may be in use for IPv6. */
	ANY_PORT_TRIES = 16,
	/* When descriptors have run out: wait for some to be closed. */
	PAUSE_MS = 200,
};

struct listener {
	int sockets[2];
	int socket_count;
	uint16_t port;
	int stop_fd;
	struct peer_queue *queue;
	pthread_t thread;
	bool running;
};

/* Listen on `port` of all addresses wanted; err: why none would do. */
static bool open_on(struct listener *l, const struct endpoint *at, int count,
	uint16_t port, struct error *err)
{
	l->socket_count = 0;
	for (int i = 0; i < count; i++) {
		struct endpoint want = at[i], bound;

		/* Both families on the same number. */
		want.port = l->socket_count > 0 ? l->port : port;
		if (!net_listen(&want, BACKLOG, &l->sockets[l->socket_count],
			    &bound, err)) {
			if (errno == EADDRINUSE)
				goto taken;
			continue; /* no IPv6 here, say */
		}
		l->port = bound.port;
		l->socket_count++;
	}
	return l->socket_count > 0;

taken:
	while (l->socket_count > 0)
		close(l->sockets[--l->socket_count]);
	return false;
}

bool listener_open(struct listener **ret, const struct endpoint *bind,
	uint16_t first, uint16_t last, struct error *err)
{
	struct listener *l = calloc(1, sizeof(*l));
	struct endpoint all[2] = {0}; /* 0.0.0.0, then :: */
	const struct endpoint *at = bind ? bind : all;
	int count = bind ? 1 : 2;

	if (!l)
		return error_set(err, "listener: out of memory");
	(void)endpoint_parse_ip("0.0.0.0", &all[0]);
	l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->stop_fd < 0) {
		error_set_errno(err, "listener: cannot make an eventfd");
		free(l);
		return false;
	}
	unsigned tries = first > 0 ? last - first + 1U : ANY_PORT_TRIES;
	for (unsigned i = 0; i < tries; i++) {
		unsigned port = first > 0 ? first + i : 0;
		if (open_on(l, at, count, (uint16_t)port, err)) {
			*ret = l;
			return true;
		}
	}
	if (first < last && errno == EADDRINUSE)
		error_set(err,
			"ports %u to %u: all in use (--port 0 is any free one)",
			first, last);
	listener_destroy(l);
	return false;
}

uint16_t listener_port(const struct listener *l) { return l->port; }

static void accept_from(struct listener *l, int from)
{
	struct candidate c = {.source = FROM_LISTENER, .torrent = -1};

	c.socket = net_accept(from, &c.address);
	if (c.socket >= 0) {
		if (!peer_queue_push(l->queue, &c))
			close(c.socket);
		return;
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		errno == ENOMEM) {
		struct pollfd stop = {.fd = l->stop_fd, .events = POLLIN};
		poll(&stop, 1, PAUSE_MS);
	}
}

static void *run(void *arg)
{
	struct listener *l = arg;
	struct pollfd fds[3] = {{.fd = l->stop_fd, .events = POLLIN}};
	nfds_t count = 1;

	for (int i = 0; i < l->socket_count; i++)
		fds[count++] =
			(struct pollfd){.fd = l->sockets[i], .events = POLLIN};
	while (poll(fds, count, -1) >= 0 || errno == EINTR) {
		if (fds[0].revents != 0)
			break;
		for (nfds_t i = 1; i < count; i++) {
			if (fds[i].revents != 0)
				accept_from(l, fds[i].fd);
		}
	}
	return NULL;
}

bool listener_start(
	struct listener *l, struct peer_queue *queue, struct error *err)
{
	l->queue = queue;
	int error = pthread_create(&l->thread, NULL, run, l);
	if (error != 0) {
		errno = error;
		return error_set_errno(err, "listener: cannot start a thread");
	}
	l->running = true;
	return true;
}

void listener_destroy(struct listener *l)
{
	if (!l)
		return;
	if (l->running) {
		(void)!write(l->stop_fd, &(uint64_t){1}, sizeof(uint64_t));
		pthread_join(l->thread, NULL);
	}
	for (int i = 0; i < l->socket_count; i++)
		close(l->sockets[i]);
	close(l->stop_fd);
	free(l);
}
