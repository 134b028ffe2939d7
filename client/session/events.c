#include "client/session/events.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct events {
	/* Held while listeners are called: here handing a call on is the whole
	 * job, one at a time is what they are promised, and they are our own
	 * and quick. */
	pthread_mutex_t lock;

	/* Set at the start, before other threads. */
	size_t count;
	struct {
		event_listener *call;
		void *ctx;
	} listeners[EVENTS_MAX_LISTENERS];
};

struct events *events_create(void)
{
	struct events *e = calloc(1, sizeof(*e));

	if (e)
		pthread_mutex_init(&e->lock, NULL);
	return e;
}

void events_destroy(struct events *e)
{
	if (!e)
		return;
	pthread_mutex_destroy(&e->lock);
	free(e);
}

void events_listen(struct events *e, event_listener *listener, void *ctx)
{
	assert(e->count < EVENTS_MAX_LISTENERS);
	e->listeners[e->count].call = listener;
	e->listeners[e->count].ctx = ctx;
	e->count++;
}

void events_emit(struct events *e, const struct event *event)
{
	pthread_mutex_lock(&e->lock);
	for (size_t i = 0; i < e->count; i++)
		e->listeners[i].call(e->listeners[i].ctx, event);
	pthread_mutex_unlock(&e->lock);
}
