#include "client/discovery/dht.h"

#include <stdlib.h>
#include <string.h>

#include "client/discovery/dht_limits.h"
#include "client/discovery/dht_message.h"
#include "client/discovery/dht_search.h"
#include "client/discovery/dht_store.h"
#include "client/discovery/dht_table.h"
#include "shared/bencode.h"
#include "shared/bencode_writer.h"
#include "shared/reader.h"
#include "shared/writer.h"

enum {
	FAMILIES = 2,       /* 0: IPv4, 1: IPv6 */
	MAX_QUERIES = 256,  /* under way */
	MAX_SEARCHES = 8,   /* under way */
	PEER_SEARCHES = 6,  /* of them, for peers */
	MAX_TRIES = 512,    /* addresses that wait to be asked */
	TRIES_AT_ONCE = 16, /* of them, under way */
	ENOUGH_NODES = 32,  /* then saved ones need not be asked */
	VALUES_SENT = 32,   /* peers of one answer */

	BUSY_MS = 50,   /* the tick while something is under way */
	IDLE_MS = 1000, /* and when not */
	ENTER_FIRST_MS = 1000,
	ENTER_MAX_MS = 60 * 1000,
	SPREAD_MS = 5 * 60 * 1000, /* on top of DHT_ROUND_MS, by dice */
	EXPIRE_MS = 60 * 1000,

	/* Our address by what others see (BEP 42): so many of the last ones who
	 * told us must agree. */
	VOTES = 10,
	VOTES_NEEDED = 6,

	TRANSACTION_SIZE = 4,
};

enum krpc_error { ERROR_PROTOCOL = 203, ERROR_METHOD_UNKNOWN = 204 };

enum purpose { FOR_TABLE, FOR_ENTRANCE, FOR_SEARCH, FOR_ANNOUNCE };

/* A question of ours under way. */
struct query {
	bool used;
	uint8_t transaction[TRANSACTION_SIZE];
	struct endpoint to;
	bool id_known;
	struct dht_id id; /* that it should have */
	enum purpose purpose;
	size_t search; /* FOR_SEARCH: which, and its serial number */
	uint64_t serial;
	uint64_t sent_ms;
};

struct search {
	bool running;
	bool for_peers; /* or for nodes only */
	int family;
	uint64_t serial;
	struct dht_search s;
};

struct wanted {
	struct dht_id torrent;
	uint16_t port;
	bool hungry;
	struct {
		bool searching;
		unsigned rounds; /* since there was reason to be hungry */
		uint64_t ended_ms, due_ms;
	} of[FAMILIES];
};

struct vote {
	struct endpoint voter, ours;
};

struct family {
	bool on;
	struct dht_id id;
	struct dht_table *table;
	bool joined;       /* searched for our own id since we know somebody */
	uint64_t enter_ms; /* when to ask the entrances again */
	unsigned entered;  /* how often in vain */
	size_t vote_next;
	struct vote votes[VOTES];
};

struct dht {
	struct dht_options o;
	struct family families[FAMILIES];
	struct dht_limits *limits;
	struct dht_store *store;
	uint64_t serial;
	uint64_t expire_ms;

	size_t entrance_count;
	struct endpoint entrances[DHT_ENTRANCES_MAX];

	/* Addresses to be asked whether somebody is there: a ring. */
	size_t try_head, try_count;
	struct endpoint tries[MAX_TRIES];

	size_t wanted_count, wanted_capacity;
	struct wanted *wanted;

	struct search searches[MAX_SEARCHES];
	struct query queries[MAX_QUERIES];
};

static uint32_t throw_dice(struct dht *d)
{
	uint32_t value;

	d->o.random(&value, sizeof(value));
	return value;
}

static struct dht_id random_id(struct dht *d)
{
	struct dht_id id;

	d->o.random(id.bytes, sizeof(id.bytes));
	return id;
}

static int family_index(const struct endpoint *e)
{
	return endpoint_is_v4(e) ? 0 : 1;
}

static struct family *family_of(struct dht *d, const struct endpoint *e)
{
	return &d->families[family_index(e)];
}

/* ---- making and ending ---- */

