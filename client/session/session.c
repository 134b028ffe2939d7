#include "client/session/session.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/discovery/announcer.h"
#include "client/discovery/http_tracker.h"
#include "client/discovery/lsd_socket.h"
#include "client/discovery/peer_queue.h"
#include "client/discovery/portmap.h"
#include "client/discovery/udp_socket.h"
#include "client/peer/handshake.h"
#include "client/peer/metadata_exchange.h"
#include "client/session/coordinator.h"
#include "client/session/keeper.h"
#include "client/session/listener.h"
#include "client/session/metadata_task.h"
#include "client/session/rate_limit.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "client/session/swarm_members.h"
#include "client/session/web_seed.h"
#include "client/session/worker_pool.h"
#include "client/storage/finisher.h"
#include "client/storage/storage.h"
#include "client/torrent/block_pool.h"
#include "client/torrent/magnet.h"
#include "client/torrent/torrent.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/metainfo.h"
#include "shared/random_bytes.h"

enum {
	MAX_TORRENTS = 10000,
	QUEUE_CAPACITY = 4096,
	MAX_FINISHERS = 4,
	/* A stop takes no longer, whatever disk or tracker do (CLI.md: 5 s). */
	STOP_MS = 4500,
	STOP_ANNOUNCE_MS = 3000,
	NUMWANT = 80,
	/* Descriptors that are kept for other things than workers: listening,
	 * trackers, files, the standard ones. */
	SPARE_DESCRIPTORS = 20,
	/* Nodes to enter the DHT by that torrents name. */
	MAX_TORRENT_NODES = 64,
};

/* A thread that waits for the metadata of a magnet link. */
struct fetcher {
	struct session *session;
	struct session_torrent *st;
	pthread_t thread;
	bool runs;
};

struct session {
	struct session_options options;
	struct session_context context;
	uint32_t key; /* tells trackers that it is still us */
	int done_fd;
	int stopped_fd; /* tells the watchdog that all went well */

	struct listener *listener;
	struct worker_pool *pool;
	struct coordinator *coordinator;
	struct keeper *keeper;
	struct portmap *portmap;
	pthread_t starter;
	bool starter_runs;
	struct fetcher *fetchers; /* one a torrent; most do not run */
	atomic_bool stopping;
	bool started;
};

/* A worker takes two descriptors, its socket and its wake-up: no more of them
 * than there are. */
static unsigned affordable_workers(unsigned wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
		limit.rlim_cur == RLIM_INFINITY)
		return wanted;
	if (limit.rlim_cur < SPARE_DESCRIPTORS + 2)
		return 1;
	rlim_t most = (limit.rlim_cur - SPARE_DESCRIPTORS) / 2;
	return most < wanted ? (unsigned)most : wanted;
}

struct session *session_create(const struct session_options *options,
	struct events *events, struct error *err)
{
	struct session *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(err, "session: out of memory");
		return NULL;
	}
	/* Many threads that allocate little: not an arena for each. */
	mallopt(M_ARENA_MAX, 2);
	http_tracker_global_init();

	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	struct session_context *ctx = &s->context;
	s->options = *options;
	s->options.workers = affordable_workers(options->workers);
	s->key = random_u32();
	handshake_make_peer_id(ctx->peer_id);
	ctx->bind = options->bind;
	ctx->events = events;
	ctx->select = options->select;
	ctx->pex = !options->no_pex;
	ctx->members = swarm_members_create(s->options.workers);
	ctx->blocks = block_pool_create();
	ctx->finisher = finisher_create(
		cores < MAX_FINISHERS ? (unsigned)cores : MAX_FINISHERS);
	ctx->queue = peer_queue_create(QUEUE_CAPACITY, s->options.workers);
	ctx->download_limit = rate_limit_create(options->download_limit);
	ctx->upload_limit = rate_limit_create(options->upload_limit);
	/* Their addresses must not change: workers hold them. */
	ctx->torrents = calloc(MAX_TORRENTS, sizeof(*ctx->torrents));
	s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->stopped_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (!ctx->blocks || !ctx->finisher || !ctx->queue || !ctx->members ||
		!ctx->download_limit || !ctx->upload_limit || !ctx->torrents ||
		s->done_fd < 0 || s->stopped_fd < 0) {
		error_set(err, "session: out of memory or descriptors");
		session_destroy(s);
		return NULL;
	}
	return s;
}

