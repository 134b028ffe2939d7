#include "client/discovery/dht_search.h"

#include <string.h>

void dht_search_begin(struct dht_search *s, const struct dht_id *target)
{
	*s = (struct dht_search){.target = *target};
}

static bool same_place(const struct endpoint *a, const struct endpoint *b)
{
	return endpoint_equal(a, b) ||
		(endpoint_same_ip(a, b) && !endpoint_is_loopback(a));
}

void dht_search_hear(struct dht_search *s, const struct dht_node *node)
{
	size_t at = s->count;

	for (size_t i = 0; i < s->count; i++) {
		if (same_place(&s->nearest[i].node.address, &node->address))
			return;
	}
	while (at > 0 &&
		dht_id_compare(
			&s->target, &node->id, &s->nearest[at - 1].node.id) < 0)
		at--;
	if (at == DHT_SEARCH_MAX)
		return;
	if (s->count < DHT_SEARCH_MAX)
		s->count++; /* else the farthest is dropped */
	memmove(&s->nearest[at + 1], &s->nearest[at],
		(s->count - at - 1) * sizeof(s->nearest[0]));
	s->nearest[at] = (struct dht_candidate){.node = *node};
}

static bool slow(const struct dht_candidate *c, uint64_t now_ms)
{
	return c->state == CANDIDATE_ASKED &&
		now_ms - c->asked_ms >= DHT_SEARCH_SLOW_MS;
}

bool dht_search_next(
	struct dht_search *s, uint64_t now_ms, struct dht_node *ret)
{
	size_t under_way = 0, seen = 0;

	for (size_t i = 0; i < s->count; i++)
		under_way += s->nearest[i].state == CANDIDATE_ASKED &&
			!slow(&s->nearest[i], now_ms);
	if (under_way >= DHT_SEARCH_ALPHA || s->asked == DHT_SEARCH_ASKED_MAX)
		return false;
	/* Of the 8 nearest, not counting those that may be dead. */
	for (size_t i = 0; i < s->count && seen < DHT_K; i++) {
		struct dht_candidate *c = &s->nearest[i];

		if (c->state == CANDIDATE_NEW) {
			c->state = CANDIDATE_ASKED;
			c->asked_ms = now_ms;
			s->asked++;
			*ret = c->node;
			return true;
		}
		seen += !slow(c, now_ms);
	}
	return false;
}

static struct dht_candidate *find_asked(
	struct dht_search *s, const struct endpoint *address)
{
	for (size_t i = 0; i < s->count; i++) {
		struct dht_candidate *c = &s->nearest[i];

		if (c->state == CANDIDATE_ASKED &&
			endpoint_equal(&c->node.address, address))
			return c;
	}
	return NULL;
}

void dht_search_answered(
	struct dht_search *s, const struct endpoint *address, struct span token)
{
	struct dht_candidate *c = find_asked(s, address);

	if (!c)
		return;
	c->state = CANDIDATE_ANSWERED;
	s->answered++;
	if (token.len > sizeof(c->token))
		return;
	c->token_len = token.len;
	if (token.len > 0)
		memcpy(c->token, token.at, token.len);
}

void dht_search_failed(struct dht_search *s, const struct endpoint *address)
{
	struct dht_candidate *c = find_asked(s, address);

	if (!c)
		return;
	size_t after = s->count - (size_t)(c - s->nearest) - 1;
	memmove(c, c + 1, after * sizeof(*c));
	s->count--;
}

bool dht_search_over(const struct dht_search *s, uint64_t now_ms)
{
	bool may_ask = s->asked < DHT_SEARCH_ASKED_MAX;
	size_t seen = 0;

	for (size_t i = 0; i < s->count && seen < DHT_K; i++) {
		const struct dht_candidate *c = &s->nearest[i];

		if (slow(c, now_ms))
			continue;
		if (c->state == CANDIDATE_ASKED ||
			(c->state == CANDIDATE_NEW && may_ask))
			return false;
		seen++;
	}
	return true;
}