struct dht *dht_create(const struct dht_options *options, uint64_t now_ms)
{
	struct dht *d = calloc(1, sizeof(*d));
	uint8_t secret[DHT_LIMITS_SECRET];

	if (!d)
		return NULL;
	d->o = *options;
	d->o.random(secret, sizeof(secret));
	d->limits = dht_limits_create(secret, now_ms);
	d->store = dht_store_create();
	d->expire_ms = now_ms + EXPIRE_MS;
	d->families[0].on = options->v4;
	d->families[1].on = options->v6;
	bool ok = d->limits && d->store;
	for (int i = 0; i < FAMILIES; i++) {
		struct family *f = &d->families[i];

		f->id = random_id(d);
		f->enter_ms = now_ms;
		f->table = dht_table_create(&f->id, now_ms);
		ok = ok && f->table;
	}
	if (!ok) {
		dht_destroy(d);
		return NULL;
	}
	return d;
}

void dht_destroy(struct dht *d)
{
	if (!d)
		return;
	for (int i = 0; i < FAMILIES; i++)
		dht_table_destroy(d->families[i].table);
	dht_limits_destroy(d->limits);
	dht_store_destroy(d->store);
	free(d->wanted);
	free(d);
}

size_t dht_node_count(const struct dht *d)
{
	return dht_table_count(d->families[0].table) +
		dht_table_count(d->families[1].table);
}

/* ---- our questions ---- */

static struct query *free_query(struct dht *d)
{
	for (size_t i = 0; i < MAX_QUERIES; i++) {
		if (!d->queries[i].used)
			return &d->queries[i];
	}
	return NULL;
}

static bool asked_already(struct dht *d, const struct endpoint *to)
{
	for (size_t i = 0; i < MAX_QUERIES; i++) {
		if (d->queries[i].used && endpoint_equal(&d->queries[i].to, to))
			return true;
	}
	return false;
}

/* Is there room for a question that can as well be asked later? */
static bool may_ask(struct dht *d, uint64_t now_ms)
{
	return free_query(d) && dht_limits_may_ask(d->limits, now_ms);
}

/* Send `m` (its kind, and what belongs to that) with what every question has.
 * `how` says what it is for.  False: no room for more of them. */
static bool ask(struct dht *d, const struct dht_message *m,
	const struct query *how, uint64_t now_ms)
{
	uint8_t packet[DHT_PACKET_SENT_MAX];
	struct family *f = family_of(d, &how->to);
	struct query *q = f->on ? free_query(d) : NULL;

	if (!q)
		return false;
	*q = *how;
	q->used = true;
	q->sent_ms = now_ms;
	d->o.random(q->transaction, sizeof(q->transaction));

	struct dht_message out = *m;
	out.id = f->id;
	out.read_only = d->o.read_only;
	out.transaction = (struct span){q->transaction, sizeof(q->transaction)};
	size_t len = dht_message_write(&out, packet);
	if (len == 0) {
		q->used = false;
		return false;
	}
	dht_limits_asked(d->limits, now_ms);
	d->o.send(d->o.ctx, &q->to, (struct span){packet, len});
	return true;
}

static bool ping(struct dht *d, const struct endpoint *to, uint64_t now_ms)
{
	struct query how = {.to = *to, .purpose = FOR_TABLE};
	struct dht_message m = {.kind = DHT_PING};

	return ask(d, &m, &how, now_ms);
}

static bool ask_entrance(
	struct dht *d, const struct endpoint *to, uint64_t now_ms)
{
	struct query how = {.to = *to, .purpose = FOR_ENTRANCE};
	struct dht_message m = {
		.kind = DHT_FIND_NODE,
		.target = family_of(d, to)->id,
		.want_v4 = d->families[0].on && d->families[1].on,
		.want_v6 = d->families[0].on && d->families[1].on,
	};

	return ask(d, &m, &how, now_ms);
}

/* ---- addresses to be asked ---- */

void dht_try_node(struct dht *d, const struct endpoint *node)
{
	if (!endpoint_dialable(node) || !family_of(d, node)->on ||
		d->try_count == MAX_TRIES)
		return;
	d->tries[(d->try_head + d->try_count++) % MAX_TRIES] = *node;
}

