#include "tracker/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "shared/clock.h"
#include "shared/event_line.h"
#include "shared/log.h"
#include "shared/metainfo.h"
#include "shared/options.h"
#include "shared/random_bytes.h"
#include "shared/stop_signals.h"
#include "shared/text.h"
#include "tracker/address_limit.h"
#include "tracker/allow_list.h"
#include "tracker/announce.h"
#include "tracker/counters.h"
#include "tracker/front_http.h"
#include "tracker/front_udp.h"
#include "tracker/listen_plan.h"
#include "tracker/passkeys.h"
#include "tracker/redis_url.h"
#include "tracker/state_file.h"
#include "tracker/state_keeper.h"
#include "tracker/store_memory.h"
#include "tracker/store_redis.h"
#include "tracker/swarm_store.h"
#include "tracker/trusted_proxies.h"

enum {
	EXIT_USAGE = 2,
	MAX_THREADS = 256,
	THREADS_FOR_REDIS = 4, /* a core */
	MAX_PEERS = 1000 * 1000 * 1000,
	MAX_INTERVAL_S = 7 * 24 * 3600,

	PORT_TRIES = 10,
	TICK_S = 1,
	EXPIRE_EVERY_S = 10, /* or more often, when peers time out sooner */

	/* Descriptors: at most so many are wanted; so many are for the standard
	 * ones and torrents read at SIGHUP; and each thread has a listener and
	 * two to wait with (HTTP), and a socket (UDP). */
	MAX_DESCRIPTORS = 65536,
	SPARE_DESCRIPTORS = 12,
	THREAD_DESCRIPTORS = 4,
	REDIS_DESCRIPTORS = 2, /* more: a connection of each HTTP and UDP one */

	/* A peer alone in its swarm, the dearest kind, takes about 200 bytes:
	 * all of them at most a quarter of the machine. */
	PEER_BYTES = 200,
	MEMORY_SHARE = 4,

	/* A minute, of one public address: more than 10,000 clients with 90
	 * torrents each, behind one address, make in half an hour; and a
	 * machine with 6,000 torrents of its own may begin with all of them. */
	ANNOUNCE_LIMIT = 30000,
	SWARM_LIMIT = 6000,

	/* Of the connections that there may be, so many has one address. */
	CONNECTION_SHARE = 4,
};

/* Of a limit that the operator has not set. */
static const uint64_t UNSAID = UINT64_MAX;

struct settings {
	struct option_list listen;
	struct option_list torrents;
	const char *allow_dir;
	const char *store;
	struct redis_url redis; /* where the store is, unless in memory */
	bool in_redis;
	uint64_t interval_s;
	uint64_t peer_timeout_s;
	uint64_t threads;   /* 0: not said */
	uint64_t max_peers; /* 0: not said */
	const char *state;
	uint64_t state_interval_s;
	const char *passkeys;
	struct option_list trust_proxy;
	uint64_t announce_limit; /* these three: 0: none; or UNSAID */
	uint64_t swarm_limit;
	uint64_t connection_limit;
	bool no_udp;
	bool no_http;
	bool json;
	bool help;
	struct option_list rest;
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
	struct listen_plan plan;
	struct front_http *http[LISTEN_PLAN_MAX]; /* NULL: switched off */
	struct front_udp *udp[LISTEN_PLAN_MAX];   /* the same */
};

/* --- Telling --- */

static void print_error(const struct settings *s, const struct error *err)
{
	char text[4 * sizeof(err->text)];

	text_escape_str(err->text, text, sizeof(text));
	fprintf(stderr, "tbt-tracker: %s\n", text);
	if (s->json) {
		struct event_line e;

		event_line_begin(&e, "error");
		event_line_text(&e, "message", err->text);
		event_line_print(&e, stdout);
	}
}

