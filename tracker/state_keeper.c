#include "tracker/state_keeper.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/log.h"
#include "shared/text.h"
#include "tracker/state_file.h"

struct state_keeper {
	/* Set once, by start. */
	const char *path;
	struct swarm_store *store;
	uint64_t interval_s;
	pthread_t thread;

	atomic_bool cut_short; /* also read in the midst of saving */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* with `lock`: stopping was set */
	bool stopping;          /* guarded by `lock` */
};

/* False: it is to end. */
static bool wait_for_turn(struct state_keeper *k)
{
	struct timespec until;
	int rc = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += (time_t)k->interval_s;
	pthread_mutex_lock(&k->lock);
	while (!k->stopping && rc == 0)
		rc = pthread_cond_timedwait(&k->changed, &k->lock, &until);
	bool go_on = !k->stopping;
	pthread_mutex_unlock(&k->lock);
	return go_on;
}

static void *run(void *arg)
{
	struct state_keeper *k = arg;

	while (wait_for_turn(k)) {
		struct state_times times = {
			clock_ms() / 1000, (uint64_t)clock_wall()};
		char shown[4 * sizeof(struct error)];
		struct error err;

		if (!state_file_save(
			    k->path, k->store, &times, &k->cut_short, &err) &&
			!atomic_load(&k->cut_short))
			log_warning("%s",
				text_escape_str(
					err.text, shown, sizeof(shown)));
	}
	return NULL;
}

struct state_keeper *state_keeper_start(
	const char *path, struct swarm_store *store, uint64_t interval_s)
{
	struct state_keeper *k = calloc(1, sizeof(*k));
	pthread_condattr_t attributes;

	if (!k)
		return NULL;
	k->path = path;
	k->store = store;
	k->interval_s = interval_s;
	pthread_condattr_init(&attributes);
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_cond_init(&k->changed, &attributes);
	pthread_condattr_destroy(&attributes);
	pthread_mutex_init(&k->lock, NULL);
	if (pthread_create(&k->thread, NULL, run, k) != 0) {
		pthread_cond_destroy(&k->changed);
		pthread_mutex_destroy(&k->lock);
		free(k);
		return NULL;
	}
	return k;
}

void state_keeper_stop(struct state_keeper *k)
{
	if (!k)
		return;
	atomic_store(&k->cut_short, true);
	pthread_mutex_lock(&k->lock);
	k->stopping = true;
	pthread_cond_broadcast(&k->changed);
	pthread_mutex_unlock(&k->lock);
	pthread_join(k->thread, NULL);
	pthread_cond_destroy(&k->changed);
	pthread_mutex_destroy(&k->lock);
	free(k);
}
