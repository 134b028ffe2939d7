#include "tracker/udp_answers.h"

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>

enum {
	/* A message of an IP packet's size, and room for its headers. */
	JOINED_MAX = 65000,
};

void udp_answers_init(struct udp_answers *a, int fd)
{
	int size;
	socklen_t len = sizeof(size);

	a->joins = getsockopt(fd, SOL_UDP, UDP_SEGMENT, &size, &len) == 0;
	udp_answers_clear(a);
}

void udp_answers_clear(struct udp_answers *a)
{
	a->count = 0;
	a->used = 0;
}

uint8_t *udp_answers_next(struct udp_answers *a) { return a->bytes + a->used; }

/* The kernel fills in the interface as well, and would send by it alone; only
 * a link-local address (IPv6) needs one. */
static void drop_interface(const struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (!c)
		return;
	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		info.ipi_ifindex = 0;
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	} else if (c->cmsg_level == IPPROTO_IPV6 &&
		c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;

		memcpy(&info, CMSG_DATA(c), sizeof(info));
		if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			info.ipi6_ifindex = 0;
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	}
}

/* A message of its own for the bytes that come next. */
static void begin_message(
	struct udp_answers *a, size_t len, const struct msghdr *question)
{
	struct udp_message *message = &a->messages[a->count];
	struct msghdr *m = &a->headers[a->count].msg_hdr;
	struct iovec *part = &a->parts[a->count++];

	*part = (struct iovec){.iov_base = udp_answers_next(a), .iov_len = len};
	message->size = message->len = len;
	message->from_len = question->msg_controllen;
	*m = (struct msghdr){
		.msg_name = question->msg_name,
		.msg_namelen = question->msg_namelen,
		.msg_iov = part,
		.msg_iovlen = 1,
	};
	if (message->from_len > 0) {
		memcpy(message->control, question->msg_control,
			message->from_len);
		m->msg_control = message->control;
		m->msg_controllen = message->from_len;
	}
}

/* Whether an answer to that question can go with the last message. */
static bool fits_last(
	const struct udp_answers *a, size_t len, const struct msghdr *question)
{
	const struct udp_message *last = &a->messages[a->count - 1];
	const struct msghdr *m = &a->headers[a->count - 1].msg_hdr;

	return last->len % last->size == 0 && len <= last->size &&
		last->len + len <= JOINED_MAX &&
		m->msg_namelen == question->msg_namelen &&
		memcmp(m->msg_name, question->msg_name, m->msg_namelen) == 0 &&
		last->from_len == question->msg_controllen &&
		(last->from_len == 0 ||
			memcmp(last->control, question->msg_control,
				last->from_len) == 0);
}

static void join_last(struct udp_answers *a, size_t len)
{
	struct udp_message *last = &a->messages[a->count - 1];
	struct msghdr *m = &a->headers[a->count - 1].msg_hdr;
	uint16_t size = (uint16_t)last->size;
	struct cmsghdr c = {
		.cmsg_len = CMSG_LEN(sizeof(size)),
		.cmsg_level = SOL_UDP,
		.cmsg_type = UDP_SEGMENT,
	};
	uint8_t *at = last->control + last->from_len;

	memcpy(at, &c, sizeof(c));
	memcpy(at + CMSG_LEN(0), &size, sizeof(size));
	m->msg_control = last->control;
	m->msg_controllen = last->from_len + CMSG_SPACE(sizeof(size));
	last->len += len;
	a->parts[a->count - 1].iov_len = last->len;
}

void udp_answers_add(
	struct udp_answers *a, size_t len, const struct msghdr *question)
{
	drop_interface(question);
	if (a->joins && a->count > 0 && fits_last(a, len, question))
		join_last(a, len);
	else
		begin_message(a, len, question);
	a->used += len;
}

/* Without the kernel's help, which it may refuse: an answer is larger than what
 * goes through there in one piece, or the way has no checksums. */
static void send_each(const struct udp_answers *a, unsigned i, int fd)
{
	const struct udp_message *message = &a->messages[i];
	struct msghdr m = a->headers[i].msg_hdr;
	struct iovec part = a->parts[i];

	m.msg_iov = &part;
	m.msg_controllen = message->from_len;
	for (size_t left = message->len; left > 0; left -= part.iov_len) {
		part.iov_len = left < message->size ? left : message->size;
		(void)sendmsg(fd, &m, MSG_DONTWAIT);
		part.iov_base = (uint8_t *)part.iov_base + part.iov_len;
	}
}

void udp_answers_send(struct udp_answers *a, int fd)
{
	for (unsigned sent = 0; sent < a->count;) {
		int n = sendmmsg(
			fd, a->headers + sent, a->count - sent, MSG_DONTWAIT);

		if (n > 0) {
			sent += (unsigned)n;
		} else if (errno != EINTR) {
			if (errno != EAGAIN)
				send_each(a, sent, fd);
			sent++;
		}
	}
}
