#define HASH_NONFATAL_OOM 1

#include "client/session/peer_book.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>
#include <xxhash.h>

#include "client/session/due_heap.h"
#include "client/session/host_book.h"
#include "client/session/peer_priority.h"

/* How long an address waits. */
enum {
	FIRST_BACKOFF_MS = 5 * 1000, /* after a failure; then doubling, to */
	MAX_BACKOFF_MS = 3600 * 1000,
	MAX_BACKOFF_PROVEN_MS = 60 * 1000, /* its link may be back soon */
	MAX_BACKOFF_USER_MS = 30 * 1000,   /* the user knows better */
	GONE_MS = 10 * 1000, /* gave data, then closed: perhaps a restart */
	DUPLICATE_MS = 60 * 1000,
	STOPPED_MS = 60 * 1000,
	USELESS_MS = 5 * 60 * 1000,
	PROTOCOL_ERROR_MS = 10 * 60 * 1000,
	/* Who stayed so long does not count as failing when it goes. */
	LONG_VISIT_MS = 60 * 1000,
	/* 20 minutes: no more proven than others. */
	PROVEN_MAX_FAILURES = 20,
};
static const uint64_t never_ms = UINT64_MAX;

enum {
	/* Of one torrent's book, peers and the DHT may fill so much: the rest
	 * is for those that cannot be flooded as easily. */
	GOSSIP_MAX = PEER_BOOK_MAX / 4 * 3,
	FIRST_SLOTS = 16,
	/* 5 s doubled so often is more than an hour. */
	FAILURES_COUNTED = 10,
};

enum rank {
	RANK_USER,   /* named by the user */
	RANK_PROVEN, /* gave data */
	RANK_FRESH,  /* never tried */
	RANK_TRIED,
	RANKS,
};

struct entry {
	struct due_item due; /* first: entry_of() */
	struct endpoint address;
	struct host *host;
	enum rank rank;
	unsigned failures; /* in a row */
	bool connected;    /* or being dialled; then in no heap and no list */
	bool charged;      /* its host, for this dial */
	bool ourselves;
	bool guilty;    /* of bad data, itself */
	bool duplicate; /* when last dialled, it was connected already */
	uint64_t dialled_ms;
	struct entry *prev, *next; /* in a list of `evictable` */
	UT_hash_handle hh;
};

/* One torrent's addresses. */
struct shelf {
	enum peer_book_wanted wanted;
	struct entry *by_address;
	size_t count;
	struct due_heap heaps[RANKS];
	/* RANK_TRIED by failures, the longest waiting first. */
	struct entry *evictable[FAILURES_COUNTED + 1];
	/* Of the heaps: each has room for all, so that an entry can change its
	 * rank at any time. */
	size_t capacity;
	struct due_item **slots;
};

/* How others see us, by one family of addresses. */
struct mirror {
	struct endpoint ours; /* believed; port 0: not known yet */
	struct endpoint said; /* last */
	struct endpoint by;   /* by whom */
};

struct peer_book {
	struct mirror mirrors[2]; /* IPv6, IPv4 */
	uint64_t seed;
	uint64_t order; /* of the next entry */
	size_t torrents;
	size_t turn; /* the torrent whose turn it is */
	struct host_book *hosts;
	struct shelf *shelves[];
};

struct peer_book *peer_book_create(size_t torrents, uint64_t seed)
{
	struct peer_book *b =
		calloc(1, sizeof(*b) + torrents * sizeof(b->shelves[0]));

	if (!b)
		return NULL;
	b->seed = seed;
	b->torrents = torrents;
	b->hosts = host_book_create(seed);
	if (!b->hosts)
		goto fail;
	for (size_t i = 0; i < torrents; i++) {
		struct shelf *s = b->shelves[i] = calloc(1, sizeof(*s));
		if (!s)
			goto fail;
		s->wanted = PEER_BOOK_ALL;
	}
	return b;

fail:
	peer_book_destroy(b);
	return NULL;
}

static void shelf_destroy(struct shelf *s)
{
	struct entry *e, *next;

	if (!s)
		return;
	HASH_ITER(hh, s->by_address, e, next)
	{
		HASH_DEL(s->by_address, e);
		free(e);
	}
	free(s->slots);
	free(s);
}

void peer_book_destroy(struct peer_book *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->torrents; i++)
		shelf_destroy(b->shelves[i]);
	host_book_destroy(b->hosts);
	free(b);
}

