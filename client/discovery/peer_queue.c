#include "client/discovery/peer_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "shared/clock.h"

struct peer_queue {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* with `lock`: count rose, or closed was set */

	/* Set once, by create. */
	size_t capacity; /* of what does not come from a worker */
	size_t reserve;  /* of what does */

	/* The rest is guarded by `lock`. */
	bool closed;
	size_t head;         /* index of the oldest candidate */
	size_t count;        /* <= capacity + reserve */
	size_t from_workers; /* of these */
	struct candidate ring[];
};

static size_t slots(const struct peer_queue *q)
{
	return q->capacity + q->reserve;
}

struct peer_queue *peer_queue_create(size_t capacity, size_t reserve)
{
	struct peer_queue *q = calloc(
		1, sizeof(*q) + (capacity + reserve) * sizeof(q->ring[0]));
	pthread_condattr_t attributes;

	if (!q)
		return NULL;
	/* A timeout must not depend on who sets the wall clock. */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&q->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&q->lock, NULL);
	q->capacity = capacity;
	q->reserve = reserve;
	return q;
}

void peer_queue_destroy(struct peer_queue *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->count; i++) {
		int socket = q->ring[(q->head + i) % slots(q)].socket;
		if (socket >= 0)
			close(socket);
	}
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

/* The two kinds of candidates do not take each other's room. */
static bool has_room_locked(const struct peer_queue *q, bool from_worker)
{
	if (q->closed)
		return false;
	return from_worker ? q->from_workers < q->reserve
			   : q->count - q->from_workers < q->capacity;
}

bool peer_queue_push(struct peer_queue *q, const struct candidate *c)
{
	bool from_worker = c->source == FROM_WORKER;

	pthread_mutex_lock(&q->lock);
	bool room = has_room_locked(q, from_worker);
	if (room) {
		q->ring[(q->head + q->count) % slots(q)] = *c;
		q->count++;
		q->from_workers += from_worker;
		pthread_cond_signal(&q->changed);
	}
	pthread_mutex_unlock(&q->lock);
	return room;
}

static struct timespec deadline_in(unsigned timeout_ms)
{
	uint64_t us = clock_us() + (uint64_t)timeout_ms * 1000;

	return (struct timespec){
		.tv_sec = (time_t)(us / 1000000),
		.tv_nsec = (long)(us % 1000000 * 1000),
	};
}

enum peer_queue_result peer_queue_pop(
	struct peer_queue *q, unsigned timeout_ms, struct candidate *ret)
{
	struct timespec deadline = deadline_in(timeout_ms);
	enum peer_queue_result result = PEER_QUEUE_TIMEOUT;
	int error = 0;

	pthread_mutex_lock(&q->lock);
	while (!q->closed && q->count == 0 && error == 0)
		error = pthread_cond_timedwait(
			&q->changed, &q->lock, &deadline);
	if (q->closed) {
		result = PEER_QUEUE_CLOSED;
	} else if (q->count > 0) {
		*ret = q->ring[q->head];
		q->head = (q->head + 1) % slots(q);
		q->count--;
		q->from_workers -= ret->source == FROM_WORKER;
		result = PEER_QUEUE_TAKEN;
	}
	pthread_mutex_unlock(&q->lock);
	return result;
}

void peer_queue_close(struct peer_queue *q)
{
	pthread_mutex_lock(&q->lock);
	q->closed = true;
	pthread_cond_broadcast(&q->changed);
	pthread_mutex_unlock(&q->lock);
}
