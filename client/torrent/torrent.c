#include "client/torrent/torrent.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "client/torrent/block_pool.h"
#include "client/torrent/open_piece.h"
#include "client/torrent/piece_map.h"
#include "client/torrent/selection.h"
#include "client/torrent/smart_ban.h"
#include "shared/metainfo.h"
#include "shared/random_bytes.h"

struct torrent {
	pthread_mutex_t lock;

	/* Set once, by create. */
	const struct metainfo *m;
	struct block_pool *pool;
	uint64_t fingerprint_key;
	const struct selection *selection; /* NULL: all is wanted */
	uint32_t wanted_count;
	uint64_t wanted_bytes;

	/* Guarded by `lock`. */
	struct picker *picker;
	struct smart_ban *smart_ban;
	struct torrent_peer *peers;
	uint64_t waking;  /* rounds of waking that began */
	uint32_t partial; /* of these, those that have not all pieces */
	/* The log: pieces in the order they were completed.  Of more than there
	 * are pieces (some were lost, and came again) it has the latest.  A
	 * seed writes none, and its pages cost nothing. */
	uint32_t *news;

	/* Written under `lock`, read by all. */
	_Atomic size_t news_count;
	_Atomic uint32_t all_count;  /* pieces had */
	_Atomic uint32_t have_count; /* of these, wanted */
	_Atomic uint64_t have_bytes; /* of these, in wanted files */
};

struct torrent *torrent_create(const struct metainfo *m,
	struct block_pool *pool, enum piece_order order, uint64_t budget)
{
	struct torrent *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->m = m;
	t->pool = pool;
	t->fingerprint_key = random_u64();
	t->wanted_count = m->piece_count;
	t->wanted_bytes = m->length;
	t->picker = picker_create(m, pool, order, budget, random_u64());
	t->smart_ban = smart_ban_create();
	t->news = malloc(m->piece_count * sizeof(*t->news));
	if (!t->picker || !t->smart_ban || !t->news) {
		torrent_destroy(t);
		return NULL;
	}
	return t;
}

void torrent_set_budget(struct torrent *t, uint64_t budget)
{
	pthread_mutex_lock(&t->lock);
	picker_set_budget(t->picker, budget);
	pthread_mutex_unlock(&t->lock);
}

bool torrent_select(struct torrent *t, const struct selection *selection)
{
	if (!selection->partial)
		return true;
	t->selection = selection;
	t->wanted_count = t->m->piece_count - selection->unwanted.set;
	t->wanted_bytes = selection->length;
	return picker_leave_out(t->picker, &selection->unwanted);
}

const struct bitfield *torrent_unwanted(const struct torrent *t)
{
	return t->selection ? &t->selection->unwanted : NULL;
}

void torrent_destroy(struct torrent *t)
{
	if (!t)
		return;
	picker_destroy(t->picker);
	smart_ban_destroy(t->smart_ban);
	free(t->news);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

const struct metainfo *torrent_metainfo(const struct torrent *t)
{
	return t->m;
}

/* ---- waking ---- */

enum { WAKE_AT_ONCE = 64 };

static bool claim_sleeper(struct torrent_peer *p)
{
	return atomic_load(&p->sleeping) &&
		atomic_exchange(&p->sleeping, false);
}

static void wake(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)!write(fds[i], &(uint64_t){1}, sizeof(uint64_t));
}

/* Wake the sleeping peers.  Writing to an eventfd is I/O, so it is done without
 * the lock, for some at a time; who was woken may sleep again before the last
 * one is, so each notes which round it was passed in.  Whoever is awake may
 * have looked for blocks to ask for a moment ago: it finds `stirred` before it
 * sleeps. */
static void wake_sleepers(struct torrent *t)
{
	int fds[WAKE_AT_ONCE];
	uint64_t round = 0;
	size_t count;

	do {
		count = 0;
		pthread_mutex_lock(&t->lock);
		if (round == 0)
			round = ++t->waking;
		for (struct torrent_peer *p = t->peers;
			p && count < WAKE_AT_ONCE; p = p->next) {
			if (p->woken >= round)
				continue;
			p->woken = round;
			atomic_store(&p->stirred, true);
			if (claim_sleeper(p))
				fds[count++] = p->wake_fd;
		}
		pthread_mutex_unlock(&t->lock);
		wake(fds, count);
	} while (count == WAKE_AT_ONCE);
}

