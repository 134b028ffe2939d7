#include "shared/net.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/clock.h"

static void close_keeping_errno(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

static void set_flag(int fd, int level, int option)
{
	int on = 1;

	/* A preference: the socket works without it. */
	(void)setsockopt(fd, level, option, &on, sizeof(on));
}

static void set_up(int fd)
{
	int unsent = NET_UNSENT;

	set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
	/* A preference, too. */
	(void)setsockopt(
		fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

/* One listener.  `at` afterwards says where it is. */
static bool listen_at(struct endpoint *at, int backlog, bool first, bool shared,
	int *ret_fd, struct error *err)
{
	char text[ENDPOINT_TEXT_SIZE];
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(at, &sa);
	int on = 1;

	endpoint_print(at, text);
	int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return error_set_errno(err, "%s: cannot listen", text);

	/* The port may be taken again while old connections of an earlier run
	 * linger; on Linux two listeners still cannot share it. */
	set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
	if (sa.ss_family == AF_INET6 &&
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
		goto fail;
	/* The first is bound before it shares its port, so another program
	 * there is noticed. */
	if (!first &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		goto fail;
	if (bind(fd, (struct sockaddr *)&sa, len) != 0)
		goto fail;
	if (first && shared &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
		goto fail;
	if (listen(fd, backlog) != 0)
		goto fail;
	len = sizeof(sa);
	if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
		goto fail;
	if (!endpoint_from_sockaddr((struct sockaddr *)&sa, at)) {
		errno = EAFNOSUPPORT;
		goto fail;
	}
	*ret_fd = fd;
	return true;

fail:
	error_set_errno(err, "%s: cannot listen", text);
	close_keeping_errno(fd);
	return false;
}

bool net_listen(const struct endpoint *at, int backlog, int *ret_fd,
	struct endpoint *ret_bound, struct error *err)
{
	return net_listen_many(at, backlog, 1, ret_fd, ret_bound, err);
}

bool net_listen_many(const struct endpoint *at, int backlog, size_t count,
	int *ret_fds, struct endpoint *ret_bound, struct error *err)
{
	struct endpoint bound = *at;

	for (size_t i = 0; i < count; i++) {
		if (listen_at(&bound, backlog, i == 0, count > 1, &ret_fds[i],
			    err))
			continue;
		while (i-- > 0)
			close_keeping_errno(ret_fds[i]);
		return false;
	}
	*ret_bound = bound;
	return true;
}

bool net_bind_udp(const struct endpoint *at, int *ret_fd, struct error *err)
{
	char text[ENDPOINT_TEXT_SIZE];
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(at, &sa);
	int fd = socket(
		sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	endpoint_print(at, text);
	if (fd < 0)
		return error_set_errno(err, "%s: no UDP socket", text);
	if (sa.ss_family == AF_INET6)
		set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY);
	if (bind(fd, (struct sockaddr *)&sa, len) != 0) {
		error_set_errno(err, "%s: cannot bind for UDP", text);
		close_keeping_errno(fd);
		return false;
	}
	*ret_fd = fd;
	return true;
}

/* Wait until the connection stands or has failed. */
static bool wait_connected(int fd, unsigned timeout_ms, int wake_fd)
{
	uint64_t deadline_ms = clock_ms() + timeout_ms;

	for (;;) {
		struct pollfd polled[] = {
			{.fd = fd, .events = POLLOUT},
			{.fd = wake_fd, .events = POLLIN}, /* -1 is skipped */
		};
		uint64_t now_ms = clock_ms();
		int left_ms =
			now_ms < deadline_ms ? (int)(deadline_ms - now_ms) : 0;

		int n = poll(polled, 2, left_ms);
		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0 && polled[1].revents != 0) {
			errno = ECANCELED;
			return false;
		}
		if (n > 0)
			break;
		if (n == 0 && left_ms == 0) {
			errno = ETIMEDOUT;
			return false;
		}
	}

	int why = 0;
	socklen_t len = sizeof(why);
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0)
		return false;
	errno = why;
	return why == 0;
}

static bool bind_from(int fd, const struct endpoint *from, sa_family_t family)
{
	struct endpoint any_port = *from;
	struct sockaddr_storage sa;

	any_port.port = 0;
	socklen_t len = endpoint_to_sockaddr(&any_port, &sa);
	if (sa.ss_family != family)
		return true;
	/* Choose the port at connect(), when the other end is known too: many
	 * connections can then share few ports. */
	set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
	return bind(fd, (struct sockaddr *)&sa, len) == 0;
}

static bool set_blocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) == 0;
}

int net_dial(const struct endpoint *to, const struct endpoint *from,
	unsigned timeout_ms, int wake_fd)
{
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(to, &sa);

	int fd = socket(
		sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (from && !bind_from(fd, from, sa.ss_family))
		goto fail;
	if (connect(fd, (struct sockaddr *)&sa, len) != 0) {
		/* Interrupted, it goes on in the background as well. */
		if (errno != EINPROGRESS && errno != EINTR)
			goto fail;
		if (!wait_connected(fd, timeout_ms, wake_fd))
			goto fail;
	}
	if (!set_blocking(fd))
		goto fail;
	set_up(fd);
	return fd;

fail:
	close_keeping_errno(fd);
	return -1;
}

int net_accept(int listener, struct endpoint *ret)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	struct endpoint from;

	int fd = accept4(listener, (struct sockaddr *)&sa, &len, SOCK_CLOEXEC);
	if (fd < 0)
		return -1;
	if (!endpoint_from_sockaddr((struct sockaddr *)&sa, &from)) {
		close(fd);
		errno = EAFNOSUPPORT;
		return -1;
	}
	set_up(fd);
	*ret = from;
	return fd;
}

ssize_t net_receive(int fd, void *ret, size_t size, struct endpoint *ret_from)
{
	struct sockaddr_storage sa;
	socklen_t len = sizeof(sa);
	ssize_t got = recvfrom(fd, ret, size, 0, (struct sockaddr *)&sa, &len);

	if (got >= 0 &&
		!endpoint_from_sockaddr((struct sockaddr *)&sa, ret_from))
		return -1;
	return got;
}
