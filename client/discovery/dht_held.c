#include "client/discovery/dht_held.h"

#include <string.h>

static struct held_question *find(
	struct dht_held *h, const struct endpoint *from, uint64_t now_ms)
{
	for (size_t i = 0; i < DHT_HELD_MAX; i++) {
		struct held_question *q = &h->questions[i];

		if (now_ms < q->until_ms && endpoint_equal(&q->from, from))
			return q;
	}
	return NULL;
}

bool dht_held_put(struct dht_held *h, const struct endpoint *from,
	struct span packet, uint64_t now_ms)
{
	if (packet.len > DHT_HELD_SIZE || find(h, from, now_ms))
		return false;
	for (size_t i = 0; i < DHT_HELD_MAX; i++) {
		struct held_question *q = &h->questions[i];

		if (now_ms < q->until_ms)
			continue;
		q->from = *from;
		q->until_ms = now_ms + DHT_HELD_MS;
		q->len = packet.len;
		memcpy(q->packet, packet.at, packet.len);
		return true;
	}
	return false;
}

size_t dht_held_take(struct dht_held *h, const struct endpoint *from,
	uint64_t now_ms, uint8_t ret[DHT_HELD_SIZE])
{
	struct held_question *q = find(h, from, now_ms);

	if (!q)
		return 0;
	q->until_ms = 0;
	memcpy(ret, q->packet, q->len);
	return q->len;
}
