#include "client/session/coordinator.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "client/discovery/announcer.h"
#include "client/discovery/lsd_socket.h"
#include "client/discovery/peer_queue.h"
#include "client/discovery/udp_socket.h"
#include "client/session/choker.h"
#include "client/session/events.h"
#include "client/session/metadata_task.h"
#include "client/session/peer_book.h"
#include "client/session/rate_limit.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "client/session/stall.h"
#include "client/session/waiting_room.h"
#include "client/session/worker_pool.h"
#include "client/storage/storage.h"
#include "client/torrent/magnet.h"
#include "client/torrent/torrent.h"
#include "shared/clock.h"
#include "shared/metainfo.h"
#include "shared/random_bytes.h"

enum {
	/* Each second tick tells the progress, which is promised for every
	 * second at least: so there is something to spare. */
	TICK_MS = 450,
	PROGRESS_MS = TICK_MS + TICK_MS / 2,
	/* Rates are shown over about so many seconds. */
	RATE_SECONDS = 4,
	/* Newcomers kept while somebody of no use makes room: so many, and no
	 * more than a small part of the descriptors. */
	MOST_WAITING = 512,
	LEAST_WAITING = 4,
	DESCRIPTORS_PER_WAITING = 16,
	/* Room is made in batches, for it means to look at all workers. */
	ROOM_MS = 100,
	STOP_ANNOUNCE_MS = 3000,
	/* With fewer addresses than this the tracker is asked for more. */
	HUNGRY_ADDRESSES = 3,
};

/* What the coordinator remembers of a torrent. */
struct watch {
	bool named;                    /* the book knows of the user's peers */
	bool ended;                    /* done or failed, and dealt with */
	bool seeding;                  /* and the book was told */
	bool dht, dht_hungry;          /* what the DHT was told, ... */
	uint16_t dht_port;             /* ... and where we can be dialled */
	bool lsd;                      /* and LSD */
	uint64_t heard[FROM_LSD + 1];  /* addresses, by their source */
	uint64_t banned;               /* who gave bad data */
	uint64_t downloaded, uploaded; /* at the last progress */
	double down, up;               /* bytes a second, smoothed */

	uint64_t moved;    /* progress_of() when it last grew, ... */
	uint64_t moved_ms; /* ... and when that was */
	bool fetching;     /* it was, when nothing had come */
	uint64_t told_ms;  /* when a stall was last told */
	char stall[STALL_TEXT_SIZE];
};

struct coordinator {
	const struct session_context *session;
	const struct session_options *options;
	struct worker_pool *pool;
	int done_fd;
	pthread_t thread;

	/* The thread's own. */
	struct peer_book *book;
	struct choker *choker;
	struct choker_peer *traders; /* one a worker: what the choker is told */
	bool trade;                  /* something changed for the choker */
	struct watch *watches;
	uint64_t progress_ms; /* when progress was last told */
	uint64_t tick_ms;     /* when the next tick is due */
	struct waiting_room *waiting;
	uint64_t room_ms; /* when room was last made for them */
	bool dialled; /* the last free worker was given an address to dial */
};

static struct session_torrent *torrent_of(struct coordinator *c, int index)
{
	return &c->session->torrents[index];
}

/* ---- candidates ---- */

static bool assign(struct coordinator *c, const struct candidate *candidate)
{
	if (!worker_pool_assign(c->pool, candidate))
		return false;
	c->trade = true;
	return true;
}

static unsigned held(void *pool, const struct endpoint *address)
{
	return worker_pool_held(pool, address);
}

/* All workers are taken: somebody of no use goes for each newcomer, and for an
 * address that is due to be dialled; peers that do nothing must not keep us
 * from those that might. */
static void make_room(struct coordinator *c, uint64_t now_ms)
{
	if (worker_pool_free(c->pool) > 0)
		return;
	unsigned wanted = (unsigned)waiting_room_count(c->waiting) +
		peer_book_due(c->book, now_ms);
	if (wanted == 0)
		return;
	c->room_ms = now_ms;
	worker_pool_make_room(c->pool, wanted,
		waiting_room_least_held(c->waiting, held, c->pool), now_ms);
}

