#include "client/discovery/dht.h"

#include <stdlib.h>

#include "client/discovery/dht_parts.h"

enum {
	BUSY_MS = 50,   /* the tick while something is under way */
	IDLE_MS = 1000, /* and when not */
	EXPIRE_MS = 60 * 1000,
};

uint32_t dht_parts_dice(struct dht *d)
{
	uint32_t value;

	d->o.random(&value, sizeof(value));
	return value;
}

struct dht_id dht_parts_random_id(struct dht *d)
{
	struct dht_id id;

	d->o.random(id.bytes, sizeof(id.bytes));
	return id;
}

int dht_parts_family_index(const struct endpoint *e)
{
	return endpoint_is_v4(e) ? 0 : 1;
}

struct dht_family *dht_parts_family(struct dht *d, const struct endpoint *e)
{
	return &d->families[dht_parts_family_index(e)];
}

/* Is somebody at `from` to be believed about `named`?  Loopback is nobody
 * else's business. */
bool dht_parts_may_name(
	const struct endpoint *from, const struct endpoint *named)
{
	return endpoint_is_loopback(from) || !endpoint_is_loopback(named);
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
	for (int i = 0; i < DHT_FAMILIES; i++) {
		struct dht_family *f = &d->families[i];

		f->id = dht_parts_random_id(d);
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
	for (int i = 0; i < DHT_FAMILIES; i++)
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

/* ---- the machine ---- */

static void keep_table(struct dht *d, int family, uint64_t now_ms)
{
	struct dht_family *f = &d->families[family];
	struct dht_id id = dht_parts_random_id(d);
	struct dht_node node;

	if (dht_table_count(f->table) == 0)
		return;
	if (!f->joined && dht_searches_for_ourselves(d, family))
		f->joined = true;
	if (dht_table_stale(f->table, now_ms, &id))
		(void)dht_searches_start(
			d, family, &id, false); /* or another time */
	if (dht_queries_may_ask(d, now_ms) &&
		dht_table_doubtful(f->table, now_ms, &node))
		(void)dht_queries_ping(d, &node.address, now_ms);
}

void dht_packet(struct dht *d, const struct endpoint *from, struct span packet,
	uint64_t now_ms)
{
	struct dht_message m;

	if (!endpoint_dialable(from) || !dht_parts_family(d, from)->on ||
		!dht_message_read(packet, &m))
		return;
	if (m.kind == DHT_REPLY || m.kind == DHT_ERROR) {
		dht_replies_take(d, from, &m, now_ms);
		dht_searches_run(d, now_ms);
	} else {
		dht_answers_take(d, from, &m, packet, now_ms);
	}
}

static bool busy(const struct dht *d)
{
	for (size_t i = 0; i < DHT_MAX_SEARCHES; i++) {
		if (d->searches[i].running)
			return true;
	}
	for (size_t i = 0; i < DHT_MAX_QUERIES; i++) {
		if (d->queries[i].used)
			return true;
	}
	return d->try_count > 0;
}

unsigned dht_tick(struct dht *d, uint64_t now_ms)
{
	dht_replies_give_up(d, now_ms);
	for (int i = 0; i < DHT_FAMILIES; i++) {
		if (!d->families[i].on)
			continue;
		dht_queries_enter(d, i, now_ms);
		keep_table(d, i, now_ms);
		dht_searches_start_due(d, i, now_ms);
	}
	dht_queries_try_some(d, now_ms);
	dht_searches_run(d, now_ms);

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