/* NULL for a torrent that is not known: an accepted peer may not have got as
 * far as naming one. */
static struct shelf *shelf_of(const struct peer_book *b, int torrent)
{
	if (torrent < 0 || (size_t)torrent >= b->torrents)
		return NULL;
	return b->shelves[torrent];
}

static struct entry *entry_of(struct due_item *due)
{
	return (struct entry *)(void *)due;
}

static struct entry **evictable_list(struct shelf *s, const struct entry *e)
{
	return &s->evictable[e->failures < FAILURES_COUNTED ? e->failures
							    : FAILURES_COUNTED];
}

/* Let it wait until it is due; or take it out, before its rank or failures
 * change. */
static void put_down(struct shelf *s, struct entry *e)
{
	due_heap_add(&s->heaps[e->rank], &e->due);
	if (e->rank == RANK_TRIED) {
		struct entry **list = evictable_list(s, e);
		DL_APPEND(*list, e);
	}
}

static void pick_up(struct shelf *s, struct entry *e)
{
	due_heap_remove(&s->heaps[e->rank], &e->due);
	if (e->rank == RANK_TRIED) {
		struct entry **list = evictable_list(s, e);
		DL_DELETE(*list, e);
	}
}

_Static_assert(sizeof(struct endpoint) == 18, "is hashed: no padding");

static unsigned hash_of(const struct peer_book *b, const struct endpoint *e)
{
	uint64_t hash = XXH3_64bits_withSeed(e, sizeof(*e), b->seed);

	return (unsigned)(hash ^ hash >> 32);
}

static struct entry *find(const struct peer_book *b, const struct shelf *s,
	const struct endpoint *address)
{
	struct entry *e;

	HASH_FIND_BYHASHVALUE(hh, s->by_address, address, sizeof(*address),
		hash_of(b, address), e);
	return e;
}

/* The longest-failing one makes room; false: nobody can. */
static bool evict(struct peer_book *b, struct shelf *s)
{
	for (size_t i = FAILURES_COUNTED + 1; i-- > 0;) {
		struct entry *e = s->evictable[i];

		if (!e)
			continue;
		pick_up(s, e);
		HASH_DEL(s->by_address, e);
		host_book_release(b->hosts, e->host);
		free(e);
		s->count--;
		return true;
	}
	return false;
}

/* Room in the heaps for one more entry.  A torrent may have thousands of
 * addresses, but most of many torrents have few. */
static bool grow(struct shelf *s)
{
	if (s->count < s->capacity)
		return true;

	size_t capacity = s->capacity == 0 ? FIRST_SLOTS : 2 * s->capacity;
	struct due_item **slots = calloc(RANKS * capacity, sizeof(*slots));
	if (!slots)
		return false;
	for (size_t rank = 0; rank < RANKS; rank++) {
		struct due_heap *heap = &s->heaps[rank];
		struct due_item **items = slots + rank * capacity;

		if (heap->count > 0)
			memcpy(items, heap->items,
				heap->count * sizeof(*items));
		heap->items = items;
	}
	free(s->slots);
	s->slots = slots;
	s->capacity = capacity;
	return true;
}

/* A new entry, still in no heap.  NULL: no room or no memory. */
static struct entry *add(struct peer_book *b, struct shelf *s,
	const struct endpoint *address, enum rank rank, size_t most)
{
	if ((s->count >= most && !evict(b, s)) || !grow(s))
		return NULL;

	struct entry *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->address = *address;
	e->rank = rank;
	e->due.order = b->order++;
	e->host = host_book_hold(b->hosts, address);
	if (!e->host)
		goto fail;
	HASH_ADD_BYHASHVALUE(hh, s->by_address, address, sizeof(e->address),
		hash_of(b, address), e);
	if (!e->hh.tbl) /* out of memory */
		goto fail;
	s->count++;
	return e;

fail:
	if (e->host)
		host_book_release(b->hosts, e->host);
	free(e);
	return NULL;
}

static void user_named(struct shelf *s, struct entry *e, uint64_t now_ms)
{
	if (e->ourselves)
		return;
	if (!e->connected)
		pick_up(s, e);
	e->rank = RANK_USER;
	e->failures = 0;
	e->due.due_ms = now_ms;
	if (!e->connected)
		put_down(s, e);
}

/* Those never tried, heard of within so long, are dialled in the order of their
 * priority, and others after them, so that nobody waits for ever. */
enum { PRIORITY_MS = 60 * 1000 };

