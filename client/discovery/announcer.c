#include "client/discovery/announcer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "client/discovery/announce_schedule.h"
#include "client/discovery/http_tracker.h"
#include "client/discovery/udp_tracker.h"
#include "shared/clock.h"
#include "shared/metainfo.h"
#include "shared/random_bytes.h"

enum {
	/* A tracker that hangs is passed over within 30 s: some are left for
	 * the next one. */
	ASK_MS = 25 * 1000,

	/* For libcurl, TLS, and a reply with all its peers. */
	STACK_SIZE = 256 * 1024,
};

struct tracker {
	const char *url; /* the metainfo's */
	uint8_t id_len;  /* to be sent back (BEP 3), as it came last */
	uint8_t id[100];
};

struct announcer {
	/* Set once, by start. */
	struct announcer_options options;
	struct endpoint bind;
	bool has_thread;
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t
		changed; /* with `lock`: the schedule was told something */

	/* Guarded by `lock`. */
	struct announce_schedule *schedule;
	bool stopping;
	uint64_t stop_ms;          /* the end of stopping, on clock_ms() */
	enum announce_event event; /* of the announce under way */

	/* When the announce under way gives up: written under `lock`, read by
	 * the one who waits for the tracker. */
	_Atomic uint64_t give_up_ms;

	/* The thread's own. */
	struct tracker trackers[]; /* as the schedule numbers them */
};

/* How an announce went. */
struct outcome {
	bool answered;  /* with more than a failure reason */
	bool cut_short; /* no failure: we are stopping */
	bool on_loopback;
	struct error err;
	struct announce_reply reply;
};

static void say_what(const struct announcer *a, enum announce_event event,
	struct announce *ret)
{
	*ret = (struct announce){
		.info_hash = a->options.m->info_hash,
		.numwant = ANNOUNCE_DEFAULT_NUMWANT,
	};
	ret->peer.port = a->options.port;
	a->options.fill(a->options.ctx, ret);
	memcpy(ret->peer_id, a->options.peer_id, sizeof(ret->peer_id));
	ret->key = a->options.key;
	ret->event = event;
	ret->compact = true;
	ret->no_peer_id = true;
	if (event == ANNOUNCE_STOPPED)
		ret->numwant = 0;
}

static bool ask_http(const struct announcer *a, const struct tracker *t,
	const struct announce *announce, struct outcome *ret)
{
	return http_tracker_announce(
		&(struct http_tracker_request){
			.url = t->url,
			.announce = announce,
			.tracker_id = {t->id, t->id_len},
			.bind = a->options.bind != NULL ? &a->bind : NULL,
			.give_up_ms = &a->give_up_ms,
		},
		&ret->reply, &ret->on_loopback, &ret->err);
}

static bool ask_udp(const struct announcer *a, const struct tracker *t,
	const struct announce *announce, struct outcome *ret)
{
	return udp_tracker_announce(
		&(struct udp_tracker_request){
			.url = t->url,
			.announce = announce,
			.bind = a->options.bind != NULL ? &a->bind : NULL,
			.give_up_ms = &a->give_up_ms,
		},
		&ret->reply, &ret->on_loopback, &ret->err);
}

static void ask(struct announcer *a, const struct tracker *t,
	enum announce_event event, struct outcome *ret)
{
	bool udp = strncasecmp(t->url, "udp:", 4) == 0;
	struct announce announce;

	say_what(a, event, &announce);
	ret->answered = udp ? ask_udp(a, t, &announce, ret)
			    : ask_http(a, t, &announce, ret);
	if (ret->reply.failure[0] != '\0') {
		error_set(&ret->err, "%s", ret->reply.failure);
		ret->answered = false;
	}
}

static void remember_id(struct tracker *t, const struct announce_reply *reply)
{
	_Static_assert(sizeof(t->id) == sizeof(reply->tracker_id), "");

	if (reply->tracker_id_len == 0)
		return; /* BEP 3: the old one stays */
	memcpy(t->id, reply->tracker_id, reply->tracker_id_len);
	t->id_len = reply->tracker_id_len;
}

/* Leave out whom nobody should dial. */
static void filter_peers(struct outcome *o)
{
	struct announce_reply *r = &o->reply;
	size_t kept = 0;

	for (size_t i = 0; i < r->peer_count; i++) {
		const struct endpoint *e = &r->peers[i];

		if (endpoint_dialable(e) &&
			(o->on_loopback || !endpoint_is_loopback(e)))
			r->peers[kept++] = *e;
	}
	r->peer_count = kept;
}

/* Hand on what came; without the lock. */
static void deliver(struct announcer *a, struct tracker *t,
	enum announce_event event, struct outcome *o)
{
	const struct announcer_options *to = &a->options;

	if (o->cut_short)
		return;
	if (!o->answered) {
		to->report(to->ctx, t->url, event, 0, o->err.text);
		return;
	}
	remember_id(t, &o->reply);
	filter_peers(o);
	to->report(to->ctx, t->url, event, o->reply.peer_count, NULL);
	if (event != ANNOUNCE_STOPPED && o->reply.peer_count > 0)
		to->peers(to->ctx, o->reply.peers, o->reply.peer_count);
}