static enum piece_order piece_order(const struct session *s)
{
	return s->options.order == ORDER_RAREST ? PIECE_ORDER_RAREST
						: PIECE_ORDER_SEQUENTIAL;
}

bool session_add(struct session *s, const struct metainfo *m,
	const char *folder, const char *name, enum session_mode mode,
	struct error *err)
{
	struct session_context *ctx = &s->context;
	size_t i = ctx->torrent_count;

	if (i == MAX_TORRENTS)
		return error_set(err, "%s: too many torrents", m->name);
	if (!session_torrent_init(&ctx->torrents[i], ctx, (int)i, m, folder,
		    name, mode, piece_order(s), err)) {
		session_torrent_finish(&ctx->torrents[i]);
		return false;
	}
	ctx->torrent_count++;
	return true;
}

bool session_add_magnet(struct session *s, const struct magnet *magnet,
	const char *folder, struct error *err)
{
	struct session_context *ctx = &s->context;
	size_t i = ctx->torrent_count;

	if (i == MAX_TORRENTS)
		return error_set(err, "magnet link: too many torrents");
	if (!session_torrent_init_magnet(&ctx->torrents[i], ctx, (int)i, magnet,
		    folder, piece_order(s), err)) {
		session_torrent_finish(&ctx->torrents[i]);
		return false;
	}
	ctx->torrent_count++;
	return true;
}

/* ---- trackers ---- */

static void fill_announce(void *arg, struct announce *a)
{
	struct session_torrent *st = arg;

	a->peer.port = st->session->public_port;
	a->downloaded = st->downloaded;
	a->uploaded = st->uploaded;
	/* While there is no metadata nobody knows how much is left; but 0
	 * would call us a seed. */
	a->left = st->state == STATE_FETCHING
		? METADATA_PIECE_SIZE
		: torrent_wanted_bytes(st->torrent) -
			torrent_have_bytes(st->torrent);
	a->partial_seed = st->state == STATE_SEEDING &&
		st->mode == SESSION_LEECH && !torrent_whole(st->torrent);
	a->numwant = NUMWANT;
}

static void take_peers(void *arg, const struct endpoint *peers, size_t count)
{
	struct session_torrent *st = arg;
	struct candidate c = {
		.source = FROM_TRACKER, .torrent = st->index, .socket = -1};

	for (size_t i = 0; i < count; i++) {
		c.address = peers[i];
		if (!peer_queue_push(st->session->queue, &c))
			return;
	}
}

/* "HOST:PORT" of a tracker's URL: what may be told to anybody. */
static const char *url_host(const char *url, int *ret_len)
{
	enum { SHOWN = 80 };
	const char *start = strstr(url, "://");

	start = start ? start + 3 : url;
	size_t len = strcspn(start, "/?#");
	const char *at = memrchr(start, '@', len);
	if (at) {
		len -= (size_t)(at + 1 - start);
		start = at + 1;
	}
	*ret_len = len < SHOWN ? (int)len : SHOWN;
	return start;
}

static void report_announce(void *arg, const char *url,
	enum announce_event event, size_t count, const char *error)
{
	struct session_torrent *st = arg;

	int host_len;
	const char *host = url_host(url, &host_len);

	pthread_mutex_lock(&st->lock);
	if (error)
		snprintf(st->tracker_word, sizeof(st->tracker_word),
			"tracker %.*s: %s", host_len, host, error);
	else
		snprintf(st->tracker_word, sizeof(st->tracker_word),
			"tracker %.*s gave %zu address%s", host_len, host,
			count, count == 1 ? "" : "es");
	pthread_mutex_unlock(&st->lock);
	session_torrent_emit(arg,
		&(struct event){.kind = EVENT_ANNOUNCE,
			.announce = {.url = url,
				.sent = event,
				.peers = count,
				.error = error}});
}