static void set_priority(const struct peer_book *b, struct entry *e)
{
	const struct mirror *m = &b->mirrors[endpoint_is_v4(&e->address)];

	if (e->rank != RANK_FRESH || m->ours.port == 0)
		return;
	e->due.order = UINT32_MAX - peer_priority(&m->ours, &e->address);
	e->due.due_ms -= e->due.due_ms % PRIORITY_MS;
}

void peer_book_seen_as(struct peer_book *b, const struct endpoint *ours,
	const struct endpoint *by)
{
	struct mirror *m = &b->mirrors[endpoint_is_v4(ours)];
	bool again =
		endpoint_equal(&m->said, ours) && !endpoint_same_ip(&m->by, by);

	m->said = *ours;
	m->by = *by;
	if (!again || endpoint_equal(&m->ours, ours))
		return;
	m->ours = *ours;
	for (size_t i = 0; i < b->torrents; i++) {
		struct shelf *s = b->shelves[i];

		for (struct entry *e = s->by_address; e; e = e->hh.next) {
			if (e->connected || e->rank != RANK_FRESH)
				continue;
			pick_up(s, e);
			set_priority(b, e);
			put_down(s, e);
		}
	}
}

void peer_book_heard(struct peer_book *b, int torrent,
	const struct endpoint *address, enum candidate_source source,
	uint64_t now_ms)
{
	struct shelf *s = shelf_of(b, torrent);
	bool user = source == FROM_USER;
	bool gossip = source == FROM_PEX || source == FROM_DHT;

	if (!s || !endpoint_dialable(address) ||
		host_book_banned(b->hosts, address, now_ms))
		return;

	struct entry *e = find(b, s, address);
	if (e && user)
		user_named(s, e, now_ms);
	if (e)
		return;

	e = add(b, s, address, user ? RANK_USER : RANK_FRESH,
		gossip ? GOSSIP_MAX : PEER_BOOK_MAX);
	if (!e)
		return;
	e->due.due_ms = now_ms;
	set_priority(b, e);
	put_down(s, e);
}

/* Whom we have reason to believe in is not held back for what others say of
 * addresses at the same IP. */
static bool is_trusted(const struct entry *e)
{
	return !e->guilty && (e->rank == RANK_USER || e->rank == RANK_PROVEN);
}

static uint64_t dialable_ms(const struct entry *e)
{
	return is_trusted(e) ? 0 : host_dialable_ms(e->host);
}

static bool is_wanted(const struct shelf *s, enum rank rank)
{
	switch (s->wanted) {
	case PEER_BOOK_NOBODY:
		return false;
	case PEER_BOOK_ALL:
		return true;
	case PEER_BOOK_UNTRIED:
		return rank == RANK_USER || rank == RANK_FRESH;
	}
	return false;
}

/* The first of a rank that may be dialled now, or NULL.  Those whose host has
 * to wait are put off until it need not: each at most once in HOST_DIAL_MS. */
static struct entry *first_due(struct shelf *s, enum rank rank, uint64_t now_ms)
{
	struct due_heap *heap = &s->heaps[rank];

	if (!is_wanted(s, rank))
		return NULL;
	for (;;) {
		struct due_item *first = due_heap_first(heap);
		if (!first || first->due_ms > now_ms)
			return NULL;

		uint64_t wait_until_ms = dialable_ms(entry_of(first));
		if (wait_until_ms <= now_ms)
			return entry_of(first);
		first->due_ms = wait_until_ms;
		due_heap_moved(heap, first);
	}
}

static struct entry *shelf_next(struct shelf *s, uint64_t now_ms)
{
	struct entry *e = first_due(s, RANK_USER, now_ms);

	if (!e)
		e = first_due(s, RANK_PROVEN, now_ms);
	if (e)
		return e;

	/* The fresh and the tried share: a flood of either cannot keep the
	 * other waiting. */
	struct entry *fresh = first_due(s, RANK_FRESH, now_ms);
	struct entry *tried = first_due(s, RANK_TRIED, now_ms);
	if (!fresh || !tried)
		return fresh ? fresh : tried;
	return fresh->due.due_ms <= tried->due.due_ms ? fresh : tried;
}

/* When somebody falls due. */
static uint64_t shelf_next_ms(const struct shelf *s)
{
	uint64_t next_ms = never_ms;

	for (enum rank rank = 0; rank < RANKS; rank++) {
		const struct due_item *first = due_heap_first(&s->heaps[rank]);

		if (first && is_wanted(s, rank) && first->due_ms < next_ms)
			next_ms = first->due_ms;
	}
	return next_ms;
}

