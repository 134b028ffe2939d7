#include "tracker/peer_array.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "tracker/peer_chunk.h"

enum {
	KEY_MAX = ENDPOINT_V6_SIZE,

	/* Peers a chunk on the average; one may have from half of it to twice
	 * as many, and some more or less by chance. */
	CHUNK_MEAN = 384,

	/* Chunks have memory for a multiple of this: small ones without waste,
	 * larger ones so that they seldom move, and leave fewer holes of odd
	 * sizes where they were. */
	FEW_PEERS = 64,
	SMALL_STEP = 4,
	CHUNK_STEP = 16,

	/* The directory of chunks likewise. */
	DIRECTORY_STEP = 8,

	COMPLETED_BIT = 7, /* of the byte behind the address */
};

/* An address and port as they lie in an entry. */
struct key {
	uint8_t bytes[KEY_MAX];
};

static struct key key_of(
	const struct peer_family *family, const struct endpoint *peer)
{
	size_t ip_size = family->v6 ? 16 : 4;
	struct key key;

	memcpy(key.bytes, peer->ip + 16 - ip_size, ip_size);
	memcpy(key.bytes + ip_size, &peer->port, sizeof(peer->port));
	return key;
}

static uint64_t hash_of(const struct peer_family *family, const uint8_t *key)
{
	return XXH3_64bits_withSeed(key, key_size(family), family->seed);
}

/* --- Entries of a chunk --- */

static struct peer_state state_of(
	const struct peer_family *family, const uint8_t *entry)
{
	uint8_t bits = entry[key_size(family)];

	return (struct peer_state){
		.seen = bits & (PEER_MOMENTS - 1),
		.completed = bits >> COMPLETED_BIT,
	};
}

static void set_state(const struct peer_family *family, uint8_t *entry,
	const struct peer_state *state)
{
	assert(state->seen < PEER_MOMENTS);
	entry[key_size(family)] = (uint8_t)(state->seen |
		(unsigned)state->completed << COMPLETED_BIT);
}

/* The slot of an IPv4 peer, or the count.  Its entry is read as a word, with
 * one byte of the next: a plain loop over words is what a processor does best.
 */
