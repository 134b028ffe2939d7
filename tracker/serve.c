#include "tracker/serve.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "shared/clock.h"
#include "shared/cores.h"
#include "shared/log.h"
#include "shared/metainfo.h"
#include "shared/random_bytes.h"
#include "shared/stop_signals.h"
#include "tracker/address_limit.h"
#include "tracker/allow_list.h"
#include "tracker/announce.h"
#include "tracker/counters.h"
#include "tracker/front_http.h"
#include "tracker/front_udp.h"
#include "tracker/listen_plan.h"
#include "tracker/machine.h"
#include "tracker/notices.h"
#include "tracker/passkeys.h"
#include "tracker/settings.h"
#include "tracker/state_file.h"
#include "tracker/state_keeper.h"
#include "tracker/store_memory.h"
#include "tracker/store_redis.h"
#include "tracker/swarm_store.h"
#include "tracker/trusted_proxies.h"

enum {
	EXIT_USAGE = 2,
	THREADS_FOR_REDIS = 4, /* a core */

	PORT_TRIES = 10,
	TICK_S = 1,
	EXPIRE_EVERY_S = 10, /* or more often, when peers time out sooner */

	/* A minute, of one public address: more than 10,000 clients with 90
	 * torrents each, behind one address, make in half an hour; and a
	 * machine with 6,000 torrents of its own may begin with all of them. */
	ANNOUNCE_LIMIT = 30000,
	SWARM_LIMIT = 6000,

	/* Of the connections that there may be, so many has one address. */
	CONNECTION_SHARE = 4,
};

/* What runs. */
struct tracker {
	struct counters counters;
	struct allow_list *allowed;
	struct swarm_store *store;
	struct state_keeper *keeper;          /* NULL: no state is kept */
	struct passkeys *passkeys;            /* NULL: none is wanted */
	struct address_limit *announce_limit; /* NULL: none */
	struct address_limit *swarm_limit;    /* NULL: none */
	struct trusted_proxies proxies;
	struct announce_rules rules;
	uint64_t started_ms;
	uint64_t peer_timeout_s;
	uint64_t ticked_ms;
	uint64_t expired_s; /* when expiry was begun last */
	struct listen_plan plan;
	struct front_http *http[LISTEN_PLAN_MAX]; /* NULL: switched off */
	struct front_udp *udp[LISTEN_PLAN_MAX];   /* the same */
};

/* Where to listen.  False with *ret_status: bad usage, or a torrent that says
 * nothing useful. */
static bool plan_listening(const struct settings *s, struct listen_plan *ret,
	int *ret_status, struct error *err)
{
	struct metainfo m;
	struct error why;

	*ret_status = EXIT_USAGE;
	if (s->listen.count > 0)
		return listen_plan_of_options(
			s->listen.items, s->listen.count, ret, err);
	if (s->torrents.count == 0) {
		*ret = listen_plan_of_port(LISTEN_DEFAULT_PORT);
		return true;
	}

	*ret_status = EXIT_FAILURE;
	if (!metainfo_load(s->torrents.items[0], &m, err))
		return false;
	bool ok = listen_plan_of_url(
		m.tracker_count > 0 ? m.trackers[0].url : "", ret, &why);
	metainfo_finish(&m);
	return ok || error_set(err, "%s: %s", s->torrents.items[0], why.text);
}

/* --- Running --- */

static bool start_http(struct tracker *t, const struct settings *s, size_t i,
	unsigned threads, unsigned max_connections, struct error *err)
{
	unsigned share = max_connections / CONNECTION_SHARE + 1;

	/* All that comes by a proxy comes from one address. */
	if (t->proxies.count > 0)
		share = 0;
	if (s->connection_limit != SETTINGS_UNSAID)
		share = (unsigned)s->connection_limit;

	struct front_http_options o = {
		.listen = t->plan.at[i],
		.threads = threads,
		.max_connections = max_connections,
		.max_per_address = share,
		.rules = &t->rules,
		.proxies = &t->proxies,
		.started_ms = t->started_ms,
	};

	t->http[i] = front_http_start(&o, &t->plan.at[i], err);
	return t->http[i];
}

