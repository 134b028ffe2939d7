#include "client/session/keeper.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "client/discovery/announcer.h"
#include "client/discovery/peer_queue.h"
#include "client/session/inventory.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "client/torrent/torrent.h"

struct keeper {
	const struct session_context *session;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* by CLOCK_MONOTONIC */
	/* Guarded by `lock`. */
	bool poked;
	bool closed;
};

static void finish_download(struct session_torrent *st)
{
	if (!session_torrent_complete(st) ||
		!session_torrent_advance(st, STATE_LEECHING, STATE_SEEDING))
		return;
	if (st->announcer) /* else there was no thread for it */
		announcer_completed(st->announcer);
	if (!session_torrent_settle(st))
		return;
	(void)peer_queue_push(st->session->queue,
		&(struct candidate){.source = FROM_KEEPER,
			.torrent = st->index,
			.socket = -1});
}

static void look_after(struct keeper *k, bool save)
{
	for (size_t i = 0; i < k->session->torrent_count; i++) {
		struct session_torrent *st = &k->session->torrents[i];

		if (st->state != STATE_LEECHING)
			continue;
		if (torrent_complete(st->torrent))
			finish_download(st);
		else if (save && atomic_load(&st->unsaved))
			(void)inventory_save(st, false);
	}
}

static void *run(void *arg)
{
	struct keeper *k = arg;
	struct timespec due;

	clock_gettime(CLOCK_MONOTONIC, &due);
	due.tv_sec += KEEPER_SAVE_MS / 1000;
	pthread_mutex_lock(&k->lock);
	while (!k->closed) {
		bool save = false;

		while (!k->poked && !k->closed && !save)
			save = pthread_cond_timedwait(
				       &k->changed, &k->lock, &due) != 0;
		k->poked = false;
		if (k->closed)
			break;
		pthread_mutex_unlock(&k->lock);
		look_after(k, save);
		if (save) {
			clock_gettime(CLOCK_MONOTONIC, &due);
			due.tv_sec += KEEPER_SAVE_MS / 1000;
		}
		pthread_mutex_lock(&k->lock);
	}
	pthread_mutex_unlock(&k->lock);
	return NULL;
}

struct keeper *keeper_start(const struct session_context *session)
{
	struct keeper *k = calloc(1, sizeof(*k));
	pthread_condattr_t attr;

	if (!k)
		return NULL;
	k->session = session;
	pthread_mutex_init(&k->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&k->changed, &attr);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&k->thread, NULL, run, k) == 0)
		return k;
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	free(k);
	return NULL;
}

void keeper_poke(struct keeper *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	k->poked = true;
	pthread_cond_signal(&k->changed);
	pthread_mutex_unlock(&k->lock);
}

void keeper_destroy(struct keeper *k)
{
	if (!k)
		return;
	pthread_mutex_lock(&k->lock);
	k->closed = true;
	pthread_cond_signal(&k->changed);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	free(k);
}
