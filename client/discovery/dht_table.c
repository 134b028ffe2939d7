#include "client/discovery/dht_table.h"

#include <stdlib.h>
#include <string.h>

enum {
	/* A questionable node has this long to answer before it is named
	 * again. */
	DOUBT_MS = 60 * 1000,
};

struct entry {
	struct dht_node node;
	uint64_t answered_ms;
	uint64_t heard_ms; /* answered, or asked us */
	uint64_t named_ms; /* by dht_table_doubtful(); 0: never */
	unsigned failures; /* since it last answered */
	bool fits;         /* BEP 42 */
};

/* Bucket i holds nodes that share exactly i bits with us; the last one in use
 * those that share as many or more. */
struct bucket {
	size_t count, spare_count;
	struct entry nodes[DHT_K];
	struct entry spares[DHT_K]; /* answered, but had no place */
	uint64_t changed_ms;
};

struct dht_table {
	struct dht_id ours;
	unsigned bucket_count;
	struct bucket buckets[DHT_ID_BITS];
};

struct dht_table *dht_table_create(const struct dht_id *ours, uint64_t now_ms)
{
	struct dht_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ours = *ours;
	t->bucket_count = 1;
	t->buckets[0].changed_ms = now_ms;
	return t;
}

void dht_table_destroy(struct dht_table *t) { free(t); }

/* ---- entries ---- */

static bool bad(const struct entry *e)
{
	return e->failures >= DHT_BAD_FAILURES;
}

static bool good(const struct entry *e, uint64_t now_ms)
{
	return e->failures == 0 && now_ms - e->heard_ms < DHT_FRESH_MS;
}

static struct bucket *bucket_of(struct dht_table *t, const struct dht_id *id)
{
	unsigned i = dht_id_common_bits(&t->ours, id);

	return &t->buckets[i < t->bucket_count ? i : t->bucket_count - 1];
}

static struct entry *find(
	struct entry *list, size_t count, const struct endpoint *address)
{
	for (size_t i = 0; i < count; i++) {
		if (endpoint_equal(&list[i].node.address, address))
			return &list[i];
	}
	return NULL;
}

/* Where the address is in the table proper, whatever its id. */
static struct entry *find_address(struct dht_table *t,
	const struct endpoint *address, struct bucket **ret_bucket)
{
	for (unsigned i = 0; i < t->bucket_count; i++) {
		struct bucket *b = &t->buckets[i];
		struct entry *e = find(b->nodes, b->count, address);

		if (e) {
			*ret_bucket = b;
			return e;
		}
	}
	return NULL;
}

/* ---- one place for an address ---- */

static bool same_network(const struct endpoint *a, const struct endpoint *b)
{
	return memcmp(a->ip, b->ip, endpoint_is_v4(a) ? 15 : 8) == 0;
}

/* Is there a node of the same host, or in `b` of the same network?  One that
 * is bad does not count, for it will go. */
static bool crowded(struct dht_table *t, const struct bucket *b,
	const struct endpoint *address)
{
	if (endpoint_is_loopback(address))
		return false;
	for (unsigned i = 0; i < t->bucket_count; i++) {
		const struct bucket *other = &t->buckets[i];

		for (size_t j = 0; j < other->count; j++) {
			const struct entry *e = &other->nodes[j];

			if (!bad(e) &&
				(endpoint_same_host(
					 &e->node.address, address) ||
					(other == b &&
						same_network(&e->node.address,
							address))))
				return true;
		}
	}
	return false;
}

/* ---- places ---- */

static void remove_at(struct entry *list, size_t *count, struct entry *e)
{
	size_t after = *count - (size_t)(e - list) - 1;

	memmove(e, e + 1, after * sizeof(*e));
	(*count)--;
}

/* Around our id nodes are worth more: split that bucket in two. */
static bool split(struct dht_table *t)
{
	unsigned bits = t->bucket_count - 1;
	struct bucket *near, *far = &t->buckets[bits];
	size_t stay = 0;

	if (t->bucket_count == DHT_ID_BITS)
		return false;
	near = &t->buckets[t->bucket_count++];
	*near = (struct bucket){.changed_ms = far->changed_ms};
	for (size_t i = 0; i < far->count; i++) {
		struct entry *e = &far->nodes[i];

		if (dht_id_common_bits(&t->ours, &e->node.id) > bits)
			near->nodes[near->count++] = *e;
		else
			far->nodes[stay++] = *e;
	}
	far->count = stay;
	stay = 0;
	for (size_t i = 0; i < far->spare_count; i++) {
		struct entry *e = &far->spares[i];

		if (dht_id_common_bits(&t->ours, &e->node.id) > bits)
			near->spares[near->spare_count++] = *e;
		else
			far->spares[stay++] = *e;
	}
	far->spare_count = stay;
	return true;
}

/* Who gives way to one that fits or not; NULL: nobody. */
static struct entry *loser(struct bucket *b, bool fits)
{
	struct entry *found = NULL;

	for (size_t i = 0; i < b->count; i++) {
		struct entry *e = &b->nodes[i];

		if (bad(e))
			return e;
		if (fits && !e->fits)
			found = e; /* the youngest of them */
	}
	return found;
}

