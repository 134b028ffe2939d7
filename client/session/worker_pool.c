#include "client/session/worker_pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "client/session/choker.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "shared/clock.h"

enum {
	STACK_SIZE = 256 * 1024,
	/* A peer that moved nothing for so long does no good; sooner one that
	 * has not even shaken hands, or that wants nothing and has nothing. */
	IDLE_MS = 10 * 1000,
	IDLE_FOR_NOTHING_MS = 3 * 1000,
	/* Much sooner when its host has so many workers more than the
	 * newcomer's, or when it is here for nothing and more newcomers wait
	 * than there are workers: some come back as soon as they are closed. */
	CROWD = 4,
	CROWD_IMPATIENCE = 4,
	/* Where there are few threads, half of them and so many are left to
	 * others: those who give the workers something to do, trackers,
	 * checks. */
	LEAST_SPARE = 2,
	MOST_SPARE = 8,
};

enum slot_state {
	SLOT_FREE,
	SLOT_GIVEN, /* a peer waits for the worker to begin */
	SLOT_BUSY,
	SLOT_ENDED, /* and the coordinator is still to hear of it */
};

struct slot {
	struct worker worker;
	pthread_t thread;
	pthread_cond_t given;

	/* Guarded by the pool's lock. */
	enum slot_state state;
	struct candidate candidate;
	bool dismissed; /* the thread is to end */
	bool leaving;   /* was asked to go */
	unsigned alike; /* make_room's: of its host, itself included */
	bool met;
	bool dialled;
	int torrent;
	uint8_t peer_id[PEER_ID_SIZE];
	const struct slot *awaits; /* its end decides about this one */
};

struct worker_pool {
	pthread_mutex_t lock;
	const struct session_context *session;
	unsigned size;    /* slots made */
	unsigned started; /* of these, with a thread */

	/* Guarded by `lock`. */
	bool closing;
	unsigned free;
	struct slot slots[];
};

static void push_ended(struct slot *slot, const struct worker_result *result)
{
	struct candidate c = slot->candidate;

	c.source = FROM_WORKER;
	c.dialled = c.socket < 0;
	c.socket = -1;
	c.torrent = result->torrent;
	c.ended = result->ended;
	c.got_data = result->got_data;
	c.lacks = result->lacks;
	c.listen_port = result->listen_port;
	c.worker = slot->worker.index;
	/* The queue keeps room for every worker; false: it is closed, and
	 * nobody is to hear of anything. */
	(void)peer_queue_push(slot->worker.session->queue, &c);
}

/* Wait for a peer; false: there will be none. */
static bool next_peer(struct worker_pool *pool, struct slot *slot)
{
	pthread_mutex_lock(&pool->lock);
	while (slot->state != SLOT_GIVEN && !pool->closing && !slot->dismissed)
		pthread_cond_wait(&slot->given, &pool->lock);
	bool go = slot->state == SLOT_GIVEN;
	if (go)
		slot->state = SLOT_BUSY;
	pthread_mutex_unlock(&pool->lock);
	return go;
}

static void wake_who_awaits_locked(
	struct worker_pool *pool, const struct slot *ended)
{
	for (unsigned i = 0; i < pool->started; i++) {
		struct slot *slot = &pool->slots[i];
		if (slot->awaits == ended)
			mailbox_wake(&slot->worker.mailbox);
	}
}

static void *run(void *arg)
{
	struct slot *slot = arg;
	struct worker_pool *pool = slot->worker.pool;

	while (next_peer(pool, slot)) {
		struct worker_result result =
			worker_talk(&slot->worker, &slot->candidate);

		pthread_mutex_lock(&pool->lock);
		slot->state = SLOT_ENDED;
		slot->met = false;
		slot->awaits = NULL;
		wake_who_awaits_locked(pool, slot);
		slot->worker.met = false;
		slot->worker.torrent = -1;
		pthread_mutex_unlock(&pool->lock);
		push_ended(slot, &result);
	}
	return NULL;
}

static bool start_slot(struct worker_pool *pool, unsigned index)
{
	struct slot *slot = &pool->slots[index];
	pthread_attr_t attr;

	slot->worker.index = index;
	slot->worker.pool = pool;
	slot->worker.session = pool->session;
	atomic_init(&slot->worker.torrent, -1);
	if (!mailbox_init(&slot->worker.mailbox))
		return false;
	pthread_cond_init(&slot->given, NULL);
	pool->size = index + 1;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	bool ok = pthread_create(&slot->thread, &attr, run, slot) == 0;
	pthread_attr_destroy(&attr);
	if (ok)
		pool->started = index + 1;
	return ok;
}