void torrent_sleeping(struct torrent_peer *peer, bool sleeping)
{
	atomic_store(&peer->sleeping, sleeping);
	if (!sleeping)
		atomic_store(&peer->stirred, false); /* it looks again now */
}

/* ---- what is had ---- */

static void count_have_locked(struct torrent *t, uint32_t piece, bool had)
{
	uint32_t one = had ? 1 : UINT32_MAX;

	t->all_count += one;
	if (t->selection && bitfield_has(&t->selection->unwanted, piece))
		return;
	uint32_t size = t->selection
		? selection_piece_bytes(t->selection, t->m, piece)
		: metainfo_piece_size(t->m, piece);
	t->have_bytes += had ? size : -(uint64_t)size;
	t->have_count += one; /* last: with it the torrent may be complete */
}

void torrent_set_have(struct torrent *t, const uint8_t *good)
{
	pthread_mutex_lock(&t->lock);
	for (uint32_t i = 0; i < t->m->piece_count; i++) {
		if (!good[i] || bitfield_has(picker_have(t->picker), i))
			continue;
		picker_set_have(t->picker, i);
		count_have_locked(t, i, true);
	}
	pthread_mutex_unlock(&t->lock);
}

uint32_t torrent_have_count(const struct torrent *t) { return t->have_count; }
uint64_t torrent_have_bytes(const struct torrent *t) { return t->have_bytes; }

uint32_t torrent_wanted_count(const struct torrent *t)
{
	return t->wanted_count;
}

uint64_t torrent_wanted_bytes(const struct torrent *t)
{
	return t->wanted_bytes;
}

bool torrent_complete(const struct torrent *t)
{
	return t->have_count == t->wanted_count;
}

bool torrent_whole(const struct torrent *t)
{
	return t->all_count == t->m->piece_count;
}

void torrent_have(struct torrent *t, struct bitfield *ret, size_t *ret_log)
{
	pthread_mutex_lock(&t->lock);
	bitfield_copy(ret, picker_have(t->picker));
	*ret_log = t->news_count;
	pthread_mutex_unlock(&t->lock);
}

size_t torrent_news(struct torrent *t, size_t *at, uint32_t *ret, size_t max)
{
	if (!torrent_has_news(t, *at))
		return 0;

	pthread_mutex_lock(&t->lock);
	size_t kept = t->m->piece_count;
	if (t->news_count - *at > kept)
		*at = t->news_count - kept;
	size_t count = t->news_count - *at;
	if (count > max)
		count = max;
	for (size_t i = 0; i < count; i++)
		ret[i] = t->news[(*at + i) % kept];
	pthread_mutex_unlock(&t->lock);
	*at += count;
	return count;
}

bool torrent_has_news(const struct torrent *t, size_t at)
{
	return t->news_count > at;
}

bool torrent_has(struct torrent *t, uint32_t piece)
{
	if (torrent_whole(t))
		return piece < t->m->piece_count;

	pthread_mutex_lock(&t->lock);
	bool has = bitfield_has(picker_have(t->picker), piece);
	pthread_mutex_unlock(&t->lock);
	return has;
}

uint32_t torrent_first_missing(struct torrent *t)
{
	uint32_t count = t->m->piece_count;

	pthread_mutex_lock(&t->lock);
	uint32_t first = bitfield_find(
		NULL, picker_have(t->picker), torrent_unwanted(t), 0, count);
	pthread_mutex_unlock(&t->lock);
	return first == BITFIELD_NONE ? count : first;
}

void torrent_lose(struct torrent *t, uint32_t piece)
{
	pthread_mutex_lock(&t->lock);
	if (bitfield_has(picker_have(t->picker), piece)) {
		picker_clear_have(t->picker, piece);
		count_have_locked(t, piece, false);
	}
	pthread_mutex_unlock(&t->lock);
}

