#include "shared/bencode.h"

#include <stdlib.h>
#include <string.h>

static bool is_digit(uint8_t c) { return c >= '0' && c <= '9'; }

static bool fail(struct reader *r)
{
	r->bad = true;
	return false;
}

uint8_t bencode_peek(const struct reader *r)
{
	return !r->bad && r->next < r->end ? *r->next : 0;
}

/* Decimal digits up to, and with, the byte `stop`. */
static bool decimal(struct reader *r, uint8_t stop, uint64_t max, uint64_t *ret)
{
	uint8_t first = reader_u8(r);
	uint64_t value = 0;
	uint8_t c = first;
	size_t digits = 0;

	for (; is_digit(c); c = reader_u8(r), digits++) {
		uint64_t d = c - '0';
		if (d > max || value > (max - d) / 10)
			return fail(r);
		value = value * 10 + d;
	}
	if (r->bad || c != stop || digits == 0 || (first == '0' && digits > 1))
		return fail(r);
	*ret = value;
	return true;
}

bool bencode_string(struct reader *r, struct span *ret)
{
	uint64_t len;

	if (!decimal(r, ':', SIZE_MAX, &len))
		return false;

	const uint8_t *at = reader_take(r, len);
	if (!at)
		return false;
	*ret = (struct span){at, len};
	return true;
}

bool bencode_int(struct reader *r, int64_t *ret)
{
	uint64_t size;

	if (reader_u8(r) != 'i')
		return fail(r);

	bool negative = bencode_peek(r) == '-';
	if (negative)
		reader_u8(r);
	/* INT64_MIN is one larger in size than INT64_MAX. */
	if (!decimal(r, 'e', (uint64_t)INT64_MAX + negative, &size))
		return false;
	if (negative && size == 0)
		return fail(r);
	*ret = negative ? -(int64_t)(size - 1) - 1 : (int64_t)size;
	return true;
}

/* The keys of all dictionaries that are open at some moment of a walk, the
 * innermost dictionary's last. */
struct key_stack {
	const uint8_t *base; /* of the document, at most UINT32_MAX long */
	struct key {
		uint32_t offset; /* from base: 8 bytes a key, not 16 */
		uint32_t len;
	} * keys;
	size_t count;
	size_t capacity;
};

static bool key_push(struct key_stack *s, struct span key)
{
	if (s->count == s->capacity) {
		size_t capacity = s->capacity ? 2 * s->capacity : 64;
		struct key *keys =
			reallocarray(s->keys, capacity, sizeof(*keys));

		if (!keys)
			return false;
		s->keys = keys;
		s->capacity = capacity;
	}
	s->keys[s->count++] =
		(struct key){(uint32_t)(key.at - s->base), (uint32_t)key.len};
	return true;
}

static int key_compare(const void *a, const void *b, void *base)
{
	const struct key *x = a;
	const struct key *y = b;

	/* Any order will do to bring equals together; lengths are at hand. */
	if (x->len != y->len)
		return x->len < y->len ? -1 : 1;
	return memcmp((const uint8_t *)base + x->offset,
		(const uint8_t *)base + y->offset, x->len);
}

/* Whether the keys from `first` on are all different; takes them off. */
static bool keys_unique(struct key_stack *s, size_t first, bool sorted)
{
	size_t count = s->count - first;

	s->count = first;
	if (sorted)
		return true;
	struct key *keys = s->keys + first;
	void *base = (void *)(uintptr_t)s->base;
	qsort_r(keys, count, sizeof(*keys), key_compare, base);
	for (size_t i = 1; i < count; i++) {
		if (key_compare(&keys[i - 1], &keys[i], base) == 0)
			return false;
	}
	return true;
}

static bool ascends(struct span a, struct span b)
{
	size_t common = a.len < b.len ? a.len : b.len;
	int order = common ? memcmp(a.at, b.at, common) : 0;

	return order < 0 || (order == 0 && a.len < b.len);
}

/* A dictionary or list that is open in a walk. */
struct level {
	bool dict;
	bool sorted;          /* so far */
	size_t first_key;     /* in the key stack */
	struct span last_key; /* len 0 and at NULL: none yet */
};

/* Read the key that stands before a value in `level`. */
static bool walk_key(
	struct reader *r, struct level *level, struct key_stack *keys)
{
	struct span key;

	if (!bencode_string(r, &key))
		return false;
	if (!keys)
		return true;
	if (level->last_key.at && !ascends(level->last_key, key))
		level->sorted = false;
	level->last_key = key;
	return key_push(keys, key) || fail(r);
}

