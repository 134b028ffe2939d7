#include "client/session/peer_book.h"

#include <stdlib.h>

#include "client/session/host_book.h"
#include "client/session/peer_priority.h"
#include "client/session/peer_shelf.h"

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
	/* 20 minutes: no more proven than others, and no more needy. */
	PROVEN_MAX_FAILURES = 20,
	NEEDY_MAX_FAILURES = 8,
};
static const uint64_t never_ms = UINT64_MAX;

enum {
	/* Of one torrent's book, peers and the DHT may fill so much: the rest
	 * is for those that cannot be flooded as easily. */
	GOSSIP_MAX = PEER_BOOK_MAX / 4 * 3,
	/* 5 s doubled so often is more than an hour. */
	DOUBLINGS_MAX = 10,
};

/* What it knows of one torrent. */
struct chapter {
	enum peer_book_wanted wanted;
	struct peer_shelf shelf;
};

/* How others see us, by one family of addresses. */
struct mirror {
	struct endpoint ours; /* believed; port 0: not known yet */
	struct endpoint said; /* last */
	struct endpoint by;   /* by whom */
};

struct peer_book {
	struct mirror mirrors[2]; /* IPv6, IPv4 */
	size_t torrents;
	size_t turn; /* the torrent whose turn it is */
	struct host_book *hosts;
	struct chapter *chapters[];
};

struct peer_book *peer_book_create(size_t torrents, uint64_t seed)
{
	struct peer_book *b =
		calloc(1, sizeof(*b) + torrents * sizeof(b->chapters[0]));

	if (!b)
		return NULL;
	b->torrents = torrents;
	b->hosts = host_book_create(seed);
	if (!b->hosts)
		goto fail;
	for (size_t i = 0; i < torrents; i++) {
		struct chapter *c = b->chapters[i] = calloc(1, sizeof(*c));
		if (!c)
			goto fail;
		c->wanted = PEER_BOOK_ALL;
		peer_shelf_init(&c->shelf, b->hosts, seed);
	}
	return b;

fail:
	peer_book_destroy(b);
	return NULL;
}

void peer_book_destroy(struct peer_book *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->torrents; i++) {
		if (b->chapters[i])
			peer_shelf_finish(&b->chapters[i]->shelf);
		free(b->chapters[i]);
	}
	host_book_destroy(b->hosts);
	free(b);
}

/* NULL for a torrent that is not known: an accepted peer may not have got as
 * far as naming one. */
static struct chapter *chapter_of(const struct peer_book *b, int torrent)
{
	if (torrent < 0 || (size_t)torrent >= b->torrents)
		return NULL;
	return b->chapters[torrent];
}

static void user_named(
	struct peer_shelf *s, struct peer_entry *e, uint64_t now_ms)
{
	if (e->ourselves)
		return;
	if (!e->connected)
		peer_shelf_pick_up(s, e);
	e->rank = RANK_USER;
	e->failures = 0;
	e->due.due_ms = now_ms;
	if (!e->connected)
		peer_shelf_put_down(s, e);
}

/* Those never tried, heard of within so long, are dialled in the order of their
 * priority, and others after them, so that nobody waits for ever. */
enum { PRIORITY_MS = 60 * 1000 };

static void set_priority(const struct peer_book *b, struct peer_entry *e)
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
		struct peer_shelf *s = &b->chapters[i]->shelf;
		struct peer_entry *e = NULL;

		while ((e = peer_shelf_next(s, e)) != NULL) {
			if (e->connected || e->rank != RANK_FRESH)
				continue;
			peer_shelf_pick_up(s, e);
			set_priority(b, e);
			peer_shelf_put_down(s, e);
		}
	}
}

void peer_book_heard(struct peer_book *b, int torrent,
	const struct endpoint *address, enum candidate_source source,
	uint64_t now_ms)
{
	struct chapter *c = chapter_of(b, torrent);
	bool user = source == FROM_USER;
	bool gossip = source == FROM_PEX || source == FROM_DHT;

	if (!c || !endpoint_dialable(address) ||
		host_book_banned(b->hosts, address, now_ms))
		return;

	struct peer_shelf *s = &c->shelf;
	struct peer_entry *e = peer_shelf_find(s, address);
	if (e && user)
		user_named(s, e, now_ms);
	if (e)
		return;

	e = peer_shelf_add(s, address, user ? RANK_USER : RANK_FRESH,
		gossip ? GOSSIP_MAX : PEER_BOOK_MAX);
	if (!e)
		return;
	e->due.due_ms = now_ms;
	set_priority(b, e);
	peer_shelf_put_down(s, e);
}

/* Whom we have reason to believe in is not held back for what others say of
 * addresses at the same IP. */
