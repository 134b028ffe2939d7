#include "client/session/session.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/discovery/announcer.h"
#include "client/discovery/host_lookup.h"
#include "client/discovery/http_tracker.h"
#include "client/discovery/peer_queue.h"
#include "client/peer/handshake.h"
#include "client/session/coordinator.h"
#include "client/session/inventory.h"
#include "client/session/keeper.h"
#include "client/session/listener.h"
#include "client/session/metadata_task.h"
#include "client/session/peer_sources.h"
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
#include "shared/cores.h"
#include "shared/log.h"
#include "shared/metainfo.h"

enum {
	MAX_TORRENTS = 10000,
	QUEUE_CAPACITY = 4096,
	MAX_FINISHERS = 4,
	/* A stop takes no longer, whatever disk or tracker do (5 s). */
	STOP_MS = 4500,
	/* Descriptors that are kept for other things than workers: listening,
	 * trackers, files, the standard ones. */
	SPARE_DESCRIPTORS = 20,
	/* Peers that a magnet link gives by name: so many are looked up, and
	 * all together hold up its metadata no longer than this. */
	MAX_LOOKUPS = 8,
	LOOKUP_MS = 5 * 1000,
	HOST_SIZE = 256,
};

/* A thread that waits for the metadata of a magnet link. */
struct fetcher {
	struct session *session;
	struct session_torrent *st;
	_Atomic uint64_t give_up_ms; /* looking up peers by name */
	pthread_t thread;
	bool runs;
};

struct session {
	struct session_options options;
	struct session_context context;
	int done_fd;
	int stopped_fd; /* tells the watchdog that all went well */

	struct listener *listener;
	struct worker_pool *pool;
	struct coordinator *coordinator;
	struct keeper *keeper;
	struct peer_sources sources;
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

	unsigned cores = cores_count();
	struct session_context *ctx = &s->context;
	s->options = *options;
	s->options.workers = affordable_workers(options->workers);
	peer_sources_init(&s->sources, ctx, &s->options);
	handshake_make_peer_id(ctx->peer_id);
	ctx->bind = options->bind;
	ctx->events = events;
	ctx->select = options->select;
	ctx->seed_after = options->seed_after;
	ctx->pex = !options->no_pex;
	ctx->members = swarm_members_create(s->options.workers);
	ctx->blocks = block_pool_create();
	ctx->finisher =
		finisher_create(cores < MAX_FINISHERS ? cores : MAX_FINISHERS);
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
		peer_sources_track(&s->sources, st);
	if (st->m->private) /* which a magnet link does not say */
		announcer_one_at_a_time(st->announcer);
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
	if (!inventory_take(st))
		return;
	if (st->mode == SESSION_LEECH && torrent_complete(st->torrent)) {
		inventory_tell(st);
		if (session_torrent_complete(st) && session_torrent_settle(st))
			open_to_peers(s, st, STATE_SEEDING);
		return;
	}
	/* Metadata that came by a magnet is not to be fetched again. */
	if (st->magnet && !inventory_save(st, true))
		return;
	inventory_tell(st);
	if (st->mode == SESSION_LEECH)
		session_torrent_look_at_room(st);
	open_to_peers(s, st,
		st->mode == SESSION_LEECH ? STATE_LEECHING : STATE_SEEDING);
	if (st->state == STATE_LEECHING)
		start_web_seeds(st);
}

/* Peers that the link names by their addresses. */
static void hear_of_peers(struct session_torrent *st)
{
	struct endpoint address;

	for (size_t i = 0; i < st->magnet->peer_count; i++) {
		if (endpoint_parse(st->magnet->peers[i], &address))
			session_torrent_hear_of(st, FROM_USER, &address, 1);
	}
}

