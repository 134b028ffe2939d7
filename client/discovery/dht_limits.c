#include "client/discovery/dht_limits.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "shared/digest.h"

enum { PLACES = 2048 };

/* An allowance that fills up steadily: all that it need know is when it will be
 * full again. */
struct allowance {
	uint64_t full_us;
};

struct dht_limits {
	uint64_t key;
	uint8_t secret[DHT_LIMITS_SECRET], secret_before[DHT_LIMITS_SECRET];
	uint64_t turned_ms;
	struct allowance answers, questions;
	struct allowance sources[PLACES];
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

bool dht_limits_source(
	struct dht_limits *l, const struct endpoint *from, uint64_t now_ms)
{
	size_t len = sizeof(from->ip);

	if (!endpoint_is_v4(from))
		len /= 2;
	uint64_t hash = XXH3_64bits_withSeed(from->ip, len, l->key);
	if (endpoint_is_loopback(from))
		hash = XXH3_64bits_withSeed(
			&from->port, sizeof(from->port), hash);
	return take(&l->sources[hash % PLACES], 1, DHT_SOURCE_BURST,
		DHT_SOURCE_PER_S, now_ms);
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
