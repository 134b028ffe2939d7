#include "client/discovery/dht_parts.h"

#include <stdlib.h>
#include <string.h>

enum {
	PEER_SEARCHES = 6,         /* of DHT_MAX_SEARCHES, for peers */
	SPREAD_MS = 5 * 60 * 1000, /* on top of DHT_ROUND_MS, by dice */
};

struct dht_wanted *dht_searches_wanted(
	struct dht *d, const struct dht_id *torrent)
{
	for (size_t i = 0; i < d->wanted_count; i++) {
		if (dht_id_equal(&d->wanted[i].torrent, torrent))
			return &d->wanted[i];
	}
	return NULL;
}

/* NULL: enough of that kind are under way. */
struct dht_search_slot *dht_searches_start(
	struct dht *d, int family, const struct dht_id *target, bool for_peers)
{
	struct dht_family *f = &d->families[family];
	struct dht_node nodes[2 * DHT_K];
	struct dht_search_slot *free = NULL;
	size_t same_kind = 0;

	for (size_t i = 0; i < DHT_MAX_SEARCHES; i++) {
		struct dht_search_slot *s = &d->searches[i];

		if (!s->running)
			free = s;
		else if (s->for_peers == for_peers)
			same_kind++;
	}
	if (!free ||
		same_kind ==
			(for_peers ? PEER_SEARCHES
				   : DHT_MAX_SEARCHES - PEER_SEARCHES))
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
struct dht_search_slot *dht_searches_for_ourselves(struct dht *d, int family)
{
	const struct dht_id *id = &d->families[family].id;

	for (size_t i = 0; i < DHT_MAX_SEARCHES; i++) {
		struct dht_search_slot *s = &d->searches[i];

		if (s->running && !s->for_peers && s->family == family &&
			dht_id_equal(&s->s.target, id))
			return s;
	}
	return dht_searches_start(d, family, id, false);
}

/* The search that a query belongs to, if it is still under way. */
struct dht_search_slot *dht_searches_of(
	struct dht *d, const struct dht_query *q)
{
	struct dht_search_slot *s = &d->searches[q->search];

	return q->purpose == DHT_FOR_SEARCH && s->running &&
			s->serial == q->serial
		? s
		: NULL;
}

static void search_on(struct dht *d, size_t index, uint64_t now_ms)
{
	struct dht_search_slot *s = &d->searches[index];
	struct dht_message m = {
		.kind = s->for_peers ? DHT_GET_PEERS : DHT_FIND_NODE,
		.target = s->s.target,
	};
	struct dht_node to;

	while (dht_queries_may_ask(d, now_ms) &&
		dht_search_next(&s->s, now_ms, &to)) {
		struct dht_query how = {
			.to = to.address,
			.id_known = true,
			.id = to.id,
			.purpose = DHT_FOR_SEARCH,
			.search = index,
			.serial = s->serial,
		};

		if (!dht_queries_ask(d, &m, &how, now_ms))
			dht_search_failed(&s->s, &to.address);
	}
}

static void announce(struct dht *d, const struct dht_search_slot *s,
	uint16_t port, uint64_t now_ms)
{
	size_t told = 0;

	for (size_t i = 0; i < s->s.count && told < DHT_K; i++) {
		const struct dht_candidate *c = &s->s.nearest[i];
		struct dht_query how = {
			.to = c->node.address, .purpose = DHT_FOR_ANNOUNCE};
		struct dht_message m = {
			.kind = DHT_ANNOUNCE_PEER,
			.target = s->s.target,
			.port = port,
			.token = {c->token, c->token_len},
		};

		if (c->state != CANDIDATE_ANSWERED || c->token_len == 0)
			continue;
		told++;
		(void)dht_queries_ask(d, &m, &how, now_ms);
	}
}

static uint64_t hungry_wait_ms(unsigned rounds)
{
	uint64_t wait_ms = (uint64_t)DHT_HUNGRY_MS
		<< (rounds < 16 ? rounds : 16);

	return wait_ms < DHT_HUNGRY_MAX_MS ? wait_ms : DHT_HUNGRY_MAX_MS;
}

static void end_search(
	struct dht *d, struct dht_search_slot *s, uint64_t now_ms)
{
	struct dht_wanted *w =
		s->for_peers ? dht_searches_wanted(d, &s->s.target) : NULL;