static void leave_some_threads(struct worker_pool *pool)
{
	unsigned spare = pool->started / 2;

	if (spare < LEAST_SPARE)
		spare = LEAST_SPARE;
	if (spare > MOST_SPARE)
		spare = MOST_SPARE;
	while (spare-- > 0 && pool->started > 1) {
		struct slot *slot = &pool->slots[--pool->started];

		pthread_mutex_lock(&pool->lock);
		slot->dismissed = true;
		pthread_cond_signal(&slot->given);
		pthread_mutex_unlock(&pool->lock);
		pthread_join(slot->thread, NULL);
	}
}

struct worker_pool *worker_pool_create(unsigned count,
	const struct session_context *session, struct error *err)
{
	struct worker_pool *pool =
		calloc(1, sizeof(*pool) + count * sizeof(pool->slots[0]));

	if (!pool) {
		error_set(err, "workers: out of memory");
		return NULL;
	}
	pthread_mutex_init(&pool->lock, NULL);
	pool->session = session;
	for (unsigned i = 0; i < count; i++) {
		if (!start_slot(pool, i))
			break;
	}
	/* Few threads or descriptors are to be had: work with what there is. */
	if (pool->started == 0) {
		error_set_errno(err, "workers: cannot start a thread");
		worker_pool_destroy(pool);
		return NULL;
	}
	if (pool->started < count)
		leave_some_threads(pool);
	pthread_mutex_lock(&pool->lock);
	pool->free = pool->started;
	pthread_mutex_unlock(&pool->lock);
	return pool;
}

void worker_pool_stop(struct worker_pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->closing = true;
	for (unsigned i = 0; i < pool->size; i++) {
		mailbox_post(&pool->slots[i].worker.mailbox, LETTER_STOP);
		pthread_cond_signal(&pool->slots[i].given);
	}
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++)
		pthread_join(pool->slots[i].thread, NULL);
	pool->started = 0;
}

void worker_pool_destroy(struct worker_pool *pool)
{
	if (!pool)
		return;
	for (unsigned i = 0; i < pool->size; i++) {
		pthread_cond_destroy(&pool->slots[i].given);
		mailbox_finish(&pool->slots[i].worker.mailbox);
	}
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

unsigned worker_pool_size(const struct worker_pool *pool)
{
	return pool->started;
}

unsigned worker_pool_free(const struct worker_pool *pool)
{
	/* Only the coordinator, who asks, changes it. */
	return pool->free;
}

static struct slot *find_free_locked(struct worker_pool *pool)
{
	for (unsigned i = 0; i < pool->started; i++) {
		if (pool->slots[i].state == SLOT_FREE)
			return &pool->slots[i];
	}
	return NULL;
}

bool worker_pool_assign(struct worker_pool *pool, const struct candidate *c)
{
	pthread_mutex_lock(&pool->lock);
	struct slot *slot = pool->closing ? NULL : find_free_locked(pool);
	if (slot) {
		slot->state = SLOT_GIVEN;
		slot->candidate = *c;
		slot->leaving = false;
		slot->torrent = c->torrent;
		mailbox_clear(&slot->worker.mailbox);
		slot->worker.since_ms = clock_ms();
		slot->worker.useful_ms = slot->worker.since_ms;
		slot->worker.torrent = c->torrent;
		slot->worker.peer_is_seed = false;
		slot->worker.peer_offers = false;
		slot->worker.peer_chokes = false;
		slot->worker.limited = false;
		slot->worker.gave = slot->worker.took = 0;
		slot->worker.peer_interested = false;
		slot->worker.peer_asks = false;
		slot->worker.peer_snubs = false;
		slot->worker.unchoke = false;
		pool->free--;
		pthread_cond_signal(&slot->given);
	}
	pthread_mutex_unlock(&pool->lock);
	return slot != NULL;
}

void worker_pool_release(struct worker_pool *pool, unsigned worker)
{
	pthread_mutex_lock(&pool->lock);
	if (pool->slots[worker].state == SLOT_ENDED) {
		pool->slots[worker].state = SLOT_FREE;
		pool->free++;
	}
	pthread_mutex_unlock(&pool->lock);
}

static bool talks(const struct slot *slot)
{
	return slot->state == SLOT_GIVEN || slot->state == SLOT_BUSY;
}

static void ask_to_leave_locked(struct slot *slot, enum letter letter)
{
	slot->leaving = true;
	mailbox_post(&slot->worker.mailbox, letter);
}

void worker_pool_stop_torrent(struct worker_pool *pool, int torrent)
{
	pthread_mutex_lock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++) {
		struct slot *slot = &pool->slots[i];
		if (talks(slot) &&
			(torrent < 0 || slot->worker.torrent == torrent))
			ask_to_leave_locked(slot, LETTER_STOP);
	}
	pthread_mutex_unlock(&pool->lock);
}

