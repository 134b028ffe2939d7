#include "client/discovery/dht_parts.h"

enum { VALUES_SENT = 32 }; /* peers of one answer */

enum krpc_error { ERROR_PROTOCOL = 203, ERROR_METHOD_UNKNOWN = 204 };

static void send_answer(struct dht *d, const struct endpoint *to,
	const struct dht_message *m, uint64_t now_ms)
{
	uint8_t packet[DHT_PACKET_SENT_MAX];
	size_t len = dht_message_write(m, packet);

	if (len > 0 && dht_limits_answer(d->limits, len, now_ms))
		d->o.send(d->o.ctx, to, (struct span){packet, len});
}

/* The nearest that we know of the families that it wants, but itself. */
static void add_nodes(struct dht *d, const struct endpoint *to,
	const struct dht_message *query, struct dht_message *reply)
{
	bool said = query->want_v4 || query->want_v6;
	bool want[DHT_FAMILIES] = {
		said ? query->want_v4 : endpoint_is_v4(to),
		said ? query->want_v6 : !endpoint_is_v4(to),
	};
	struct dht_node nodes[DHT_K];

	for (int i = 0; i < DHT_FAMILIES; i++) {
		size_t count = want[i] ? dht_table_closest(d->families[i].table,
						 &query->target, DHT_K, nodes)
				       : 0;

		for (size_t j = 0; j < count; j++) {
			if (dht_parts_may_name(to, &nodes[j].address) &&
				!endpoint_equal(to, &nodes[j].address))
				reply->nodes[reply->node_count++] = nodes[j];
		}
	}
}

static void add_values(struct dht *d, const struct endpoint *to,
	const struct dht_message *query, struct dht_message *reply,
	uint64_t now_ms)
{
	struct endpoint peers[VALUES_SENT];
	size_t count =
		dht_store_get(d->store, &query->target, endpoint_is_v4(to),
			dht_parts_dice(d), now_ms, VALUES_SENT, peers);

	for (size_t i = 0; i < count; i++) {
		if (dht_parts_may_name(to, &peers[i]))
			reply->values[reply->value_count++] = peers[i];
	}
}

/* Somebody has told us, with our token, that it is at this address. */
static void take_announce(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, uint64_t now_ms)
{
	struct endpoint peer = *from;

	if (!query->implied_port)
		peer.port = query->port;
	dht_store_add(d->store, &query->target, &peer, now_ms);
	if (dht_searches_wanted(d, &query->target))
		dht_searches_tell(d, &query->target, &peer, 1);
}

static void answer(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, size_t query_len, uint64_t now_ms)
{
	uint8_t token[DHT_TOKEN_SIZE];
	struct dht_message reply = {
		.kind = DHT_REPLY,
		.transaction = query->transaction,
		.id = dht_parts_family(d, from)->id,
		.has_ip = true,
		.ip = *from,
	};

	switch (query->kind) {
	case DHT_PING:
		break;
	case DHT_GET_PEERS:
		dht_limits_token(d->limits, from, token);
		reply.token = (struct span){token, sizeof(token)};
		add_values(d, from, query, &reply, now_ms);
		add_nodes(d, from, query, &reply);
		break;
	case DHT_FIND_NODE:
		add_nodes(d, from, query, &reply);
		break;
	case DHT_ANNOUNCE_PEER:
		if (dht_limits_token_good(d->limits, from, query->token)) {
			take_announce(d, from, query, now_ms);
		} else {
			reply.kind = DHT_ERROR;
			reply.code = ERROR_PROTOCOL;
		}
		break;
	case DHT_UNKNOWN_QUERY:
		reply.kind = DHT_ERROR;
		reply.code = ERROR_METHOD_UNKNOWN;
		break;
	case DHT_REPLY:
	case DHT_ERROR:
		return;
	}
	/* Where an answer can do without being longer than the question, it
	 * does: the address that asks may be somebody else's. */
	if (query->kind != DHT_GET_PEERS && query->kind != DHT_FIND_NODE) {
		uint8_t packet[DHT_PACKET_SENT_MAX];
		reply.has_ip = dht_message_write(&reply, packet) <= query_len;
	}
	send_answer(d, from, &reply, now_ms);
}

void dht_answers_take(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, size_t len, uint64_t now_ms)
{
	struct dht_family *f = dht_parts_family(d, from);
	struct dht_node node = {query->id, *from};

	if (d->o.read_only || dht_id_equal(&query->id, &f->id) ||
		!dht_limits_source(d->limits, from, now_ms))
		return;
	/* It gets into the table when it has answered us, too. */
	if (!query->read_only && dht_table_asked(f->table, &node, now_ms) &&
		!dht_queries_asked(d, from) && dht_queries_may_ask(d, now_ms))
		(void)dht_queries_ping(d, from, now_ms);
	answer(d, from, query, len, now_ms);
}
