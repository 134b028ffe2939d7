#include "client/discovery/dht_store.h"

#include <stdlib.h>
#include <string.h>

struct peer {
	struct endpoint address;
	uint64_t told_ms;
};

struct torrent {
	struct dht_id id;
	uint64_t told_ms; /* when a peer last announced it */
	size_t count, capacity;
	struct peer *peers; /* the last told one last */
};

struct dht_store {
	size_t count;
	struct torrent torrents[DHT_STORE_TORRENTS];
};

struct dht_store *dht_store_create(void)
{
	return calloc(1, sizeof(struct dht_store));
}

void dht_store_destroy(struct dht_store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->count; i++)
		free(s->torrents[i].peers);
	free(s);
}

static struct torrent *find(
	const struct dht_store *s, const struct dht_id *torrent)
{
	for (size_t i = 0; i < s->count; i++) {
		if (dht_id_equal(&s->torrents[i].id, torrent))
			return (struct torrent *)(uintptr_t)&s->torrents[i];
	}
	return NULL;
}

static void drop_torrent(struct dht_store *s, struct torrent *t)
{
	free(t->peers);
	*t = s->torrents[--s->count];
}

static struct torrent *add_torrent(
	struct dht_store *s, const struct dht_id *torrent)
{
	struct torrent *oldest = &s->torrents[0];

	if (s->count == DHT_STORE_TORRENTS) {
		for (size_t i = 1; i < s->count; i++) {
			if (s->torrents[i].told_ms < oldest->told_ms)
				oldest = &s->torrents[i];
		}
		drop_torrent(s, oldest);
	}
	struct torrent *t = &s->torrents[s->count++];
	*t = (struct torrent){.id = *torrent};
	return t;
}

static void drop_peer(struct torrent *t, size_t i)
{
	t->count--;
	memmove(&t->peers[i], &t->peers[i + 1],
		(t->count - i) * sizeof(t->peers[0]));
}

/* The place of the peer itself; or of who must go for it; or count. */
static size_t place_of(const struct torrent *t, const struct endpoint *peer)
{
	size_t same_host = 0, oldest_of_host = t->count;

	for (size_t i = 0; i < t->count; i++) {
		if (endpoint_equal(&t->peers[i].address, peer))
			return i;
		if (!endpoint_same_ip(&t->peers[i].address, peer))
			continue;
		if (same_host++ == 0)
			oldest_of_host = i;
	}
	if (same_host >= DHT_STORE_PER_HOST)
		return oldest_of_host;
	return t->count == DHT_STORE_PEERS ? 0 : t->count;
}

static bool make_room(struct torrent *t)
{
	if (t->count < t->capacity)
		return true;
	size_t capacity = t->capacity == 0 ? 4 : 2 * t->capacity;
	struct peer *peers = realloc(t->peers, capacity * sizeof(*peers));
	if (!peers)
		return false;
	t->peers = peers;
	t->capacity = capacity;
	return true;
}

void dht_store_add(struct dht_store *s, const struct dht_id *torrent,
	const struct endpoint *peer, uint64_t now_ms)
{
	struct torrent *t = find(s, torrent);

	if (!t)
		t = add_torrent(s, torrent);
	size_t place = place_of(t, peer);
	if (place < t->count)
		drop_peer(t, place);
	if (!make_room(t)) {
		if (t->count == 0)
			drop_torrent(s, t);
		return;
	}
	t->peers[t->count++] = (struct peer){*peer, now_ms};
	t->told_ms = now_ms;
}

static bool too_old(uint64_t told_ms, uint64_t now_ms)
{
	return now_ms - told_ms >= DHT_STORE_AGE_MS;
}

size_t dht_store_get(const struct dht_store *s, const struct dht_id *torrent,
	bool v4, uint32_t dice, uint64_t now_ms, size_t max,
	struct endpoint *ret)
{
	const struct torrent *t = find(s, torrent);
	size_t count = 0;

	for (size_t i = 0; t && i < t->count && count < max; i++) {
		const struct peer *p = &t->peers[(i + dice) % t->count];

		if (endpoint_is_v4(&p->address) == v4 &&
			!too_old(p->told_ms, now_ms))
			ret[count++] = p->address;
	}
	return count;
}

void dht_store_expire(struct dht_store *s, uint64_t now_ms)
{
	for (size_t i = s->count; i-- > 0;) {
		struct torrent *t = &s->torrents[i];

		while (t->count > 0 && too_old(t->peers[0].told_ms, now_ms))
			drop_peer(t, 0);
		if (t->count == 0)
			drop_torrent(s, t);
	}
}

size_t dht_store_count(const struct dht_store *s) { return s->count; }