static void print_listening(const struct settings *s, const char *protocol,
	const struct endpoint *bound)
{
	char text[ENDPOINT_TEXT_SIZE];

	if (!s->json) {
		printf("tbt-tracker: listening on %s://%s/announce\n", protocol,
			endpoint_print(bound, text));
		fflush(stdout);
		return;
	}

	struct event_line e;
	event_line_begin(&e, "listening");
	event_line_text(&e, "address", endpoint_print_ip(bound, text));
	event_line_number(&e, "port", bound->port);
	event_line_text(&e, "protocol", protocol);
	event_line_print(&e, stdout);
}

/* --- Settings --- */

static bool check_store(struct settings *s, struct error *err)
{
	struct error why;

	s->in_redis = strcmp(s->store, "memory:") != 0;
	if (!s->in_redis)
		return true;
	if (!redis_url_parse(s->store, &s->redis, &why))
		return error_set(err, "--store: %s", why.text);
	if (s->max_peers > 0)
		return error_set(err,
			"--max-peers: is for --store memory:; Redis has "
			"maxmemory for that");
	return true;
}

static bool check(struct settings *s, struct error *err)
{
	char shown[64];

	if (s->rest.count > 0)
		return error_set(err, "serve: takes no argument '%s'",
			text_escape_str(
				s->rest.items[0], shown, sizeof(shown)));
	if (!check_store(s, err))
		return false;
	if (s->state && s->in_redis)
		return error_set(err,
			"--state: Redis keeps its own, only memory: needs it");
	if (s->no_http && s->no_udp)
		return error_set(err,
			"--no-http and --no-udp: nothing is left to serve");
	return true;
}

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

static size_t most_peers(void)
{
	long pages = sysconf(_SC_PHYS_PAGES);
	long page = sysconf(_SC_PAGESIZE);
	size_t memory = (size_t)1 << 30;

	if (pages > 0 && page > 0)
		memory = (size_t)pages * (size_t)page;
	return memory / MEMORY_SHARE / PEER_BYTES;
}

static unsigned core_count(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (cores < 1)
		return 1;
	return cores < MAX_THREADS ? (unsigned)cores : MAX_THREADS;
}

/* As many connections for each front as there are descriptors for, so that
 * accept() never runs out of them.  False: not even one a thread. */
static bool share_descriptors(const struct settings *s, size_t fronts,
	unsigned threads, unsigned *ret_connections, struct error *err)
{
	struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < MAX_DESCRIPTORS) {
		limit.rlim_cur = limit.rlim_max < MAX_DESCRIPTORS
			? limit.rlim_max
			: MAX_DESCRIPTORS;
		/* What we may not have we do without. */
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}

	size_t all = limit.rlim_cur < MAX_DESCRIPTORS ? limit.rlim_cur
						      : MAX_DESCRIPTORS;
	size_t each =
		THREAD_DESCRIPTORS + (s->in_redis ? REDIS_DESCRIPTORS : 0);
	size_t taken = SPARE_DESCRIPTORS + fronts * threads * each;
	if (all < taken + fronts * threads)
		return error_set(err,
			"open files: the limit of %zu is too low for %u "
			"threads",
			all, threads);
	*ret_connections = (unsigned)((all - taken) / fronts);
	return true;
}

/* --- Running --- */

static bool start_http(struct tracker *t, const struct settings *s, size_t i,
	unsigned threads, unsigned max_connections, struct error *err)
{
	unsigned share = max_connections / CONNECTION_SHARE + 1;

	/* All that comes by a proxy comes from one address. */
	if (t->proxies.count > 0)
		share = 0;
	if (s->connection_limit != UNSAID)
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
	unsigned max_connections = 0;

	if (!share_descriptors(
		    s, t->plan.count, threads, &max_connections, err))
		return false;
	for (size_t i = 0; i < t->plan.count; i++) {
		if (!start_pair(t, s, i, threads, max_connections, err))
			return false;
	}
	for (size_t i = 0; i < t->plan.count; i++) {
		if (t->http[i])
			print_listening(s, "http", &t->plan.at[i]);
		if (t->udp[i])
			print_listening(s, "udp", &t->plan.at[i]);
	}
	return true;
}