void dht_entrance(struct dht *d, const struct endpoint *node)
{
	struct family *f = family_of(d, node);

	if (!endpoint_dialable(node) || !f->on ||
		d->entrance_count == DHT_ENTRANCES_MAX)
		return;
	for (size_t i = 0; i < d->entrance_count; i++) {
		if (endpoint_equal(&d->entrances[i], node))
			return;
	}
	d->entrances[d->entrance_count++] = *node;
	f->enter_ms = 0; /* a new chance, at the next tick */
	f->entered = 0;
}

static void try_some(struct dht *d, uint64_t now_ms)
{
	size_t under_way = 0;

	for (size_t i = 0; i < MAX_QUERIES; i++)
		under_way += d->queries[i].used &&
			d->queries[i].purpose == FOR_TABLE;
	while (d->try_count > 0 && under_way < TRIES_AT_ONCE &&
		may_ask(d, now_ms)) {
		struct endpoint to = d->tries[d->try_head];

		d->try_head = (d->try_head + 1) % MAX_TRIES;
		d->try_count--;
		if (dht_table_count(family_of(d, &to)->table) >= ENOUGH_NODES ||
			asked_already(d, &to))
			continue;
		if (ping(d, &to, now_ms))
			under_way++;
	}
}

/* While we know nobody the entrances are asked, ever more slowly. */
static void enter(struct dht *d, int family, uint64_t now_ms)
{
	struct family *f = &d->families[family];

	if (dht_table_count(f->table) > 0) {
		f->entered = 0;
		return;
	}
	f->joined = false;
	if (now_ms < f->enter_ms)
		return;
	for (size_t i = 0; i < d->entrance_count; i++) {
		if (family_index(&d->entrances[i]) == family &&
			!asked_already(d, &d->entrances[i]))
			(void)ask_entrance(d, &d->entrances[i], now_ms);
	}
	uint64_t wait_ms = (uint64_t)ENTER_FIRST_MS << f->entered;
	if (wait_ms >= ENTER_MAX_MS)
		wait_ms = ENTER_MAX_MS;
	else
		f->entered++;
	f->enter_ms = now_ms + wait_ms;
}

/* ---- searches ---- */

static struct wanted *find_wanted(struct dht *d, const struct dht_id *torrent)
{
	for (size_t i = 0; i < d->wanted_count; i++) {
		if (dht_id_equal(&d->wanted[i].torrent, torrent))
			return &d->wanted[i];
	}
	return NULL;
}

/* NULL: enough of that kind are under way. */
static struct search *start_search(
	struct dht *d, int family, const struct dht_id *target, bool for_peers)
{
	struct family *f = &d->families[family];
	struct dht_node nodes[2 * DHT_K];
	struct search *free = NULL;
	size_t same_kind = 0;

	for (size_t i = 0; i < MAX_SEARCHES; i++) {
		struct search *s = &d->searches[i];

		if (!s->running)
			free = s;
		else if (s->for_peers == for_peers)
			same_kind++;
	}
	if (!free ||
		same_kind ==
			(for_peers ? PEER_SEARCHES
				   : MAX_SEARCHES - PEER_SEARCHES))
		return NULL;

	free->running = true;
	free->for_peers = for_peers;
	free->family = family;
	free->serial = ++d->serial;
	dht_search_begin(&free->s, target);
	size_t count = dht_table_closest(f->table, target, 2 * DHT_K, nodes);
	for (size_t i = 0; i < count; i++)
		dht_search_hear(&free->s, &nodes[i]);
	return free;
}

/* Who told us about our own place is the beginning of a search for it. */
static struct search *search_for_ourselves(struct dht *d, int family)
{
	const struct dht_id *id = &d->families[family].id;

	for (size_t i = 0; i < MAX_SEARCHES; i++) {
		struct search *s = &d->searches[i];

		if (s->running && !s->for_peers && s->family == family &&
			dht_id_equal(&s->s.target, id))
			return s;
	}
	return start_search(d, family, id, false);
}