static void start_announcer(struct session *s, struct session_torrent *st)
{
	struct announcer_options o = {
		.m = st->m,
		.port = s->context.port,
		.key = s->key,
		.bind = s->context.bind,
		.ctx = st,
		.fill = fill_announce,
		.peers = take_peers,
		.report = report_announce,
	};

	memcpy(o.peer_id, s->context.peer_id, PEER_ID_SIZE);
	st->announcer = announcer_start(&o);
	if (!st->announcer)
		session_torrent_warn(
			st, "%s: no thread for its trackers", st->m->name);
}

/* ---- DHT and LSD ---- */

/* Whether any torrent may be spoken of to others than its trackers and peers
 * (BEP 27). */
static bool any_public(const struct session *s)
{
	for (size_t i = 0; i < s->context.torrent_count; i++) {
		if (!s->context.torrents[i].m->private)
			return true;
	}
	return false;
}

static void take_found(struct session *s, enum candidate_source source,
	const struct info_hash *torrent, const struct endpoint *peers,
	size_t count)
{
	struct candidate c = {.source = source, .torrent = -1, .socket = -1};

	for (size_t i = 0; i < s->context.torrent_count; i++) {
		const struct metainfo *m = s->context.torrents[i].m;

		if (info_hash_equal(&m->info_hash, torrent) && !m->private)
			c.torrent = (int)i;
	}
	for (size_t i = 0; c.torrent >= 0 && i < count; i++) {
		c.address = peers[i];
		if (!peer_queue_push(s->context.queue, &c))
			return;
	}
}

static void take_dht_peers(void *arg, const struct info_hash *torrent,
	const struct endpoint *peers, size_t count)
{
	take_found(arg, FROM_DHT, torrent, peers, count);
}

static void take_lsd_peer(
	void *arg, const struct info_hash *torrent, const struct endpoint *peer)
{
	take_found(arg, FROM_LSD, torrent, peer, 1);
}

/* Those that the user and the torrents name; the user's first. */
static struct dht_entrance *list_entrances(
	const struct session *s, size_t *ret_count)
{
	const struct session_options *o = &s->options;
	size_t max = o->dht_node_count + MAX_TORRENT_NODES;
	struct dht_entrance *list = calloc(max, sizeof(*list));
	size_t count = 0;

	for (; list && count < o->dht_node_count; count++)
		list[count] = o->dht_nodes[count];
	for (size_t i = 0; list && i < s->context.torrent_count; i++) {
		const struct metainfo *m = s->context.torrents[i].m;

		for (size_t j = 0; j < m->node_count && count < max; j++)
			list[count++] = (struct dht_entrance){
				m->nodes[j].host, m->nodes[j].port};
	}
	*ret_count = count;
	return list;
}

/* Only if there is a torrent that may use it.  Without it the other sources of
 * peers are left. */
static void open_dht(struct session *s)
{
	const struct session_options *o = &s->options;
	struct error err;

	if (o->no_dht || !any_public(s))
		return;

	struct udp_options udp = {
		.port = s->context.port,
		.bind = o->bind,
		/* Nobody in public can be reached from loopback. */
		.public = o->dht_node_count == 0 &&
			!(o->bind && endpoint_is_loopback(o->bind)),
		.ctx = s,
		.peers = take_dht_peers,
	};
	struct dht_entrance *entrances = list_entrances(s, &udp.entrance_count);
	udp.entrances = entrances;
	s->context.udp = udp_socket_open(&udp, &err);
	if (!s->context.udp)
		log_verbose("%s; no DHT", err.text);
	free(entrances);
}

static void open_lsd(struct session *s)
{
	struct lsd_options lsd = {
		.port = s->context.port,
		.bind = s->options.bind,
		.torrents = s->context.torrent_count,
		.ctx = s,
		.peer = take_lsd_peer,
	};
	struct error err;

	if (s->options.no_lsd || !any_public(s))
		return;
	s->context.lsd = lsd_socket_open(&lsd, &err);
	if (!s->context.lsd)
		log_verbose("%s; no peers of the local network", err.text);
}