/* NULL with true: no limit. */
static bool make_limit(uint64_t said, uint32_t otherwise,
	struct address_limit **ret, struct error *err)
{
	struct address_limit_options o = {
		.per_minute = said == UNSAID ? otherwise : (uint32_t)said,
		.spare_private = said == UNSAID,
		.seed = random_u64(),
	};

	if (said == 0)
		return true;
	*ret = address_limit_create(&o);
	return *ret || error_set(err, "limits: out of memory");
}

static bool make_guards(
	struct tracker *t, const struct settings *s, struct error *err)
{
	if (s->passkeys) {
		t->passkeys = passkeys_create(s->passkeys, err);
		if (!t->passkeys)
			return false;
	}
	return make_limit(s->announce_limit, ANNOUNCE_LIMIT, &t->announce_limit,
		       err) &&
		make_limit(s->swarm_limit, SWARM_LIMIT, &t->swarm_limit, err);
}

static struct state_times times_now(void)
{
	return (struct state_times){clock_ms() / 1000, (uint64_t)clock_wall()};
}

static void print_restored(
	const struct settings *s, const struct state_loaded *l)
{
	struct event_line e;

	if (l->peers + l->expired == 0)
		return;
	if (!s->json) {
		printf("tbt-tracker: %zu peers are known from before, %zu were "
		       "too long ago\n",
			l->peers, l->expired);
		fflush(stdout);
		return;
	}
	event_line_begin(&e, "restored");
	event_line_number(&e, "peers", l->peers);
	event_line_number(&e, "expired", l->expired);
	event_line_print(&e, stdout);
}

static void print_warning(const struct settings *s, const char *text)
{
	char shown[4 * sizeof(struct error)];

	log_warning("%s", text_escape_str(text, shown, sizeof(shown)));
	if (s->json) {
		struct event_line e;

		event_line_begin(&e, "warning");
		event_line_text(&e, "message", text);
		event_line_print(&e, stdout);
	}
}

/* The swarms of the last run, and what keeps them for the next. */
static bool restore(
	struct tracker *t, const struct settings *s, struct error *err)
{
	struct state_times times = times_now();
	struct state_loaded loaded;