bool peer_book_next(struct peer_book *b, uint64_t now_ms, int *ret_torrent,
	struct endpoint *ret, uint64_t *ret_next_ms)
{
	uint64_t next_ms = never_ms;

	for (size_t i = 0; i < b->torrents; i++) {
		size_t torrent = (b->turn + i) % b->torrents;
		struct shelf *s = b->shelves[torrent];
		struct entry *e = shelf_next(s, now_ms);

		if (!e) {
			uint64_t at_ms = shelf_next_ms(s);
			next_ms = at_ms < next_ms ? at_ms : next_ms;
			continue;
		}
		pick_up(s, e);
		e->connected = true;
		e->dialled_ms = now_ms;
		e->charged = !is_trusted(e);
		if (e->charged)
			host_charge(e->host, now_ms);
		b->turn = torrent + 1;
		*ret_torrent = (int)torrent;
		*ret = e->address;
		*ret_next_ms = now_ms;
		return true;
	}
	*ret_next_ms = next_ms;
	return false;
}

bool peer_book_due(const struct peer_book *b, uint64_t now_ms)
{
	for (size_t i = 0; i < b->torrents; i++) {
		if (shelf_next(b->shelves[i], now_ms))
			return true;
	}
	return false;
}

static void refund(struct entry *e)
{
	if (e->charged)
		host_refund(e->host);
	e->charged = false;
}

void peer_book_connected(
	struct peer_book *b, int torrent, const struct endpoint *address)
{
	const struct shelf *s = shelf_of(b, torrent);
	struct entry *e = s ? find(b, s, address) : NULL;

	if (e && e->connected)
		refund(e);
}

static uint64_t max_backoff_ms(enum rank rank)
{
	switch (rank) {
	case RANK_USER:
		return MAX_BACKOFF_USER_MS;
	case RANK_PROVEN:
		return MAX_BACKOFF_PROVEN_MS;
	case RANK_FRESH:
	case RANK_TRIED:
	case RANKS:
		break;
	}
	return MAX_BACKOFF_MS;
}

static uint64_t backoff_ms(const struct entry *e)
{
	uint64_t most_ms = max_backoff_ms(e->rank);

	if (e->failures > FAILURES_COUNTED)
		return most_ms;
	uint64_t wait_ms = (uint64_t)FIRST_BACKOFF_MS << (e->failures - 1);
	return wait_ms < most_ms ? wait_ms : most_ms;
}

static void lower_rank(struct entry *e)
{
	if (e->rank != RANK_USER)
		e->rank = RANK_TRIED;
}

static void failed(struct entry *e, uint64_t now_ms)
{
	e->failures++;
	if (e->rank == RANK_PROVEN && e->failures > PROVEN_MAX_FAILURES)
		lower_rank(e);
	e->due.due_ms = now_ms + backoff_ms(e);
}

/* It is due now, but for the ban of its host. */
static void find_guilty(struct entry *e, uint64_t now_ms)
{
	e->guilty = true;
	lower_rank(e);
	e->due.due_ms = now_ms;
}

/* What follows from how it ended: rank, failures, and when it is due. */
static void judge(struct entry *e, const struct candidate *c, uint64_t now_ms)
{
	bool was_there = c->ended != PEER_END_UNREACHABLE &&
		c->ended != PEER_END_NO_HANDSHAKE;

	if (was_there)
		refund(e);
	if (c->got_data && e->rank != RANK_USER)
		e->rank = RANK_PROVEN;
	if (e->rank == RANK_FRESH)
		e->rank = RANK_TRIED;
	if (c->got_data ||
		(was_there && now_ms - e->dialled_ms >= LONG_VISIT_MS))
		e->failures = 0;
	bool again = e->duplicate;
	e->duplicate = c->ended == PEER_END_DUPLICATE;

	switch (c->ended) {
	case PEER_END_CLOSED:
		if (c->got_data)
			e->due.due_ms = now_ms + GONE_MS;
		else
			failed(e, now_ms);
		break;
	case PEER_END_UNREACHABLE:
	case PEER_END_NO_HANDSHAKE:
		failed(e, now_ms);
		break;
	case PEER_END_OURSELVES:
		e->ourselves = true;
		lower_rank(e);
		e->due.due_ms = never_ms;
		break;
	case PEER_END_DUPLICATE:
		/* The other connection may be ending just now. */
		e->due.due_ms =
			now_ms + (again ? DUPLICATE_MS : FIRST_BACKOFF_MS);
		break;
	case PEER_END_PROTOCOL_ERROR:
		lower_rank(e);
		e->due.due_ms = now_ms + PROTOCOL_ERROR_MS;
		break;
	case PEER_END_CORRUPT:
		find_guilty(e, now_ms);
		break;
	case PEER_END_METADATA:
		e->due.due_ms = now_ms;
		break;
	case PEER_END_USELESS:
		e->due.due_ms = now_ms + USELESS_MS;
		break;
	case PEER_END_NEIGHBOURS:
		/* If there is reason to trust it, it is dialled: how often they
		 * lied is not its failure. */
		e->due.due_ms = now_ms + FIRST_BACKOFF_MS;
		break;
	case PEER_END_STOPPED:
		e->due.due_ms = now_ms + STOPPED_MS;
		break;
	}
}

