/* A node of the DHT among a few others, who send whatever they like, from
 * wherever they like, for days if need be: what it sends is well-formed, nobody
 * who may not be there gets more than it sent, what it finds is what was
 * wanted, and what it keeps for the next run is read again.
 */

#include <string.h>

#include "client/discovery/dht.h"
#include "client/discovery/dht_message.h"
#include "shared/reader.h"
#include "tests/fuzz/fuzz.h"

enum {
	HOSTS = 8,
	TORRENTS = 4,
	STEPS = 300,
	BEGIN_MS = 1000000,
};

struct host {
	struct endpoint address;
	/* It was named by others, or has shown that it is there. */
	bool named, proven;
	uint64_t sent, got; /* bytes, by us to it; by it from us */

	/* The last question that it was asked; the last token it was given. */
	size_t transaction_len, token_len;
	uint8_t transaction[DHT_TRANSACTION_MAX];
	uint8_t token[DHT_TOKEN_MAX];
	enum dht_kind asked;
};

struct play {
	struct reader script;
	uint64_t now_ms;
	struct dht *dht;
	struct host hosts[HOSTS];
	const struct host *speaks; /* whose packet is being read */
	bool wanted[TORRENTS];
};

static struct play play;
static uint64_t throws;

static void dice(void *ret, size_t len)
{
	uint8_t *bytes = ret;

	for (size_t i = 0; i < len; i++) {
		throws = throws * 6364136223846793005U + 1442695040888963407U;
		bytes[i] = (uint8_t)(throws >> 56);
	}
}

static struct host *host_at(const struct endpoint *address)
{
	for (size_t i = 0; i < HOSTS; i++) {
		if (endpoint_equal(&play.hosts[i].address, address))
			return &play.hosts[i];
	}
	return NULL;
}

/* ---- what it says ---- */

static void keep_span(struct span from, uint8_t *ret, size_t *ret_len)
{
	if (from.len > 0)
		memcpy(ret, from.at, from.len);
	*ret_len = from.len;
}

static void hear(void *ctx, const struct endpoint *to, struct span packet)
{
	struct host *h = host_at(to);
	struct dht_message m;

	(void)ctx;
	require(packet.len > 0 && packet.len <= DHT_PACKET_SENT_MAX);
	require(endpoint_dialable(to));
	require(dht_message_read(packet, &m));
	for (size_t i = 0; i < m.node_count; i++)
		require(endpoint_is_loopback(to) ||
			!endpoint_is_loopback(&m.nodes[i].address));
	for (size_t i = 0; i < m.value_count; i++)
		require(endpoint_is_loopback(to) ||
			!endpoint_is_loopback(&m.values[i]));
	if (!h)
		return;
	h->got += packet.len;
	require(h->named || h->proven || h->got <= h->sent);
	if (m.kind == DHT_REPLY && m.token.len > 0)
		keep_span(m.token, h->token, &h->token_len);
	if (m.kind != DHT_REPLY && m.kind != DHT_ERROR) {
		keep_span(m.transaction, h->transaction, &h->transaction_len);
		h->asked = m.kind;
	}
}

static struct info_hash torrent(uint8_t number)
{
	struct info_hash hash = {{0}};

	hash.bytes[0] = (uint8_t)(number % TORRENTS * 61);
	return hash;
}

static void peers(void *ctx, const struct info_hash *hash,
	const struct endpoint *found, size_t count)
{
	struct info_hash own = torrent(hash->bytes[0] / 61);

	(void)ctx;
	require(info_hash_equal(hash, &own));
	require(play.wanted[hash->bytes[0] / 61]);
	for (size_t i = 0; i < count; i++) {
		require(endpoint_dialable(&found[i]));
		/* By themselves they are who announced before. */
		require(!endpoint_is_loopback(&found[i]) || !play.speaks ||
			endpoint_is_loopback(&play.speaks->address));
	}
}

/* ---- what it is told ---- */

static void packet(struct host *from, const uint8_t *bytes, size_t len)
{
	struct dht_message m;

	if (dht_message_read((struct span){bytes, len}, &m)) {
		/* Whether it is believed is not ours to say: what may be is
		 * counted out. */
		if (m.kind == DHT_REPLY || m.kind == DHT_ERROR ||
			m.token.len > 0)
			from->proven = true;
		for (size_t i = 0; i < m.node_count; i++) {
			struct host *h = host_at(&m.nodes[i].address);
			if (h)
				h->named = true;
		}
	}
	from->sent += len;
	play.speaks = from;
	dht_packet(play.dht, &from->address, (struct span){bytes, len},
		play.now_ms);
	play.speaks = NULL;
}

static struct dht_id id_of(uint8_t number)
{
	struct dht_id id = {{0}};

	id.bytes[0] = number;
	id.bytes[19] = number;
	return id;
}

static void send_message(struct host *from, struct dht_message *m)
{
	uint8_t out[DHT_PACKET_SENT_MAX];

	m->id = id_of(reader_u8(&play.script));
	size_t len = dht_message_write(m, out);
	if (len > 0)
		packet(from, out, len);
}