static bool is_trusted(const struct peer_entry *e)
{
	return !e->guilty && (e->rank == RANK_USER || e->rank == RANK_PROVEN);
}

static uint64_t dialable_ms(const struct peer_entry *e)
{
	return is_trusted(e) ? 0 : host_dialable_ms(e->host);
}

static bool is_wanted(const struct chapter *c, enum peer_rank rank)
{
	switch (c->wanted) {
	case PEER_BOOK_NOBODY:
		return false;
	case PEER_BOOK_ALL:
		return true;
	case PEER_BOOK_TAKERS:
		return rank == RANK_USER || rank == RANK_FRESH ||
			rank == RANK_NEEDY;
	}
	return false;
}

/* The first of a rank that may be dialled now, or NULL.  Those whose host has
 * to wait are put off until it need not: each at most once in HOST_DIAL_MS. */
static struct peer_entry *first_due(
	struct chapter *c, enum peer_rank rank, uint64_t now_ms)
{
	if (!is_wanted(c, rank))
		return NULL;
	for (;;) {
		struct peer_entry *e = peer_shelf_first(&c->shelf, rank);
		if (!e || e->due.due_ms > now_ms)
			return NULL;

		uint64_t wait_until_ms = dialable_ms(e);
		if (wait_until_ms <= now_ms)
			return e;
		peer_shelf_put_off(&c->shelf, e, wait_until_ms);
	}
}

static struct peer_entry *next_due(struct chapter *c, uint64_t now_ms)
{
	struct peer_entry *e = first_due(c, RANK_USER, now_ms);

	if (!e)
		e = first_due(c, RANK_PROVEN, now_ms);
	if (e)
		return e;

	/* The others share: a flood of one rank cannot keep another waiting. */
	for (enum peer_rank rank = RANK_FRESH; rank < RANKS; rank++) {
		struct peer_entry *other = first_due(c, rank, now_ms);

		if (other && (!e || other->due.due_ms < e->due.due_ms))
			e = other;
	}
	return e;
}

/* When somebody falls due. */
static uint64_t next_due_ms(const struct chapter *c)
{
	uint64_t next_ms = never_ms;

	for (enum peer_rank rank = 0; rank < RANKS; rank++) {
		const struct peer_entry *first =
			peer_shelf_first(&c->shelf, rank);

		if (first && is_wanted(c, rank) && first->due.due_ms < next_ms)
			next_ms = first->due.due_ms;
	}
	return next_ms;
}

bool peer_book_next(struct peer_book *b, uint64_t now_ms, int *ret_torrent,
	struct endpoint *ret, uint64_t *ret_next_ms)
{
	uint64_t next_ms = never_ms;

	for (size_t i = 0; i < b->torrents; i++) {
		size_t torrent = (b->turn + i) % b->torrents;
		struct chapter *c = b->chapters[torrent];
		struct peer_entry *e = next_due(c, now_ms);

		if (!e) {
			uint64_t at_ms = next_due_ms(c);
			next_ms = at_ms < next_ms ? at_ms : next_ms;
			continue;
		}
		peer_shelf_pick_up(&c->shelf, e);
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
		if (next_due(b->chapters[i], now_ms))
			return true;
	}
	return false;
}

static void refund(struct peer_entry *e)
{
	if (e->charged)
		host_refund(e->host);
	e->charged = false;
}

void peer_book_connected(
	struct peer_book *b, int torrent, const struct endpoint *address)
{
	const struct chapter *c = chapter_of(b, torrent);
	struct peer_entry *e = c ? peer_shelf_find(&c->shelf, address) : NULL;

	if (e && e->connected)
		refund(e);
}

static uint64_t max_backoff_ms(enum peer_rank rank)
{
	switch (rank) {
	case RANK_USER:
		return MAX_BACKOFF_USER_MS;
	case RANK_PROVEN:
		return MAX_BACKOFF_PROVEN_MS;
	case RANK_FRESH:
	case RANK_NEEDY:
	case RANK_TRIED:
	case RANKS:
		break;
	}
	return MAX_BACKOFF_MS;
}

static uint64_t backoff_ms(const struct peer_entry *e)
{
	uint64_t most_ms = max_backoff_ms(e->rank);

	if (e->failures > DOUBLINGS_MAX)
		return most_ms;
	uint64_t wait_ms = (uint64_t)FIRST_BACKOFF_MS << (e->failures - 1);
	return wait_ms < most_ms ? wait_ms : most_ms;
}

static void lower_rank(struct peer_entry *e)
{
	if (e->rank != RANK_USER)
		e->rank = RANK_TRIED;
}