static bool start_udp(
	struct tracker *t, size_t i, unsigned threads, struct error *err)
{
	struct front_udp_options o = {
		.listen = t->plan.at[i],
		.threads = threads,
		.rules = &t->rules,
	};

	t->udp[i] = front_udp_start(&o, &t->plan.at[i], err);
	return t->udp[i];
}

/* Both fronts on one port.  The system chose it for TCP if it was to be any,
 * and then somebody may have it for UDP: that is worth another try. */
static bool start_pair(struct tracker *t, const struct settings *s, size_t i,
	unsigned threads, unsigned max_connections, struct error *err)
{
	struct endpoint wanted = t->plan.at[i];

	for (int tries = 0; tries < PORT_TRIES; tries++) {
		t->plan.at[i] = wanted;
		if (!s->no_http &&
			!start_http(t, s, i, threads, max_connections, err))
			return false;
		if (s->no_udp || start_udp(t, i, threads, err))
			return true;
		if (s->no_http || wanted.port != 0)
			return false;
		front_http_stop(t->http[i]);
		t->http[i] = NULL;
	}
	return false;
}

static bool start_fronts(struct tracker *t, const struct settings *s,
	unsigned threads, struct error *err)
{
	const struct machine_needs needs = {
		.fronts = t->plan.count,
		.threads = threads,
		.with_redis = s->in_redis,
	};
	unsigned max_connections = 0;

	if (!machine_connections(
		    &needs, SETTINGS_MAX_CONNECTIONS, &max_connections, err))
		return false;
	for (size_t i = 0; i < t->plan.count; i++) {
		if (!start_pair(t, s, i, threads, max_connections, err))
			return false;
	}
	for (size_t i = 0; i < t->plan.count; i++) {
		if (t->http[i])
			notice_listening(s->json, "http", &t->plan.at[i]);
		if (t->udp[i])
			notice_listening(s->json, "udp", &t->plan.at[i]);
	}
	return true;
}

/* NULL with true: no limit. */
static bool make_limit(uint64_t said, uint32_t otherwise,
	struct address_limit **ret, struct error *err)
{
	struct address_limit_options o = {
		.per_minute =
			said == SETTINGS_UNSAID ? otherwise : (uint32_t)said,
		.spare_private = said == SETTINGS_UNSAID,
		.seed = random_u64(),
	};

	if (said == 0)
		return true;
	*ret = address_limit_create(&o);
	return *ret || error_set(err, "limits: out of memory");
}

/* What may take seconds where there is much of it. */
static bool read_lists(
	struct tracker *t, const struct settings *s, struct error *err)
{
	if (s->passkeys) {
		t->passkeys = passkeys_create(s->passkeys, err);
		if (!t->passkeys)
			return false;
	}
	t->allowed = allow_list_create(
		s->torrents.items, s->torrents.count, s->allow_dir, err);
	return t->allowed;
}

static bool make_limits(
	struct tracker *t, const struct settings *s, struct error *err)
{
	return make_limit(s->announce_limit, ANNOUNCE_LIMIT, &t->announce_limit,
		       err) &&
		make_limit(s->swarm_limit, SWARM_LIMIT, &t->swarm_limit, err);
}

static struct state_times times_now(void)
{
	return (struct state_times){clock_ms() / 1000, (uint64_t)clock_wall()};
}

/* The store in memory, with the swarms of the last run. */
static bool restore(
	struct tracker *t, const struct settings *s, struct error *err)
{
	struct state_times times = times_now();
	struct state_loaded loaded;

