#include "client/discovery/dht_limits.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shared/digest.h"

enum { PLACES = 2048, MAX_DUE = 64 * 1024 };

/* An allowance that fills up steadily: all that it need know is when it will be
 * full again. */
struct allowance {
	uint64_t full_us;
};

struct source {
	struct allowance queries;
	uint64_t hash; /* whose the rest is */
	uint64_t proven_until_ms;
	size_t due; /* bytes that it may be sent before it is proven */
};

struct dht_limits {
	uint64_t key;
	uint8_t secret[DHT_LIMITS_SECRET], secret_before[DHT_LIMITS_SECRET];
	uint64_t turned_ms;
	struct allowance answers, questions;
	struct source sources[PLACES];
};

struct dht_limits *dht_limits_create(
	const uint8_t secret[DHT_LIMITS_SECRET], uint64_t now_ms)
{
	struct dht_limits *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->key = XXH3_64bits(secret, DHT_LIMITS_SECRET);
	memcpy(l->secret, secret, DHT_LIMITS_SECRET);
	memcpy(l->secret_before, secret, DHT_LIMITS_SECRET);
	l->turned_ms = now_ms;
	return l;
}

void dht_limits_destroy(struct dht_limits *l) { free(l); }

/* When an allowance of so much a second is full again, once `amount` more has
 * been taken out. */
static uint64_t full_after(const struct allowance *a, uint64_t amount,
	uint64_t per_s, uint64_t now_ms)
{
	uint64_t now_us = now_ms * 1000;
	uint64_t from_us = a->full_us > now_us ? a->full_us : now_us;

	return from_us + amount * 1000000 / per_s;
}

/* Take `amount` out of an allowance of `burst` that gets `per_s` a second. */
static bool take(struct allowance *a, uint64_t amount, uint64_t burst,
	uint64_t per_s, uint64_t now_ms)
{
	uint64_t full_us = full_after(a, amount, per_s, now_ms);

	if (full_us - now_ms * 1000 > burst * 1000000 / per_s)
		return false;
	a->full_us = full_us;
	return true;
}

static uint64_t hash_of(const struct dht_limits *l, const struct endpoint *from)
{
	size_t len = sizeof(from->ip);

	if (!endpoint_is_v4(from))
		len /= 2;
	uint64_t hash = XXH3_64bits_withSeed(from->ip, len, l->key);
	if (endpoint_is_loopback(from))
		hash = XXH3_64bits_withSeed(
			&from->port, sizeof(from->port), hash);
	return hash;
}

/* Its place; NULL: another's. */
static const struct source *find(
	const struct dht_limits *l, const struct endpoint *from)
{
	uint64_t hash = hash_of(l, from);
	const struct source *s = &l->sources[hash % PLACES];

	return s->hash == hash ? s : NULL;
}

static struct source *take_place(
	struct dht_limits *l, const struct endpoint *from)
{
	uint64_t hash = hash_of(l, from);
	struct source *s = &l->sources[hash % PLACES];

	if (s->hash != hash) {
		s->hash = hash;
		s->proven_until_ms = 0;
		s->due = 0;
	}
	return s;
}

bool dht_limits_source(struct dht_limits *l, const struct endpoint *from,
	size_t len, uint64_t now_ms)
{
	struct source *s = take_place(l, from);

	s->due += len;
	if (s->due > MAX_DUE)
		s->due = MAX_DUE;
	return take(&s->queries, 1, DHT_SOURCE_BURST, DHT_SOURCE_PER_S, now_ms);
}

void dht_limits_prove(
	struct dht_limits *l, const struct endpoint *from, uint64_t now_ms)
{
	take_place(l, from)->proven_until_ms = now_ms + DHT_PROVEN_MS;
}

size_t dht_limits_due(const struct dht_limits *l, const struct endpoint *from,
	uint64_t now_ms)
{
	const struct source *s = find(l, from);

	if (!s)
		return 0;
	return now_ms < s->proven_until_ms ? SIZE_MAX : s->due;
}

void dht_limits_sent(
	struct dht_limits *l, const struct endpoint *to, size_t len)
{
	struct source *s = take_place(l, to);

	s->due -= len < s->due ? len : s->due;
}

bool dht_limits_answer(struct dht_limits *l, size_t len, uint64_t now_ms)
{
	return take(
		&l->answers, len, DHT_ANSWERS_BURST, DHT_ANSWERS_PER_S, now_ms);
}

bool dht_limits_may_ask(const struct dht_limits *l, uint64_t now_ms)
{
	struct allowance a = l->questions;

	return take(&a, 1, DHT_QUESTIONS_BURST, DHT_QUESTIONS_PER_S, now_ms);
}

void dht_limits_asked(struct dht_limits *l, uint64_t now_ms)
{
	l->questions.full_us =
		full_after(&l->questions, 1, DHT_QUESTIONS_PER_S, now_ms);
}

/* ---- tokens ---- */

bool dht_limits_token_due(const struct dht_limits *l, uint64_t now_ms)
{
	return now_ms - l->turned_ms >= DHT_TOKEN_TURN_MS;
}

void dht_limits_token_turn(struct dht_limits *l,
	const uint8_t secret[DHT_LIMITS_SECRET], uint64_t now_ms)
{
	memcpy(l->secret_before, l->secret, DHT_LIMITS_SECRET);
	memcpy(l->secret, secret, DHT_LIMITS_SECRET);
	l->turned_ms = now_ms;
}

static void make_token(const uint8_t secret[DHT_LIMITS_SECRET],
	const struct endpoint *to, uint8_t ret[DHT_TOKEN_SIZE])
{
	uint8_t input[DHT_LIMITS_SECRET + sizeof(to->ip)], hash[SHA1_SIZE];

	memcpy(input, secret, DHT_LIMITS_SECRET);
	memcpy(input + DHT_LIMITS_SECRET, to->ip, sizeof(to->ip));
	digest_sha1(input, sizeof(input), hash);
	memcpy(ret, hash, DHT_TOKEN_SIZE);
}

void dht_limits_token(const struct dht_limits *l, const struct endpoint *to,
	uint8_t ret[DHT_TOKEN_SIZE])
{
	make_token(l->secret, to, ret);
}

bool dht_limits_token_good(const struct dht_limits *l,
	const struct endpoint *from, struct span token)
{
	uint8_t now[DHT_TOKEN_SIZE], before[DHT_TOKEN_SIZE];

	if (token.len != DHT_TOKEN_SIZE)
		return false;
	make_token(l->secret, from, now);
	make_token(l->secret_before, from, before);
	return memcmp(token.at, now, DHT_TOKEN_SIZE) == 0 ||
		memcmp(token.at, before, DHT_TOKEN_SIZE) == 0;
}
