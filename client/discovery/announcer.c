#include "client/discovery/announcer.h"

#include <pthread.h>
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

	/* At the end an announce under way may still be answered: else a
	 * tracker would not hear of what takes no longer than it does. */
	GRACE_MS = 300,

	/* For libcurl, TLS, and a reply with all its peers. */
	STACK_SIZE = 256 * 1024,
};

struct tracker {
	const char *url; /* the metainfo's */
	uint8_t id_len;  /* to be sent back (BEP 3), as it came last */
	uint8_t id[100];
};

/* How asking a tracker went. */
struct outcome {
	bool answered;  /* with more than a failure reason */
	bool cut_short; /* no failure: we are stopping */
	bool on_loopback;
	struct error err;
	struct announce_reply reply;
};

/* A tracker that is being asked, by a thread of its own. */
struct ask {
	struct ask *next; /* guarded by the announcer's lock */
	struct announcer *announcer;
	size_t tracker;
	enum announce_event event;
	bool scrape;
	struct announce announce; /* made before the thread is */
	bool has_thread;
	pthread_t thread;

	/* When it gives up, on clock_ms(): brought forward by announcer_stop.
	 */
	_Atomic uint64_t give_up_ms;

	bool over;              /* guarded by the announcer's lock */
	struct outcome outcome; /* the asking thread's, until `over` */
};

struct announcer {
	/* Set once, by start. */
	struct announcer_options options;
	struct endpoint bind;
	bool has_thread;
	pthread_t thread;

	pthread_mutex_t lock;
	/* With `lock`: the schedule was told something, or an ask is over. */
	pthread_cond_t changed;

	/* Guarded by `lock`. */
	struct announce_schedule *schedule;
	struct ask *asks; /* under way; its thread alone adds and takes away */
	bool hungry;
	bool stopping;
	uint64_t stop_ms; /* the end of stopping, on clock_ms() */

	/* The thread's own, and not changed while a tracker is asked. */
	struct tracker trackers[]; /* as the schedule numbers them */
};

static bool is_udp(const char *url) { return strncasecmp(url, "udp:", 4) == 0; }

/* --- One ask: its own thread --- */

static bool ask_http(struct ask *k, const struct tracker *t)
{
	struct announcer *a = k->announcer;

	return http_tracker_announce(
		&(struct http_tracker_request){
			.url = t->url,
			.announce = &k->announce,
			.scrape = k->scrape,
			.tracker_id = {t->id, t->id_len},
			.bind = a->options.bind != NULL ? &a->bind : NULL,
			.give_up_ms = &k->give_up_ms,
		},
		&k->outcome.reply, &k->outcome.on_loopback, &k->outcome.err);
}

static bool ask_udp(struct ask *k, const struct tracker *t)
{
	struct announcer *a = k->announcer;

	return udp_tracker_announce(
		&(struct udp_tracker_request){
			.url = t->url,
			.announce = &k->announce,
			.scrape = k->scrape,
			.bind = a->options.bind != NULL ? &a->bind : NULL,
			.give_up_ms = &k->give_up_ms,
		},
		&k->outcome.reply, &k->outcome.on_loopback, &k->outcome.err);
}