	t->store = store_memory_create(
		s->max_peers > 0 ? (size_t)s->max_peers : machine_peers(),
		s->peer_timeout_s);
	if (!t->store)
		return error_set(err, "store: out of memory");
	if (!s->state)
		return true;
	if (!state_file_load(s->state, t->store, &times, s->peer_timeout_s,
		    &loaded, err))
		return false;
	if (loaded.damage.text[0] != '\0')
		notice_warning(loaded.damage.text);
	notice_restored(s->json, &loaded);
	return true;
}

/* What keeps the swarms: for the next run, or for other trackers. */
static bool start_store(
	struct tracker *t, const struct settings *s, struct error *err)
{
	const struct store_redis_options o = {
		.url = &s->redis, .keep_s = s->peer_timeout_s};

	if (s->in_redis) {
		t->store = store_redis_create(&o, err);
		return t->store;
	}
	if (!s->state)
		return true;
	t->keeper = state_keeper_start(s->state, t->store, s->state_interval_s);
	return t->keeper || error_set(err, "%s: out of memory", s->state);
}

/* Nobody is served any more: what is known now is what the next run begins
 * with. */
static bool save(struct tracker *t, const struct settings *s, struct error *err)
{
	struct state_times times = times_now();

	if (!t->keeper)
		return true;
	state_keeper_stop(t->keeper);
	t->keeper = NULL;
	return state_file_save(s->state, t->store, &times, NULL, err);
}

/* Half of the cores, for HTTP and for UDP: most of an announce's time goes in
 * the kernel, and who asks, or else is on the machine, wants a core, too.  With
 * a thread for each core they wait for one another, and wake more often for
 * fewer announces.  But a thread that waits for Redis does not use a core. */
static unsigned thread_count(const struct settings *s)
{
	unsigned cores = cores_count();
	unsigned count =
		s->in_redis ? cores * THREADS_FOR_REDIS : (cores + 1) / 2;

	if (s->threads > 0)
		return (unsigned)s->threads;
	return count < SETTINGS_MAX_THREADS ? count : SETTINGS_MAX_THREADS;
}

/* It works, but hardly as it was meant. */
static void warn_of_odd_settings(const struct settings *s)
{
	char text[200];

	if (s->peer_timeout_s >= s->interval_s)
		return;
	snprintf(text, sizeof(text),
		"--peer-timeout: %" PRIu64 " s is less than the interval of "
		"%" PRIu64 " s, so peers are dropped before they come again",
		s->peer_timeout_s, s->interval_s);
	notice_warning(text);
}

static bool start(struct tracker *t, const struct settings *s,
	uint32_t interval_s, struct error *err)
{
	t->started_ms = clock_ms();
	t->peer_timeout_s = s->peer_timeout_s;
	if (!make_limits(t, s, err) || !start_store(t, s, err))
		return false;
	t->rules = (struct announce_rules){
		.store = t->store,
		.allowed = t->allowed,
		.passkeys = t->passkeys,
		.announce_limit = t->announce_limit,
		.swarm_limit = t->swarm_limit,
		.counters = &t->counters,
		.interval_s = interval_s,
	};
	return start_fronts(t, s, thread_count(s), err);
}

static void stop_fronts(struct tracker *t)
{
	for (size_t i = t->plan.count; i-- > 0;) {
		front_udp_stop(t->udp[i]);
		front_http_stop(t->http[i]);
	}
}

static void finish(struct tracker *t, const struct settings *s)
{
	state_keeper_stop(t->keeper);
	/* Millions of swarms in memory are not freed one by one, which would
	 * take seconds: the process ends, and the system takes all at once. */
	if (s->in_redis)
		swarm_store_destroy(t->store);
	address_limit_destroy(t->swarm_limit);
	address_limit_destroy(t->announce_limit);
	passkeys_destroy(t->passkeys);
	allow_list_destroy(t->allowed);
}