void torrent_map(struct torrent *t, uint8_t *ret, size_t cells)
{
	struct bitfield have;
	size_t log;

	if (!t->selection) {
		pthread_mutex_lock(&t->lock);
		piece_map(picker_have(t->picker), ret, cells);
		pthread_mutex_unlock(&t->lock);
		return;
	}
	/* Piece by piece takes longer than a lock should be held. */
	memset(ret, 0, cells);
	if (t->wanted_count == 0 || !bitfield_init(&have, t->m->piece_count))
		return;
	torrent_have(t, &have, &log);
	piece_map_wanted(&have, torrent_unwanted(t), ret, cells);
	bitfield_finish(&have);
}

/* ---- peers ---- */

static void count_partial_locked(
	struct torrent *t, struct torrent_peer *peer, bool partial)
{
	if (peer->partial == partial)
		return;
	peer->partial = partial;
	t->partial += partial ? 1 : UINT32_MAX;
	picker_set_company(t->picker, t->partial);
}

void torrent_join(struct torrent *t, struct torrent_peer *peer)
{
	peer->pick.current = 0;
	peer->pick.proven = false;
	peer->pick.lapses = 0;
	peer->woken = 0;
	atomic_store(&peer->sleeping, false);
	atomic_store(&peer->stirred, false);
	atomic_store(&peer->prune, false);
	atomic_store(&peer->backlogged, false);
	atomic_store(&peer->corrupt, false);

	pthread_mutex_lock(&t->lock);
	smart_ban_acquit(t->smart_ban, &peer->pick.address);
	peer->next = t->peers;
	t->peers = peer;
	pthread_mutex_unlock(&t->lock);
}

void torrent_leave(struct torrent *t, struct torrent_peer *peer)
{
	pthread_mutex_lock(&t->lock);
	picker_release(t->picker, &peer->pick, peer->pick.asked,
		peer->pick.asked_count);
	(void)picker_rest(t->picker, &peer->pick); /* all are woken anyway */
	picker_count_peer(t->picker, &peer->pick, false);
	count_partial_locked(t, peer, false);
	struct torrent_peer **at = &t->peers;
	while (*at != peer)
		at = &(*at)->next;
	*at = peer->next;
	pthread_mutex_unlock(&t->lock);

	wake_sleepers(t);
}

/* Seeds from whom the piece was to come in a while look through their lists. */
static size_t prune_backlogs_locked(struct torrent *t, int fds[WAKE_AT_ONCE])
{
	size_t count = 0;

	for (struct torrent_peer *p = t->peers; p; p = p->next) {
		if (p->partial || !atomic_load(&p->backlogged))
			continue;
		atomic_store(&p->prune, true);
		/* Beyond these the others see to it when they wake. */
		if (count < WAKE_AT_ONCE && claim_sleeper(p))
			fds[count++] = p->wake_fd;
	}
	return count;
}

void torrent_peer_has_piece(
	struct torrent *t, struct torrent_peer *peer, uint32_t piece, bool open)
{
	int fds[WAKE_AT_ONCE];
	size_t count = 0;

	pthread_mutex_lock(&t->lock);
	picker_count_piece(t->picker, piece);
	count_partial_locked(t, peer, !bitfield_full(&peer->pick.has));
	if (open && picker_offer(t->picker, &peer->pick, piece))
		count = prune_backlogs_locked(t, fds);
	pthread_mutex_unlock(&t->lock);

	wake(fds, count);
}

void torrent_peer_has_many(
	struct torrent *t, struct torrent_peer *peer, bool came)
{
	pthread_mutex_lock(&t->lock);
	picker_count_peer(t->picker, &peer->pick, came);
	count_partial_locked(t, peer, !bitfield_full(&peer->pick.has));
	pthread_mutex_unlock(&t->lock);
}

void torrent_peer_silent(struct torrent *t, struct torrent_peer *peer)
{
	pthread_mutex_lock(&t->lock);
	peer->pick.proven = false;
	pthread_mutex_unlock(&t->lock);
}