static void *run_ask(void *ctx)
{
	struct ask *k = ctx;
	struct announcer *a = k->announcer;
	const struct tracker *t = &a->trackers[k->tracker];
	struct outcome *o = &k->outcome;

	o->answered = is_udp(t->url) ? ask_udp(k, t) : ask_http(k, t);
	if (o->reply.failure[0] != '\0') {
		error_set(&o->err, "%s", o->reply.failure);
		o->answered = false;
	}
	pthread_mutex_lock(&a->lock);
	k->over = true;
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

/* --- What comes of it: the announcer's thread --- */

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
static void deliver(struct announcer *a, struct ask *k)
{
	const struct announcer_options *to = &a->options;
	struct tracker *t = &a->trackers[k->tracker];
	struct outcome *o = &k->outcome;
	struct announcer_news news = {.url = t->url, .event = k->event};
	const struct announce_counts counts = {
		o->reply.counted, o->reply.seeders, o->reply.leechers};

	if (o->cut_short)
		return;
	if (k->scrape) {
		if (o->answered)
			to->counts(to->ctx, t->url, &counts);
		return;
	}
	if (!o->answered) {
		news.error = o->err.text;
		to->report(to->ctx, &news);
		return;
	}
	remember_id(t, &o->reply);
	filter_peers(o);
	news.peers = o->reply.peer_count;
	news.counts = counts;
	to->report(to->ctx, &news);
	if (k->event != ANNOUNCE_STOPPED && o->reply.peer_count > 0)
		to->peers(to->ctx, o->reply.peers, o->reply.peer_count);
}

static void note_locked(struct announcer *a, struct ask *k)
{
	struct outcome *o = &k->outcome;
	uint64_t now_ms = clock_ms();

	o->cut_short =
		!o->answered && a->stopping && k->event != ANNOUNCE_STOPPED;
	if (k->scrape)
		announce_schedule_counted(a->schedule, k->tracker, now_ms);
	else if (o->answered)
		announce_schedule_answered(a->schedule, k->tracker, now_ms,
			o->reply.interval_s, o->reply.min_interval_s,
			o->reply.counted);
	else
		announce_schedule_failed(
			a->schedule, k->tracker, now_ms, o->reply.retry_s);
}

/* Take one that is over off the list; NULL: none is. */
static struct ask *take_over_locked(struct announcer *a)
{
	for (struct ask **at = &a->asks; *at != NULL; at = &(*at)->next) {
		struct ask *k = *at;

		if (!k->over)
			continue;
		*at = k->next;
		note_locked(a, k);
		return k;
	}
	return NULL;
}

/* --- The announcer's thread --- */

static bool start_thread(pthread_t *ret, void *(*body)(void *), void *ctx)
{
	pthread_attr_t attr;
	bool ok;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	ok = pthread_create(ret, &attr, body, ctx) == 0;
	pthread_attr_destroy(&attr);
	return ok;
}

static void say_what(const struct announcer *a, enum announce_event event,
	struct announce *ret)
{
	*ret = (struct announce){
		.info_hash = a->options.m->info_hash,
	};
	ret->peer.port = a->options.port;
	a->options.fill(a->options.ctx, ret);
	memcpy(ret->peer_id, a->options.peer_id, sizeof(ret->peer_id));
	ret->key = a->options.key;
	ret->event = event;
	ret->compact = true;
	ret->no_peer_id = true;
	if (event == ANNOUNCE_STOPPED) {
		ret->numwant = 0;
		ret->numwant_named = true;
	}
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

/* On the list, so that announcer_stop finds it. */
static struct ask *add_ask_locked(struct announcer *a,
	const struct announce_turn *turn, bool scrape, uint64_t now_ms)
{
	struct ask *k = calloc(1, sizeof(*k));

	if (k == NULL)
		return NULL;
	k->announcer = a;
	k->tracker = turn->tracker;
	k->scrape = scrape;
	k->event = turn->event;
	k->give_up_ms = give_up_locked(a, now_ms, turn->left);
	k->next = a->asks;
	a->asks = k;
	return k;
}

static void begin(struct announcer *a, struct ask *k)
{
	say_what(a, k->event, &k->announce);
	k->has_thread = start_thread(&k->thread, run_ask, k);
	if (k->has_thread)
		return;
	error_set(&k->outcome.err, "no thread to ask it");
	pthread_mutex_lock(&a->lock);
	k->over = true;
	pthread_mutex_unlock(&a->lock);
}

static void finish(struct announcer *a, struct ask *k)
{
	if (k->has_thread)
		pthread_join(k->thread, NULL);
	deliver(a, k);
	free(k);
}

enum step { BEGIN, FINISH, END };

/* What the schedule says.  False: nothing before `*ret_ms`. */
static bool step_locked(struct announcer *a, enum step *ret, struct ask **ret_k,
	uint64_t *ret_ms)
{
	uint64_t now_ms = clock_ms();
	struct announce_turn turn;

	switch (announce_schedule_next(a->schedule, now_ms, &turn)) {
	case ANNOUNCE_SCHEDULE_ASK:
		*ret = BEGIN;
		*ret_ms = now_ms;
		*ret_k = add_ask_locked(a, &turn, false, now_ms);
		if (*ret_k == NULL)
			announce_schedule_failed(
				a->schedule, turn.tracker, now_ms, 0);
		return *ret_k != NULL;
	case ANNOUNCE_SCHEDULE_COUNT:
		*ret = BEGIN;
		*ret_ms = now_ms;
		*ret_k = add_ask_locked(a, &turn, true, now_ms);
		if (*ret_k == NULL)
			announce_schedule_counted(
				a->schedule, turn.tracker, now_ms);
		return *ret_k != NULL;
	case ANNOUNCE_SCHEDULE_WAIT:
		*ret_ms = turn.at_ms;
		return false;
	case ANNOUNCE_SCHEDULE_END:
		*ret = END;
		return true;
	}
	return false;
}

/* Wait for the next thing to do. */
static enum step next_step(struct announcer *a, struct ask **ret_k)
{
	enum step step = FINISH;

	pthread_mutex_lock(&a->lock);
	while ((*ret_k = take_over_locked(a)) == NULL) {
		uint64_t at_ms = UINT64_MAX;
		/* No time for more; those under way are about to give up. */
		bool late = a->stopping && clock_ms() >= a->stop_ms;

		if (late && a->asks == NULL) {
			step = END;
			break;
		}
		if (!late && step_locked(a, &step, ret_k, &at_ms))
			break;
		wait_until_locked(a, at_ms);
	}
	pthread_mutex_unlock(&a->lock);
	return step;
}

static void *run(void *ctx)
{
	struct announcer *a = ctx;
	struct ask *k;

	for (;;) {
		switch (next_step(a, &k)) {
		case BEGIN:
			begin(a, k);
			break;
		case FINISH:
			finish(a, k);
			break;
		case END:
			return NULL;
		}
	}
}

static void add_trackers(const struct metainfo *m, struct tracker *ret_trackers,
	struct announce_schedule_tracker *ret_scheduled)
{
	for (size_t i = 0; i < m->tracker_count; i++) {
		ret_trackers[i].url = m->trackers[i].url;
		ret_scheduled[i].tier = m->trackers[i].tier;
		ret_scheduled[i].dice = random_u32();
		ret_scheduled[i].can_count = is_udp(m->trackers[i].url) ||
			http_tracker_scrapes(m->trackers[i].url);
	}
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
	a->has_thread = a->schedule != NULL && count > 0 &&
		start_thread(&a->thread, run, a);
	if (a->schedule == NULL || (count > 0 && !a->has_thread)) {
		free_announcer(a);
		return NULL;
	}
	return a;
}

void announcer_one_at_a_time(struct announcer *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	announce_schedule_one_at_a_time(a->schedule);
	pthread_mutex_unlock(&a->lock);
}

void announcer_completed(struct announcer *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	announce_schedule_completed(a->schedule);
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

void announcer_hungry(struct announcer *a, bool hungry)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	if (hungry != a->hungry) {
		a->hungry = hungry;
		announce_schedule_hungry(a->schedule, hungry);
		pthread_cond_signal(&a->changed);
	}
	pthread_mutex_unlock(&a->lock);
}

void announcer_renew(struct announcer *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	announce_schedule_renew(a->schedule);
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

void announcer_count(struct announcer *a)
{
	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	announce_schedule_count(a->schedule);
	pthread_cond_signal(&a->changed);
	pthread_mutex_unlock(&a->lock);
}

void announcer_stop(struct announcer *a, unsigned timeout_ms)
{
	uint64_t now_ms = clock_ms();

	if (a == NULL)
		return;
	pthread_mutex_lock(&a->lock);
	if (a->stopping)
		goto out;
	a->stopping = true;
	a->stop_ms = now_ms + timeout_ms;
	announce_schedule_stop(a->schedule);
	for (struct ask *k = a->asks; k != NULL; k = k->next) {
		unsigned left_ms = k->scrape ? 0 : GRACE_MS;

		/* A `completed` on its way would have to be sent again if it
		 * were cut off, and might then be counted twice. */
		if (k->event == ANNOUNCE_COMPLETED)
			left_ms = timeout_ms / 2;
		if (left_ms > timeout_ms)
			left_ms = timeout_ms;
		if (now_ms + left_ms < k->give_up_ms)
			k->give_up_ms = now_ms + left_ms;
	}
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
