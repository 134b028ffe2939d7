#include <criterion/criterion.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/endpoint.h"
#include "tracker/open_connections.h"

enum { SERVERS = 2, ROOM = 3 };

/* Both ends of a connection, and what is known of it. */
struct line {
	int ends[2];
	struct open_connection *open;
};

static struct open_connections *set;

static void start(void)
{
	set = open_connections_create(SERVERS, ROOM, 7);
	cr_assert(set);
}

static struct line line_of(unsigned server, const char *ip, uint64_t now_ms)
{
	struct endpoint who;
	struct line line;

	cr_assert(endpoint_parse_ip(ip, &who));
	cr_assert_eq(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line.ends),
		0);
	line.open =
		open_connections_add(set, server, line.ends[0], &who, now_ms);
	cr_assert(line.open);
	return line;
}

static bool is_shut(const struct line *line)
{
	struct pollfd polled = {.fd = line->ends[1], .events = POLLIN};

	return poll(&polled, 1, 0) == 1;
}

static void end(struct line *line)
{
	open_connections_remove(set, line->open);
	close(line->ends[0]);
	close(line->ends[1]);
}

static bool make_room(const char *ip)
{
	struct endpoint who;

	cr_assert(endpoint_parse_ip(ip, &who));
	return open_connections_make_room(set, &who);
}

Test(open_connections, who_owes_a_request_for_too_long_is_shut_down,
	.init = start)
{
	struct line early = line_of(0, "9.8.7.1", 100);
	struct line late = line_of(1, "9.8.7.1", 101);
	struct line renewed = line_of(1, "9.8.7.1", 100);

	open_connection_renew(renewed.open, 200);
	open_connections_enforce(set, 100);
	cr_expect_not(is_shut(&early));
	open_connections_enforce(set, 101);
	cr_expect(is_shut(&early));
	cr_expect_not(is_shut(&late));
	open_connections_enforce(set, 200);
	cr_expect(is_shut(&late));
	cr_expect_not(is_shut(&renewed));
	end(&early);
	end(&late);
	end(&renewed);
	open_connections_destroy(set);
}

Test(open_connections, all_who_owe_one_are_shut_down_however_many_they_are)
{
	enum { LATE = 200, ALL = LATE + 10 };
	static struct line lines[ALL];

	set = open_connections_create(SERVERS, ALL, 7);
	cr_assert(set);
	for (int i = 0; i < ALL; i++)
		lines[i] = line_of(1, "9.8.7.1", i < LATE ? 100 : 200);
	open_connections_enforce(set, 200);
	for (int i = 0; i < ALL; i++)
		cr_expect_eq(is_shut(&lines[i]), i < LATE, "%d", i);
	for (int i = 0; i < ALL; i++)
		end(&lines[i]);
	open_connections_destroy(set);
}

Test(open_connections, a_full_server_parts_with_who_has_owed_for_longest,
	.init = start)
{
	struct line lines[ROOM], elsewhere = line_of(1, "9.8.7.1", 1);

	for (uint64_t i = 0; i < ROOM; i++)
		lines[i] = line_of(0, "9.8.7.6", 10 + i);
	/* The first one has been answered meanwhile. */
	open_connection_renew(lines[0].open, 20);
	struct line newcomer = line_of(0, "9.8.7.9", 21);
	cr_expect_not(is_shut(&lines[0]));
	cr_expect(is_shut(&lines[1]));
	cr_expect_not(is_shut(&lines[2]));
	cr_expect_not(is_shut(&newcomer));

	/* Who was shut down does not count, gone or not. */
	struct line second = line_of(0, "9.8.7.9", 22);
	cr_expect(is_shut(&lines[2]));
	end(&lines[1]);
	struct line third = line_of(0, "9.8.7.9", 23);
	cr_expect(is_shut(&lines[0]));
	cr_expect_not(is_shut(&newcomer));

	/* There is room for one who left by itself. */
	end(&newcomer);
	struct line fourth = line_of(0, "9.8.7.9", 24);
	cr_expect_not(is_shut(&second));
	cr_expect_not(is_shut(&third));
	cr_expect_not(is_shut(&elsewhere));
	end(&lines[0]);
	end(&lines[2]);
	end(&second);
	end(&third);
	end(&fourth);
	end(&elsewhere);
	open_connections_destroy(set);
}

Test(open_connections, room_is_made_among_those_of_one_address, .init = start)
{
	struct line other = line_of(0, "9.8.7.1", 1);
	struct line first = line_of(0, "2001:db8::1", 2);
	struct line second = line_of(1, "2001:db8::2", 3);

	cr_expect_not(make_room("9.8.7.2"));
	cr_expect_not(make_room("2001:db8:0:1::1"));
	open_connection_renew(first.open, 4);
	cr_expect(make_room("2001:db8::3"));
	cr_expect(is_shut(&second));
	cr_expect_not(is_shut(&first));
	cr_expect(make_room("2001:db8::3"));
	cr_expect(is_shut(&first));
	cr_expect_not(make_room("2001:db8::3"));
	cr_expect_not(is_shut(&other));
	end(&first);
	end(&second);
	end(&other);
	open_connections_destroy(set);
}

Test(open_connections, the_only_one_that_was_renewed_again_and_again_is_found,
	.init = start)
{
	struct line line = line_of(0, "9.8.7.1", 1);

	for (uint64_t now_ms = 2; now_ms < 10; now_ms++)
		open_connection_renew(line.open, now_ms);
	cr_expect(make_room("9.8.7.1"));
	cr_expect(is_shut(&line));
	end(&line);
	open_connections_destroy(set);
}
