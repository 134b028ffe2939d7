#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tracker/udp_answers.h"

enum { ASKERS = 2, MOST = UDP_ANSWERS_MAX };

static struct udp_answers *answers;
static int tracker, askers[ASKERS];
static struct sockaddr_in names[ASKERS];

static int open_socket(struct sockaddr_in *ret)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	cr_assert(fd >= 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	*ret = at;
	return fd;
}

static void set_up(void)
{
	struct sockaddr_in at;

	answers = calloc(1, sizeof(*answers));
	cr_assert(answers);
	tracker = open_socket(&at);
	udp_answers_init(answers, tracker);
	for (int i = 0; i < ASKERS; i++)
		askers[i] = open_socket(&names[i]);
}

static void tear_down(void)
{
	close(tracker);
	for (int i = 0; i < ASKERS; i++)
		close(askers[i]);
	free(answers);
}

TestSuite(udp_answers, .init = set_up, .fini = tear_down);

static void add(int asker, size_t len, int number)
{
	const struct msghdr question = {
		.msg_name = &names[asker],
		.msg_namelen = sizeof(names[asker]),
	};

	memset(udp_answers_next(answers), number, len);
	udp_answers_add(answers, len, &question);
}

static void expect(int asker, size_t len, int number)
{
	uint8_t got[2000], wanted[2000];

	memset(wanted, number, len);
	cr_assert_eq(recv(askers[asker], got, sizeof(got), MSG_DONTWAIT),
		(ssize_t)len, "answer %d", number);
	cr_expect_eq(memcmp(got, wanted, len), 0, "answer %d", number);
}

static void expect_no_more(void)
{
	uint8_t byte;

	for (int i = 0; i < ASKERS; i++)
		cr_expect_lt(recv(askers[i], &byte, 1, MSG_DONTWAIT), 0);
}

struct step {
	int asker;
	size_t len;
};

static void there_and_back(const struct step *steps, int count)
{
	udp_answers_clear(answers);
	for (int i = 0; i < count; i++)
		add(steps[i].asker, steps[i].len, i);
	udp_answers_send(answers, tracker);
	for (int i = 0; i < count; i++)
		expect(steps[i].asker, steps[i].len, i);
	expect_no_more();
}

static const struct step mixed[] = {
	{0, 314},
	{0, 314},
	{0, 314}, /* joined */
	{1, 314}, /* somebody else */
	{0, 314},
	{0, 26},  /* a shorter one ends it */
	{0, 26},  /* this one begins anew */
	{0, 320}, /* so does a longer one */
	{1, 1},
	{1, 1472},
	{1, 1472},
	{1, 16},
	{0, 16},
};

Test(udp_answers, each_comes_by_itself_to_who_asked)
{
	there_and_back(mixed, sizeof(mixed) / sizeof(mixed[0]));
	cr_expect_eq(answers->count, 8);
	there_and_back(mixed, 1); /* nothing is left of it */
	udp_answers_clear(answers);
	udp_answers_send(answers, tracker);
	expect_no_more();
}

Test(udp_answers, the_most_there_may_be_are_sent)
{
	struct step steps[MOST];

	for (int i = 0; i < MOST; i++)
		steps[i] = (struct step){0, ANNOUNCE_UDP_MAX_PACKET};
	there_and_back(steps, MOST);
	for (int i = 0; i < MOST; i++)
		steps[i] = (struct step){i % 2, 20};
	there_and_back(steps, MOST);
}

/* A Unix socket knows as little of UDP_SEGMENT as an old kernel does. */
Test(udp_answers, where_the_kernel_does_not_know_how_to_cut_none_are_joined)
{
	const int count = sizeof(mixed) / sizeof(mixed[0]);
	int other = socket(AF_UNIX, SOCK_DGRAM, 0);

	cr_assert(other >= 0);
	udp_answers_init(answers, other);
	close(other);
	there_and_back(mixed, count);
	cr_expect_eq(answers->count, count);
}

/* Without checksums the kernel does not cut up messages. */
Test(udp_answers, those_that_the_kernel_does_not_cut_up_go_one_by_one)
{
	int on = 1;

	cr_assert_eq(
		setsockopt(tracker, SOL_SOCKET, SO_NO_CHECK, &on, sizeof(on)),
		0);
	there_and_back(mixed, sizeof(mixed) / sizeof(mixed[0]));
}

Test(udp_answers, one_that_cannot_be_sent_does_not_hold_up_others)
{
	struct sockaddr_in right = names[0];

	udp_answers_clear(answers);
	names[0].sin_addr.s_addr = htonl(INADDR_BROADCAST); /* not allowed */
	add(0, 20, 0);
	add(0, 20, 1);
	add(1, 20, 2);
	udp_answers_send(answers, tracker);
	expect(1, 20, 2);
	expect_no_more();
	names[0] = right;
}