/* ---- port mapping ---- */

static void on_mapped(
	void *arg, const struct endpoint *external, const char *how)
{
	struct session *s = arg;
	bool other = external->port != s->context.public_port;

	s->context.public_port = external->port;
	events_emit(s->context.events,
		&(struct event){.kind = EVENT_MAPPED,
			.mapped = {.port = s->context.port,
				.external = *external,
				.how = how}});
	/* Trackers that were told the port before are told anew. */
	for (size_t i = 0; other && i < s->context.torrent_count; i++) {
		struct announcer *a = s->context.torrents[i].announcer;
		if (a)
			announcer_hungry(a);
	}
}

static void start_portmap(struct session *s)
{
	struct portmap_options o = {
		.port = s->context.port,
		.bind = s->options.bind,
		.ctx = s,
		.mapped = on_mapped,
	};

	/* A private torrent makes no use of it (BEP 27, and PROMISES, P8). */
	if (!s->options.no_portmap && any_public(s))
		s->portmap = portmap_start(&o);
}

/* ---- the starter ---- */

static void start_web_seeds(struct session_torrent *st)
{
	if (st->magnet)
		st->web_seeds = web_seeds_start(
			st, st->magnet->web_seeds, st->magnet->web_seed_count);
	else
		st->web_seeds = web_seeds_start(
			st, st->m->web_seeds, st->m->web_seed_count);
}

static void open_to_peers(struct session *s, struct session_torrent *st,
	enum session_torrent_state state)
{
	if (!st->announcer)
		start_announcer(s, st);
	if (!session_torrent_advance(st, STATE_CHECKING, state))
		return;
	worker_pool_nudge(s->pool); /* some may wait for it */
	(void)peer_queue_push(s->context.queue,
		&(struct candidate){.source = FROM_KEEPER,
			.torrent = st->index,
			.socket = -1});
}

/* Content is checked, then the torrent is opened to peers. */
static void open_torrent(struct session *s, struct session_torrent *st)
{
	if (!session_torrent_check(st))
		return;
	if (st->mode == SESSION_LEECH && torrent_complete(st->torrent)) {
		session_torrent_tell_checked(st);
		if (session_torrent_complete(st) && session_torrent_settle(st))
			open_to_peers(s, st, STATE_SEEDING);
		return;
	}
	/* Metadata that came by a magnet is not to be fetched again. */
	if (st->magnet && !session_torrent_save(st, true))
		return;
	open_to_peers(s, st,
		st->mode == SESSION_LEECH ? STATE_LEECHING : STATE_SEEDING);
	if (st->state == STATE_LEECHING)
		start_web_seeds(st);
	session_torrent_tell_checked(st);
}

/* Peers that the link names. */
static void hear_of_peers(struct session *s, const struct session_torrent *st)
{
	struct candidate c = {
		.source = FROM_USER, .torrent = st->index, .socket = -1};

	for (size_t i = 0; i < st->magnet->peer_count; i++) {
		if (endpoint_parse(st->magnet->peers[i], &c.address))
			(void)peer_queue_push(s->context.queue, &c);
	}
}

static void *run_fetcher(void *arg)
{
	struct fetcher *f = arg;

	hear_of_peers(f->session, f->st);
	if (!session_torrent_fetch(f->st, true)) {
		if (f->st->state == STATE_FAILED)
			return NULL;
		start_announcer(f->session, f->st);
		if (!session_torrent_fetch(f->st, false))
			return NULL;
	}
	open_torrent(f->session, f->st);
	return NULL;
}

static void start_fetcher(struct session *s, struct session_torrent *st)
{
	struct fetcher *f = &s->fetchers[st->index];
	struct error err;

	*f = (struct fetcher){.session = s, .st = st};
	int error = pthread_create(&f->thread, NULL, run_fetcher, f);
	f->runs = error == 0;
	if (f->runs)
		return;
	errno = error;
	error_set_errno(&err, "%s: cannot start a thread", st->hex);
	session_torrent_fail(st, &err);
}