static void admit(struct coordinator *c, const struct candidate *newcomer,
	uint64_t now_ms)
{
	if (!peer_book_welcome(c->book, &newcomer->address, now_ms)) {
		close(newcomer->socket);
		return;
	}
	if (waiting_room_count(c->waiting) == 0 && assign(c, newcomer))
		return;
	waiting_room_add(c->waiting, newcomer, now_ms);
	if (now_ms - c->room_ms >= ROOM_MS)
		make_room(c, now_ms);
}

static void ban(
	struct coordinator *c, const struct candidate *guilty, uint64_t now_ms)
{
	bool whole_ip = peer_book_ban(c->book, &guilty->address, now_ms);

	worker_pool_stop_address(c->pool, &guilty->address, whole_ip);
}

static bool seat_newcomer(struct coordinator *c, uint64_t now_ms)
{
	struct candidate newcomer;

	if (!waiting_room_take(c->waiting, held, c->pool, now_ms, &newcomer))
		return false;
	/* It may have been banned meanwhile; or the pool is closing. */
	if (!peer_book_welcome(c->book, &newcomer.address, now_ms) ||
		!assign(c, &newcomer))
		close(newcomer.socket);
	return true;
}

static bool dial_next(struct coordinator *c, uint64_t now_ms)
{
	struct candidate next = {.source = FROM_TRACKER, .socket = -1};
	uint64_t ask_again_ms;

	if (!peer_book_next(c->book, now_ms, &next.torrent, &next.address,
		    &ask_again_ms))
		return false;
	if (!assign(c, &next)) {
		/* The pool is closing. */
		next.ended = PEER_END_STOPPED;
		next.dialled = true;
		peer_book_ended(c->book, &next, now_ms);
		return false;
	}
	return true;
}

/* Free workers go to those who wait and to addresses that are due in turn, so
 * that a crowd at the door does not keep us from dialling. */
static void fill_workers(struct coordinator *c, uint64_t now_ms)
{
	while (worker_pool_free(c->pool) > 0) {
		bool dial_first = !c->dialled;

		if (dial_first && dial_next(c, now_ms))
			c->dialled = true;
		else if (seat_newcomer(c, now_ms))
			c->dialled = false;
		else if (!dial_first && dial_next(c, now_ms))
			c->dialled = true;
		else
			return;
	}
}

static void handle(
	struct coordinator *c, const struct candidate *got, uint64_t now_ms)
{
	switch (got->source) {
	case FROM_LISTENER:
		admit(c, got, now_ms);
		break;
	case FROM_WORKER:
		worker_pool_release(c->pool, got->worker);
		c->trade = true; /* perhaps its slot is free */
		peer_book_ended(c->book, got, now_ms);
		break;
	case FROM_GREETING:
		peer_book_connected(c->book, got->torrent, &got->address);
		break;
	case FROM_JUDGE:
		c->watches[got->torrent].banned++;
		ban(c, got, now_ms);
		break;
	case FROM_KEEPER:
		c->tick_ms = now_ms; /* look at it now */
		break;
	case FROM_TRADER:
		c->trade = true;
		break;
	case FROM_MIRROR:
		peer_book_seen_as(c->book, &got->address, &got->by);
		break;
	case FROM_USER:
	case FROM_TRACKER:
	case FROM_PEX:
	case FROM_DHT:
	case FROM_LSD:
		c->watches[got->torrent].heard[got->source]++;
		peer_book_heard(c->book, got->torrent, &got->address,
			got->source, now_ms);
		break;
	}
}

/* ---- choking ---- */

static void share_upload(struct coordinator *c)
{
	uint64_t uploaded = 0;

	for (size_t i = 0; i < c->session->torrent_count; i++)
		uploaded += torrent_of(c, (int)i)->uploaded;
	worker_pool_look(c->pool, c->traders);
	/* A clock read before may be older than a newcomer. */
	choker_look(c->choker, c->traders, uploaded, clock_ms());
	for (unsigned i = 0; i < worker_pool_size(c->pool); i++)
		worker_pool_grant(c->pool, i, choker_grants(c->choker, i));
	c->trade = false;
}

/* ---- looking after the torrents ---- */

static bool seeded_enough(
	struct coordinator *c, struct session_torrent *st, uint64_t now_ms)
{
	const struct session_options *o = c->options;

	if (!st->settled)
		return false; /* not before all is safe on disk */
	if (st->mode == SESSION_LEECH && !o->seed_after)
		return true;

	uint64_t since = st->complete_ms ? st->complete_ms : st->started_ms;
	/* It may have become complete after our clock was read. */
	if (o->seed_time_s != UINT64_MAX &&
		now_ms >= since + o->seed_time_s * 1000)
		return true;