	if (!s->state)
		return true;
	if (!state_file_load(s->state, t->store, &times, s->peer_timeout_s,
		    &loaded, err))
		return false;
	if (loaded.damage.text[0] != '\0')
		print_warning(s, loaded.damage.text);
	print_restored(s, &loaded);
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

static struct swarm_store *make_store(
	const struct settings *s, struct error *err)
{
	const struct store_redis_options o = {
		.url = &s->redis, .keep_s = s->peer_timeout_s};
	struct swarm_store *store;

	if (s->in_redis)
		return store_redis_create(&o, err);
	store = store_memory_create(
		s->max_peers > 0 ? (size_t)s->max_peers : most_peers(),
		s->peer_timeout_s);
	if (!store)
		error_set(err, "store: out of memory");
	return store;
}

/* Half of the cores, for HTTP and for UDP: most of an announce's time goes in
 * the kernel, and who asks, or else is on the machine, wants a core, too.  With
 * a thread for each core they wait for one another, and wake more often for
 * fewer announces.  But a thread that waits for Redis does not use a core. */
static unsigned thread_count(const struct settings *s)
{
	unsigned cores = core_count();
	unsigned count =
		s->in_redis ? cores * THREADS_FOR_REDIS : (cores + 1) / 2;

	if (s->threads > 0)
		return (unsigned)s->threads;
	return count < MAX_THREADS ? count : MAX_THREADS;
}

static bool start(struct tracker *t, const struct settings *s,
	uint32_t interval_s, struct error *err)
{
	t->started_ms = clock_ms();
	if (!make_guards(t, s, err))
		return false;
	t->allowed = allow_list_create(
		s->torrents.items, s->torrents.count, s->allow_dir, err);
	if (!t->allowed)
		return false;
	t->store = make_store(s, err);
	if (!t->store)
		return false;
	if (!restore(t, s, err))
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

static void finish(struct tracker *t)
{
	state_keeper_stop(t->keeper);
	swarm_store_destroy(t->store);
	address_limit_destroy(t->swarm_limit);
	address_limit_destroy(t->announce_limit);
	passkeys_destroy(t->passkeys);
	allow_list_destroy(t->allowed);
}

/* What cannot be read stays as it was. */
static void reload(struct tracker *t, const struct settings *s)
{
	struct error err;

	if (!allow_list_reload(t->allowed, &err))
		print_warning(s, err.text);
	if (t->passkeys && !passkeys_reload(t->passkeys, &err))
		print_warning(s, err.text);
}

static void tick(struct tracker *t, uint64_t timeout_s, uint64_t *expired_s)
{
	uint64_t now_ms = clock_ms();
	uint64_t now_s = now_ms / 1000;
	struct error err;

	for (size_t i = 0; i < t->plan.count; i++) {
		if (t->http[i])
			front_http_tick(t->http[i], now_ms);
	}
	if (now_s - *expired_s < EXPIRE_EVERY_S &&
		now_s - *expired_s < timeout_s / 4)
		return;
	*expired_s = now_s;
	/* With a state, peers may be older than the clock: store_memory knows
	 * how to go below 0. */
	if ((now_s > timeout_s || t->keeper) &&
		!swarm_store_expire(t->store, now_s - timeout_s, &err))
		log_warning("%s", err.text);
}

/* Until SIGINT or SIGTERM. */
static void run(
	struct tracker *t, const struct settings *s, const sigset_t *signals)
{
	static const struct timespec wait = {.tv_sec = TICK_S};
	uint64_t expired_s = clock_ms() / 1000;
	int number = 0;

	while (number != SIGINT && number != SIGTERM) {
		number = sigtimedwait(signals, NULL, &wait);
		if (number == SIGHUP)
			reload(t, s);
		tick(t, s->peer_timeout_s, &expired_s);
	}
}

/* Blocked here, they are blocked in all threads to come; run() waits for
 * them. */
static sigset_t hold_signals(void)
{
	sigset_t signals = stop_signals();

	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signals;
}

static int run_tracker(const struct settings *s, struct error *err)
{
	struct tracker t = {0};
	int status = EXIT_FAILURE;

	if (!trusted_proxies_of_options(s->trust_proxy.items,
		    s->trust_proxy.count, &t.proxies, err))
		return EXIT_USAGE;
	if (!plan_listening(s, &t.plan, &status, err))
		return status;

	sigset_t signals = hold_signals();
	bool ok = start(&t, s, (uint32_t)s->interval_s, err);
	if (ok)
		run(&t, s, &signals);
	stop_signals_end_at_second(ok);
	stop_fronts(&t);
	/* Not when we failed to start: the file may be somebody else's. */
	ok = ok && save(&t, s, err);
	finish(&t);
	return ok ? EXIT_SUCCESS : EXIT_FAILURE;
}

int serve(int argc, char **argv)
{
	struct settings s = {
		.store = "memory:",
		.interval_s = 1800,
		.state_interval_s = 300,
		.announce_limit = UNSAID,
		.swarm_limit = UNSAID,
		.connection_limit = UNSAID,
	};
	const struct option table[] = {
		{'l', "listen", OPTION_LIST, &s.listen, "ADDR:PORT",
			"listen there for HTTP (TCP) and UDP (repeatable;\n"
			"port 0: any free one)\n"
			"default: 0.0.0.0:6969 and [::]:6969",
			0, 0},
		{'t', "torrent", OPTION_LIST, &s.torrents, "FILE",
			"track only these torrents (repeatable); without\n"
			"--listen the first one's announce URL says where",
			0, 0},
		{0, "allow-dir", OPTION_TEXT, &s.allow_dir, "DIR",
			"track only the torrents in this folder, which is\n"
			"read again on SIGHUP",
			0, 0},
		{0, "store", OPTION_TEXT, &s.store, "URL",
			"where peers are kept: memory: (the default), or\n"
			"redis://[USER:PASSWORD@]HOST:PORT[/DB], or\n"
			"unix:/PATH, for several trackers together",
			0, 0},
		{0, "interval", OPTION_NUMBER, &s.interval_s, "SECONDS",
			"announce interval told to peers; default: 1800", 1,
			MAX_INTERVAL_S},
		{0, "peer-timeout", OPTION_NUMBER, &s.peer_timeout_s, "SECONDS",
			"drop a peer unheard of for so long; default:\n"
			"twice the interval",
			1, 2 * MAX_INTERVAL_S},
		{0, "max-peers", OPTION_NUMBER, &s.max_peers, "N",
			"keep so many peers at most (in memory:); default: as\n"
			"many as fit in a quarter of the memory",
			1, MAX_PEERS},
		{0, "state", OPTION_TEXT, &s.state, "FILE",
			"keep the peers there over a restart (memory: only)", 0,
			0},
		{0, "state-interval", OPTION_NUMBER, &s.state_interval_s,
			"SECONDS",
			"save them so often, and at the end; default: 300", 1,
			MAX_INTERVAL_S},
		{0, "passkeys", OPTION_TEXT, &s.passkeys, "FILE",
			"for /announce/KEY only, with a key of this file,\n"
			"which is read again on SIGHUP",
			0, 0},
		{0, "trust-proxy", OPTION_LIST, &s.trust_proxy, "CIDR",
			"believe X-Forwarded-For of the proxies there\n"
			"(repeatable)",
			0, 0},
		{0, "announce-limit", OPTION_NUMBER, &s.announce_limit, "N",
			"announces a minute of one address; 0: no limit;\n"
			"default: 30000, and none for private addresses",
			0, ADDRESS_LIMIT_MAX},
		{0, "new-swarm-limit", OPTION_NUMBER, &s.swarm_limit, "N",
			"torrents a minute that one address may bring;\n"
			"0: no limit; default: 6000, and none for private\n"
			"addresses",
			0, ADDRESS_LIMIT_MAX},
		{0, "connection-limit", OPTION_NUMBER, &s.connection_limit, "N",
			"HTTP connections of one address; 0: no limit;\n"
			"default: a quarter of all, or with --trust-proxy none",
			0, MAX_DESCRIPTORS},
		{0, "threads", OPTION_NUMBER, &s.threads, "N",
			"threads for HTTP, and as many for UDP; default:\n"
			"half as many as cores; with Redis four a core",
			1, MAX_THREADS},
		{0, "no-udp", OPTION_FLAG, &s.no_udp, NULL, "no UDP", 0, 0},
		{0, "no-http", OPTION_FLAG, &s.no_http, NULL, "no HTTP", 0, 0},
		{0, "json", OPTION_FLAG, &s.json, NULL,
			"events as JSON lines on stdout", 0, 0},
		{'h', "help", OPTION_FLAG, &s.help, NULL, "print this and exit",
			0, 0},
		{0},
	};
	struct error err;
	int status = EXIT_USAGE;

	bool ok = options_parse(table, argc, argv, &s.rest, &err);
	if (ok && s.help) {
		puts("usage: tbt-tracker serve [options]\n");
		options_print_help(table);
		status = fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	} else {
		if (s.peer_timeout_s == 0)
			s.peer_timeout_s = 2 * s.interval_s;
		if (ok && check(&s, &err))
			status = run_tracker(&s, &err);
		if (status != EXIT_SUCCESS)
			print_error(&s, &err);
	}
	options_free(table, &s.rest);
	return status;
}