static void search_on(struct dht *d, size_t index, uint64_t now_ms)
{
	struct search *s = &d->searches[index];
	struct dht_message m = {
		.kind = s->for_peers ? DHT_GET_PEERS : DHT_FIND_NODE,
		.target = s->s.target,
	};
	struct dht_node to;

	while (may_ask(d, now_ms) && dht_search_next(&s->s, now_ms, &to)) {
		struct query how = {
			.to = to.address,
			.id_known = true,
			.id = to.id,
			.purpose = FOR_SEARCH,
			.search = index,
			.serial = s->serial,
		};

		if (!ask(d, &m, &how, now_ms))
			dht_search_failed(&s->s, &to.address);
	}
}

static void announce(
	struct dht *d, const struct search *s, uint16_t port, uint64_t now_ms)
{
	size_t told = 0;

	for (size_t i = 0; i < s->s.count && told < DHT_K; i++) {
		const struct dht_candidate *c = &s->s.nearest[i];
		struct query how = {
			.to = c->node.address, .purpose = FOR_ANNOUNCE};
		struct dht_message m = {
			.kind = DHT_ANNOUNCE_PEER,
			.target = s->s.target,
			.port = port,
			.token = {c->token, c->token_len},
		};

		if (c->state != CANDIDATE_ANSWERED || c->token_len == 0)
			continue;
		told++;
		(void)ask(d, &m, &how, now_ms);
	}
}

static uint64_t hungry_wait_ms(unsigned rounds)
{
	uint64_t wait_ms = (uint64_t)DHT_HUNGRY_MS
		<< (rounds < 16 ? rounds : 16);

	return wait_ms < DHT_HUNGRY_MAX_MS ? wait_ms : DHT_HUNGRY_MAX_MS;
}

static void end_search(struct dht *d, struct search *s, uint64_t now_ms)
{
	struct wanted *w = s->for_peers ? find_wanted(d, &s->s.target) : NULL;

	s->running = false;
	if (!w || !w->of[s->family].searching)
		return;
	if (w->port != 0)
		announce(d, s, w->port, now_ms);

	bool soon = w->hungry || s->s.answered == 0;
	uint64_t wait_ms = DHT_ROUND_MS + throw_dice(d) % (uint32_t)SPREAD_MS;
	if (soon)
		wait_ms = hungry_wait_ms(w->of[s->family].rounds++);
	else
		w->of[s->family].rounds = 0;
	w->of[s->family].searching = false;
	w->of[s->family].ended_ms = now_ms;
	w->of[s->family].due_ms = now_ms + wait_ms;
}

static void run_searches(struct dht *d, uint64_t now_ms)
{
	for (size_t i = 0; i < MAX_SEARCHES; i++) {
		struct search *s = &d->searches[i];

		if (!s->running)
			continue;
		search_on(d, i, now_ms);
		if (dht_search_over(&s->s, now_ms))
			end_search(d, s, now_ms);
	}
}

static void start_due_searches(struct dht *d, int family, uint64_t now_ms)
{
	if (dht_table_count(d->families[family].table) == 0)
		return;
	for (size_t i = 0; i < d->wanted_count; i++) {
		struct wanted *w = &d->wanted[i];

		if (w->of[family].searching || now_ms < w->of[family].due_ms)
			continue;
		if (!start_search(d, family, &w->torrent, true))
			return;
		w->of[family].searching = true;
	}
}

static void keep_table(struct dht *d, int family, uint64_t now_ms)
{
	struct family *f = &d->families[family];
	struct dht_id id = random_id(d);
	struct dht_node node;

	if (dht_table_count(f->table) == 0)
		return;
	if (!f->joined && search_for_ourselves(d, family))
		f->joined = true;
	if (dht_table_stale(f->table, now_ms, &id))
		(void)start_search(d, family, &id, false); /* or another time */
	if (may_ask(d, now_ms) && dht_table_doubtful(f->table, now_ms, &node))
		(void)ping(d, &node.address, now_ms);
}

/* ---- what is wanted ---- */

static struct wanted *add_wanted(struct dht *d, uint64_t now_ms)
{
	if (d->wanted_count == DHT_WANTED_MAX)
		return NULL;
	if (d->wanted_count == d->wanted_capacity) {
		size_t capacity =
			d->wanted_capacity == 0 ? 4 : 2 * d->wanted_capacity;
		struct wanted *wanted =
			realloc(d->wanted, capacity * sizeof(*wanted));

		if (!wanted)
			return NULL;
		d->wanted = wanted;
		d->wanted_capacity = capacity;
	}
	struct wanted *w = &d->wanted[d->wanted_count++];
	*w = (struct wanted){0};
	for (int i = 0; i < FAMILIES; i++)
		w->of[i].due_ms = now_ms;
	return w;
}