	uint64_t up = st->uploaded_before + st->uploaded;
	return o->seed_ratio >= 0 &&
		(double)up >=
		o->seed_ratio * (double)torrent_wanted_bytes(st->torrent);
}

static void end_torrent(struct coordinator *c, struct session_torrent *st)
{
	c->watches[st->index].ended = true;
	peer_book_want(c->book, st->index, PEER_BOOK_NOBODY);
	worker_pool_stop_torrent(c->pool, st->index);
	announcer_stop(st->announcer, STOP_ANNOUNCE_MS);
}

/* May the torrent be spoken of to strangers now?  Never if it is private
 * (BEP 27). */
static bool is_public(const struct session_torrent *st)
{
	return !st->m->private &&
		(session_torrent_open(st) || st->state == STATE_FETCHING);
}

static void tell_dht(
	struct coordinator *c, struct session_torrent *st, bool hungry)
{
	struct watch *w = &c->watches[st->index];
	struct udp_socket *udp = c->session->udp;
	const struct metainfo *m = st->m;
	bool wanted = is_public(st);

	uint16_t port = c->session->public_port;
	bool same = wanted == w->dht &&
		(!wanted || (hungry == w->dht_hungry && port == w->dht_port));

	if (!udp || same)
		return;
	/* No room: again at the next tick. */
	if (wanted ? !udp_socket_want(udp, &m->info_hash, port, hungry)
		   : !udp_socket_forget(udp, &m->info_hash))
		return;
	w->dht = wanted;
	w->dht_hungry = hungry;
	w->dht_port = port;
}

static void tell_lsd(struct coordinator *c, struct session_torrent *st)
{
	struct watch *w = &c->watches[st->index];
	struct lsd_socket *lsd = c->session->lsd;
	bool wanted = is_public(st);

	if (!lsd || wanted == w->lsd)
		return;
	w->lsd = wanted;
	if (wanted)
		(void)lsd_socket_want(lsd, &st->m->info_hash); /* has room */
	else
		lsd_socket_forget(lsd, &st->m->info_hash);
}

/* Not while content is checked: they would be dialled, let go again, and left
 * alone for a while. */
static void name_users_peers(struct coordinator *c,
	const struct session_torrent *st, uint64_t now_ms)
{
	struct watch *w = &c->watches[st->index];
	const struct session_options *o = c->options;

	if (w->named ||
		(!session_torrent_open(st) && st->state != STATE_FETCHING))
		return;
	w->named = true;
	for (size_t i = 0; i < o->peer_count; i++)
		peer_book_heard(
			c->book, st->index, &o->peers[i], FROM_USER, now_ms);
}

static void look_after(
	struct coordinator *c, struct session_torrent *st, uint64_t now_ms)
{
	struct watch *w = &c->watches[st->index];
	struct error err;

	if (w->ended)
		return;
	name_users_peers(c, st, now_ms);
	if (st->state == STATE_LEECHING) {
		if (!storage_still_there(st->storage, &err))
			session_torrent_fail(st, &err);
		session_torrent_look_at_room(st);
		torrent_mind_failed(st->torrent, now_ms);
	}
	if (st->state == STATE_SEEDING && !w->seeding) {
		w->seeding = true;
		peer_book_want(c->book, st->index, PEER_BOOK_TAKERS);
	}
	if (st->state == STATE_SEEDING && seeded_enough(c, st, now_ms))
		(void)session_torrent_advance(st, STATE_SEEDING, STATE_DONE);
	bool hungry =
		(st->state == STATE_LEECHING || st->state == STATE_FETCHING) &&
		peer_book_count(c->book, st->index) < HUNGRY_ADDRESSES &&
		worker_pool_counts(c->pool, st->index).connected == 0;
	announcer_hungry(st->announcer, hungry);
	tell_dht(c, st, hungry);
	tell_lsd(c, st);
	if (st->state == STATE_DONE || st->state == STATE_FAILED)
		end_torrent(c, st);
}

