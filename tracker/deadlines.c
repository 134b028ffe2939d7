#include "tracker/deadlines.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

struct deadline {
	struct deadline *prev, *next;
	int fd;
	atomic_uint_fast64_t since_ms; /* renewed without the lock */
};

struct deadlines {
	pthread_mutex_t lock;
	struct deadline *first; /* guarded by `lock` */
};

struct deadlines *deadlines_create(void)
{
	struct deadlines *d = calloc(1, sizeof(*d));

	if (d)
		pthread_mutex_init(&d->lock, NULL);
	return d;
}

void deadlines_destroy(struct deadlines *d)
{
	if (!d)
		return;
	pthread_mutex_destroy(&d->lock);
	free(d);
}

struct deadline *deadlines_add(struct deadlines *d, int fd, uint64_t now_ms)
{
	struct deadline *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = fd;
	atomic_init(&c->since_ms, now_ms);
	pthread_mutex_lock(&d->lock);
	DL_APPEND(d->first, c);
	pthread_mutex_unlock(&d->lock);
	return c;
}

void deadline_renew(struct deadline *c, uint64_t now_ms)
{
	if (c)
		atomic_store_explicit(
			&c->since_ms, now_ms, memory_order_relaxed);
}

void deadlines_remove(struct deadlines *d, struct deadline *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&d->lock);
	DL_DELETE(d->first, c);
	pthread_mutex_unlock(&d->lock);
	free(c);
}

void deadlines_enforce(struct deadlines *d, uint64_t since_ms)
{
	struct deadline *c;

	/* Under the lock, since the number may be another connection's as soon
	 * as this one has left.  shutdown() does not wait. */
	pthread_mutex_lock(&d->lock);
	DL_FOREACH(d->first, c)
	{
		if (atomic_load_explicit(&c->since_ms, memory_order_relaxed) <
			since_ms)
			(void)shutdown(c->fd, SHUT_RDWR); /* gone: as good */
	}
	pthread_mutex_unlock(&d->lock);
}