/* Over one value, whatever it holds.  With `keys`, also refuse a key that is
 * twice in its dictionary. */
static bool walk(struct reader *r, struct key_stack *keys)
{
	struct level levels[BENCODE_MAX_DEPTH];
	size_t depth = 0;
	struct span string;
	int64_t number;

	do {
		struct level *in = depth > 0 ? &levels[depth - 1] : NULL;
		uint8_t kind = bencode_peek(r);

		if (in && kind == 'e') {
			reader_u8(r);
			depth--;
			if (in->dict && keys &&
				!keys_unique(keys, in->first_key, in->sorted))
				return fail(r);
			continue;
		}
		if (in && in->dict) {
			if (!walk_key(r, in, keys))
				return false;
			kind = bencode_peek(r);
		}

		if (kind == 'l' || kind == 'd') {
			if (depth == BENCODE_MAX_DEPTH)
				return fail(r);
			reader_u8(r);
			levels[depth++] = (struct level){.dict = kind == 'd',
				.sorted = true,
				.first_key = keys ? keys->count : 0};
		} else if (kind == 'i') {
			if (!bencode_int(r, &number))
				return false;
		} else if (!bencode_string(r, &string)) {
			return false;
		}
	} while (depth > 0);
	return true;
}

bool bencode_value(struct reader *r, struct span *ret)
{
	const uint8_t *at = r->next;

	if (!walk(r, NULL))
		return false;
	*ret = (struct span){at, (size_t)(r->next - at)};
	return true;
}

bool bencode_document(struct span document, struct span *ret)
{
	struct reader r = reader_of_span(document);
	struct key_stack keys = {.base = document.at};

	if (document.len > UINT32_MAX || bencode_peek(&r) != 'd')
		return false;
	bool ok = walk(&r, &keys);
	free(keys.keys);
	if (!ok)
		return false;

	size_t len = (size_t)(r.next - document.at);
	if (bencode_peek(&r) == '\n')
		reader_u8(&r);
	if (!reader_done(&r))
		return false;
	*ret = (struct span){document.at, len};
	return true;
}

static bool begin(struct reader *r, uint8_t kind)
{
	return reader_u8(r) == kind || fail(r);
}

bool bencode_dict_begin(struct reader *r) { return begin(r, 'd'); }
bool bencode_list_begin(struct reader *r) { return begin(r, 'l'); }

bool bencode_dict_next(struct reader *r, struct span *key, struct span *value)
{
	struct span k;

	if (bencode_peek(r) == 'e') {
		reader_u8(r);
		return false;
	}
	if (!bencode_string(r, &k) || !bencode_value(r, value))
		return false;
	*key = k;
	return true;
}

bool bencode_list_next(struct reader *r, struct span *value)
{
	if (bencode_peek(r) == 'e') {
		reader_u8(r);
		return false;
	}
	return bencode_value(r, value);
}

bool bencode_find(struct span dict, const char *key, struct span *ret)
{
	struct reader r = reader_of_span(dict);
	struct span k, value;

	if (!bencode_dict_begin(&r))
		return false;
	while (bencode_dict_next(&r, &k, &value)) {
		if (span_is(k, key)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

bool bencode_find_string(struct span dict, const char *key, struct span *ret)
{
	struct span value;

	return bencode_find(dict, key, &value) && bencode_as_string(value, ret);
}

bool bencode_find_int(struct span dict, const char *key, int64_t *ret)
{
	struct span value;

	return bencode_find(dict, key, &value) && bencode_as_int(value, ret);
}

bool bencode_fields(struct span dict, const char *const *keys, size_t count,
	struct span *ret_values)
{
	struct reader r = reader_of_span(dict);
	struct span key, value;

	memset(ret_values, 0, count * sizeof(*ret_values));
	if (!bencode_dict_begin(&r))
		return false;
	while (bencode_dict_next(&r, &key, &value)) {
		for (size_t i = 0; i < count; i++) {
			if (span_is(key, keys[i]))
				ret_values[i] = value;
		}
	}
	return !r.bad;
}

bool bencode_as_string(struct span value, struct span *ret)
{
	struct reader r = reader_of_span(value);

	return value.at && bencode_string(&r, ret);
}

bool bencode_as_int(struct span value, int64_t *ret)
{
	struct reader r = reader_of_span(value);

	return value.at && bencode_int(&r, ret);
}

bool bencode_as_list(struct span value, struct reader *ret)
{
	*ret = reader_of_span(value);
	return value.at && bencode_list_begin(ret);
}

bool span_is(struct span s, const char *text)
{
	size_t len = strlen(text);

	return s.len == len && memcmp(s.at, text, len) == 0;
}
