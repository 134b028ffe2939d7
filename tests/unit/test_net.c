#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/net.h"

static struct endpoint at(const char *text)
{
	struct endpoint e;

	cr_assert(endpoint_parse(text, &e), "%s", text);
	return e;
}

static int option(int fd, int level, int name)
{
	int value = 0;
	socklen_t len = sizeof(value);

	cr_assert_eq(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static uint16_t bound_port(int fd)
{
	struct sockaddr_in sa;
	socklen_t len = sizeof(sa);

	cr_assert_eq(getsockname(fd, (struct sockaddr *)&sa, &len), 0);
	return ntohs(sa.sin_port);
}

/* Two ends of one connection, each knowing the other. */
static void goes_through(const char *where)
{
	struct endpoint to = at(where);
	struct endpoint bound;
	struct endpoint who;
	struct error err;
	char byte = 0;
	int listener;

	if (!net_listen(&to, 8, &listener, &bound, &err))
		cr_skip_test("%s", err.text);
	cr_expect_neq(bound.port, 0);

	int a = net_dial(&bound, &to, 1000, -1);
	cr_assert_geq(a, 0, "%s", strerror(errno));
	int b = net_accept(listener, &who);
	cr_assert_geq(b, 0);
	cr_expect(endpoint_same_ip(&who, &to));

	cr_expect_eq(fcntl(a, F_GETFL) & O_NONBLOCK, 0);
	cr_expect_neq(fcntl(a, F_GETFD) & FD_CLOEXEC, 0);
	cr_expect_neq(fcntl(b, F_GETFD) & FD_CLOEXEC, 0);
	cr_expect_neq(fcntl(listener, F_GETFD) & FD_CLOEXEC, 0);
	cr_expect_neq(option(a, IPPROTO_TCP, TCP_NODELAY), 0);
	cr_expect_eq(option(a, IPPROTO_TCP, TCP_NOTSENT_LOWAT), NET_UNSENT);
	cr_expect_eq(option(b, IPPROTO_TCP, TCP_NOTSENT_LOWAT), NET_UNSENT);
	cr_expect_neq(option(b, IPPROTO_TCP, TCP_NODELAY), 0);

	cr_expect_eq(write(a, "x", 1), 1);
	cr_expect_eq(read(b, &byte, 1), 1);
	cr_expect_eq(byte, 'x');
	close(a);
	close(b);
	close(listener);
}

Test(net, a_dial_reaches_a_listener) { goes_through("127.0.0.1:0"); }

Test(net, a_dial_reaches_a_listener_over_ipv6) { goes_through("[::1]:0"); }

Test(net, a_dial_is_bound_where_asked)
{
	struct endpoint to = at("127.0.0.1:0");
	struct endpoint from = at("127.0.0.2:99"); /* the port is not used */
	struct endpoint elsewhere = at("[::1]:0"); /* another family: ignored */
	struct endpoint bound;
	struct endpoint who;
	struct error err;
	int listener;

	cr_assert(net_listen(&to, 8, &listener, &bound, &err));
	cr_assert_geq(net_dial(&bound, &from, 1000, -1), 0);
	cr_assert_geq(net_accept(listener, &who), 0);
	cr_expect(endpoint_same_ip(&who, &from));
	cr_expect_neq(who.port, 99);
	cr_expect_geq(net_dial(&bound, &elsewhere, 1000, -1), 0);
}

Test(net, a_taken_port_is_refused_by_name)
{
	struct endpoint to = at("127.0.0.1:0");
	struct endpoint bound;
	struct error err;
	int fd;

	cr_assert(net_listen(&to, 8, &fd, &bound, &err));

	char text[ENDPOINT_TEXT_SIZE];
	int other = -1;
	struct endpoint other_bound;
	cr_expect_not(net_listen(&bound, 8, &other, &other_bound, &err));
	cr_expect_eq(other, -1);
	cr_expect_not_null(strstr(err.text, endpoint_print(&bound, text)));
	cr_expect_not_null(strstr(err.text, "in use"));
}

Test(net, several_listeners_share_a_port_with_nobody_else)
{
	enum { COUNT = 3, DIALS = 60 };
	struct endpoint to = at("127.0.0.1:0");
	struct endpoint bound, other_bound;
	unsigned accepted = 0;
	struct error err;
	int fds[COUNT];
	int other;

	cr_assert(net_listen_many(&to, DIALS, COUNT, fds, &bound, &err));
	for (int i = 0; i < DIALS; i++)
		cr_assert(net_dial(&bound, NULL, 1000, -1) >= 0);
	for (int i = 0; i < COUNT; i++) {
		unsigned before = accepted;

		cr_assert(fcntl(fds[i], F_SETFL, O_NONBLOCK) == 0);
		while (net_accept(fds[i], &to) >= 0)
			accepted++;
		cr_expect(accepted > before, "number %d got none", i);
	}
	cr_expect_eq(accepted, DIALS);

	cr_expect_not(net_listen(&bound, 8, &other, &other_bound, &err));
	cr_expect_not(
		net_listen_many(&bound, 8, COUNT, fds, &other_bound, &err));
}

Test(net, a_dial_to_nobody_is_refused)
{
	struct endpoint to = at("127.0.0.1:0");
	struct endpoint bound;
	struct error err;
	int fd;

	cr_assert(net_listen(&to, 8, &fd, &bound, &err));
	close(fd); /* now nobody listens there */
	cr_expect_eq(net_dial(&bound, NULL, 1000, -1), -1);
	cr_expect_eq(errno, ECONNREFUSED);
}

/* A listener whose queue is full does not answer further dials. */
static struct endpoint deaf_listener(void)
{
	struct endpoint to = at("127.0.0.1:0");
	struct endpoint bound;
	struct error err;
	int fd;

	cr_assert(net_listen(&to, 0, &fd, &bound, &err));
	for (int i = 0; i < 3; i++)
		(void)net_dial(&bound, NULL, 20, -1);
	return bound;
}

Test(net, a_dial_gives_up_in_time)
{
	struct endpoint to = deaf_listener();
	uint64_t start_ms = clock_ms();

	cr_expect_eq(net_dial(&to, NULL, 50, -1), -1);
	cr_expect_eq(errno, ETIMEDOUT);
	cr_expect_geq(clock_ms() - start_ms, 50);
	cr_expect_lt(clock_ms() - start_ms, 5000);
}

Test(net, a_dial_can_be_woken)
{
	struct endpoint to = deaf_listener();
	uint64_t start_ms = clock_ms();
	uint64_t count;
	int wake = eventfd(1, EFD_NONBLOCK);

	cr_expect_eq(net_dial(&to, NULL, 10000, wake), -1);
	cr_expect_eq(errno, ECANCELED);
	cr_expect_lt(clock_ms() - start_ms, 5000);
	/* What woke it is left for others to read. */
	cr_expect_eq(read(wake, &count, sizeof(count)), sizeof(count));
}

Test(net, accepting_from_an_idle_listener_is_no_surprise)
{
	struct endpoint who;

	cr_expect_eq(net_accept(-1, &who), -1);
	cr_expect_eq(errno, EBADF);
}

Test(net, a_datagram_says_who_sent_it)
{
	struct endpoint to = at("127.0.0.1:0");
	struct endpoint from = at("127.0.0.1:0");
	struct endpoint who;
	struct sockaddr_storage sa;
	struct error err;
	uint8_t bytes[4] = {0};
	int receiver, sender;

	cr_assert(net_bind_udp(&to, &receiver, &err));
	cr_assert(net_bind_udp(&from, &sender, &err));
	to.port = bound_port(receiver);
	from.port = bound_port(sender);
	cr_expect_eq(net_receive(receiver, bytes, sizeof(bytes), &who), -1);

	socklen_t len = endpoint_to_sockaddr(&to, &sa);
	cr_assert_eq(
		sendto(sender, "spam eggs", 9, 0, (struct sockaddr *)&sa, len),
		9);
	cr_expect_eq(net_receive(receiver, bytes, sizeof(bytes), &who), 4);
	cr_expect_arr_eq(bytes, "spam", 4);
	cr_expect(endpoint_equal(&who, &from));
	close(receiver);
	close(sender);
}