static uint32_t find_v4(const struct peer_chunk *chunk, const struct key *key)
{
	uint8_t bytes[8] = {0};
	uint8_t ones[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint64_t wanted, mask;
	uint32_t slot = 0;

	memcpy(bytes, key->bytes, ENDPOINT_V4_SIZE);
	memcpy(&wanted, bytes, sizeof(wanted));
	memcpy(&mask, ones, sizeof(mask));
	for (; slot < chunk->count; slot++) {
		uint64_t entry;

		memcpy(&entry, chunk->entries + slot * (ENDPOINT_V4_SIZE + 1),
			sizeof(entry));
		if ((entry & mask) == wanted)
			break;
	}
	return slot;
}

static uint32_t find_v6(const struct peer_family *family,
	const struct peer_chunk *chunk, const struct key *key)
{
	const uint8_t *entry = chunk->entries;
	uint32_t slot = 0;

	for (; slot < chunk->count; slot++, entry += entry_size(family)) {
		if (memcmp(entry, key->bytes, ENDPOINT_V6_SIZE) == 0)
			break;
	}
	return slot;
}

/* --- Chunks --- */

static struct peer_chunk **chunk_at(struct peer_array *p, uint32_t number)
{
	return p->chunk_count > 1 ? &p->many[number] : &p->one;
}

static uint32_t rounded(uint32_t count)
{
	uint32_t step = count > FEW_PEERS ? CHUNK_STEP : SMALL_STEP;

	return (count + step - 1) / step * step;
}

static struct peer_chunk *resized(const struct peer_family *family,
	struct peer_chunk *chunk, uint32_t count)
{
	return realloc(chunk,
		sizeof(*chunk) + rounded(count) * entry_size(family) + 1);
}

/* Put an entry at the end; the first one makes the chunk.  False: out of
 * memory, nothing changed. */
static bool append(const struct peer_family *family, struct peer_chunk **chunk,
	const uint8_t *entry)
{
	uint32_t count = *chunk ? (*chunk)->count : 0;

	if (rounded(count) == count) {
		struct peer_chunk *larger = resized(family, *chunk, count + 1);

		if (!larger)
			return false;
		larger->count = count;
		*chunk = larger;
	}
	memcpy(entry_at(family, *chunk, count), entry, entry_size(family));
	(*chunk)->count++;
	return true;
}

/* Let `count` entries be left. */
static void cut(const struct peer_family *family, struct peer_chunk **chunk,
	uint32_t count)
{
	bool less = rounded(count) < rounded((*chunk)->count);

	(*chunk)->count = count;
	if (less) {
		struct peer_chunk *smaller = resized(family, *chunk, count);

		if (smaller) /* or else it stays large: no harm */
			*chunk = smaller;
	}
}

/* Room for one more chunk in the directory. */
static bool grow_directory(struct peer_array *p)
{
	uint32_t count = p->chunk_count;
	struct peer_chunk *one = p->one;

	if (count > 1 && count % DIRECTORY_STEP != 0)
		return true;
	struct peer_chunk **many = reallocarray(count > 1 ? p->many : NULL,
		(count / DIRECTORY_STEP + 1) * (size_t)DIRECTORY_STEP,
		sizeof(struct peer_chunk *));
	if (!many)
		return false;
	if (count == 1)
		many[0] = one;
	p->many = many;
	return true;
}

static struct peer_chunk *chunk_create(
	const struct peer_family *family, uint32_t count)
{
	struct peer_chunk *chunk = resized(family, NULL, count);

	if (chunk)
		chunk->count = 0;
	return chunk;
}

/* One chunk more.  Both halves move to memory of just their size: what is left
 * over of a chunk that is cut in place would be too small for the next one.
 * Without memory chunks just get longer. */
static void split(struct peer_array *p, const struct peer_family *family)
{
	uint32_t fresh_number = p->chunk_count;
	uint32_t old_number = fresh_number - power_below(fresh_number);
	struct peer_chunk *old = chunk_of(p, old_number);
	struct peer_chunk *halves[2];
	uint32_t moving = 0;

	for (uint32_t i = 0; i < old->count; i++)
		moving += number_of(fresh_number + 1,
				  hash_of(family, entry_at(family, old, i))) ==
			fresh_number;
	halves[0] = chunk_create(family, old->count - moving);
	halves[1] = chunk_create(family, moving);
	if (!halves[0] || !halves[1] || !grow_directory(p)) {
		free(halves[0]);
		free(halves[1]);
		return;
	}
	for (uint32_t i = 0; i < old->count; i++) {
		const uint8_t *entry = entry_at(family, old, i);
		bool moves = number_of(fresh_number + 1,
				     hash_of(family, entry)) == fresh_number;
		struct peer_chunk *to = halves[moves];

		memcpy(entry_at(family, to, to->count++), entry,
			entry_size(family));
	}
	p->chunk_count++;
	p->many[old_number] = halves[0];
	p->many[fresh_number] = halves[1];
	free(old);
}

/* Join the last chunk to the one that it was split from.  False: out of memory,
 * nothing changed. */
static bool join(struct peer_array *p, const struct peer_family *family)
{
	uint32_t last_number = p->chunk_count - 1;
	uint32_t to_number = last_number - power_below(last_number);
	struct peer_chunk *last = p->many[last_number];
	struct peer_chunk *to = p->many[to_number];

	to = resized(family, to, to->count + last->count);
	if (!to)
		return false;
	memcpy(entry_at(family, to, to->count), last->entries,
		last->count * entry_size(family));
	to->count += last->count;
	p->many[to_number] = to;
	free(last);
	p->chunk_count--;
	if (p->chunk_count == 1) {
		free(p->many);
		p->one = to;
	} else if (p->chunk_count % DIRECTORY_STEP == 0) {
		struct peer_chunk **many = reallocarray(
			p->many, p->chunk_count, sizeof(struct peer_chunk *));

		if (many)
			p->many = many;
	}
	return true;
}

static void join_some(struct peer_array *p, const struct peer_family *family)
{
	while (p->chunk_count > 1 &&
		p->count < (p->chunk_count - 1) * (CHUNK_MEAN / 2) &&
		join(p, family))
		;
	if (p->count == 0)
		peer_array_finish(p);
}

/* --- The array --- */

bool peer_array_find(const struct peer_array *p,
	const struct peer_family *family, const struct endpoint *peer,
	struct peer_place *ret)
{
	struct key key = key_of(family, peer);
	uint32_t number = 0;

	if (p->count == 0)
		return false;
	if (p->chunk_count > 1)
		number = number_of(p->chunk_count, hash_of(family, key.bytes));

	const struct peer_chunk *chunk = chunk_of(p, number);
	uint32_t slot = family->v6 ? find_v6(family, chunk, &key)
				   : find_v4(chunk, &key);
	if (slot == chunk->count)
		return false;
	*ret = (struct peer_place){.chunk = number, .slot = slot};
	return true;
}

bool peer_array_add(struct peer_array *p, const struct peer_family *family,
	const struct endpoint *peer, const struct peer_state *state,
	struct peer_place *ret)
{
	struct key key = key_of(family, peer);
	uint8_t entry[KEY_MAX + 1];

	memcpy(entry, key.bytes, sizeof(key.bytes));
	set_state(family, entry, state);
	if (p->chunk_count == 0)
		p->chunk_count = 1;
	if (p->count >= p->chunk_count * CHUNK_MEAN)
		split(p, family);

	uint32_t number = number_of(p->chunk_count, hash_of(family, key.bytes));
	if (!append(family, chunk_at(p, number), entry)) {
		join_some(p, family);
		return false;
	}
	p->count++;
	*ret = (struct peer_place){
		.chunk = number, .slot = chunk_of(p, number)->count - 1};
	return true;
}

struct peer_state peer_array_state(const struct peer_array *p,
	const struct peer_family *family, const struct peer_place *at)
{
	return state_of(
		family, entry_at(family, chunk_of(p, at->chunk), at->slot));
}

void peer_array_set_state(struct peer_array *p,
	const struct peer_family *family, const struct peer_place *at,
	const struct peer_state *state)
{
	set_state(family, entry_at(family, chunk_of(p, at->chunk), at->slot),
		state);
}

void peer_array_remove(struct peer_array *p, const struct peer_family *family,
	const struct peer_place *at)
{
	struct peer_chunk **chunk = chunk_at(p, at->chunk);
	uint32_t last = (*chunk)->count - 1;

	if (at->slot != last)
		memcpy(entry_at(family, *chunk, at->slot),
			entry_at(family, *chunk, last), entry_size(family));
	cut(family, chunk, last);
	p->count--;
	join_some(p, family);
}

uint32_t peer_array_copy(const struct peer_array *p,
	const struct peer_family *family, const struct peer_place *from,
	uint32_t max, struct peer_record *ret)
{
	struct peer_chunk *chunk = chunk_of(p, from->chunk);
	uint32_t copied = 0;

	for (uint32_t slot = from->slot; slot < chunk->count && copied < max;
		slot++) {
		const uint8_t *entry = entry_at(family, chunk, slot);

		put_endpoint(family, entry, &ret[copied].address);
		ret[copied].state = state_of(family, entry);
		copied++;
	}
	return copied;
}

/* Less than half the way round. */
static bool is_before(uint16_t a, uint16_t b)
{
	uint32_t distance = ((uint32_t)b - a) & (PEER_MOMENTS - 1);

	return distance > 0 && distance < PEER_MOMENTS / 2;
}

uint32_t peer_array_expire(struct peer_array *p,
	const struct peer_family *family, uint32_t number, uint16_t before)
{
	struct peer_chunk **chunk = chunk_at(p, number);
	uint32_t count = (*chunk)->count;
	uint32_t kept = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *entry = entry_at(family, *chunk, i);

		if (is_before(state_of(family, entry).seen, before))
			continue;
		memmove(entry_at(family, *chunk, kept++), entry,
			entry_size(family));
	}
	if (kept == count)
		return 0;
	cut(family, chunk, kept);
	p->count -= count - kept;
	join_some(p, family);
	return count - kept;
}

void peer_array_finish(struct peer_array *p)
{
	if (p->chunk_count > 1) {
		for (uint32_t i = 0; i < p->chunk_count; i++)
			free(p->many[i]);
		free(p->many);
	} else {
		free(p->one);
	}
	*p = (struct peer_array){.count = 0};
}