static void keep_spare(struct bucket *b, const struct entry *e)
{
	struct entry *old = find(b->spares, b->spare_count, &e->node.address);

	if (!old && b->spare_count == DHT_K)
		old = &b->spares[0]; /* they are in the order of their news */
	if (old)
		remove_at(b->spares, &b->spare_count, old);
	b->spares[b->spare_count++] = *e;
}

static void insert(struct dht_table *t, const struct entry *e, uint64_t now_ms)
{
	struct bucket *b = bucket_of(t, &e->node.id);
	struct entry *out;

	while (b->count == DHT_K) {
		out = loser(b, e->fits);
		if (out) {
			remove_at(b->nodes, &b->count, out);
			break;
		}
		if (b != &t->buckets[t->bucket_count - 1] || !split(t)) {
			keep_spare(b, e);
			return;
		}
		b = bucket_of(t, &e->node.id);
	}
	b->nodes[b->count++] = *e;
	b->changed_ms = now_ms;
}

/* ---- what is heard of nodes ---- */

void dht_table_answered(
	struct dht_table *t, const struct dht_node *node, uint64_t now_ms)
{
	struct entry fresh = {
		.node = *node,
		.answered_ms = now_ms,
		.heard_ms = now_ms,
		.fits = dht_id_fits(&node->id, &node->address),
	};
	struct bucket *b;
	struct entry *e = find_address(t, &node->address, &b);

	if (e && dht_id_equal(&e->node.id, &node->id)) {
		e->answered_ms = e->heard_ms = now_ms;
		e->failures = 0;
		b->changed_ms = now_ms;
		return;
	}
	/* It has started anew, perhaps: what it was is gone. */
	if (e)
		remove_at(b->nodes, &b->count, e);
	if (dht_id_equal(&node->id, &t->ours) ||
		crowded(t, bucket_of(t, &node->id), &node->address))
		return;
	insert(t, &fresh, now_ms);
}

bool dht_table_asked(
	struct dht_table *t, const struct dht_node *node, uint64_t now_ms)
{
	struct bucket *b;
	struct entry *e = find_address(t, &node->address, &b);

	if (e) {
		if (dht_id_equal(&e->node.id, &node->id))
			e->heard_ms = now_ms;
		return false;
	}
	b = bucket_of(t, &node->id);
	if (dht_id_equal(&node->id, &t->ours) || crowded(t, b, &node->address))
		return false;
	return b->count < DHT_K || b == &t->buckets[t->bucket_count - 1] ||
		loser(b, dht_id_fits(&node->id, &node->address));
}

void dht_table_failed(struct dht_table *t, const struct endpoint *address)
{
	struct bucket *b;
	struct entry *e = find_address(t, address, &b);

	if (!e)
		return;
	e->failures++;
	if (!bad(e) || b->spare_count == 0)
		return;

	/* The one heard of last takes its place; it has been a while, so that
	 * it is asked before it counts as good. */
	struct entry spare = b->spares[--b->spare_count];
	remove_at(b->nodes, &b->count, e);
	if (!crowded(t, b, &spare.node.address))
		b->nodes[b->count++] = spare;
}

/* ---- questions to the table ---- */

size_t dht_table_closest(const struct dht_table *t, const struct dht_id *target,
	size_t max, struct dht_node *ret)
{
	size_t count = 0;

	for (unsigned i = 0; i < t->bucket_count; i++) {
		const struct bucket *b = &t->buckets[i];

		for (size_t j = 0; j < b->count; j++) {
			const struct dht_node *n = &b->nodes[j].node;
			size_t at = count;

			if (bad(&b->nodes[j]))
				continue;
			while (at > 0 &&
				dht_id_compare(
					target, &n->id, &ret[at - 1].id) < 0)
				at--;
			if (at == max)
				continue;
			if (count < max)
				count++;
			memmove(&ret[at + 1], &ret[at],
				(count - at - 1) * sizeof(*ret));
			ret[at] = *n;
		}
	}
	return count;
}

size_t dht_table_count(const struct dht_table *t)
{
	size_t count = 0;

	for (unsigned i = 0; i < t->bucket_count; i++) {
		for (size_t j = 0; j < t->buckets[i].count; j++)
			count += !bad(&t->buckets[i].nodes[j]);
	}
	return count;
}

bool dht_table_doubtful(
	struct dht_table *t, uint64_t now_ms, struct dht_node *ret)
{
	struct entry *found = NULL;

	for (unsigned i = 0; i < t->bucket_count; i++) {
		for (size_t j = 0; j < t->buckets[i].count; j++) {
			struct entry *e = &t->buckets[i].nodes[j];

			if (bad(e) || good(e, now_ms) ||
				(e->named_ms != 0 &&
					now_ms - e->named_ms < DOUBT_MS))
				continue;
			if (!found || e->heard_ms < found->heard_ms)
				found = e;
		}
	}
	if (!found)
		return false;
	found->named_ms = now_ms;
	*ret = found->node;
	return true;
}

bool dht_table_stale(struct dht_table *t, uint64_t now_ms, struct dht_id *id)
{
	for (unsigned i = 0; i < t->bucket_count; i++) {
		struct bucket *b = &t->buckets[i];

		if (now_ms - b->changed_ms < DHT_FRESH_MS)
			continue;
		b->changed_ms = now_ms;
		dht_id_move(id, &t->ours, i);
		return true;
	}
	return false;
}