	s->running = false;
	if (!w || !w->of[s->family].searching)
		return;
	if (w->port != 0)
		announce(d, s, w->port, now_ms);

	bool soon = w->hungry || s->s.answered == 0;
	uint64_t wait_ms =
		DHT_ROUND_MS + dht_parts_dice(d) % (uint32_t)SPREAD_MS;
	if (soon)
		wait_ms = hungry_wait_ms(w->of[s->family].rounds++);
	else
		w->of[s->family].rounds = 0;
	w->of[s->family].searching = false;
	w->of[s->family].ended_ms = now_ms;
	w->of[s->family].due_ms = now_ms + wait_ms;
}

void dht_searches_run(struct dht *d, uint64_t now_ms)
{
	for (size_t i = 0; i < DHT_MAX_SEARCHES; i++) {
		struct dht_search_slot *s = &d->searches[i];

		if (!s->running)
			continue;
		search_on(d, i, now_ms);
		if (dht_search_over(&s->s, now_ms))
			end_search(d, s, now_ms);
	}
}

void dht_searches_start_due(struct dht *d, int family, uint64_t now_ms)
{
	if (dht_table_count(d->families[family].table) == 0)
		return;
	for (size_t i = 0; i < d->wanted_count; i++) {
		struct dht_wanted *w = &d->wanted[i];

		if (w->of[family].searching || now_ms < w->of[family].due_ms)
			continue;
		if (!dht_searches_start(d, family, &w->torrent, true))
			return;
		w->of[family].searching = true;
	}
}

/* ---- what is wanted ---- */

static struct dht_wanted *add_wanted(struct dht *d, uint64_t now_ms)
{
	if (d->wanted_count == DHT_WANTED_MAX)
		return NULL;
	if (d->wanted_count == d->wanted_capacity) {
		size_t capacity =
			d->wanted_capacity == 0 ? 4 : 2 * d->wanted_capacity;
		struct dht_wanted *wanted =
			realloc(d->wanted, capacity * sizeof(*wanted));

		if (!wanted)
			return NULL;
		d->wanted = wanted;
		d->wanted_capacity = capacity;
	}
	struct dht_wanted *w = &d->wanted[d->wanted_count++];
	*w = (struct dht_wanted){0};
	for (int i = 0; i < DHT_FAMILIES; i++)
		w->of[i].due_ms = now_ms;
	return w;
}

void dht_searches_tell(struct dht *d, const struct dht_id *torrent,
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

	for (int i = 0; i < DHT_FAMILIES; i++) {
		size_t count = dht_store_get(d->store, torrent, i == 0, 0,
			now_ms, DHT_STORE_PEERS, peers);
		dht_searches_tell(d, torrent, peers, count);
	}
}

bool dht_want(struct dht *d, const struct info_hash *torrent, uint16_t port,
	bool hungry, uint64_t now_ms)
{
	struct dht_id id;

	memcpy(id.bytes, torrent->bytes, sizeof(id.bytes));
	struct dht_wanted *w = dht_searches_wanted(d, &id);
	if (!w) {
		w = add_wanted(d, now_ms);
		if (!w)
			return false;
		w->torrent = id;
		tell_stored(d, &id, now_ms);
	}
	w->port = port;
	for (int i = 0; hungry && !w->hungry && i < DHT_FAMILIES; i++) {
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
	struct dht_wanted *w = dht_searches_wanted(d, &id);
	if (!w)
		return;
	*w = d->wanted[--d->wanted_count];
	for (size_t i = 0; i < DHT_MAX_SEARCHES; i++) {
		struct dht_search_slot *s = &d->searches[i];

		if (s->for_peers && dht_id_equal(&s->s.target, &id))
			s->running = false;
	}
}
