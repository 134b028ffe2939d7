#include "tracker/peer_array.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum {
	KEY_MAX = ENDPOINT_V6_SIZE,

	/* Up to here a linear look is as fast as an index and needs none. */
	SMALL = 16,

	/* An index beyond this size is not made smaller when peers leave: the
	 * shard would be held too long.  It goes with the swarm. */
	SHRINK_MAX = 4096,

	COMPLETED_BIT = 31, /* of the four bytes of time */
};

static size_t key_size(const struct peer_family *family)
{
	return family->v6 ? ENDPOINT_V6_SIZE : ENDPOINT_V4_SIZE;
}

static size_t entry_size(const struct peer_family *family)
{
	return key_size(family) + sizeof(uint32_t);
}

static uint8_t *entry_at(const struct peer_array *p,
	const struct peer_family *family, uint32_t at)
{
	return p->entries + at * entry_size(family);
}

static void key_of(const struct endpoint *peer,
	const struct peer_family *family, uint8_t ret[KEY_MAX])
{
	size_t ip_size = family->v6 ? 16 : 4;

	memcpy(ret, peer->ip + 16 - ip_size, ip_size);
	memcpy(ret + ip_size, &peer->port, sizeof(peer->port));
}

/* --- The index: open addressing, linear probing, no tombstones --- */

static uint32_t home_slot(const struct peer_array *p,
	const struct peer_family *family, const uint8_t *key)
{
	uint64_t hash =
		XXH3_64bits_withSeed(key, key_size(family), family->seed);

	return (uint32_t)hash & (p->index_size - 1);
}

static uint32_t next_slot(const struct peer_array *p, uint32_t slot)
{
	return (slot + 1) & (p->index_size - 1);
}

/* The slot that names position `at`; it must be there. */
static uint32_t slot_of(const struct peer_array *p,
	const struct peer_family *family, uint32_t at)
{
	uint32_t slot = home_slot(p, family, entry_at(p, family, at));

	while (p->index[slot] != at + 1)
		slot = next_slot(p, slot);
	return slot;
}

static void index_insert(
	struct peer_array *p, const struct peer_family *family, uint32_t at)
{
	uint32_t slot = home_slot(p, family, entry_at(p, family, at));

	while (p->index[slot] != 0)
		slot = next_slot(p, slot);
	p->index[slot] = at + 1;
}

/* Empty a slot and move up those that probed past it. */
static void index_clear(
	struct peer_array *p, const struct peer_family *family, uint32_t hole)
{
	uint32_t mask = p->index_size - 1;

	p->index[hole] = 0;
	for (uint32_t slot = next_slot(p, hole); p->index[slot] != 0;
		slot = next_slot(p, slot)) {
		uint32_t home = home_slot(
			p, family, entry_at(p, family, p->index[slot] - 1));

		/* It may move when the hole lies between its home and it. */
		if (((slot - home) & mask) < ((slot - hole) & mask))
			continue;
		p->index[hole] = p->index[slot];
		p->index[slot] = 0;
		hole = slot;
	}
}

/* An index for `count` entries at most half full, or none for a few. */
static bool index_rebuild(
	struct peer_array *p, const struct peer_family *family, uint32_t count)
{
	uint32_t size = 4 * SMALL;
	uint32_t *slots = NULL;

	while (size < 2 * count)
		size *= 2;
	if (count > SMALL) {
		slots = calloc(size, sizeof(*slots));
		if (!slots)
			return false;
	}
	free(p->index);
	p->index = slots;
	p->index_size = slots ? size : 0;
	for (uint32_t i = 0; slots && i < p->count; i++)
		index_insert(p, family, i);
	return true;
}

/* --- Entries --- */

static bool resize(struct peer_array *p, const struct peer_family *family,
	uint32_t capacity)
{
	void *moved = realloc(p->entries, capacity * entry_size(family));

	if (!moved)
		return false;
	p->entries = moved;
	p->capacity = capacity;
	return true;
}

static bool make_room(struct peer_array *p, const struct peer_family *family)
{
	if (p->count == p->capacity &&
		!resize(p, family, p->count + p->count / 2 + 1))
		return false;
	if (p->count + 1 > SMALL && p->index_size / 2 < p->count + 1)
		return index_rebuild(p, family, p->count + 1);
	return true;
}

static void give_back(struct peer_array *p, const struct peer_family *family)
{
	if (p->count == 0) {
		peer_array_finish(p);
		return;
	}
	/* Memory that cannot be made smaller is no failure. */
	if (p->count < p->capacity / 4)
		(void)resize(p, family, p->count + p->count / 2);
	if (p->index && p->count < p->index_size / 16 && p->count < SHRINK_MAX)
		(void)index_rebuild(p, family, p->count);
}