static void wait_until_locked(struct announcer *a, uint64_t at_ms)
{
	/* The condition runs on CLOCK_MONOTONIC, as clock_ms() does. */
	struct timespec until = {
		.tv_sec = (time_t)(at_ms / 1000),
		.tv_nsec = (long)(at_ms % 1000) * 1000000,
	};

	if (at_ms == UINT64_MAX)
		pthread_cond_wait(&a->changed, &a->lock);
	else
		pthread_cond_timedwait(&a->changed, &a->lock, &until);
}

/* When an announce that begins now must be over: while stopping, all that are
 * still to come share the time. */
static uint64_t give_up_locked(
	const struct announcer *a, uint64_t now_ms, size_t left)
{
	if (!a->stopping)
		return now_ms + ASK_MS;
	if (now_ms >= a->stop_ms)
		return now_ms;
	return now_ms + (a->stop_ms - now_ms) / (left + 1);
}

/* Wait for the next thing to do.  False: the end. */
static bool next_turn(struct announcer *a, struct announce_turn *ret)
{
	enum announce_schedule_step step;
	uint64_t now_ms;

	pthread_mutex_lock(&a->lock);
	for (;;) {
		now_ms = clock_ms();
		step = announce_schedule_next(a->schedule, now_ms, ret);
		if (step != ANNOUNCE_SCHEDULE_WAIT)
			break;
		wait_until_locked(a, ret->at_ms);
	}
	bool go = step == ANNOUNCE_SCHEDULE_ASK &&
		!(a->stopping && now_ms >= a->stop_ms);
	if (go) {
		a->event = ret->event;
		a->give_up_ms = give_up_locked(a, now_ms, ret->left);
	}
	pthread_mutex_unlock(&a->lock);
	return go;
}

static void note(struct announcer *a, struct outcome *o)
{
	pthread_mutex_lock(&a->lock);
	o->cut_short =
		!o->answered && a->stopping && a->event != ANNOUNCE_STOPPED;
	if (o->answered)
		announce_schedule_answered(a->schedule, clock_ms(),
			o->reply.interval_s, o->reply.min_interval_s);
	else
		announce_schedule_failed(
			a->schedule, clock_ms(), o->reply.retry_s);
	pthread_mutex_unlock(&a->lock);
}

static void take_turn(struct announcer *a, const struct announce_turn *turn)
{
	struct tracker *t = &a->trackers[turn->tracker];
	struct outcome o = {0};

	ask(a, t, turn->event, &o);
	note(a, &o);
	deliver(a, t, turn->event, &o);
}

static void *run(void *ctx)
{
	struct announcer *a = ctx;
	struct announce_turn turn;

	while (next_turn(a, &turn))
		take_turn(a, &turn);
	return NULL;
}

static void add_trackers(const struct metainfo *m, struct tracker *ret_trackers,
	struct announce_schedule_tracker *ret_scheduled)
{
	for (size_t i = 0; i < m->tracker_count; i++) {
		ret_trackers[i].url = m->trackers[i].url;
		ret_scheduled[i].tier = m->trackers[i].tier;
		ret_scheduled[i].dice = random_u32();
	}
}

static bool start_thread(struct announcer *a)
{
	pthread_attr_t attr;
	bool ok;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	ok = pthread_create(&a->thread, &attr, run, a) == 0;
	pthread_attr_destroy(&attr);
	return ok;
}

static void init_lock(struct announcer *a)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&a->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&a->changed, &attr);
	pthread_condattr_destroy(&attr);
}

static void free_announcer(struct announcer *a)
{
	announce_schedule_destroy(a->schedule);
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
}

struct announcer *announcer_start(const struct announcer_options *o)
{
	struct announce_schedule_tracker scheduled[METAINFO_MAX_TRACKERS];
	size_t count = o->m->tracker_count;
	struct announcer *a =
		calloc(1, sizeof(*a) + count * sizeof(a->trackers[0]));

	if (a == NULL)
		return NULL;
	a->options = *o;
	if (o->bind != NULL)
		a->bind = *o->bind;
	init_lock(a);

	add_trackers(o->m, a->trackers, scheduled);
	a->schedule = announce_schedule_create(scheduled, count, clock_ms());
	a->has_thread = a->schedule != NULL && count > 0 && start_thread(a);
	if (a->schedule == NULL || (count > 0 && !a->has_thread)) {
		free_announcer(a);
		return NULL;
	}
	return a;
}

void announcer_completed(struct announcer *a)
{
	pthread_mutex_lock(&a->lock);
	announce_schedule_completed(a->schedule);
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

void announcer_hungry(struct announcer *a)
{
	pthread_mutex_lock(&a->lock);
	announce_schedule_hungry(a->schedule);
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

void announcer_stop(struct announcer *a, unsigned timeout_ms)
{
	uint64_t now_ms = clock_ms();
	uint64_t give_up_ms = now_ms;

	pthread_mutex_lock(&a->lock);
	if (a->stopping)
		goto out;
	a->stopping = true;
	a->stop_ms = now_ms + timeout_ms;
	announce_schedule_stop(a->schedule);

	/* A `completed` on its way would have to be sent again if it were cut
	 * off, and might then be counted twice. */
	if (a->event == ANNOUNCE_COMPLETED)
		give_up_ms += timeout_ms / 2;
	if (give_up_ms < a->give_up_ms)
		a->give_up_ms = give_up_ms;
	pthread_cond_signal(&a->changed);
out:
	pthread_mutex_unlock(&a->lock);
}

void announcer_destroy(struct announcer *a)
{
	if (a == NULL)
		return;
	if (a->has_thread)
		pthread_join(a->thread, NULL);
	free_announcer(a);
}