/* Their torrents were told to stop. */
static void join_fetchers(struct session *s)
{
	for (size_t i = 0; s->fetchers && i < s->context.torrent_count; i++) {
		if (s->fetchers[i].runs)
			pthread_join(s->fetchers[i].thread, NULL);
	}
	free(s->fetchers);
	s->fetchers = NULL;
}

static void *run_starter(void *arg)
{
	struct session *s = arg;

	for (size_t i = 0; i < s->context.torrent_count; i++) {
		if (atomic_load(&s->stopping))
			break;
		struct session_torrent *st = &s->context.torrents[i];
		if (st->task)
			start_fetcher(s, st);
		else
			open_torrent(s, st);
	}
	return NULL;
}

/* ---- start and stop ---- */

static bool listen_for_peers(struct session *s, struct error *err)
{
	const struct session_options *o = &s->options;

	if (!listener_open(
		    &s->listener, o->bind, o->port_first, o->port_last, err))
		return false;
	s->context.port = listener_port(s->listener);
	s->context.public_port = s->context.port;
	return listener_start(s->listener, s->context.queue, err);
}

bool session_start(struct session *s, struct error *err)
{
	s->started = true;
	if (!listen_for_peers(s, err))
		return false;
	s->keeper = keeper_start(&s->context);
	if (!s->keeper)
		return error_set(err, "session: cannot start a thread");
	s->context.keeper = s->keeper;
	open_dht(s);
	open_lsd(s);
	events_emit(s->context.events,
		&(struct event){.kind = EVENT_LISTENING,
			.listening.port = s->context.port});
	s->pool = worker_pool_create(s->options.workers, &s->context, err);
	if (!s->pool)
		return false;
	s->coordinator = coordinator_start(
		&s->context, &s->options, s->pool, s->done_fd, err);
	if (!s->coordinator)
		return false;
	s->fetchers = calloc(s->context.torrent_count, sizeof(*s->fetchers));
	if (!s->fetchers)
		return error_set(err, "session: out of memory");
	int error = pthread_create(&s->starter, NULL, run_starter, s);
	if (error != 0) {
		errno = error;
		return error_set_errno(err, "session: cannot start a thread");
	}
	s->starter_runs = true;
	start_portmap(s);
	return true;
}

int session_fd(const struct session *s) { return s->done_fd; }

/* Should disk or resolver hang, the end must come all the same: what was not
 * saved is found by hashing. */
static void *watch_stop(void *arg)
{
	struct session *s = arg;
	struct pollfd stopped = {.fd = s->stopped_fd, .events = POLLIN};

	if (poll(&stopped, 1, STOP_MS) == 0)
		_exit(1);
	return NULL;
}

/* They end side by side, while others are waited for. */
static void stop_helpers(struct session *s)
{
	for (size_t i = 0; i < s->context.torrent_count; i++) {
		struct session_torrent *st = &s->context.torrents[i];
		if (st->announcer)
			announcer_stop(st->announcer, STOP_ANNOUNCE_MS);
		web_seeds_stop(st->web_seeds);
	}
}

static void end_web_seeds(struct session *s)
{
	for (size_t i = 0; i < s->context.torrent_count; i++)
		web_seeds_join(s->context.torrents[i].web_seeds);
	for (size_t i = 0; i < s->context.torrent_count; i++) {
		web_seeds_destroy(s->context.torrents[i].web_seeds);
		s->context.torrents[i].web_seeds = NULL;
	}
}

/* Threads have ended: what is left is one's own. */
static bool close_torrent(
	struct session *s, struct session_torrent *st, struct error *err)
{
	bool opened = st->torrent != NULL;
	bool complete = opened && torrent_complete(st->torrent);
	/* Not stopped in the middle of it, to be gone on with. */
	bool shared_enough = !s->options.seed_after || st->state == STATE_DONE;