static void failed(struct peer_entry *e, uint64_t now_ms)
{
	e->failures++;
	if ((e->rank == RANK_PROVEN && e->failures > PROVEN_MAX_FAILURES) ||
		(e->rank == RANK_NEEDY && e->failures > NEEDY_MAX_FAILURES))
		lower_rank(e);
	e->due.due_ms = now_ms + backoff_ms(e);
}

/* It is due now, but for the ban of its host. */
static void find_guilty(struct peer_entry *e, uint64_t now_ms)
{
	e->guilty = true;
	lower_rank(e);
	e->due.due_ms = now_ms;
}

static bool was_there(const struct candidate *c)
{
	return c->ended != PEER_END_UNREACHABLE &&
		c->ended != PEER_END_NO_HANDSHAKE;
}

/* Whom we dialled may not know where we are: while it lacks something that we,
 * who are complete, have, it is for us to dial again. */
static void judge_need(const struct chapter *chapter, struct peer_entry *e,
	const struct candidate *c)
{
	bool needy = chapter->wanted == PEER_BOOK_TAKERS &&
		((c->ended == PEER_END_CLOSED && c->lacks) ||
			(c->ended == PEER_END_DUPLICATE && !e->duplicate));

	if (needy && e->rank != RANK_USER)
		e->rank = RANK_NEEDY;
	else if (e->rank == RANK_NEEDY && was_there(c))
		lower_rank(e);
}

/* What follows from how it ended: rank, failures, and when it is due. */
static void judge(
	struct peer_entry *e, const struct candidate *c, uint64_t now_ms)
{
	if (was_there(c))
		refund(e);
	if (c->got_data && e->rank != RANK_USER)
		e->rank = RANK_PROVEN;
	if (e->rank == RANK_FRESH)
		e->rank = RANK_TRIED;
	if (c->got_data ||
		(was_there(c) && now_ms - e->dialled_ms >= LONG_VISIT_MS))
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
static void visitor_left(struct peer_book *b, struct peer_shelf *s,
	const struct candidate *c, uint64_t now_ms)
{
	struct endpoint address = c->address;

	address.port = c->listen_port;
	if (!left_in_peace(c->ended) || !endpoint_dialable(&address) ||
		host_book_banned(b->hosts, &address, now_ms))
		return;

	struct peer_entry *e = peer_shelf_find(s, &address);
	/* The dials that found it connected already found this visitor: now
	 * nothing is in their way. */
	bool ours_to_dial = e && e->duplicate && !e->connected;
	if (e && !ours_to_dial &&
		(e->connected || e->ourselves || !c->got_data))
		return;
	if (e)
		peer_shelf_pick_up(s, e);
	else
		e = peer_shelf_add(s, &address, RANK_TRIED, GOSSIP_MAX);
	if (!e)
		return;
	judge(e, c, now_ms);
	peer_shelf_put_down(s, e);
}

void peer_book_ended(
	struct peer_book *b, const struct candidate *c, uint64_t now_ms)
{
	struct chapter *chapter = chapter_of(b, c->torrent);

	/* Usually it was told of before the worker ended. */
	if (c->ended == PEER_END_CORRUPT &&
		!host_book_banned(b->hosts, &c->address, now_ms))
		host_book_ban(b->hosts, &c->address, now_ms);
	if (!chapter)
		return;
	struct peer_shelf *s = &chapter->shelf;
	if (!c->dialled) {
		visitor_left(b, s, c, now_ms);
		return;
	}

	struct peer_entry *e = peer_shelf_find(s, &c->address);
	if (!e || !e->connected)
		return;
	judge_need(chapter, e, c);
	judge(e, c, now_ms);
	e->connected = false;
	e->charged = false;
	peer_shelf_put_down(s, e);
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
		struct peer_shelf *s = &b->chapters[i]->shelf;
		struct peer_entry *e = peer_shelf_find(s, address);

		/* If it is connected, its end will tell. */
		if (!e || e->connected || e->ourselves)
			continue;
		peer_shelf_pick_up(s, e);
		find_guilty(e, now_ms);
		peer_shelf_put_down(s, e);
	}
	return host_book_ban(b->hosts, address, now_ms) >= HOST_LIARS_MAX;
}

void peer_book_want(
	struct peer_book *b, int torrent, enum peer_book_wanted wanted)
{
	chapter_of(b, torrent)->wanted = wanted;
}

size_t peer_book_count(const struct peer_book *b, int torrent)
{
	const struct chapter *c = chapter_of(b, torrent);
	const struct peer_entry *e = NULL;
	size_t count = 0;

	while (c && (e = peer_shelf_next(&c->shelf, e)) != NULL)
		count += !e->connected && !e->ourselves &&
			(is_trusted(e) || host_unbanned_ms(e->host) == 0);
	return count;
}
