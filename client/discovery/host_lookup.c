#include "client/discovery/host_lookup.h"

#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/error.h"

enum {
	TICK_MS = 100, /* how soon a changed give_up_ms is seen */
	STACK_SIZE = 256 * 1024,
	MAX_NAME = 253, /* RFC 1035, as text */
};

/* Shared by the one who waits and the thread; the last one frees it. */
struct lookup {
	pthread_mutex_t lock;
	pthread_cond_t finished; /* with `lock`: done was set */
	bool done;
	bool abandoned; /* nobody waits any longer */

	char host[MAX_NAME + 1];
	uint16_t port;
	size_t count;
	struct endpoint found[HOST_LOOKUP_MAX];
};

/* The addresses of a name; what is no address of ours is left out. */
static size_t resolve(
	const char *host, uint16_t port, struct endpoint ret[HOST_LOOKUP_MAX])
{
	const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM};
	struct addrinfo *list = NULL;
	size_t count = 0;

	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return 0;
	for (const struct addrinfo *a = list;
		a != NULL && count < HOST_LOOKUP_MAX; a = a->ai_next) {
		if (!endpoint_from_sockaddr(a->ai_addr, &ret[count]))
			continue;
		ret[count++].port = port;
	}
	freeaddrinfo(list);
	return count;
}

static void destroy(struct lookup *l)
{
	pthread_cond_destroy(&l->finished);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

static void *run(void *ctx)
{
	struct lookup *l = ctx;
	size_t count = resolve(l->host, l->port, l->found);

	pthread_mutex_lock(&l->lock);
	l->count = count;
	l->done = true;
	bool last = l->abandoned;
	pthread_cond_signal(&l->finished);
	pthread_mutex_unlock(&l->lock);
	if (last)
		destroy(l);
	return NULL;
}

static struct lookup *create(const char *host, uint16_t port)
{
	struct lookup *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (l == NULL)
		return NULL;
	memcpy(l->host, host, strlen(host) + 1);
	l->port = port;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->finished, &attr);
	pthread_condattr_destroy(&attr);
	return l;
}

static bool start_thread(struct lookup *l)
{
	pthread_attr_t attr;
	pthread_t thread;
	bool ok;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	ok = pthread_create(&thread, &attr, run, l) == 0;
	pthread_attr_destroy(&attr);
	return ok;
}

/* False: given up; `l` belongs to the thread from then on. */
static bool wait_for(struct lookup *l, const _Atomic uint64_t *give_up_ms)
{
	pthread_mutex_lock(&l->lock);
	while (!l->done && clock_ms() < *give_up_ms) {
		uint64_t tick_ms = clock_ms() + TICK_MS;
		struct timespec until = {
			.tv_sec = (time_t)(tick_ms / 1000),
			.tv_nsec = (long)(tick_ms % 1000) * 1000000,
		};

		pthread_cond_timedwait(&l->finished, &l->lock, &until);
	}
	bool done = l->done;
	l->abandoned = !done;
	pthread_mutex_unlock(&l->lock);
	return done;
}

enum host_lookup_result host_lookup(const char *host, uint16_t port,
	const _Atomic uint64_t *give_up_ms,
	struct endpoint ret[HOST_LOOKUP_MAX], size_t *ret_count)
{
	if (endpoint_parse_ip(host, &ret[0])) {
		ret[0].port = port;
		*ret_count = 1;
		return HOST_LOOKUP_FOUND;
	}
	if (host[0] == '\0' || strlen(host) > MAX_NAME)
		return HOST_LOOKUP_UNKNOWN;

	struct lookup *l = create(host, port);
	if (l == NULL)
		return HOST_LOOKUP_NO_MEANS;
	if (!start_thread(l)) {
		destroy(l);
		return HOST_LOOKUP_NO_MEANS;
	}
	if (!wait_for(l, give_up_ms))
		return HOST_LOOKUP_GIVEN_UP;

	size_t count = l->count;
	memcpy(ret, l->found, count * sizeof(ret[0]));
	destroy(l);
	if (count == 0)
		return HOST_LOOKUP_UNKNOWN;
	*ret_count = count;
	return HOST_LOOKUP_FOUND;
}

bool host_lookup_none(const struct endpoint *bind, struct error *err)
{
	char from[ENDPOINT_TEXT_SIZE];

	return error_set(err, "no IPv%d address of it to ask from %s",
		endpoint_is_v4(bind) ? 4 : 6, endpoint_print_ip(bind, from));
}