/* Move an entry over another, which must be out of the index already. */
static void move(struct peer_array *p, const struct peer_family *family,
	uint32_t from, uint32_t to)
{
	if (from == to)
		return;
	if (p->index)
		p->index[slot_of(p, family, from)] = to + 1;
	memcpy(entry_at(p, family, to), entry_at(p, family, from),
		entry_size(family));
}

static void swap(struct peer_array *p, const struct peer_family *family,
	uint32_t a, uint32_t b)
{
	uint8_t held[KEY_MAX + sizeof(uint32_t)];

	if (a == b)
		return;
	if (p->index) {
		uint32_t slot_a = slot_of(p, family, a);
		uint32_t slot_b = slot_of(p, family, b);

		p->index[slot_a] = b + 1;
		p->index[slot_b] = a + 1;
	}
	memcpy(held, entry_at(p, family, a), entry_size(family));
	memcpy(entry_at(p, family, a), entry_at(p, family, b),
		entry_size(family));
	memcpy(entry_at(p, family, b), held, entry_size(family));
}

static void write_time(struct peer_array *p, const struct peer_family *family,
	uint32_t at, const struct peer_state *state)
{
	uint32_t time =
		state->seen_s | (uint32_t)state->completed << COMPLETED_BIT;

	assert(state->seen_s < UINT32_C(1) << COMPLETED_BIT);
	memcpy(entry_at(p, family, at) + key_size(family), &time, sizeof(time));
}

uint32_t peer_array_find(const struct peer_array *p,
	const struct peer_family *family, const struct endpoint *peer)
{
	uint8_t key[KEY_MAX];

	key_of(peer, family, key);
	if (!p->index) {
		for (uint32_t i = 0; i < p->count; i++) {
			if (memcmp(entry_at(p, family, i), key,
				    key_size(family)) == 0)
				return i;
		}
		return PEER_ARRAY_NONE;
	}
	for (uint32_t slot = home_slot(p, family, key); p->index[slot] != 0;
		slot = next_slot(p, slot)) {
		uint32_t at = p->index[slot] - 1;

		if (memcmp(entry_at(p, family, at), key, key_size(family)) == 0)
			return at;
	}
	return PEER_ARRAY_NONE;
}

bool peer_array_add(struct peer_array *p, const struct peer_family *family,
	const struct endpoint *peer, const struct peer_state *state)
{
	if (!make_room(p, family))
		return false;

	/* At the end it is a seeder; a leecher then goes over the border. */
	uint32_t at = p->count++;
	key_of(peer, family, entry_at(p, family, at));
	write_time(p, family, at, state);
	if (p->index)
		index_insert(p, family, at);
	if (!state->seeder)
		swap(p, family, at, p->leechers++);
	return true;
}

uint32_t peer_array_update(struct peer_array *p,
	const struct peer_family *family, uint32_t at,
	const struct peer_state *state)
{
	bool was_seeder = at >= p->leechers;

	write_time(p, family, at, state);
	if (state->seeder == was_seeder)
		return at;

	uint32_t to = was_seeder ? p->leechers++ : --p->leechers;
	swap(p, family, at, to);
	return to;
}

void peer_array_remove(
	struct peer_array *p, const struct peer_family *family, uint32_t at)
{
	if (p->index)
		index_clear(p, family, slot_of(p, family, at));
	/* The last leecher fills a leecher's place, the last seeder the place
	 * that is free then. */
	if (at < p->leechers) {
		p->leechers--;
		move(p, family, p->leechers, at);
		at = p->leechers;
	}
	p->count--;
	move(p, family, p->count, at);
	give_back(p, family);
}

struct endpoint peer_array_peer(const struct peer_array *p,
	const struct peer_family *family, uint32_t at)
{
	const uint8_t *key = entry_at(p, family, at);
	size_t ip_size = family->v6 ? 16 : 4;
	struct endpoint e = {0};

	if (!family->v6)
		e.ip[10] = e.ip[11] = 0xff;
	memcpy(e.ip + 16 - ip_size, key, ip_size);
	memcpy(&e.port, key + ip_size, sizeof(e.port));
	return e;
}

struct peer_state peer_array_state(const struct peer_array *p,
	const struct peer_family *family, uint32_t at)
{
	uint32_t time;

	memcpy(&time, entry_at(p, family, at) + key_size(family), sizeof(time));
	return (struct peer_state){
		.seen_s = time & ~(UINT32_C(1) << COMPLETED_BIT),
		.seeder = at >= p->leechers,
		.completed = time >> COMPLETED_BIT,
	};
}

void peer_array_finish(struct peer_array *p)
{
	free(p->entries);
	free(p->index);
	*p = (struct peer_array){0};
}
