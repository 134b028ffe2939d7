#include <criterion/criterion.h>
#include <limits.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/session/waiting_room.h"

enum { CAPACITY = 4 };

/* Connections by number: ours waits, theirs is the peer's end. */
static int ours[64], theirs[64];

static void knock_at(
	struct waiting_room *r, int number, const char *from, uint64_t now_ms)
{
	struct candidate c = {.source = FROM_LISTENER, .torrent = -1};
	int pair[2];

	cr_assert(endpoint_parse(from, &c.address));
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	ours[number] = c.socket = pair[0];
	theirs[number] = pair[1];
	waiting_room_add(r, &c, now_ms);
}

static void knock(struct waiting_room *r, int number, const char *from)
{
	knock_at(r, number, from, 0);
}

static void speak(int number)
{
	cr_assert_eq(write(theirs[number], "x", 1), 1);
}

static bool closed(int number)
{
	char byte;

	return recv(theirs[number], &byte, 1, MSG_DONTWAIT) == 0;
}

/* The host 10.0.0.1 has two workers, others none. */
static unsigned held(void *arg, const struct endpoint *address)
{
	struct endpoint host;

	(void)arg;
	cr_assert(endpoint_parse("10.0.0.1:1", &host));
	return endpoint_same_host(address, &host) ? 2 : 0;
}

/* The number of the next; -1: nobody waits. */
static int next(struct waiting_room *r)
{
	struct candidate c;

	if (!waiting_room_take(r, held, NULL, 0, &c))
		return -1;
	for (int i = 0; i < 64; i++) {
		if (ours[i] == c.socket)
			return i;
	}
	cr_assert_fail("not one of ours");
	return -1;
}

Test(waiting_room, lets_each_of_equals_be_the_next_at_some_time)
{
	bool was[CAPACITY + 1] = {false};

	for (uint64_t seed = 0; seed < 64; seed++) {
		struct waiting_room *r = waiting_room_create(CAPACITY, seed);

		for (int i = 1; i <= CAPACITY; i++)
			knock(r, i, "10.0.0.2:1");
		was[next(r)] = true;
		cr_expect_eq(waiting_room_count(r), CAPACITY - 1);
		waiting_room_destroy(r);
		for (int i = 1; i <= CAPACITY; i++)
			close(theirs[i]);
	}
	for (int i = 1; i <= CAPACITY; i++)
		cr_expect(was[i], "%d", i);
}

Test(waiting_room, tells_the_least_that_a_host_has_and_when_nobody_waits)
{
	struct waiting_room *r = waiting_room_create(CAPACITY, 1);

	cr_expect_eq(next(r), -1);
	cr_expect_eq(waiting_room_least_held(r, held, NULL), UINT_MAX);
	knock(r, 1, "10.0.0.1:1");
	cr_expect_eq(waiting_room_least_held(r, held, NULL), 2);
	knock(r, 2, "10.0.0.2:1");
	cr_expect_eq(waiting_room_least_held(r, held, NULL), 0);
	cr_expect_eq(next(r), 2);
	cr_expect_eq(next(r), 1);
	cr_expect_eq(next(r), -1);
	cr_expect_eq(waiting_room_count(r), 0);
	waiting_room_destroy(r);
}

Test(waiting_room, prefers_a_host_with_fewer_workers_then_who_has_spoken)
{
	struct waiting_room *r = waiting_room_create(CAPACITY, 1);

	knock(r, 1, "10.0.0.1:1");
	speak(1);
	knock(r, 2, "10.0.0.2:1");
	knock(r, 3, "10.0.0.3:1");
	speak(3);
	cr_expect_eq(next(r), 3);
	cr_expect_eq(next(r), 2);
	cr_expect_eq(next(r), 1);
	waiting_room_destroy(r);
}

Test(waiting_room,
	when_full_turns_away_the_oldest_silent_one_of_the_largest_crowd)
{
	struct waiting_room *r = waiting_room_create(CAPACITY, 1);

	knock(r, 1, "10.0.0.3:1");
	knock(r, 2, "10.0.0.2:1");
	speak(2);
	knock(r, 3, "10.0.0.2:2");
	knock(r, 4, "10.0.0.2:3");
	knock(r, 5, "10.0.0.4:1");
	cr_expect(closed(3));
	for (int i = 1; i <= 5; i++)
		cr_expect(i == 3 || !closed(i), "%d", i);
	cr_expect_eq(waiting_room_count(r), CAPACITY);
	waiting_room_destroy(r);
}

Test(waiting_room, when_full_of_those_who_have_spoken_turns_away_the_last)
{
	struct waiting_room *r = waiting_room_create(CAPACITY, 1);

	for (int i = 1; i <= CAPACITY + 1; i++) {
		knock(r, i, i == 1 ? "10.0.0.3:1" : "10.0.0.2:1");
		if (i <= CAPACITY)
			speak(i);
	}
	/* The last one had no time to speak. */
	cr_expect(closed(CAPACITY + 1));
	for (int i = 1; i <= CAPACITY; i++)
		cr_expect_not(closed(i), "%d", i);
	waiting_room_destroy(r);
}

Test(waiting_room, takes_a_slash_64_for_one_host)
{
	struct waiting_room *r = waiting_room_create(2, 1);

	knock(r, 1, "[2001:db8::1]:1");
	knock(r, 2, "[2001:db8:0:1::1]:1");
	knock(r, 3, "[2001:db8::2]:1");
	cr_expect(closed(1));
	cr_expect_not(closed(2));
	cr_expect_not(closed(3));
	waiting_room_destroy(r);
}

Test(waiting_room, closes_who_has_gone_and_who_has_waited_too_long)
{
	struct waiting_room *r = waiting_room_create(CAPACITY, 1);

	knock_at(r, 1, "10.0.0.2:1", 0);
	knock_at(r, 2, "10.0.0.2:2", 1);
	knock_at(r, 3, "10.0.0.2:3", 1);
	close(theirs[3]);
	waiting_room_tidy(r, WAITING_ROOM_MS - 1);
	cr_expect_eq(waiting_room_count(r), 2);
	waiting_room_tidy(r, WAITING_ROOM_MS);
	cr_expect(closed(1));
	cr_expect_eq(next(r), 2);
	waiting_room_destroy(r);
}

Test(waiting_room, says_how_long_one_has_waited)
{
	struct waiting_room *r = waiting_room_create(CAPACITY, 1);
	struct candidate c;

	knock_at(r, 1, "10.0.0.2:1", 1000);
	cr_assert(waiting_room_take(r, held, NULL, 1000, &c));
	cr_expect_eq(c.waited_ms, 0);
	knock_at(r, 1, "10.0.0.2:1", 1000);
	cr_assert(waiting_room_take(r, held, NULL, 7001, &c));
	cr_expect_eq(c.waited_ms, 6001);
	waiting_room_destroy(r);
}

Test(waiting_room, closes_all_at_the_end)
{
	struct waiting_room *r = waiting_room_create(CAPACITY, 1);

	knock(r, 1, "10.0.0.2:1");
	knock(r, 2, "10.0.0.3:1");
	waiting_room_destroy(r);
	cr_expect(closed(1));
	cr_expect(closed(2));
	waiting_room_destroy(NULL);
}
