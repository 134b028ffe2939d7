#include "client/torrent/bitfield.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static size_t word_count(uint32_t count) { return ((size_t)count + 63) / 64; }

static uint64_t bit_of(uint32_t index)
{
	return UINT64_C(1) << (63 - index % 64);
}

/* The bits of a word from number `index` % 64 on, the first being 0. */
static uint64_t bits_from(uint32_t index) { return UINT64_MAX >> index % 64; }

/* The bits of the last word that stand for pieces. */
static uint64_t last_word_mask(uint32_t count)
{
	return count % 64 == 0 ? UINT64_MAX : ~bits_from(count);
}

bool bitfield_init(struct bitfield *b, uint32_t count)
{
	/* At least one word, since calloc(0) may be NULL. */
	uint64_t *words = calloc(word_count(count) + 1, sizeof(*words));

	if (!words)
		return false;
	*b = (struct bitfield){.words = words, .count = count};
	return true;
}

void bitfield_finish(struct bitfield *b)
{
	free(b->words);
	*b = (struct bitfield){0};
}

void bitfield_set(struct bitfield *b, uint32_t index)
{
	assert(index < b->count);
	if (bitfield_has(b, index))
		return;
	b->words[index / 64] |= bit_of(index);
	b->set++;
}

void bitfield_clear(struct bitfield *b, uint32_t index)
{
	assert(index < b->count);
	if (!bitfield_has(b, index))
		return;
	b->words[index / 64] &= ~bit_of(index);
	b->set--;
}

void bitfield_set_all(struct bitfield *b)
{
	size_t words = word_count(b->count);

	if (words == 0)
		return;
	memset(b->words, 0xff, words * sizeof(b->words[0]));
	b->words[words - 1] = last_word_mask(b->count);
	b->set = b->count;
}

void bitfield_clear_all(struct bitfield *b)
{
	memset(b->words, 0, word_count(b->count) * sizeof(b->words[0]));
	b->set = 0;
}

void bitfield_copy(struct bitfield *to, const struct bitfield *from)
{
	assert(to->count == from->count);
	memcpy(to->words, from->words,
		word_count(from->count) * sizeof(from->words[0]));
	to->set = from->set;
}

size_t bitfield_wire_size(uint32_t count) { return ((size_t)count + 7) / 8; }

static unsigned byte_shift(size_t byte) { return 56 - 8 * (byte % 8); }

void bitfield_to_wire(const struct bitfield *b, uint8_t *ret)
{
	size_t len = bitfield_wire_size(b->count);

	for (size_t i = 0; i < len; i++)
		ret[i] = (uint8_t)(b->words[i / 8] >> byte_shift(i));
}

bool bitfield_from_wire(struct bitfield *b, struct span wire)
{
	if (wire.len != bitfield_wire_size(b->count))
		return false;
	/* The last byte's bits past `count` must be 0 (BEP 3). */
	if (b->count % 8 != 0 && wire.at[wire.len - 1] & 0xff >> b->count % 8)
		return false;

	bitfield_clear_all(b);
	for (size_t i = 0; i < wire.len; i++)
		b->words[i / 8] |= (uint64_t)wire.at[i] << byte_shift(i);
	for (size_t i = 0; i < word_count(b->count); i++)
		b->set += (uint32_t)__builtin_popcountll(b->words[i]);
	return true;
}

uint32_t bitfield_find(const struct bitfield *in, const struct bitfield *not_in,
	const struct bitfield *nor_in, uint32_t from, uint32_t end)
{
	if (from >= end)
		return BITFIELD_NONE;

	uint64_t wanted = bits_from(from);
	for (size_t i = from / 64; i < word_count(end); i++) {
		uint64_t bits = wanted;
		if (in)
			bits &= in->words[i];
		if (not_in)
			bits &= ~not_in->words[i];
		if (nor_in)
			bits &= ~nor_in->words[i];
		if (bits != 0) {
			uint32_t found = (uint32_t)i * 64 +
				(uint32_t)__builtin_clzll(bits);
			return found < end ? found : BITFIELD_NONE;
		}
		wanted = UINT64_MAX;
	}
	return BITFIELD_NONE;
}

uint32_t bitfield_count(const struct bitfield *in,
	const struct bitfield *not_in, const struct bitfield *nor_in,
	uint32_t from, uint32_t end)
{
	uint64_t wanted = UINT64_MAX >> from % 64;
	uint32_t count = 0;

	for (size_t i = from / 64; i * 64 < end; i++) {
		uint64_t bits = wanted & in->words[i];
		if (end - i * 64 < 64)
			bits &= ~(UINT64_MAX >> (end - i * 64));
		if (not_in)
			bits &= ~not_in->words[i];
		if (nor_in)
			bits &= ~nor_in->words[i];
		count += (uint32_t)__builtin_popcountll(bits);
		wanted = UINT64_MAX;
	}
	return count;
}