static void tell_peers(struct dht *d, const struct dht_id *torrent,
	const struct endpoint *peers, size_t count)
{
	struct info_hash hash;

	if (count == 0)
		return;
	memcpy(hash.bytes, torrent->bytes, sizeof(hash.bytes));
	d->o.peers(d->o.ctx, &hash, peers, count);
}

/* Others may have announced it to us already. */
static void tell_stored(
	struct dht *d, const struct dht_id *torrent, uint64_t now_ms)
{
	struct endpoint peers[DHT_STORE_PEERS];

	for (int i = 0; i < FAMILIES; i++) {
		size_t count = dht_store_get(d->store, torrent, i == 0, 0,
			now_ms, DHT_STORE_PEERS, peers);
		tell_peers(d, torrent, peers, count);
	}
}

bool dht_want(struct dht *d, const struct info_hash *torrent, uint16_t port,
	bool hungry, uint64_t now_ms)
{
	struct dht_id id;

	memcpy(id.bytes, torrent->bytes, sizeof(id.bytes));
	struct wanted *w = find_wanted(d, &id);
	if (!w) {
		w = add_wanted(d, now_ms);
		if (!w)
			return false;
		w->torrent = id;
		tell_stored(d, &id, now_ms);
	}
	w->port = port;
	for (int i = 0; hungry && !w->hungry && i < FAMILIES; i++) {
		uint64_t due_ms =
			w->of[i].ended_ms + hungry_wait_ms(w->of[i].rounds);

		if (due_ms < w->of[i].due_ms)
			w->of[i].due_ms = due_ms;
	}
	w->hungry = hungry;
	return true;
}

void dht_forget(struct dht *d, const struct info_hash *torrent)
{
	struct dht_id id;

	memcpy(id.bytes, torrent->bytes, sizeof(id.bytes));
	struct wanted *w = find_wanted(d, &id);
	if (!w)
		return;
	*w = d->wanted[--d->wanted_count];
	for (size_t i = 0; i < MAX_SEARCHES; i++) {
		struct search *s = &d->searches[i];

		if (s->for_peers && dht_id_equal(&s->s.target, &id))
			s->running = false;
	}
}

/* ---- answers to us ---- */

/* Is somebody at `from` to be believed about `named`?  Loopback is nobody
 * else's business. */
static bool may_name(const struct endpoint *from, const struct endpoint *named)
{
	return endpoint_is_loopback(from) || !endpoint_is_loopback(named);
}

static void hear_nodes(struct dht *d, struct search *s,
	const struct endpoint *from, const struct dht_message *m)
{
	const struct dht_id *ours = &d->families[s->family].id;

	for (size_t i = 0; i < m->node_count; i++) {
		const struct dht_node *n = &m->nodes[i];

		if (family_index(&n->address) == s->family &&
			may_name(from, &n->address) &&
			!dht_id_equal(&n->id, ours))
			dht_search_hear(&s->s, n);
	}
}

static void take_values(struct dht *d, const struct endpoint *from,
	const struct dht_id *torrent, const struct dht_message *m)
{
	struct endpoint peers[DHT_VALUES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < m->value_count; i++) {
		if (may_name(from, &m->values[i]))
			peers[count++] = m->values[i];
	}
	tell_peers(d, torrent, peers, count);
}

/* Our address has another id by right (BEP 42): begin anew as that. */
static void take_id(struct family *f, const struct dht_id *id, uint64_t now_ms)
{
	struct dht_table *table = dht_table_create(id, now_ms);
	struct dht_node *nodes = calloc(DHT_TABLE_MAX, sizeof(*nodes));

	if (table && nodes) {
		size_t count =
			dht_table_closest(f->table, id, DHT_TABLE_MAX, nodes);

		for (size_t i = 0; i < count; i++)
			dht_table_answered(table, &nodes[i], now_ms);
		dht_table_destroy(f->table);
		f->table = table;
		f->id = *id;
		f->joined = false;
		table = NULL;
	}
	dht_table_destroy(table);
	free(nodes);
}