static struct stall_sources sources_of(
	const struct coordinator *c, const struct session_torrent *st)
{
	const struct watch *w = &c->watches[st->index];
	const struct udp_socket *udp = c->session->udp;
	bool public = is_public(st);

	return (struct stall_sources){
		.private = st->m->private,
		.trackers = st->magnet ? st->magnet->tracker_count
				       : st->m->tracker_count,
		.dht = udp && public,
		.dht_nodes = udp ? udp_socket_nodes(udp) : 0,
		.dht_heard = w->heard[FROM_DHT],
		.lsd = c->session->lsd && public,
		.lsd_heard = w->heard[FROM_LSD],
		.pex_heard = w->heard[FROM_PEX],
		.banned = w->banned,
		.web_seeds = st->magnet ? st->magnet->web_seed_count
					: st->m->web_seed_count,
	};
}

/* Whatever grows while something comes. */
static uint64_t progress_of(const struct session_torrent *st)
{
	return st->state == STATE_FETCHING ? metadata_task_answers(st->task)
					   : st->downloaded;
}

/* Nothing comes: say why, once for each reason and now and then again. */
static void tell_stall(
	struct coordinator *c, struct session_torrent *st, uint64_t now_ms)
{
	struct watch *w = &c->watches[st->index];
	struct worker_counts counts = worker_pool_counts(c->pool, st->index);
	char tracker[SESSION_TORRENT_WORD_SIZE];
	char web_seed[SESSION_TORRENT_WORD_SIZE];
	char reason[STALL_TEXT_SIZE];

	bool fetching = st->state == STATE_FETCHING;
	bool wants = fetching || st->state == STATE_LEECHING;
	uint64_t moved = progress_of(st);

	if (!wants || fetching != w->fetching || moved != w->moved ||
		w->moved_ms == 0) {
		w->fetching = fetching;
		w->moved = moved;
		w->moved_ms = now_ms;
		w->stall[0] = '\0';
		return;
	}
	if (!fetching && torrent_complete(st->torrent))
		return;
	if (now_ms - w->moved_ms >= STALL_COUNT_MS)
		announcer_count(st->announcer);
	if (now_ms - w->moved_ms < STALL_MS)
		return;
	session_torrent_said(st, WORD_OF_TRACKER, tracker);
	session_torrent_said(st, WORD_OF_WEB_SEED, web_seed);
	struct stall_facts facts = {
		.fetching = fetching,
		.connected = counts.connected,
		.choking = counts.choking,
		.offering = counts.offering,
		.limited = counts.limited,
		.limited_web_seeds = st->limited_web_seeds,
		.limit = rate_limit_rate(c->session->download_limit),
		.addresses = peer_book_count(c->book, st->index),
		.dialling = counts.dialling > 0,
		.missing = fetching ? 0 : torrent_first_missing(st->torrent),
		.sources = sources_of(c, st),
	};
	facts.sources.tracker = tracker;
	facts.sources.web_seed = web_seed;
	facts.sources.counts = session_torrent_counts(st);
	stall_reason(&facts, reason);
	if (stall_same(reason, w->stall) &&
		now_ms - w->told_ms < STALL_REPEAT_MS)
		return;
	memcpy(w->stall, reason, sizeof(w->stall));
	w->told_ms = now_ms;
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_STALLED,
			.stalled = {.reason = reason,
				.counts = facts.sources.counts}});
}

/* `alone`: nobody is there any more, so that nothing is to be expected. */
static double smooth(double before, double now, double seconds, bool alone)
{
	if (before <= 0 || (alone && now <= 0))
		return now; /* what begins or ends is shown as it is */

	double weight = seconds / (seconds + RATE_SECONDS / 2.0);

	return before + (now - before) * weight;
}

static void tell_progress(
	struct coordinator *c, struct session_torrent *st, double seconds)
{
	struct watch *w = &c->watches[st->index];
	struct worker_counts counts = worker_pool_counts(c->pool, st->index);
	uint64_t downloaded = st->downloaded, uploaded = st->uploaded;
	uint8_t map[PROGRESS_MAP_CELLS];

	if (st->state == STATE_FETCHING)
		session_torrent_emit(st,
			&(struct event){.kind = EVENT_PROGRESS,
				.progress = {.peers = counts.connected,
					.eta_s = -1}});
	if (!session_torrent_open(st))
		return;
	uint64_t done = torrent_have_bytes(st->torrent);
	bool alone = counts.connected == 0;
	w->down = smooth(w->down,
		(double)(downloaded - w->downloaded) / seconds, seconds, alone);
	w->up = smooth(w->up, (double)(uploaded - w->uploaded) / seconds,
		seconds, alone);
	w->downloaded = downloaded;
	w->uploaded = uploaded;
	torrent_map(st->torrent, map, PROGRESS_MAP_CELLS);

