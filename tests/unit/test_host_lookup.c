#include <criterion/criterion.h>
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "client/discovery/host_lookup.h"
#include "shared/clock.h"

/* A resolver of our own in the place of the C library's: no name leaves this
 * machine, and one of them hangs. */

static sem_t hanging, let_go;
static unsigned asked;

static void answer(const char *ip, struct addrinfo **list)
{
	struct addrinfo *a = calloc(1, sizeof(*a));
	struct sockaddr_storage *sa = calloc(1, sizeof(*sa));
	struct endpoint e;

	endpoint_parse_ip(ip, &e);
	a->ai_addrlen = endpoint_to_sockaddr(&e, sa);
	a->ai_addr = (struct sockaddr *)sa;
	a->ai_family = sa->ss_family;
	a->ai_next = *list;
	*list = a;
}

int getaddrinfo(const char *name, const char *service,
	const struct addrinfo *hints, struct addrinfo **ret)
{
	(void)service;
	(void)hints;
	asked++;
	*ret = NULL;
	if (strcmp(name, "hangs.test") == 0) {
		sem_post(&hanging);
		sem_wait(&let_go);
	}
	if (strcmp(name, "unknown.test") == 0)
		return EAI_NONAME;
	if (strcmp(name, "many.test") == 0) {
		for (unsigned i = 0; i < 100; i++)
			answer("1.2.3.4", ret);
		return 0;
	}
	answer("2001:db8::1", ret);
	answer("9.8.7.6", ret);
	return 0;
}

void freeaddrinfo(struct addrinfo *list)
{
	while (list != NULL) {
		struct addrinfo *next = list->ai_next;

		free(list->ai_addr);
		free(list);
		list = next;
	}
}

static struct endpoint found[HOST_LOOKUP_MAX];
static size_t count;

static enum host_lookup_result look_up(const char *host)
{
	_Atomic uint64_t give_up_ms = clock_ms() + 10000;

	return host_lookup(host, 80, &give_up_ms, found, &count);
}

static void expect_found(size_t index, const char *expected)
{
	char text[ENDPOINT_TEXT_SIZE];

	cr_expect_str_eq(endpoint_print(&found[index], text), expected);
}

Test(host_lookup, an_address_is_itself)
{
	cr_assert_eq(look_up("127.0.0.1"), HOST_LOOKUP_FOUND);
	cr_expect_eq(count, 1);
	expect_found(0, "127.0.0.1:80");
	cr_assert_eq(look_up("::1"), HOST_LOOKUP_FOUND);
	expect_found(0, "[::1]:80");
	cr_expect_eq(asked, 0);
}

Test(host_lookup, a_name_has_the_resolvers_addresses)
{
	cr_assert_eq(look_up("two.test"), HOST_LOOKUP_FOUND);
	cr_assert_eq(count, 2);
	expect_found(0, "9.8.7.6:80");
	expect_found(1, "[2001:db8::1]:80");
	cr_assert_eq(look_up("many.test"), HOST_LOOKUP_FOUND);
	cr_expect_eq(count, HOST_LOOKUP_MAX);
}

Test(host_lookup, a_name_that_is_none_is_unknown)
{
	char long_name[300];

	memset(long_name, 'a', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	cr_expect_eq(look_up("unknown.test"), HOST_LOOKUP_UNKNOWN);
	cr_expect_eq(asked, 1);
	cr_expect_eq(look_up(""), HOST_LOOKUP_UNKNOWN);
	cr_expect_eq(look_up(long_name), HOST_LOOKUP_UNKNOWN);
	cr_expect_eq(asked, 1);
}

/* Brings the end forward once the resolver hangs. */
static void *cancel(void *ctx)
{
	_Atomic uint64_t *give_up_ms = ctx;

	sem_wait(&hanging);
	*give_up_ms = clock_ms();
	return NULL;
}

Test(host_lookup, a_resolver_that_hangs_holds_nobody_up)
{
	uint64_t start_ms = clock_ms();
	_Atomic uint64_t give_up_ms = start_ms + 20000;
	pthread_t canceller;

	sem_init(&hanging, 0, 0);
	sem_init(&let_go, 0, 0);
	pthread_create(&canceller, NULL, cancel, &give_up_ms);
	cr_expect_eq(host_lookup("hangs.test", 80, &give_up_ms, found, &count),
		HOST_LOOKUP_GIVEN_UP);
	cr_expect_lt(clock_ms() - start_ms, 2000);
	pthread_join(canceller, NULL);

	/* What it says later goes nowhere, and others are not disturbed. */
	sem_post(&let_go);
	cr_expect_eq(look_up("two.test"), HOST_LOOKUP_FOUND);
}