static void ask(struct host *from)
{
	static const enum dht_kind kinds[] = {
		DHT_PING, DHT_FIND_NODE, DHT_GET_PEERS, DHT_ANNOUNCE_PEER};
	uint8_t how = reader_u8(&play.script);
	struct info_hash hash = torrent(how >> 2);
	struct dht_message m = {
		.kind = kinds[how & 3],
		.transaction = {(const uint8_t *)"ab", 2},
		.want_v4 = how & 16,
		.want_v6 = how & 32,
		.read_only = how & 64,
		.port = 6881,
		.implied_port = how & 128,
		.token = {from->token, from->token_len},
	};

	memcpy(m.target.bytes, hash.bytes, sizeof(m.target.bytes));
	send_message(from, &m);
}

/* To what it was asked last. */
static void answer(struct host *from)
{
	uint8_t how = reader_u8(&play.script);
	struct dht_message m = {
		.kind = how & 1 ? DHT_ERROR : DHT_REPLY,
		.transaction = {from->transaction, from->transaction_len},
		.has_ip = how & 2,
		.ip = play.hosts[how >> 5].address,
		.code = 201,
	};

	if (from->asked == DHT_GET_PEERS && how & 4)
		m.token = (struct span){(const uint8_t *)"token", 5};
	for (unsigned i = how >> 3 & 3; i > 0; i--) {
		uint8_t named = reader_u8(&play.script);
		m.nodes[m.node_count].id = id_of(named);
		m.nodes[m.node_count++].address =
			play.hosts[named % HOSTS].address;
		if (from->asked == DHT_GET_PEERS)
			m.values[m.value_count++] =
				play.hosts[(named >> 3) % HOSTS].address;
	}
	send_message(from, &m);
}

static void send_raw(struct host *from)
{
	size_t len = reader_u8(&play.script);

	if (len > reader_left(&play.script))
		len = reader_left(&play.script);
	if (len > 0)
		packet(from, reader_take(&play.script, len), len);
}

/* ---- what is wanted of it ---- */

static void want(uint8_t number, bool wanted)
{
	struct info_hash hash = torrent(number);

	play.wanted[number % TORRENTS] = wanted;
	if (wanted)
		require(dht_want(play.dht, &hash, number & 8 ? 6881 : 0,
			number & 16, play.now_ms));
	else
		dht_forget(play.dht, &hash);
}

static void tick(uint64_t later_ms)
{
	play.now_ms += later_ms;
	require(dht_tick(play.dht, play.now_ms) > 0);
}

static void step(void)
{
	enum { ASK, ANSWER, RAW, TICK, WANT, FORGET, ENTER, TRY };
	static const uint64_t later_ms[] = {
		0, 50, 1000, 3000, 30000, 300000, 3600000, 86400000};
	uint8_t what = reader_u8(&play.script);
	struct host *h = &play.hosts[what >> 3 & 7];

	switch (what & 7) {
	case ASK:
		ask(h);
		break;
	case ANSWER:
		answer(h);
		break;
	case RAW:
		send_raw(h);
		break;
	case TICK:
		tick(later_ms[what >> 3 & 7]);
		break;
	case WANT:
		want(what >> 3, true);
		break;
	case FORGET:
		want(what >> 3, false);
		break;
	case ENTER:
		h->named = true;
		dht_entrance(play.dht, &h->address);
		break;
	case TRY:
		h->named = true;
		dht_try_node(play.dht, &h->address);
		break;
	}
}

static struct dht *create(uint8_t choices)
{
	struct dht_options options = {
		.v4 = true,
		.v6 = choices & 1,
		.read_only = choices & 2,
		.random = dice,
		.send = hear,
		.peers = peers,
	};
	struct dht *d = dht_create(&options, play.now_ms);

	require(d != NULL);
	return d;
}

/* What is kept for the next run. */
static void check_state(uint8_t choices)
{
	struct buffer state;

	buffer_init(&state, DHT_STATE_MAX);
	dht_save(play.dht, &state);
	require(!state.failed);
	dht_destroy(play.dht);
	play.dht = create(choices);
	require(dht_load(play.dht, (struct span){state.bytes, state.len}));
	for (size_t i = 0; i < HOSTS; i++)
		play.hosts[i].named = true; /* by the state */
	memset(play.wanted, 0, sizeof(play.wanted));
	tick(1000);
	buffer_finish(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const addresses[HOSTS] = {"203.0.113.1:6881",
		"203.0.113.2:6881", "198.51.100.1:6881", "127.0.0.1:6881",
		"[2001:db8::1]:6881", "[2001:db8:1::1]:6881", "[::1]:6881",
		"192.0.2.9:1"};

	if (len == 0)
		return 0;
	play = (struct play){.now_ms = BEGIN_MS};
	play.script = reader_of(bytes + 1, len - 1);
	throws = bytes[0];
	for (size_t i = 0; i < HOSTS; i++)
		require(endpoint_parse(addresses[i], &play.hosts[i].address));
	play.dht = create(bytes[0]);

	/* The file of the last run, whatever is in it. */
	if (bytes[0] & 128) {
		for (size_t i = 0; i < HOSTS; i++)
			play.hosts[i].named = true;
		(void)dht_load(play.dht, reader_rest(&play.script));
		tick(1000);
	}
	for (unsigned i = 0; i < STEPS && reader_left(&play.script) > 0; i++)
		step();
	check_state(bytes[0]);
	dht_destroy(play.dht);
	return 0;
}
