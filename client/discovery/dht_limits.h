#ifndef CLIENT_DISCOVERY_DHT_LIMITS_H
#define CLIENT_DISCOVERY_DHT_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/span.h"

/* What a node of the DHT lets itself be made to do by strangers: how much it
 * answers to one source and over all, and who may announce what (tokens).
 * Pure: time is an argument; the dice are thrown by the caller.
 *
 * A source is an IP address (of IPv6 a /64), on loopback one with its port.
 * The sources are hashed with a key into a table of fixed size: two may meet in
 * a place and then share what is allowed to one, but nobody can aim at that. */
struct dht_limits;

enum {
	DHT_TOKEN_SIZE = 8,
	DHT_TOKEN_TURN_MS = 5 * 60 * 1000, /* a token is good for 5 to 10 min */
	DHT_LIMITS_SECRET = 16,

	/* One source: bursts, then so many a second. */
	DHT_SOURCE_BURST = 20,
	DHT_SOURCE_PER_S = 5,
	/* Who has shown that it is at its address is believed so long. */
	DHT_PROVEN_MS = 10 * 60 * 1000,
	/* All sources together, as bytes of our answers. */
	DHT_ANSWERS_BURST = 128 * 1024,
	DHT_ANSWERS_PER_S = 32 * 1024,
	/* Questions of our own that searches and the like may send. */
	DHT_QUESTIONS_BURST = 120,
	DHT_QUESTIONS_PER_S = 60,
};

/* `secret` are random bytes.  NULL: out of memory. */
struct dht_limits *dht_limits_create(
	const uint8_t secret[DHT_LIMITS_SECRET], uint64_t now_ms);
void dht_limits_destroy(struct dht_limits *l);

/* A query of `len` bytes came.  May it be looked at? */
bool dht_limits_source(struct dht_limits *l, const struct endpoint *from,
	size_t len, uint64_t now_ms);

/* Its address may be somebody else's, until it has shown that it gets what is
 * sent there: by an answer to us, or with our token.  Before that it has as
 * much due to it as it sent, less what was sent to it; then SIZE_MAX.  Two
 * sources in one place share nothing of this. */
void dht_limits_prove(
	struct dht_limits *l, const struct endpoint *from, uint64_t now_ms);
size_t dht_limits_due(const struct dht_limits *l, const struct endpoint *from,
	uint64_t now_ms);
void dht_limits_sent(
	struct dht_limits *l, const struct endpoint *to, size_t len);

/* May an answer of `len` bytes go out? */
bool dht_limits_answer(struct dht_limits *l, size_t len, uint64_t now_ms);

/* May one more question of ours go out?  One did (it may even when it may not:
 * what cannot wait is counted all the same). */
bool dht_limits_may_ask(const struct dht_limits *l, uint64_t now_ms);
void dht_limits_asked(struct dht_limits *l, uint64_t now_ms);

/* Turn to a new secret if it is time; what the one before it made stays good
 * until the next turn. */
bool dht_limits_token_due(const struct dht_limits *l, uint64_t now_ms);
void dht_limits_token_turn(struct dht_limits *l,
	const uint8_t secret[DHT_LIMITS_SECRET], uint64_t now_ms);

/* The token for an address, whatever its port (BEP 5). */
void dht_limits_token(const struct dht_limits *l, const struct endpoint *to,
	uint8_t ret[DHT_TOKEN_SIZE]);
bool dht_limits_token_good(const struct dht_limits *l,
	const struct endpoint *from, struct span token);

#endif