	if (st->state == STATE_LEECHING && complete) {
		/* The last piece came while we were stopping. */
		if (session_torrent_complete(st) && session_torrent_settle(st))
			(void)session_torrent_advance(
				st, STATE_LEECHING, STATE_DONE);
	} else if (st->mode == SESSION_LEECH && !st->settled &&
		st->started_ms != 0) {
		(void)session_torrent_save(st, true);
	}
	if (st->settled && shared_enough && st->mode == SESSION_LEECH)
		storage_drop_parts(st->storage);
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_STOPPED,
			.stopped = {.downloaded = st->downloaded,
				.uploaded = st->uploaded,
				.done = opened ? torrent_have_bytes(st->torrent)
					       : 0,
				.total = opened
					? torrent_wanted_bytes(st->torrent)
					: 0}});
	if (st->state == STATE_FAILED) {
		*err = st->error;
		return false;
	}
	if (!opened)
		return error_set(err, "%s: stopped before its metadata came",
			st->m->name);
	if (st->mode == SESSION_LEECH && !st->settled)
		return error_set(
			err, "%s: stopped before it was complete", st->m->name);
	return true;
}

bool session_stop(struct session *s, struct error *err)
{
	bool ok = true;
	struct error reason;

	pthread_t watchdog;
	bool watched = pthread_create(&watchdog, NULL, watch_stop, s) == 0;

	atomic_store(&s->stopping, true);
	portmap_stop(s->portmap);
	for (size_t i = 0; i < s->context.torrent_count; i++) {
		struct session_torrent *st = &s->context.torrents[i];
		atomic_store(&st->stop_check, true);
		if (st->task)
			metadata_task_stop(st->task);
	}
	if (s->starter_runs)
		pthread_join(s->starter, NULL);
	s->starter_runs = false;
	join_fetchers(s);
	stop_helpers(s);
	listener_destroy(s->listener);
	s->listener = NULL;
	peer_queue_close(s->context.queue);
	coordinator_destroy(s->coordinator);
	s->coordinator = NULL;
	worker_pool_destroy(s->pool);
	s->pool = NULL;
	end_web_seeds(s);
	udp_socket_destroy(s->context.udp);
	s->context.udp = NULL;
	lsd_socket_destroy(s->context.lsd);
	s->context.lsd = NULL;
	/* Nobody hands in pieces any more; what was handed in is done. */
	finisher_destroy(s->context.finisher);
	s->context.finisher = NULL;
	keeper_destroy(s->keeper);
	s->context.keeper = s->keeper = NULL;

	for (size_t i = 0; i < s->context.torrent_count; i++) {
		if (!close_torrent(s, &s->context.torrents[i], &reason) && ok) {
			*err = reason;
			ok = false;
		}
	}
	portmap_destroy(s->portmap);
	s->portmap = NULL;
	for (size_t i = 0; i < s->context.torrent_count; i++) {
		announcer_destroy(s->context.torrents[i].announcer);
		s->context.torrents[i].announcer = NULL;
	}
	s->started = false;
	if (watched) {
		(void)!write(s->stopped_fd, &(uint64_t){1}, sizeof(uint64_t));
		pthread_join(watchdog, NULL);
	}
	return ok;
}

void session_destroy(struct session *s)
{
	struct error ignored;

	if (!s)
		return;
	if (s->started)
		(void)session_stop(s, &ignored); /* it failed to start */
	for (size_t i = 0; i < s->context.torrent_count; i++)
		session_torrent_finish(&s->context.torrents[i]);
	free(s->context.torrents);
	finisher_destroy(s->context.finisher);
	peer_queue_destroy(s->context.queue);
	swarm_members_destroy(s->context.members);
	block_pool_destroy(s->context.blocks);
	rate_limit_destroy(s->context.download_limit);
	rate_limit_destroy(s->context.upload_limit);
	if (s->done_fd >= 0)
		close(s->done_fd);
	if (s->stopped_fd >= 0)
		close(s->stopped_fd);
	free(s);
}