	uint64_t total = torrent_wanted_bytes(st->torrent);
	uint64_t left = total - done;
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_PROGRESS,
			.progress = {.done = done,
				.total = total,
				.down = (uint64_t)w->down,
				.up = (uint64_t)w->up,
				.downloaded = downloaded,
				.uploaded = uploaded,
				.peers = counts.connected,
				.seeds = counts.seeds,
				.seeding = st->state == STATE_SEEDING,
				.eta_s = left == 0 ? 0
					: w->down >= 1
					? (int64_t)((double)left / w->down)
					: -1,
				.map = map,
				.pieces = st->m->piece_count}});
}

static void tick(struct coordinator *c, uint64_t now_ms)
{
	bool progress = now_ms - c->progress_ms >= PROGRESS_MS;
	double seconds = (double)(now_ms - c->progress_ms) / 1000;
	size_t ended = 0;

	for (size_t i = 0; i < c->session->torrent_count; i++) {
		struct session_torrent *st = torrent_of(c, (int)i);

		look_after(c, st, now_ms);
		if (progress) {
			tell_progress(c, st, seconds);
			tell_stall(c, st, now_ms);
		}
		ended += c->watches[i].ended;
	}
	if (progress)
		c->progress_ms = now_ms;
	waiting_room_tidy(c->waiting, now_ms);
	make_room(c, now_ms);
	if (ended == c->session->torrent_count)
		(void)!write(c->done_fd, &(uint64_t){1}, sizeof(uint64_t));
	c->tick_ms = now_ms + TICK_MS;
	c->trade = true;
}

static void *run(void *arg)
{
	struct coordinator *c = arg;
	struct candidate got;

	for (;;) {
		uint64_t now = clock_ms();
		unsigned timeout =
			c->tick_ms > now ? (unsigned)(c->tick_ms - now) : 0;
		enum peer_queue_result result =
			peer_queue_pop(c->session->queue, timeout, &got);

		now = clock_ms();
		if (result == PEER_QUEUE_CLOSED)
			break;
		if (result == PEER_QUEUE_TAKEN)
			handle(c, &got, now);
		if (now >= c->tick_ms)
			tick(c, now);
		fill_workers(c, now);
		if (c->trade)
			share_upload(c);
	}
	return NULL;
}

static void release(struct coordinator *c)
{
	waiting_room_destroy(c->waiting);
	peer_book_destroy(c->book);
	choker_destroy(c->choker);
	free(c->traders);
	free(c->watches);
	free(c);
}

static size_t most_waiting(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return LEAST_WAITING;
	rlim_t share = limit.rlim_cur / DESCRIPTORS_PER_WAITING;
	return share > MOST_WAITING     ? MOST_WAITING
		: share < LEAST_WAITING ? LEAST_WAITING
					: (size_t)share;
}

struct coordinator *coordinator_start(const struct session_context *session,
	const struct session_options *options, struct worker_pool *pool,
	int done_fd, struct error *err)
{
	struct coordinator *c = calloc(1, sizeof(*c));
	uint64_t now = clock_ms();

	if (!c) {
		error_set(err, "coordinator: out of memory");
		return NULL;
	}
	c->session = session;
	c->options = options;
	c->pool = pool;
	c->done_fd = done_fd;
	c->progress_ms = now;
	c->tick_ms = now + TICK_MS;
	c->watches = calloc(session->torrent_count, sizeof(*c->watches));
	c->book = peer_book_create(session->torrent_count, random_u64());
	c->traders = calloc(worker_pool_size(pool), sizeof(*c->traders));
	c->choker = choker_create(
		worker_pool_size(pool), options->upload_limit, random_u64());
	c->waiting = waiting_room_create(most_waiting(), random_u64());
	if (!c->watches || !c->book || !c->traders || !c->choker ||
		!c->waiting) {
		error_set(err, "coordinator: out of memory");
		release(c);
		return NULL;
	}
	int error = pthread_create(&c->thread, NULL, run, c);
	if (error != 0) {
		errno = error;
		error_set_errno(err, "coordinator: cannot start a thread");
		release(c);
		return NULL;
	}
	return c;
}

void coordinator_destroy(struct coordinator *c)
{
	if (!c)
		return;
	pthread_join(c->thread, NULL);
	release(c);
}
