#include "client/discovery/peer_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "shared/clock.h"

/* Where a candidate comes from: what is ours must find room whatever strangers
 * push, since a worker that nobody heard of would never be free again, and a
 * ban not heard of would not be one. */
enum origin { ORIGIN_OUTSIDE, ORIGIN_WORKER, ORIGIN_NOTE, ORIGINS };

struct peer_queue {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* with `lock`: count rose, or closed was set */

	/* Set once, by create. */
	size_t room[ORIGINS]; /* for what comes from each */
	size_t slots;         /* sum of these */

	/* The rest is guarded by `lock`. */
	bool closed;
	size_t head;          /* index of the oldest candidate */
	size_t count;         /* <= slots */
	size_t from[ORIGINS]; /* of these */
	struct candidate ring[];
};

static enum origin origin_of(enum candidate_source source)
{
	switch (source) {
	case FROM_WORKER:
		return ORIGIN_WORKER;
	case FROM_JUDGE:
	case FROM_KEEPER:
		return ORIGIN_NOTE;
	case FROM_USER:
	case FROM_TRACKER:
	case FROM_PEX:
	case FROM_DHT:
	case FROM_LSD:
	case FROM_LISTENER:
	case FROM_GREETING:
	case FROM_TRADER:
	case FROM_MIRROR:
		return ORIGIN_OUTSIDE;
	}
	return ORIGIN_OUTSIDE;
}

struct peer_queue *peer_queue_create(size_t capacity, size_t reserve)
{
	size_t slots = capacity + reserve + PEER_QUEUE_NOTES;
	struct peer_queue *q =
		calloc(1, sizeof(*q) + slots * sizeof(q->ring[0]));
	pthread_condattr_t attributes;

	if (!q)
		return NULL;
	/* A timeout must not depend on who sets the wall clock. */
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&q->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&q->lock, NULL);
	q->room[ORIGIN_OUTSIDE] = capacity;
	q->room[ORIGIN_WORKER] = reserve;
	q->room[ORIGIN_NOTE] = PEER_QUEUE_NOTES;
	q->slots = slots;
	return q;
}

void peer_queue_destroy(struct peer_queue *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < q->count; i++) {
		int socket = q->ring[(q->head + i) % q->slots].socket;
		if (socket >= 0)
			close(socket);
	}
	pthread_cond_destroy(&q->changed);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

bool peer_queue_push(struct peer_queue *q, const struct candidate *c)
{
	enum origin origin = origin_of(c->source);

	pthread_mutex_lock(&q->lock);
	bool room = !q->closed && q->from[origin] < q->room[origin];
	if (room) {
		q->ring[(q->head + q->count) % q->slots] = *c;
		q->count++;
		q->from[origin]++;
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
		q->head = (q->head + 1) % q->slots;
		q->count--;
		q->from[origin_of(ret->source)]--;
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