/* What the other side sees us as, one vote for a host. */
static void count_vote(struct dht *d, const struct endpoint *voter,
	const struct endpoint *ours, uint64_t now_ms)
{
	struct family *f = family_of(d, voter);
	size_t place = f->vote_next, agree = 0;

	if (family_of(d, ours) != f || dht_id_exempt(ours))
		return;
	for (size_t i = 0; i < VOTES; i++) {
		if (endpoint_same_ip(&f->votes[i].voter, voter))
			place = i;
	}
	if (place == f->vote_next)
		f->vote_next = (f->vote_next + 1) % VOTES;
	f->votes[place] = (struct vote){*voter, *ours};
	for (size_t i = 0; i < VOTES; i++)
		agree += endpoint_same_ip(&f->votes[i].ours, ours);
	if (agree < VOTES_NEEDED || dht_id_fits(&f->id, ours))
		return;

	struct dht_id id = random_id(d);
	dht_id_bind(&id, ours);
	take_id(f, &id, now_ms);
}

static struct query *find_query(
	struct dht *d, const struct endpoint *from, const struct dht_message *m)
{
	if (m->transaction.len != TRANSACTION_SIZE)
		return NULL;
	for (size_t i = 0; i < MAX_QUERIES; i++) {
		struct query *q = &d->queries[i];

		if (q->used && endpoint_equal(&q->to, from) &&
			memcmp(q->transaction, m->transaction.at,
				TRANSACTION_SIZE) == 0)
			return q;
	}
	return NULL;
}

/* The search that a query belongs to, if it is still under way. */
static struct search *search_of(struct dht *d, const struct query *q)
{
	struct search *s = &d->searches[q->search];

	return q->purpose == FOR_SEARCH && s->running && s->serial == q->serial
		? s
		: NULL;
}

static void enter_by(
	struct dht *d, const struct endpoint *from, const struct dht_message *m)
{
	for (int i = 0; i < FAMILIES; i++) {
		struct search *s =
			d->families[i].on ? search_for_ourselves(d, i) : NULL;

		if (s) {
			d->families[i].joined = true;
			hear_nodes(d, s, from, m);
		}
	}
}

static void take_reply(struct dht *d, const struct query *q,
	const struct dht_message *m, uint64_t now_ms)
{
	struct dht_node node = {m->id, q->to};
	struct search *s = search_of(d, q);

	if (dht_id_equal(&m->id, &family_of(d, &q->to)->id)) {
		if (s) /* ourselves, by whatever way */
			dht_search_failed(&s->s, &q->to);
		return;
	}
	dht_table_answered(family_of(d, &q->to)->table, &node, now_ms);
	if (m->has_ip)
		count_vote(d, &q->to, &m->ip, now_ms);
	if (q->purpose == FOR_ENTRANCE)
		enter_by(d, &q->to, m);
	if (!s)
		return;
	/* It is not who we were told it was: what it says is of no use. */
	if (q->id_known && !dht_id_equal(&m->id, &q->id)) {
		dht_search_failed(&s->s, &q->to);
		return;
	}
	hear_nodes(d, s, &q->to, m);
	if (s->for_peers)
		take_values(d, &q->to, &s->s.target, m);
	dht_search_answered(&s->s, &q->to, m->token);
}

static void take_answer(struct dht *d, const struct endpoint *from,
	const struct dht_message *m, uint64_t now_ms)
{
	struct query *found = find_query(d, from, m);

	if (!found)
		return; /* to nothing that we asked, or too late */
	struct query q = *found;
	found->used = false;
	if (m->kind == DHT_REPLY) {
		take_reply(d, &q, m, now_ms);
		return;
	}
	struct search *s = search_of(d, &q);
	if (s)
		dht_search_failed(&s->s, from);
}

static void give_up_queries(struct dht *d, uint64_t now_ms)
{
	for (size_t i = 0; i < MAX_QUERIES; i++) {
		struct query *q = &d->queries[i];

		if (!q->used || now_ms - q->sent_ms < DHT_TIMEOUT_MS)
			continue;
		q->used = false;
		dht_table_failed(family_of(d, &q->to)->table, &q->to);
		struct search *s = search_of(d, q);
		if (s)
			dht_search_failed(&s->s, &q->to);
	}
}