void worker_pool_stop_address(
	struct worker_pool *pool, const struct endpoint *guilty, bool whole_ip)
{
	pthread_mutex_lock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++) {
		struct slot *slot = &pool->slots[i];
		const struct endpoint *address = &slot->candidate.address;

		if (!talks(slot))
			continue;
		if (endpoint_equal(address, guilty))
			ask_to_leave_locked(slot, LETTER_CORRUPT);
		else if (whole_ip && endpoint_same_ip(address, guilty))
			ask_to_leave_locked(slot, LETTER_BANNED);
	}
	pthread_mutex_unlock(&pool->lock);
}

void worker_pool_nudge(struct worker_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++) {
		struct slot *slot = &pool->slots[i];
		if (talks(slot) && !slot->met && slot->candidate.socket >= 0)
			mailbox_wake(&slot->worker.mailbox);
	}
	pthread_mutex_unlock(&pool->lock);
}

static unsigned held_locked(
	const struct worker_pool *pool, const struct endpoint *address)
{
	unsigned count = 0;

	for (unsigned i = 0; i < pool->started; i++) {
		const struct slot *slot = &pool->slots[i];
		count += talks(slot) && !slot->leaving &&
			endpoint_same_host(&slot->candidate.address, address);
	}
	return count;
}

unsigned worker_pool_held(
	struct worker_pool *pool, const struct endpoint *address)
{
	pthread_mutex_lock(&pool->lock);
	unsigned count = held_locked(pool, address);
	pthread_mutex_unlock(&pool->lock);
	return count;
}

/* Who wants in. */
struct newcomers {
	unsigned count;
	unsigned held; /* by the host of the first */
	uint64_t now_ms;
};

static bool does_no_good(const struct worker_pool *pool,
	const struct slot *slot, const struct newcomers *n)
{
	const struct worker *w = &slot->worker;
	bool for_nothing = !w->met || (!w->peer_interested && !w->peer_offers);
	bool crowd = (slot->alike > CROWD && slot->alike - CROWD > n->held) ||
		(for_nothing && n->count > pool->started);
	uint64_t patience_ms = for_nothing ? IDLE_FOR_NOTHING_MS : IDLE_MS;

	if (crowd)
		patience_ms /= CROWD_IMPATIENCE;
	/* Added, not subtracted: it may have been of use a moment after now. */
	return (w->met ? w->useful_ms : w->since_ms) + patience_ms <= n->now_ms;
}

static bool is_worse(const struct slot *a, const struct slot *b)
{
	if (a->alike != b->alike)
		return a->alike > b->alike;
	return a->worker.useful_ms < b->worker.useful_ms;
}

static struct slot *worst_locked(
	struct worker_pool *pool, const struct newcomers *n)
{
	struct slot *worst = NULL;

	for (unsigned i = 0; i < pool->started; i++) {
		struct slot *slot = &pool->slots[i];
		if (talks(slot) && !slot->leaving &&
			does_no_good(pool, slot, n) &&
			(!worst || is_worse(slot, worst)))
			worst = slot;
	}
	return worst;
}

static void one_less_locked(
	struct worker_pool *pool, const struct endpoint *address)
{
	for (unsigned i = 0; i < pool->started; i++) {
		struct slot *slot = &pool->slots[i];
		if (endpoint_same_host(&slot->candidate.address, address))
			slot->alike--;
	}
}

void worker_pool_make_room(struct worker_pool *pool, unsigned newcomers,
	unsigned held, uint64_t now_ms)
{
	struct newcomers n = {newcomers, held, now_ms};
	struct slot *worst;
	unsigned leaving = 0;

	pthread_mutex_lock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++) {
		struct slot *slot = &pool->slots[i];
		leaving += talks(slot) && slot->leaving;
		slot->alike = held_locked(pool, &slot->candidate.address);
	}
	while (leaving < newcomers &&
		(worst = worst_locked(pool, &n)) != NULL) {
		ask_to_leave_locked(worst, LETTER_MAKE_ROOM);
		one_less_locked(pool, &worst->candidate.address);
		leaving++;
	}
	pthread_mutex_unlock(&pool->lock);
}

