#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/peer/stream.h"

static bool would_block(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* sendmsg and recvmsg do not change what the vectors point to or say, though
 * struct msghdr is not const. */
static struct msghdr message_of(const struct iovec *iov, size_t count)
{
	union {
		const struct iovec *in;
		struct iovec *out;
	} same = {.in = iov};

	return (struct msghdr){.msg_iov = same.out, .msg_iovlen = count};
}

enum stream_result stream_receive(struct stream *s, const struct iovec *iov,
	size_t count, size_t *ret_len)
{
	struct msghdr message = message_of(iov, count);
	ssize_t n = recvmsg(s->socket, &message, MSG_DONTWAIT);

	if (n < 0)
		return would_block(errno) ? STREAM_BLOCKED : STREAM_CLOSED;
	if (n == 0)
		return STREAM_CLOSED;
	*ret_len = (size_t)n;
	return STREAM_MOVED;
}

enum stream_result stream_send(struct stream *s, const struct iovec *iov,
	size_t count, size_t *ret_len)
{
	struct msghdr message = message_of(iov, count);
	ssize_t n = sendmsg(s->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return would_block(errno) ? STREAM_BLOCKED : STREAM_CLOSED;
	*ret_len = (size_t)n;
	return STREAM_MOVED;
}

struct stream_ready stream_wait(struct stream *s, bool read, bool write,
	int wake_fd, uint64_t timeout_ms)
{
	short events = (short)((read ? POLLIN : 0) | (write ? POLLOUT : 0));
	/* A socket that is closed polls so for ever, asked or not: a caller who
	 * wants neither now must not be woken by it. */
	struct pollfd fds[] = {
		{.fd = events ? s->socket : -1, .events = events},
		{.fd = wake_fd, .events = POLLIN},
	};
	int timeout = timeout_ms < INT_MAX ? (int)timeout_ms : INT_MAX;

	if (poll(fds, 2, timeout) <= 0)
		return (struct stream_ready){0};
	return (struct stream_ready){
		.readable =
			(fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0,
		.writable = (fds[0].revents & POLLOUT) != 0,
		.woken = (fds[1].revents & POLLIN) != 0,
	};
}

size_t stream_unread(const struct stream *s)
{
	int bytes = 0;

	return ioctl(s->socket, FIONREAD, &bytes) == 0 && bytes > 0
		? (size_t)bytes
		: 0;
}

void stream_close(struct stream *s)
{
	if (s->socket >= 0)
		close(s->socket);
	s->socket = -1;
}