void torrent_mind_failed(struct torrent *t, uint64_t now_ms)
{
	struct endpoint slow;
	bool lapsed = false;

	pthread_mutex_lock(&t->lock);
	while (picker_lapse(t->picker, now_ms, &slow)) {
		lapsed = true;
		for (struct torrent_peer *p = t->peers; p; p = p->next)
			p->pick.lapses +=
				endpoint_equal(&p->pick.address, &slow);
	}
	pthread_mutex_unlock(&t->lock);

	if (lapsed)
		wake_sleepers(t);
}

size_t torrent_reserve(struct torrent *t, struct torrent_peer *peer,
	struct block_id *ret, size_t max)
{
	pthread_mutex_lock(&t->lock);
	size_t count = picker_reserve(t->picker, &peer->pick, ret, max);
	pthread_mutex_unlock(&t->lock);
	return count;
}

void torrent_release(struct torrent *t, struct torrent_peer *peer,
	const struct block_id *blocks, size_t count, bool rest)
{
	bool work = count > 0; /* for others */

	pthread_mutex_lock(&t->lock);
	picker_release(t->picker, &peer->pick, blocks, count);
	if (rest)
		work |= picker_rest(t->picker, &peer->pick);
	pthread_mutex_unlock(&t->lock);

	if (work)
		wake_sleepers(t);
}

/* Others who asked for a block that has come look through their lists. */
static void prune_others_locked(
	struct torrent *t, const struct torrent_peer *but)
{
	for (struct torrent_peer *p = t->peers; p; p = p->next) {
		if (p != but)
			atomic_store(&p->prune, true);
	}
}

size_t torrent_receive(struct torrent *t, struct torrent_peer *peer,
	struct arrival *arrivals, size_t count, struct open_piece **ret_full)
{
	size_t full = 0;
	bool others = false;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < count; i++) {
		struct arrival *a = &arrivals[i];
		bool asked_others = false;

		switch (picker_receive(t->picker, &peer->pick, &a->block,
			a->memory, a->asked, &asked_others, &ret_full[full])) {
		case PICKER_FULL:
			full++;
			a->memory = NULL;
			break;
		case PICKER_TAKEN:
			a->memory = NULL;
			break;
		case PICKER_NOT_WANTED:
			break;
		}
		others |= asked_others;
	}
	if (others)
		prune_others_locked(t, peer);
	pthread_mutex_unlock(&t->lock);

	if (others)
		wake_sleepers(t);
	return full;
}

size_t torrent_prune(struct torrent *t, struct torrent_peer *peer, size_t due,
	size_t *ret_places, size_t max)
{
	size_t count = 0;

	if (!atomic_load(&peer->prune) || !atomic_exchange(&peer->prune, false))
		return 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < peer->pick.asked_count && count < max; i++) {
		const struct block_id *block = &peer->pick.asked[i];

		if (!picker_wants(t->picker, block) ||
			(i >= due &&
				picker_elsewhere(
					t->picker, &peer->pick, block)))
			ret_places[count++] = i;
	}
	pthread_mutex_unlock(&t->lock);
	return count;
}

bool torrent_peer_has_letters(const struct torrent_peer *peer)
{
	return atomic_load(&peer->prune) || atomic_load(&peer->corrupt) ||
		atomic_load(&peer->stirred);
}

bool torrent_peer_corrupt(const struct torrent_peer *peer)
{
	return atomic_load(&peer->corrupt);
}

/* ---- what finishers tell ---- */

static uint64_t fingerprint(
	const struct torrent *t, const struct open_piece *piece, uint32_t block)
{
	return XXH3_64bits_withSeed(piece->blocks[block],
		open_piece_block_size(piece, block), t->fingerprint_key);
}

/* The hash did not match: whose fault was it?  One giver: his.  Several: keep
 * fingerprints, the truth will tell. */
static size_t judge_failed(struct torrent *t, const struct open_piece *piece,
	struct endpoint *ret_guilty, size_t max)
{
	if (open_piece_single_giver(piece)) {
		if (max > 0)
			ret_guilty[0] = piece->givers[0];
		return max > 0;
	}