/* Those by name, which take a while. */
static void look_up_peers(struct fetcher *f)
{
	const struct magnet *magnet = f->st->magnet;
	struct endpoint found[HOST_LOOKUP_MAX];
	char host[HOST_SIZE];
	size_t count, done = 0;
	uint16_t port;
	uint64_t not_yet = UINT64_MAX;

	/* Unless we are to end. */
	(void)atomic_compare_exchange_strong(
		&f->give_up_ms, &not_yet, clock_ms() + LOOKUP_MS);
	for (size_t i = 0; i < magnet->peer_count && done < MAX_LOOKUPS; i++) {
		if (endpoint_parse(magnet->peers[i], &found[0]) ||
			!endpoint_split_name(
				magnet->peers[i], host, sizeof(host), &port))
			continue;
		done++;
		if (host_lookup(host, port, &f->give_up_ms, found, &count) ==
			HOST_LOOKUP_FOUND)
			session_torrent_hear_of(f->st, FROM_USER, found, count);
	}
}

static void *run_fetcher(void *arg)
{
	struct fetcher *f = arg;

	if (session_torrent_fetch(f->st, true)) {
		open_torrent(f->session, f->st);
		hear_of_peers(f->st);
		look_up_peers(f);
		return NULL;
	}
	if (f->st->state == STATE_FAILED)
		return NULL;
	hear_of_peers(f->st);
	peer_sources_track(&f->session->sources, f->st);
	look_up_peers(f);
	if (session_torrent_fetch(f->st, false))
		open_torrent(f->session, f->st);
	return NULL;
}

static void start_fetcher(struct session *s, struct session_torrent *st)
{
	struct fetcher *f = &s->fetchers[st->index];
	struct error err;

	f->session = s;
	f->st = st;
	f->give_up_ms = UINT64_MAX;
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
		s->fetchers[i].give_up_ms = 0;
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
	peer_sources_open(&s->sources);
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
	peer_sources_map_port(&s->sources);
	return true;
}

int session_fd(const struct session *s) { return s->done_fd; }

/* Should the disk hang, or who reads our output, the end must come all the
 * same: what was not saved is found by hashing. */
static void *watch_stop(void *arg)
{
	struct session *s = arg;
	struct pollfd stopped = {.fd = s->stopped_fd, .events = POLLIN};
	int ended;

	/* One of the two signals may be taken by this thread. */
	while ((ended = poll(&stopped, 1, STOP_MS)) < 0 && errno == EINTR)
		;
	if (ended == 0) {
		log_last_words("stopping: the disk, or who reads the output, "
			       "does not answer; what is not saved is checked "
			       "the next time");
		_exit(1);
	}
	return NULL;
}

/* They end side by side, while others are waited for. */
static void stop_helpers(struct session *s)
{
	peer_sources_leave_trackers(&s->sources);
	for (size_t i = 0; i < s->context.torrent_count; i++)
		web_seeds_stop(s->context.torrents[i].web_seeds);
}

/* Workers, web seeds and finishers have ended, each of which may have woken
 * another up to its last moment: a number that is closed before is that of some
 * file a moment later. */
static void free_wake_ups(struct session *s)
{
	worker_pool_destroy(s->pool);
	s->pool = NULL;
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
		(void)inventory_save(st, true);
	}
	if (st->settled && shared_enough && st->mode == SESSION_LEECH)
		session_torrent_leave_nothing(st);
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
	peer_sources_unmap_port(&s->sources);
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
	worker_pool_stop(s->pool);
	for (size_t i = 0; i < s->context.torrent_count; i++)
		web_seeds_join(s->context.torrents[i].web_seeds);
	peer_sources_close(&s->sources);
	/* Nobody hands in pieces any more; what was handed in is done. */
	finisher_destroy(s->context.finisher);
	s->context.finisher = NULL;
	free_wake_ups(s);
	keeper_destroy(s->keeper);
	s->context.keeper = s->keeper = NULL;

	for (size_t i = 0; i < s->context.torrent_count; i++) {
		if (!close_torrent(s, &s->context.torrents[i], &reason) && ok) {
			*err = reason;
			ok = false;
		}
	}
	peer_sources_finish(&s->sources);
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