static void tick(struct tracker *t)
{
	uint64_t timeout_s = t->peer_timeout_s;
	uint64_t now_ms = clock_ms();
	uint64_t now_s = now_ms / 1000;
	struct error err;

	t->ticked_ms = now_ms;
	for (size_t i = 0; i < t->plan.count; i++) {
		if (t->http[i])
			front_http_tick(t->http[i], now_ms);
	}
	if (now_s - t->expired_s < EXPIRE_EVERY_S &&
		now_s - t->expired_s < timeout_s / 4)
		return;
	t->expired_s = now_s;
	/* Which may be before 0: peers of another run, or of another machine,
	 * were here before our clock. */
	if (!swarm_store_expire(t->store, now_s - timeout_s, &err))
		log_warning("%s", err.text);
}

/* Between two torrents: what is to be done meanwhile, and whether to go on. */
static bool keep_ticking(void *cls)
{
	struct tracker *t = cls;
	sigset_t pending;

	if (clock_ms() - t->ticked_ms >= TICK_S * 1000)
		tick(t);
	return sigpending(&pending) != 0 ||
		(!sigismember(&pending, SIGINT) &&
			!sigismember(&pending, SIGTERM));
}

/* What cannot be read stays as it was. */
static void reload(struct tracker *t)
{
	struct error err;

	if (!allow_list_reload(t->allowed, keep_ticking, t, &err))
		notice_warning(err.text);
	if (!keep_ticking(t))
		return;
	if (t->passkeys && !passkeys_reload(t->passkeys, &err))
		notice_warning(err.text);
}

/* Until SIGINT or SIGTERM. */
static void run(struct tracker *t, const sigset_t *signals)
{
	static const struct timespec wait = {.tv_sec = TICK_S};
	int number = 0;

	t->expired_s = clock_ms() / 1000;
	while (number != SIGINT && number != SIGTERM) {
		number = sigtimedwait(signals, NULL, &wait);
		if (number == SIGHUP)
			reload(t);
		tick(t);
	}
}

/* Blocked here, they are blocked in all threads to come; run() waits for
 * them. */
static sigset_t hold_signals(void)
{
	sigset_t signals = stop_signals();

	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return signals;
}

/* A reload that is wanted before all is read comes afterwards. */
static void hold_reload(void)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static int run_tracker(const struct settings *s, struct error *err)
{
	static struct tracker t; /* to the end of the process, as its store */
	int status = EXIT_FAILURE;

	if (!trusted_proxies_of_options(s->trust_proxy.items,
		    s->trust_proxy.count, &t.proxies, err))
		return EXIT_USAGE;
	if (!plan_listening(s, &t.plan, &status, err))
		return status;

	signal(SIGPIPE, SIG_IGN);
	hold_reload();
	/* There may be much to read. */
	stop_signals_end_at_first("tbt-tracker: stopped: before it began\n");
	bool ok =
		read_lists(&t, s, err) && (s->in_redis || restore(&t, s, err));
	sigset_t signals = hold_signals();
	ok = ok && start(&t, s, (uint32_t)s->interval_s, err);
	if (ok)
		warn_of_odd_settings(s);
	if (ok)
		run(&t, &signals);
	stop_signals_end_at_second(ok);
	stop_fronts(&t);
	/* Not when we failed to start: the file may be somebody else's. */
	ok = ok && save(&t, s, err);
	finish(&t, s);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int print_help(void)
{
	puts("usage: tbt-tracker serve [options]\n");
	settings_print_help();
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int serve(int argc, char **argv)
{
	struct settings s;
	struct error err;
	int status = EXIT_USAGE;

	bool ok = settings_parse(argc, argv, &s, &err);
	if (ok && s.help) {
		status = print_help();
	} else {
		if (s.json)
			notice_warnings_as_events();
		if (ok)
			status = run_tracker(&s, &err);
		if (status != EXIT_SUCCESS)
			notice_error(s.json, &err);
	}
	settings_finish(&s);
	return status;
}
