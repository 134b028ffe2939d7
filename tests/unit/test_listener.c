#include "client/session/listener.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/discovery/peer_queue.h"
#include "shared/net.h"

static struct endpoint at(const char *text)
{
	struct endpoint e;

	cr_assert(endpoint_parse(text, &e), "%s", text);
	return e;
}

/* A listener of somebody else; its port. */
static uint16_t occupy(const char *where, int *ret_fd)
{
	struct endpoint want = at(where), bound;
	struct error err;

	if (!net_listen(&want, 1, ret_fd, &bound, &err))
		cr_skip_test("%s", err.text);
	return bound.port;
}

static bool can_dial(const char *ip, uint16_t port)
{
	struct endpoint to = at(ip);

	to.port = port;
	int fd = net_dial(&to, NULL, 1000, -1);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

Test(listener, takes_any_port_on_all_addresses)
{
	struct listener *l;
	struct error err;

	cr_assert(listener_open(&l, NULL, 0, 0, &err), "%s", err.text);
	cr_expect_neq(listener_port(l), 0);
	cr_expect(can_dial("127.0.0.1:1", listener_port(l)));
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	if (fd >= 0) {
		cr_expect(can_dial("[::1]:1", listener_port(l)));
		close(fd);
	}
	listener_destroy(l);
}

Test(listener, listens_on_the_one_address_it_is_given)
{
	static const struct {
		const char *bind, *other;
	} cases[] = {
		{"127.0.0.1:0", "127.0.0.2:1"},
		{"127.0.0.2:0", "127.0.0.1:1"},
		{"127.0.0.1:0", "[::1]:1"},
		{"[::1]:0", "127.0.0.1:1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint bind = at(cases[i].bind);
		struct listener *l;
		struct error err;

		if (!listener_open(&l, &bind, 0, 0, &err))
			continue; /* no IPv6 here */
		cr_expect(can_dial(cases[i].bind, listener_port(l)));
		cr_expect_not(can_dial(cases[i].other, listener_port(l)));
		listener_destroy(l);
	}
}

Test(listener, takes_the_next_port_where_one_is_in_use)
{
	/* Whoever has it, and on whichever address. */
	static const char *const holders[] = {
		"127.0.0.1:0", "0.0.0.0:0", "[::]:0"};

	for (size_t i = 0; i < sizeof(holders) / sizeof(holders[0]); i++) {
		int taken;
		uint16_t port = occupy(holders[i], &taken);
		struct listener *l;
		struct error err;

		if (port > UINT16_MAX - 20)
			continue;
		cr_assert(listener_open(
				  &l, NULL, port, (uint16_t)(port + 20), &err),
			"%s", err.text);
		cr_expect_gt(listener_port(l), port);
		cr_expect_leq(listener_port(l), port + 20);
		listener_destroy(l);
		close(taken);
	}
}

Test(listener, says_which_port_is_in_use)
{
	struct endpoint bind = at("127.0.0.1:0");
	int taken;
	uint16_t port = occupy("127.0.0.1:0", &taken);
	struct listener *l = NULL;
	struct error err;
	char name[32];

	snprintf(name, sizeof(name), "127.0.0.1:%u", port);
	cr_assert_not(listener_open(&l, &bind, port, port, &err));
	cr_expect_null(l);
	cr_expect(strstr(err.text, name) != NULL, "%s", err.text);
	close(taken);

	cr_assert(listener_open(&l, &bind, port, port, &err), "%s", err.text);
	cr_expect_eq(listener_port(l), port);
	listener_destroy(l);
}

Test(listener, says_what_helps_when_all_ports_are_in_use)
{
	struct endpoint next = at("127.0.0.1:0"), bound;
	int taken, taken_too;
	uint16_t port = occupy("127.0.0.1:0", &taken);
	struct listener *l = NULL;
	struct error err;

	next.port = (uint16_t)(port + 1);
	if (port == UINT16_MAX ||
		!net_listen(&next, 1, &taken_too, &bound, &err))
		cr_skip_test("no two ports in a row");
	cr_assert_not(listener_open(&l, NULL, port, next.port, &err));
	cr_expect(strstr(err.text, "all in use (--port 0 ") != NULL, "%s",
		err.text);
	close(taken);
	close(taken_too);
}

Test(listener, refuses_an_address_that_is_not_ours)
{
	struct endpoint bind = at("192.0.2.1:0");
	struct listener *l = NULL;
	struct error err;

	cr_expect_not(listener_open(&l, &bind, 0, 0, &err));
	cr_expect(strstr(err.text, "192.0.2.1") != NULL, "%s", err.text);
}

Test(listener, hands_over_who_comes)
{
	struct peer_queue *queue = peer_queue_create(4, 0);
	struct endpoint bind = at("127.0.0.1:0"), from = at("127.0.0.3:0");
	struct candidate got;
	struct listener *l;
	struct error err;
	char byte = 0;

	cr_assert(queue && listener_open(&l, &bind, 0, 0, &err));
	cr_assert(listener_start(l, queue, &err));
	bind.port = listener_port(l);
	int fd = net_dial(&bind, &from, 1000, -1);
	cr_assert_geq(fd, 0);
	cr_assert_eq(peer_queue_pop(queue, 5000, &got), PEER_QUEUE_TAKEN);
	cr_expect_eq(got.source, FROM_LISTENER);
	cr_expect_eq(got.torrent, -1);
	cr_expect(endpoint_same_ip(&got.address, &from));
	cr_expect_eq(write(fd, "x", 1), 1);
	cr_expect_eq(read(got.socket, &byte, 1), 1);
	cr_expect_eq(byte, 'x');
	close(got.socket);
	close(fd);
	listener_destroy(l);
	peer_queue_destroy(queue);
}

Test(listener, closes_what_finds_no_room)
{
	struct peer_queue *queue = peer_queue_create(1, 0);
	struct endpoint bind = at("127.0.0.1:0");
	struct listener *l;
	struct error err;
	int fds[3];
	char byte;

	cr_assert(queue && listener_open(&l, &bind, 0, 0, &err));
	cr_assert(listener_start(l, queue, &err));
	bind.port = listener_port(l);
	for (int i = 0; i < 3; i++)
		cr_assert_geq(fds[i] = net_dial(&bind, NULL, 1000, -1), 0);
	cr_expect_eq(read(fds[1], &byte, 1), 0);
	cr_expect_eq(read(fds[2], &byte, 1), 0);
	cr_expect_eq(recv(fds[0], &byte, 1, MSG_DONTWAIT), -1);
	listener_destroy(l);
	peer_queue_destroy(queue); /* and what lies there */
	cr_expect_eq(read(fds[0], &byte, 1), 0);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
}

Test(listener, nothing_is_destroyed_in_good_humour) { listener_destroy(NULL); }
