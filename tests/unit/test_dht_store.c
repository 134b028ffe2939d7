#include <criterion/criterion.h>
#include <string.h>

#include "client/discovery/dht_store.h"

static struct dht_id torrent(uint32_t number)
{
	struct dht_id id = {{0}};

	memcpy(id.bytes, &number, sizeof(number));
	return id;
}

static struct endpoint peer(unsigned host, uint16_t port)
{
	struct endpoint e;

	cr_assert(endpoint_parse("10.0.0.0:1", &e));
	e.ip[14] = (uint8_t)(host >> 8);
	e.ip[15] = (uint8_t)host;
	e.port = port;
	return e;
}

static size_t count(struct dht_store *s, uint32_t number, uint64_t now_ms)
{
	struct endpoint found[2 * DHT_STORE_PEERS];
	struct dht_id t = torrent(number);

	return dht_store_get(
		s, &t, true, 0, now_ms, 2 * DHT_STORE_PEERS, found);
}

static void add(struct dht_store *s, uint32_t number, unsigned host,
	uint16_t port, uint64_t now_ms)
{
	struct dht_id t = torrent(number);
	struct endpoint e = peer(host, port);

	dht_store_add(s, &t, &e, now_ms);
}

Test(dht_store, what_was_announced_is_named_once)
{
	struct dht_store *s = dht_store_create();
	struct endpoint found[4];
	struct dht_id t = torrent(1);

	cr_expect_eq(count(s, 1, 0), 0);
	add(s, 1, 1, 1, 0);
	add(s, 1, 1, 1, 5);
	add(s, 1, 2, 1, 5);
	cr_expect_eq(count(s, 1, 5), 2);
	cr_expect_eq(count(s, 2, 5), 0);
	cr_expect_eq(dht_store_get(s, &t, false, 0, 5, 4, found), 0);
	/* No more than asked for, and not always the same. */
	cr_expect_eq(dht_store_get(s, &t, true, 0, 5, 1, found), 1);
	cr_expect_eq(dht_store_get(s, &t, true, 1, 5, 1, found + 1), 1);
	cr_expect_not(endpoint_equal(&found[0], &found[1]));
	dht_store_destroy(s);
}

Test(dht_store, an_announce_is_forgotten_after_30_minutes)
{
	struct dht_store *s = dht_store_create();

	add(s, 1, 1, 1, 0);
	add(s, 1, 2, 1, 10);
	cr_expect_eq(count(s, 1, DHT_STORE_AGE_MS - 1), 2);
	cr_expect_eq(count(s, 1, DHT_STORE_AGE_MS), 1);
	dht_store_expire(s, DHT_STORE_AGE_MS);
	cr_expect_eq(dht_store_count(s), 1);
	dht_store_expire(s, DHT_STORE_AGE_MS + 10);
	cr_expect_eq(dht_store_count(s), 0);
	dht_store_destroy(s);
}

Test(dht_store, the_oldest_peer_makes_room)
{
	struct dht_store *s = dht_store_create();
	struct endpoint found[DHT_STORE_PEERS], gone = peer(0, 1);
	struct dht_id t = torrent(1);

	for (unsigned i = 0; i <= DHT_STORE_PEERS; i++)
		add(s, 1, i, 1, i);
	size_t n = dht_store_get(s, &t, true, 0, 200, DHT_STORE_PEERS, found);
	cr_expect_eq(n, DHT_STORE_PEERS);
	for (size_t i = 0; i < n; i++)
		cr_expect_not(endpoint_equal(&found[i], &gone));
	dht_store_destroy(s);
}

Test(dht_store, one_host_has_a_few_places)
{
	struct dht_store *s = dht_store_create();

	for (uint16_t port = 1; port <= 50; port++)
		add(s, 1, 7, port, port);
	cr_expect_eq(count(s, 1, 50), DHT_STORE_PER_HOST);
	add(s, 1, 8, 1, 50);
	cr_expect_eq(count(s, 1, 50), DHT_STORE_PER_HOST + 1);
	dht_store_destroy(s);
}

Test(dht_store, the_torrent_announced_longest_ago_makes_room)
{
	struct dht_store *s = dht_store_create();

	for (uint32_t i = 0; i < DHT_STORE_TORRENTS; i++)
		add(s, i, 1, 1, i);
	add(s, 0, 2, 1, DHT_STORE_TORRENTS); /* no longer the oldest */
	add(s, DHT_STORE_TORRENTS, 1, 1, DHT_STORE_TORRENTS);
	cr_expect_eq(dht_store_count(s), DHT_STORE_TORRENTS);
	cr_expect_eq(count(s, 0, DHT_STORE_TORRENTS), 2);
	cr_expect_eq(count(s, 1, DHT_STORE_TORRENTS), 0);
	cr_expect_eq(count(s, DHT_STORE_TORRENTS, DHT_STORE_TORRENTS), 1);
	dht_store_destroy(s);
}
