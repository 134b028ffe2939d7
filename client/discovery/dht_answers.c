#include "client/discovery/dht_parts.h"

enum {
	VALUES_SENT = 32, /* peers of one answer */
	PING_SIZE = 58,   /* of ours */
};

enum krpc_error { ERROR_PROTOCOL = 203, ERROR_METHOD_UNKNOWN = 204 };

static void send_answer(struct dht *d, const struct endpoint *to,
	struct span packet, uint64_t now_ms)
{
	if (packet.len == 0 ||
		!dht_limits_answer(d->limits, packet.len, now_ms))
		return;
	dht_limits_sent(d->limits, to, packet.len);
	d->o.send(d->o.ctx, to, packet);
}

/* Leave out what is needed least until the answer has no more than `max` bytes.
 * Returns its length; 0: it cannot be so short. */
static size_t shorten(struct dht_message *reply, size_t max,
	uint8_t ret_packet[DHT_PACKET_SENT_MAX])
{
	for (;;) {
		size_t len = dht_message_write(reply, ret_packet);

		if (len > 0 && len <= max)
			return len;
		if (reply->has_ip)
			reply->has_ip = false;
		else if (reply->node_count > 0)
			reply->node_count--;
		else if (reply->value_count > 0)
			reply->value_count--;
		else
			return 0;
	}
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

static void make_answer(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, const uint8_t token[DHT_TOKEN_SIZE],
	struct dht_message *ret, uint64_t now_ms)
{
	*ret = (struct dht_message){
		.kind = DHT_REPLY,
		.transaction = query->transaction,
		.id = dht_parts_family(d, from)->id,
		.has_ip = true,
		.ip = *from,
	};
	switch (query->kind) {
	case DHT_GET_PEERS:
		ret->token = (struct span){token, DHT_TOKEN_SIZE};
		add_values(d, from, query, ret, now_ms);
		add_nodes(d, from, query, ret);
		break;
	case DHT_FIND_NODE:
		add_nodes(d, from, query, ret);
		break;
	case DHT_ANNOUNCE_PEER:
		if (dht_limits_token_good(d->limits, from, query->token)) {
			dht_limits_prove(d->limits, from, now_ms);
			take_announce(d, from, query, now_ms);
		} else {
			ret->kind = DHT_ERROR;
			ret->code = ERROR_PROTOCOL;
		}
		break;
	case DHT_UNKNOWN_QUERY:
		ret->kind = DHT_ERROR;
		ret->code = ERROR_METHOD_UNKNOWN;
		break;
	case DHT_PING:
	case DHT_REPLY:
	case DHT_ERROR:
		break;
	}
}

static bool may_ping(struct dht *d, const struct endpoint *to, uint64_t now_ms)
{
	return dht_limits_due(d->limits, to, now_ms) >= PING_SIZE &&
		!dht_queries_asked(d, to) && dht_queries_may_ask(d, now_ms);
}

/* The address that asks may be somebody else's.  So one that has not proven
 * itself never gets more than it sent: either an answer that is short enough,
 * or a ping, and the answer as soon as that is answered. */
static void answer(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, struct span packet, uint64_t now_ms)
{
	uint8_t out[DHT_PACKET_SENT_MAX];
	uint8_t token[DHT_TOKEN_SIZE];
	struct dht_message reply;

	dht_limits_token(d->limits, from, token);
	make_answer(d, from, query, token, &reply, now_ms);

	bool lists = reply.node_count > 0 || reply.value_count > 0;
	size_t due = dht_limits_due(d->limits, from, now_ms);
	size_t len = dht_message_write(&reply, out);

	if (len > due && lists && !query->read_only &&
		may_ping(d, from, now_ms) &&
		dht_held_put(&d->held, from, packet, now_ms)) {
		(void)dht_queries_ping(d, from, now_ms);
		return;
	}
	if (len > due)
		len = shorten(&reply, due, out);
	send_answer(d, from, (struct span){out, len}, now_ms);
}

void dht_answers_held(
	struct dht *d, const struct endpoint *from, uint64_t now_ms)
{
	uint8_t packet[DHT_HELD_SIZE];
	struct dht_message query;
	size_t len = dht_held_take(&d->held, from, now_ms, packet);

	if (len > 0 && dht_message_read((struct span){packet, len}, &query))
		answer(d, from, &query, (struct span){packet, len}, now_ms);
}

void dht_answers_take(struct dht *d, const struct endpoint *from,
	const struct dht_message *query, struct span packet, uint64_t now_ms)
{
	struct dht_family *f = dht_parts_family(d, from);
	struct dht_node node = {query->id, *from};

	if (d->o.read_only || dht_id_equal(&query->id, &f->id) ||
		!dht_limits_source(d->limits, from, packet.len, now_ms))
		return;
	answer(d, from, query, packet, now_ms);
	/* It gets into the table when it has answered us, too. */
	if (!query->read_only && dht_table_asked(f->table, &node, now_ms) &&
		may_ping(d, from, now_ms))
		(void)dht_queries_ping(d, from, now_ms);
}
