#include <criterion/criterion.h>
#include <pthread.h>

#include "client/session/events.h"

/* A listener that keeps what it heard. */
struct ear {
	unsigned heard;
	bool busy;
	bool overlapped;
	uint16_t port;
};

static void hear(void *ctx, const struct event *event)
{
	struct ear *ear = ctx;

	ear->overlapped |= ear->busy;
	ear->busy = true;
	ear->heard++;
	ear->port = event->listening.port;
	ear->busy = false;
}

static const struct event some_event = {
	.kind = EVENT_LISTENING, .listening.port = 6881};

Test(events, reach_every_listener)
{
	struct events *e = events_create();
	struct ear ears[EVENTS_MAX_LISTENERS] = {0};

	for (size_t i = 0; i < EVENTS_MAX_LISTENERS; i++)
		events_listen(e, hear, &ears[i]);
	events_emit(e, &some_event);
	for (size_t i = 0; i < EVENTS_MAX_LISTENERS; i++) {
		cr_expect_eq(ears[i].heard, 1);
		cr_expect_eq(ears[i].port, 6881);
	}
	events_destroy(e);
}

Test(events, without_listeners_go_nowhere)
{
	struct events *e = events_create();

	events_emit(e, &some_event);
	events_destroy(e);
	events_destroy(NULL);
}

enum { THREADS = 4, EACH = 1000 };

static void *emit_many(void *e)
{
	for (int i = 0; i < EACH; i++)
		events_emit(e, &some_event);
	return NULL;
}

Test(events, of_several_threads_come_one_at_a_time)
{
	struct events *e = events_create();
	struct ear ear = {0};
	pthread_t threads[THREADS];

	events_listen(e, hear, &ear);
	for (size_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, emit_many, e);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	cr_expect_eq(ear.heard, THREADS * EACH);
	cr_expect_not(ear.overlapped);
	events_destroy(e);
}