/* Whether what a visitor says of itself is worth keeping. */
static bool left_in_peace(enum peer_end ended)
{
	return ended == PEER_END_CLOSED || ended == PEER_END_DUPLICATE ||
		ended == PEER_END_METADATA || ended == PEER_END_USELESS ||
		ended == PEER_END_STOPPED;
}

/* Somebody came to us and is gone: where it listens is worth knowing.  But it
 * only says so: an address that we know already, which may be another peer's
 * behind the same IP, is not judged by a visitor's faults. */
static void visitor_left(struct peer_book *b, struct shelf *s,
	const struct candidate *c, uint64_t now_ms)
{
	struct endpoint address = c->address;

	address.port = c->listen_port;
	if (!left_in_peace(c->ended) || !endpoint_dialable(&address) ||
		host_book_banned(b->hosts, &address, now_ms))
		return;

	struct entry *e = find(b, s, &address);
	/* The dials that found it connected already found this visitor: now
	 * nothing is in their way. */
	bool ours_to_dial = e && e->duplicate && !e->connected;
	if (e && !ours_to_dial &&
		(e->connected || e->ourselves || !c->got_data))
		return;
	if (e)
		pick_up(s, e);
	else
		e = add(b, s, &address, RANK_TRIED, GOSSIP_MAX);
	if (!e)
		return;
	judge(e, c, now_ms);
	put_down(s, e);
}

void peer_book_ended(
	struct peer_book *b, const struct candidate *c, uint64_t now_ms)
{
	struct shelf *s = shelf_of(b, c->torrent);

	/* Usually it was told of before the worker ended. */
	if (c->ended == PEER_END_CORRUPT &&
		!host_book_banned(b->hosts, &c->address, now_ms))
		host_book_ban(b->hosts, &c->address, now_ms);
	if (!s)
		return;
	if (!c->dialled) {
		visitor_left(b, s, c, now_ms);
		return;
	}

	struct entry *e = find(b, s, &c->address);
	if (!e || !e->connected)
		return;
	judge(e, c, now_ms);
	e->connected = false;
	e->charged = false;
	put_down(s, e);
}

bool peer_book_welcome(
	struct peer_book *b, const struct endpoint *address, uint64_t now_ms)
{
	return !host_book_banned(b->hosts, address, now_ms);
}

bool peer_book_ban(
	struct peer_book *b, const struct endpoint *address, uint64_t now_ms)
{
	for (size_t i = 0; i < b->torrents; i++) {
		struct shelf *s = b->shelves[i];
		struct entry *e = find(b, s, address);

		/* If it is connected, its end will tell. */
		if (!e || e->connected || e->ourselves)
			continue;
		pick_up(s, e);
		find_guilty(e, now_ms);
		put_down(s, e);
	}
	return host_book_ban(b->hosts, address, now_ms) >= HOST_LIARS_MAX;
}

void peer_book_want(
	struct peer_book *b, int torrent, enum peer_book_wanted wanted)
{
	shelf_of(b, torrent)->wanted = wanted;
}

size_t peer_book_count(const struct peer_book *b, int torrent)
{
	const struct shelf *s = shelf_of(b, torrent);
	size_t count = 0;

	for (size_t rank = 0; s && rank < RANKS; rank++) {
		for (size_t i = 0; i < s->heaps[rank].count; i++) {
			const struct entry *e =
				entry_of(s->heaps[rank].items[i]);
			count += !e->ourselves &&
				(is_trusted(e) ||
					host_unbanned_ms(e->host) == 0);
		}
	}
	return count;
}
