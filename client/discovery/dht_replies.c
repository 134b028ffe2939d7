#include "client/discovery/dht_parts.h"

#include <stdlib.h>

enum {
	VOTES_NEEDED = 6, /* of DHT_VOTES, that agree */
};

static void hear_nodes(struct dht *d, struct dht_search_slot *s,
	const struct endpoint *from, const struct dht_message *m)
{
	const struct dht_id *ours = &d->families[s->family].id;

	for (size_t i = 0; i < m->node_count; i++) {
		const struct dht_node *n = &m->nodes[i];

		if (dht_parts_family_index(&n->address) == s->family &&
			dht_parts_may_name(from, &n->address) &&
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
		if (dht_parts_may_name(from, &m->values[i]))
			peers[count++] = m->values[i];
	}
	dht_searches_tell(d, torrent, peers, count);
}

/* Our address has another id by right (BEP 42): begin anew as that. */
static void take_id(
	struct dht_family *f, const struct dht_id *id, uint64_t now_ms)
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
	struct dht_family *f = dht_parts_family(d, voter);
	size_t place = f->vote_next, agree = 0;

	if (dht_parts_family(d, ours) != f || dht_id_exempt(ours))
		return;
	for (size_t i = 0; i < DHT_VOTES; i++) {
		if (endpoint_same_ip(&f->votes[i].voter, voter))
			place = i;
	}
	if (place == f->vote_next)
		f->vote_next = (f->vote_next + 1) % DHT_VOTES;
	f->votes[place] = (struct dht_vote){*voter, *ours};
	for (size_t i = 0; i < DHT_VOTES; i++)
		agree += endpoint_same_ip(&f->votes[i].ours, ours);
	if (agree < VOTES_NEEDED || dht_id_fits(&f->id, ours))
		return;

	struct dht_id id = dht_parts_random_id(d);
	dht_id_bind(&id, ours);
	take_id(f, &id, now_ms);
}

static void enter_by(
	struct dht *d, const struct endpoint *from, const struct dht_message *m)
{
	for (int i = 0; i < DHT_FAMILIES; i++) {
		struct dht_search_slot *s = d->families[i].on
			? dht_searches_for_ourselves(d, i)
			: NULL;

		if (s) {
			d->families[i].joined = true;
			hear_nodes(d, s, from, m);
		}
	}
}

static void take_reply(struct dht *d, const struct dht_query *q,
	const struct dht_message *m, uint64_t now_ms)
{
	struct dht_node node = {m->id, q->to};
	struct dht_search_slot *s = dht_searches_of(d, q);

	if (dht_id_equal(&m->id, &dht_parts_family(d, &q->to)->id)) {
		if (s) /* ourselves, by whatever way */
			dht_search_failed(&s->s, &q->to);
		return;
	}
	dht_table_answered(dht_parts_family(d, &q->to)->table, &node, now_ms);
	if (m->has_ip)
		count_vote(d, &q->to, &m->ip, now_ms);
	if (q->purpose == DHT_FOR_ENTRANCE)
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

void dht_replies_take(struct dht *d, const struct endpoint *from,
	const struct dht_message *m, uint64_t now_ms)
{
	struct dht_query *found = dht_queries_find(d, from, m);

	if (!found)
		return; /* to nothing that we asked, or too late */
	struct dht_query q = *found;
	found->used = false;
	dht_limits_prove(d->limits, from, now_ms);
	dht_answers_held(d, from, now_ms);
	if (m->kind == DHT_REPLY) {
		take_reply(d, &q, m, now_ms);
		return;
	}
	struct dht_search_slot *s = dht_searches_of(d, &q);
	if (s)
		dht_search_failed(&s->s, from);
}

void dht_replies_give_up(struct dht *d, uint64_t now_ms)
{
	for (size_t i = 0; i < DHT_MAX_QUERIES; i++) {
		struct dht_query *q = &d->queries[i];

		if (!q->used || now_ms - q->sent_ms < DHT_TIMEOUT_MS)
			continue;
		q->used = false;
		dht_table_failed(dht_parts_family(d, &q->to)->table, &q->to);
		struct dht_search_slot *s = dht_searches_of(d, q);
		if (s)
			dht_search_failed(&s->s, &q->to);
	}
}
