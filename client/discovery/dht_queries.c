#include "client/discovery/dht_parts.h"

#include <string.h>

enum {
	TRIES_AT_ONCE = 16, /* addresses that wait, being asked */
	ENOUGH_NODES = 32,  /* then saved ones need not be asked */
	ENTER_FIRST_MS = 1000,
	ENTER_MAX_MS = 60 * 1000,
};

static struct dht_query *free_query(struct dht *d)
{
	for (size_t i = 0; i < DHT_MAX_QUERIES; i++) {
		if (!d->queries[i].used)
			return &d->queries[i];
	}
	return NULL;
}

bool dht_queries_asked(struct dht *d, const struct endpoint *to)
{
	for (size_t i = 0; i < DHT_MAX_QUERIES; i++) {
		if (d->queries[i].used && endpoint_equal(&d->queries[i].to, to))
			return true;
	}
	return false;
}

/* Is there room for a question that can as well be asked later? */
bool dht_queries_may_ask(struct dht *d, uint64_t now_ms)
{
	return free_query(d) && dht_limits_may_ask(d->limits, now_ms);
}

/* Send `m` (its kind, and what belongs to that) with what every question has.
 * `how` says what it is for.  False: no room for more of them. */
bool dht_queries_ask(struct dht *d, const struct dht_message *m,
	const struct dht_query *how, uint64_t now_ms)
{
	uint8_t packet[DHT_PACKET_SENT_MAX];
	struct dht_family *f = dht_parts_family(d, &how->to);
	struct dht_query *q = f->on ? free_query(d) : NULL;

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
	dht_limits_sent(d->limits, &q->to, len);
	d->o.send(d->o.ctx, &q->to, (struct span){packet, len});
	return true;
}

bool dht_queries_ping(struct dht *d, const struct endpoint *to, uint64_t now_ms)
{
	struct dht_query how = {.to = *to, .purpose = DHT_FOR_TABLE};
	struct dht_message m = {.kind = DHT_PING};

	return dht_queries_ask(d, &m, &how, now_ms);
}

static bool ask_entrance(
	struct dht *d, const struct endpoint *to, uint64_t now_ms)
{
	struct dht_query how = {.to = *to, .purpose = DHT_FOR_ENTRANCE};
	struct dht_message m = {
		.kind = DHT_FIND_NODE,
		.target = dht_parts_family(d, to)->id,
		.want_v4 = d->families[0].on && d->families[1].on,
		.want_v6 = d->families[0].on && d->families[1].on,
	};

	return dht_queries_ask(d, &m, &how, now_ms);
}

struct dht_query *dht_queries_find(
	struct dht *d, const struct endpoint *from, const struct dht_message *m)
{
	if (m->transaction.len != DHT_TRANSACTION_SIZE)
		return NULL;
	for (size_t i = 0; i < DHT_MAX_QUERIES; i++) {
		struct dht_query *q = &d->queries[i];

		if (q->used && endpoint_equal(&q->to, from) &&
			memcmp(q->transaction, m->transaction.at,
				DHT_TRANSACTION_SIZE) == 0)
			return q;
	}
	return NULL;
}

/* ---- addresses to be asked ---- */

void dht_try_node(struct dht *d, const struct endpoint *node)
{
	if (!endpoint_dialable(node) || !dht_parts_family(d, node)->on ||
		d->try_count == DHT_MAX_TRIES)
		return;
	d->tries[(d->try_head + d->try_count++) % DHT_MAX_TRIES] = *node;
}

void dht_entrance(struct dht *d, const struct endpoint *node)
{
	struct dht_family *f = dht_parts_family(d, node);

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

void dht_queries_try_some(struct dht *d, uint64_t now_ms)
{
	size_t under_way = 0;

	for (size_t i = 0; i < DHT_MAX_QUERIES; i++)
		under_way += d->queries[i].used &&
			d->queries[i].purpose == DHT_FOR_TABLE;
	while (d->try_count > 0 && under_way < TRIES_AT_ONCE &&
		dht_queries_may_ask(d, now_ms)) {
		struct endpoint to = d->tries[d->try_head];

		d->try_head = (d->try_head + 1) % DHT_MAX_TRIES;
		d->try_count--;
		if (dht_table_count(dht_parts_family(d, &to)->table) >=
				ENOUGH_NODES ||
			dht_queries_asked(d, &to))
			continue;
		if (dht_queries_ping(d, &to, now_ms))
			under_way++;
	}
}

/* While we know nobody the entrances are asked, ever more slowly. */
void dht_queries_enter(struct dht *d, int family, uint64_t now_ms)
{
	struct dht_family *f = &d->families[family];

	if (dht_table_count(f->table) > 0) {
		f->entered = 0;
		return;
	}
	f->joined = false;
	if (now_ms < f->enter_ms)
		return;
	for (size_t i = 0; i < d->entrance_count; i++) {
		if (dht_parts_family_index(&d->entrances[i]) == family &&
			!dht_queries_asked(d, &d->entrances[i]))
			(void)ask_entrance(d, &d->entrances[i], now_ms);
	}
	uint64_t wait_ms = (uint64_t)ENTER_FIRST_MS << f->entered;
	if (wait_ms >= ENTER_MAX_MS)
		wait_ms = ENTER_MAX_MS;
	else
		f->entered++;
	f->enter_ms = now_ms + wait_ms;
}