struct worker_counts worker_pool_counts(
	const struct worker_pool *pool, int torrent)
{
	struct worker_counts counts = {0};

	for (unsigned i = 0; i < pool->started; i++) {
		const struct worker *w = &pool->slots[i].worker;
		if (w->torrent != torrent)
			continue;
		if (!w->met) {
			counts.dialling++;
			continue;
		}
		counts.connected++;
		counts.seeds += w->peer_is_seed;
		counts.offering += w->peer_offers;
		counts.choking += w->peer_offers && w->peer_chokes;
		counts.limited +=
			w->peer_offers && !w->peer_chokes && w->limited;
	}
	return counts;
}

static bool we_seed(const struct worker *w)
{
	int torrent = w->torrent;

	return torrent >= 0 &&
		w->session->torrents[torrent].state == STATE_SEEDING;
}

void worker_pool_look(struct worker_pool *pool, struct choker_peer *ret)
{
	pthread_mutex_lock(&pool->lock);
	for (unsigned i = 0; i < pool->started; i++) {
		const struct worker *w = &pool->slots[i].worker;

		ret[i] = (struct choker_peer){0};
		if (!talks(&pool->slots[i]))
			continue;
		ret[i].since_ms = w->since_ms;
		ret[i].gave = w->gave;
		ret[i].took = w->took;
		ret[i].interested = w->peer_interested;
		ret[i].asks = w->peer_asks;
		ret[i].snubs = w->peer_snubs;
		ret[i].we_seed = we_seed(w);
	}
	pthread_mutex_unlock(&pool->lock);
}

void worker_pool_grant(struct worker_pool *pool, unsigned worker, bool unchoke)
{
	struct worker *w = &pool->slots[worker].worker;

	if (w->unchoke == unchoke)
		return;
	w->unchoke = unchoke;
	/* Else it looks by itself, when its peer becomes interested.  Nor is
	 * it disturbed before there is a conversation. */
	if (w->met && (w->peer_interested || !unchoke))
		mailbox_wake(&w->mailbox);
}

/* Another worker that talks to this peer, or NULL. */
static struct slot *find_peer_locked(struct worker_pool *pool,
	const struct slot *mine, int torrent,
	const uint8_t peer_id[PEER_ID_SIZE])
{
	for (unsigned i = 0; i < pool->started; i++) {
		struct slot *slot = &pool->slots[i];
		if (slot != mine && slot->met && !slot->leaving &&
			slot->torrent == torrent &&
			memcmp(slot->peer_id, peer_id, PEER_ID_SIZE) == 0)
			return slot;
	}
	return NULL;
}

static enum meeting decide(const struct worker *worker,
	const struct slot *other, const uint8_t peer_id[PEER_ID_SIZE],
	bool dialled)
{
	bool ours_larger =
		memcmp(worker->session->peer_id, peer_id, PEER_ID_SIZE) > 0;

	if (other->dialled == dialled)
		return dialled ? MEETING_GOES : MEETING_UNDECIDED;
	if (!ours_larger)
		return MEETING_UNDECIDED;
	return dialled ? MEETING_STAYS : MEETING_GOES;
}

enum meeting worker_pool_meet(struct worker *worker, int torrent,
	const uint8_t peer_id[PEER_ID_SIZE], bool dialled)
{
	struct worker_pool *pool = worker->pool;
	struct slot *mine = &pool->slots[worker->index];
	enum meeting meeting = MEETING_STAYS;

	pthread_mutex_lock(&pool->lock);
	struct slot *other = find_peer_locked(pool, mine, torrent, peer_id);
	if (other)
		meeting = decide(worker, other, peer_id, dialled);
	mine->awaits = meeting == MEETING_UNDECIDED ? other : NULL;
	if (meeting == MEETING_STAYS) {
		if (other)
			ask_to_leave_locked(other, LETTER_DUPLICATE);
		mine->met = true;
		mine->dialled = dialled;
		mine->torrent = torrent;
		memcpy(mine->peer_id, peer_id, PEER_ID_SIZE);
		worker->torrent = torrent;
		worker->met = true;
	}
	pthread_mutex_unlock(&pool->lock);
	return meeting;
}