/* ---- questions to us ---- */

static void send_answer(struct dht *d, const struct endpoint *to,
	const struct dht_message *m, uint64_t now_ms)
{
	uint8_t packet[DHT_PACKET_SENT_MAX];
	size_t len = dht_message_write(m, packet);

	if (len > 0 && dht_limits_answer(d->limits, len, now_ms))
		d->o.send(d->o.ctx, to, (struct span){packet, len});
}

/* The nearest that we know of the families that it wants, but itself. */
static void add_nodes(struct dht *d, const struct endpoint *to,
	const struct dht_message *query, struct dht_message *reply)
{
	bool said = query->want_v4 || query->want_v6;
	bool want[FAMILIES] = {
		said ? query->want_v4 : endpoint_is_v4(to),
		said ? query->want_v6 : !endpoint_is_v4(to),
	};
	struct dht_node nodes[DHT_K];

	for (int i = 0; i < FAMILIES; i++) {
		size_t count = want[i] ? dht_table_closest(d->families[i].table,
						 &query->target, DHT_K, nodes)
				       : 0;

		for (size_t j = 0; j < count; j++) {
			if (may_name(to, &nodes[j].address) &&
				!endpoint_equal(to, &nodes[j].address))
				reply->nodes[reply->node_count++] = nodes[j];
		}
	}
}

static void add_values(struct dht *d, const struct endpoint *to,
	const struct dht_message *query, struct dht_message *reply,
	uint64_t now_ms)
{
	struct endpoint peers[VALUES_SENT];
	size_t count = dht_store_get(d->store, &query->target,
		endpoint_is_v4(to), throw_dice(d), now_ms, VALUES_SENT, peers);

	for (size_t i = 0; i < count; i++) {
		if (may_name(to, &peers[i]))
			reply->values[reply->value_count++] = peers[i];
	}
}

/* Somebody has told us, with our token, that it is at this address. */
static void take_announce(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, uint64_t now_ms)
{
	struct endpoint peer = *from;

	if (!query->implied_port)
		peer.port = query->port;
	dht_store_add(d->store, &query->target, &peer, now_ms);
	if (find_wanted(d, &query->target))
		tell_peers(d, &query->target, &peer, 1);
}

static void answer(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, size_t query_len, uint64_t now_ms)
{
	uint8_t token[DHT_TOKEN_SIZE];
	struct dht_message reply = {
		.kind = DHT_REPLY,
		.transaction = query->transaction,
		.id = family_of(d, from)->id,
		.has_ip = true,
		.ip = *from,
	};

	switch (query->kind) {
	case DHT_PING:
		break;
	case DHT_GET_PEERS:
		dht_limits_token(d->limits, from, token);
		reply.token = (struct span){token, sizeof(token)};
		add_values(d, from, query, &reply, now_ms);
		add_nodes(d, from, query, &reply);
		break;
	case DHT_FIND_NODE:
		add_nodes(d, from, query, &reply);
		break;
	case DHT_ANNOUNCE_PEER:
		if (dht_limits_token_good(d->limits, from, query->token)) {
			take_announce(d, from, query, now_ms);
		} else {
			reply.kind = DHT_ERROR;
			reply.code = ERROR_PROTOCOL;
		}
		break;
	case DHT_UNKNOWN_QUERY:
		reply.kind = DHT_ERROR;
		reply.code = ERROR_METHOD_UNKNOWN;
		break;
	case DHT_REPLY:
	case DHT_ERROR:
		return;
	}
	/* Where an answer can do without being longer than the question, it
	 * does: the address that asks may be somebody else's. */
	if (query->kind != DHT_GET_PEERS && query->kind != DHT_FIND_NODE) {
		uint8_t packet[DHT_PACKET_SENT_MAX];
		reply.has_ip = dht_message_write(&reply, packet) <= query_len;
	}
	send_answer(d, from, &reply, now_ms);
}