	struct smart_ban_failure *f =
		smart_ban_failure_create(piece->index, piece->block_count);
	if (!f)
		return 0;
	for (uint32_t i = 0; i < piece->block_count; i++) {
		const struct endpoint *giver = open_piece_giver(piece, i);
		f->blocks[i].fingerprint = fingerprint(t, piece, i);
		f->blocks[i].known = giver != NULL;
		if (giver)
			f->blocks[i].giver = *giver;
	}
	pthread_mutex_lock(&t->lock);
	smart_ban_failed(t->smart_ban, f);
	pthread_mutex_unlock(&t->lock);
	return 0;
}

static size_t judge_passed(struct torrent *t, const struct open_piece *piece,
	struct endpoint *ret_guilty, size_t max)
{
	pthread_mutex_lock(&t->lock);
	bool remembered = smart_ban_remembers(t->smart_ban, piece->index);
	pthread_mutex_unlock(&t->lock);
	if (!remembered)
		return 0;

	uint64_t *prints = calloc(piece->block_count, sizeof(*prints));
	if (!prints)
		return 0;
	for (uint32_t i = 0; i < piece->block_count; i++)
		prints[i] = fingerprint(t, piece, i);
	pthread_mutex_lock(&t->lock);
	size_t guilty = smart_ban_passed(t->smart_ban, piece->index, prints,
		piece->block_count, ret_guilty, max);
	pthread_mutex_unlock(&t->lock);
	free(prints);
	return guilty;
}

static void mark_proven_locked(
	struct torrent *t, const struct open_piece *piece)
{
	for (struct torrent_peer *p = t->peers; p; p = p->next) {
		for (uint8_t i = 0; !p->pick.proven && i < piece->giver_count;
			i++)
			p->pick.proven = endpoint_equal(
				&p->pick.address, &piece->givers[i]);
	}
}

/* Of the guilty only those are left that were not known before. */
static size_t convict_locked(
	struct torrent *t, struct endpoint *guilty, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (smart_ban_convict(t->smart_ban, &guilty[i]))
			guilty[kept++] = guilty[i];
	}
	return kept;
}

bool torrent_tainted(struct torrent *t, const struct open_piece *piece)
{
	bool tainted = false;

	pthread_mutex_lock(&t->lock);
	for (uint8_t i = 0; !tainted && i < piece->giver_count; i++)
		tainted = smart_ban_convicted(t->smart_ban, &piece->givers[i]);
	pthread_mutex_unlock(&t->lock);
	return tainted;
}

static void mark_corrupt_locked(
	struct torrent *t, const struct endpoint *guilty, size_t count)
{
	for (struct torrent_peer *p = t->peers; p; p = p->next) {
		for (size_t i = 0; i < count; i++) {
			if (endpoint_equal(&p->pick.address, &guilty[i]))
				atomic_store(&p->corrupt, true);
		}
	}
}

static void log_locked(struct torrent *t, uint32_t piece)
{
	t->news[t->news_count % t->m->piece_count] = piece;
	t->news_count++;
}

size_t torrent_finish_piece(struct torrent *t, struct open_piece *piece,
	bool good, struct endpoint *ret_guilty, size_t max)
{
	uint32_t index = piece->index;
	size_t guilty = good ? judge_passed(t, piece, ret_guilty, max)
			     : judge_failed(t, piece, ret_guilty, max);

	block_pool_give(t->pool, piece->blocks, piece->block_count);

	pthread_mutex_lock(&t->lock);
	if (good)
		mark_proven_locked(t, piece);
	picker_finish(t->picker, piece, good);
	if (good) {
		count_have_locked(t, index, true);
		log_locked(t, index);
	}
	guilty = convict_locked(t, ret_guilty, guilty);
	mark_corrupt_locked(t, ret_guilty, guilty);
	pthread_mutex_unlock(&t->lock);

	wake_sleepers(t);
	return guilty;
}

void torrent_abandon_piece(struct torrent *t, struct open_piece *piece)
{
	block_pool_give(t->pool, piece->blocks, piece->block_count);
	pthread_mutex_lock(&t->lock);
	picker_abandon(t->picker, piece);
	pthread_mutex_unlock(&t->lock);

	wake_sleepers(t);
}