static void take_query(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, size_t len, uint64_t now_ms)
{
	struct family *f = family_of(d, from);
	struct dht_node node = {query->id, *from};

	if (d->o.read_only || dht_id_equal(&query->id, &f->id) ||
		!dht_limits_source(d->limits, from, now_ms))
		return;
	/* It gets into the table when it has answered us, too. */
	if (!query->read_only && dht_table_asked(f->table, &node, now_ms) &&
		!asked_already(d, from) && may_ask(d, now_ms))
		(void)ping(d, from, now_ms);
	answer(d, from, query, len, now_ms);
}

/* ---- the machine ---- */

void dht_packet(struct dht *d, const struct endpoint *from, struct span packet,
	uint64_t now_ms)
{
	struct dht_message m;

	if (!endpoint_dialable(from) || !family_of(d, from)->on ||
		!dht_message_read(packet, &m))
		return;
	if (m.kind == DHT_REPLY || m.kind == DHT_ERROR) {
		take_answer(d, from, &m, now_ms);
		run_searches(d, now_ms);
	} else {
		take_query(d, from, &m, packet.len, now_ms);
	}
}

static bool busy(const struct dht *d)
{
	for (size_t i = 0; i < MAX_SEARCHES; i++) {
		if (d->searches[i].running)
			return true;
	}
	for (size_t i = 0; i < MAX_QUERIES; i++) {
		if (d->queries[i].used)
			return true;
	}
	return d->try_count > 0;
}

unsigned dht_tick(struct dht *d, uint64_t now_ms)
{
	give_up_queries(d, now_ms);
	for (int i = 0; i < FAMILIES; i++) {
		if (!d->families[i].on)
			continue;
		enter(d, i, now_ms);
		keep_table(d, i, now_ms);
		start_due_searches(d, i, now_ms);
	}
	try_some(d, now_ms);
	run_searches(d, now_ms);

	if (dht_limits_token_due(d->limits, now_ms)) {
		uint8_t secret[DHT_LIMITS_SECRET];
		d->o.random(secret, sizeof(secret));
		dht_limits_token_turn(d->limits, secret, now_ms);
	}
	if (now_ms >= d->expire_ms) {
		dht_store_expire(d->store, now_ms);
		d->expire_ms = now_ms + EXPIRE_MS;
	}
	return busy(d) ? BUSY_MS : IDLE_MS;
}

/* ---- from run to run ---- */

/* No ids: two runs at the same time would both be the same node. */
static const char *const node_keys[FAMILIES] = {"nodes", "nodes6"};

static void save_nodes(
	const struct dht *d, int family, struct bencode_writer *out)
{
	const struct family *f = &d->families[family];
	uint8_t bytes[DHT_SAVED_MAX * ENDPOINT_V6_SIZE];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct dht_node nodes[DHT_SAVED_MAX];
	size_t count =
		dht_table_closest(f->table, &f->id, DHT_SAVED_MAX, nodes);

	for (size_t i = 0; i < count; i++) {
		if (family == 0)
			endpoint_write_v4(&w, &nodes[i].address);
		else
			endpoint_write_v6(&w, &nodes[i].address);
	}
	bencode_write_key(out, node_keys[family]);
	bencode_write_string(out, bytes, writer_len(&w));
}

void dht_save(const struct dht *d, struct buffer *out)
{
	struct bencode_writer w;

	bencode_writer_init(&w, out);
	bencode_dict_open(&w);
	for (int i = 0; i < FAMILIES; i++)
		save_nodes(d, i, &w);
	bencode_dict_close(&w);
}

bool dht_load(struct dht *d, struct span state)
{
	struct span dict, s;

	if (state.len > DHT_STATE_MAX || !bencode_document(state, &dict))
		return false;
	for (int i = 0; i < FAMILIES; i++) {
		size_t size = i == 0 ? ENDPOINT_V4_SIZE : ENDPOINT_V6_SIZE;

		if (!bencode_find_string(dict, node_keys[i], &s))
			continue;
		struct reader r = reader_of_span(s);
		while (reader_left(&r) >= size) {
			struct endpoint e = i == 0 ? endpoint_read_v4(&r)
						   : endpoint_read_v6(&r);
			dht_try_node(d, &e);
		}
	}
	return true;
}
