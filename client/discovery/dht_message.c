#include "client/discovery/dht_message.h"

#include <string.h>

#include "shared/bencode.h"
#include "shared/bencode_writer.h"
#include "shared/buffer.h"
#include "shared/reader.h"
#include "shared/writer.h"

enum dht_error_code { ERROR_GENERIC = 201 };

static const char *const query_names[] = {
	[DHT_PING] = "ping",
	[DHT_FIND_NODE] = "find_node",
	[DHT_GET_PEERS] = "get_peers",
	[DHT_ANNOUNCE_PEER] = "announce_peer",
};

/* ---- reading ---- */

enum {
	ROOT_A,
	ROOT_E,
	ROOT_IP,
	ROOT_Q,
	ROOT_R,
	ROOT_RO,
	ROOT_T,
	ROOT_Y,
	ROOT_FIELDS
};
static const char *const root_keys[ROOT_FIELDS] = {
	[ROOT_A] = "a",
	[ROOT_E] = "e",
	[ROOT_IP] = "ip",
	[ROOT_Q] = "q",
	[ROOT_R] = "r",
	[ROOT_RO] = "ro",
	[ROOT_T] = "t",
	[ROOT_Y] = "y",
};

enum {
	QUERY_ID,
	QUERY_IMPLIED_PORT,
	QUERY_INFO_HASH,
	QUERY_PORT,
	QUERY_TARGET,
	QUERY_TOKEN,
	QUERY_WANT,
	QUERY_FIELDS
};
static const char *const query_keys[QUERY_FIELDS] = {
	[QUERY_ID] = "id",
	[QUERY_IMPLIED_PORT] = "implied_port",
	[QUERY_INFO_HASH] = "info_hash",
	[QUERY_PORT] = "port",
	[QUERY_TARGET] = "target",
	[QUERY_TOKEN] = "token",
	[QUERY_WANT] = "want",
};

enum {
	REPLY_ID,
	REPLY_NODES,
	REPLY_NODES6,
	REPLY_TOKEN,
	REPLY_VALUES,
	REPLY_FIELDS
};
static const char *const reply_keys[REPLY_FIELDS] = {
	[REPLY_ID] = "id",
	[REPLY_NODES] = "nodes",
	[REPLY_NODES6] = "nodes6",
	[REPLY_TOKEN] = "token",
	[REPLY_VALUES] = "values",
};

static bool read_id(struct span value, struct dht_id *ret)
{
	struct span s;

	if (!bencode_as_string(value, &s) || s.len != DHT_ID_SIZE)
		return false;
	memcpy(ret->bytes, s.at, DHT_ID_SIZE);
	return true;
}

static struct span read_token(struct span value)
{
	struct span s;

	if (!bencode_as_string(value, &s) || s.len > DHT_TOKEN_MAX)
		return (struct span){0};
	return s;
}

/* 6 or 18 bytes. */
static bool read_endpoint(struct span s, struct endpoint *ret)
{
	struct reader r = reader_of_span(s);

	if (s.len == ENDPOINT_V4_SIZE)
		*ret = endpoint_read_v4(&r);
	else if (s.len == ENDPOINT_V6_SIZE)
		*ret = endpoint_read_v6(&r);
	else
		return false;
	return true;
}

static void read_want(struct dht_message *m, struct span value)
{
	struct reader r;
	struct span item, s;

	if (!bencode_as_list(value, &r))
		return;
	while (bencode_list_next(&r, &item)) {
		if (!bencode_as_string(item, &s))
			continue;
		m->want_v4 |= span_is(s, "n4");
		m->want_v6 |= span_is(s, "n6");
	}
}

static enum dht_kind query_kind(struct span name)
{
	for (size_t i = 0; i < DHT_UNKNOWN_QUERY; i++) {
		if (span_is(name, query_names[i]))
			return (enum dht_kind)i;
	}
	return DHT_UNKNOWN_QUERY;
}

static bool read_port(struct dht_message *m, const struct span *fields)
{
	int64_t number;

	m->implied_port = bencode_as_int(fields[QUERY_IMPLIED_PORT], &number) &&
		number != 0;
	if (!bencode_as_int(fields[QUERY_PORT], &number))
		return m->implied_port;
	if (number < 0 || number > UINT16_MAX)
		return false;
	m->port = (uint16_t)number;
	return m->implied_port || m->port != 0;
}

static bool read_query(struct dht_message *m, const struct span *root)
{
	struct span name, fields[QUERY_FIELDS];
	int64_t number;

	if (!bencode_as_string(root[ROOT_Q], &name) || !root[ROOT_A].at ||
		!bencode_fields(
			root[ROOT_A], query_keys, QUERY_FIELDS, fields) ||
		!read_id(fields[QUERY_ID], &m->id))
		return false;
	m->kind = query_kind(name);
	m->read_only = bencode_as_int(root[ROOT_RO], &number) && number == 1;
	read_want(m, fields[QUERY_WANT]);
	m->token = read_token(fields[QUERY_TOKEN]);

	switch (m->kind) {
	case DHT_FIND_NODE:
		return read_id(fields[QUERY_TARGET], &m->target);
	case DHT_GET_PEERS:
		return read_id(fields[QUERY_INFO_HASH], &m->target);
	case DHT_ANNOUNCE_PEER:
		return read_id(fields[QUERY_INFO_HASH], &m->target) &&
			read_port(m, fields);
	case DHT_PING:
	case DHT_UNKNOWN_QUERY:
	case DHT_REPLY:
	case DHT_ERROR:
		break;
	}
	return true;
}

/* As many whole ones as there are and fit; the rest is left. */
static void read_nodes(struct dht_message *m, struct span value, bool v6)
{
	size_t size = v6 ? DHT_NODE_V6_SIZE : DHT_NODE_V4_SIZE;
	struct span s;

	if (!bencode_as_string(value, &s))
		return;
	struct reader r = reader_of_span(s);
	while (reader_left(&r) >= size && m->node_count < DHT_NODES_MAX) {
		struct dht_node *n = &m->nodes[m->node_count];

		memcpy(n->id.bytes, reader_take(&r, DHT_ID_SIZE), DHT_ID_SIZE);
		n->address = v6 ? endpoint_read_v6(&r) : endpoint_read_v4(&r);
		/* An IPv4 address in the clothes of IPv6 is none of either. */
		if (endpoint_dialable(&n->address) &&
			endpoint_is_v4(&n->address) == !v6)
			m->node_count++;
	}
}

static void read_values(struct dht_message *m, struct span value)
{
	struct reader r;
	struct span item, s;

	if (!bencode_as_list(value, &r))
		return;
	while (m->value_count < DHT_VALUES_MAX &&
		bencode_list_next(&r, &item)) {
		struct endpoint *e = &m->values[m->value_count];

		if (bencode_as_string(item, &s) && read_endpoint(s, e) &&
			endpoint_dialable(e))
			m->value_count++;
	}
}

static bool read_reply(struct dht_message *m, const struct span *root)
{
	struct span fields[REPLY_FIELDS];

	if (!root[ROOT_R].at ||
		!bencode_fields(
			root[ROOT_R], reply_keys, REPLY_FIELDS, fields) ||
		!read_id(fields[REPLY_ID], &m->id))
		return false;
	m->kind = DHT_REPLY;
	m->token = read_token(fields[REPLY_TOKEN]);
	read_nodes(m, fields[REPLY_NODES], false);
	read_nodes(m, fields[REPLY_NODES6], true);
	read_values(m, fields[REPLY_VALUES]);
	return true;
}

static bool read_error(struct dht_message *m, const struct span *root)
{
	struct reader r;
	struct span item;

	m->kind = DHT_ERROR;
	m->code = ERROR_GENERIC;
	if (bencode_as_list(root[ROOT_E], &r) && bencode_list_next(&r, &item))
		(void)bencode_as_int(item, &m->code); /* or it stays so */
	return true;
}

bool dht_message_read(struct span bytes, struct dht_message *ret)
{
	struct span dict, root[ROOT_FIELDS], y, s;

	if (bytes.len > DHT_PACKET_MAX || !bencode_document(bytes, &dict) ||
		!bencode_fields(dict, root_keys, ROOT_FIELDS, root) ||
		!bencode_as_string(root[ROOT_Y], &y) ||
		!bencode_as_string(root[ROOT_T], &s) ||
		s.len > DHT_TRANSACTION_MAX)
		return false;

	*ret = (struct dht_message){.transaction = s};
	if (bencode_as_string(root[ROOT_IP], &s))
		ret->has_ip = read_endpoint(s, &ret->ip);
	if (span_is(y, "q"))
		return read_query(ret, root);
	if (span_is(y, "r"))
		return read_reply(ret, root);
	return span_is(y, "e") && read_error(ret, root);
}

/* ---- writing; keys are in sorted order, as they must be ---- */

static void write_id(
	struct bencode_writer *w, const char *key, const struct dht_id *id)
{
	bencode_write_key(w, key);
	bencode_write_string(w, id->bytes, DHT_ID_SIZE);
}

static void write_span(struct bencode_writer *w, const char *key, struct span s)
{
	bencode_write_key(w, key);
	bencode_write_string(w, s.at, s.len);
}

static void write_endpoint(struct bencode_writer *w, const struct endpoint *e)
{
	uint8_t bytes[ENDPOINT_V6_SIZE];
	struct writer into = writer_of(bytes, sizeof(bytes));

	if (endpoint_is_v4(e))
		endpoint_write_v4(&into, e);
	else
		endpoint_write_v6(&into, e);
	bencode_write_string(w, bytes, writer_len(&into));
}

static void write_query(struct bencode_writer *w, const struct dht_message *m)
{
	bool announce = m->kind == DHT_ANNOUNCE_PEER;

	bencode_write_key(w, "a");
	bencode_dict_open(w);
	write_id(w, "id", &m->id);
	if (announce && m->implied_port) {
		bencode_write_key(w, "implied_port");
		bencode_write_int(w, 1);
	}
	if (announce || m->kind == DHT_GET_PEERS)
		write_id(w, "info_hash", &m->target);
	if (announce) {
		bencode_write_key(w, "port");
		bencode_write_int(w, m->port);
	}
	if (m->kind == DHT_FIND_NODE)
		write_id(w, "target", &m->target);
	if (announce)
		write_span(w, "token", m->token);
	if (m->want_v4 || m->want_v6) {
		bencode_write_key(w, "want");
		bencode_list_open(w);
		if (m->want_v4)
			bencode_write_text(w, "n4");
		if (m->want_v6)
			bencode_write_text(w, "n6");
		bencode_list_close(w);
	}
	bencode_dict_close(w);
}

static void write_nodes(struct bencode_writer *w, const struct dht_message *m,
	const char *key, bool v6)
{
	uint8_t bytes[DHT_NODES_MAX * DHT_NODE_V6_SIZE];
	struct writer into = writer_of(bytes, sizeof(bytes));

	for (size_t i = 0; i < m->node_count; i++) {
		const struct dht_node *n = &m->nodes[i];

		if (endpoint_is_v4(&n->address) == v6)
			continue;
		writer_bytes(&into, n->id.bytes, DHT_ID_SIZE);
		if (v6)
			endpoint_write_v6(&into, &n->address);
		else
			endpoint_write_v4(&into, &n->address);
	}
	if (writer_len(&into) > 0)
		write_span(w, key, (struct span){bytes, writer_len(&into)});
}

static void write_reply(struct bencode_writer *w, const struct dht_message *m)
{
	bencode_write_key(w, "r");
	bencode_dict_open(w);
	write_id(w, "id", &m->id);
	write_nodes(w, m, "nodes", false);
	write_nodes(w, m, "nodes6", true);
	if (m->token.len > 0)
		write_span(w, "token", m->token);
	if (m->value_count > 0) {
		bencode_write_key(w, "values");
		bencode_list_open(w);
		for (size_t i = 0; i < m->value_count; i++)
			write_endpoint(w, &m->values[i]);
		bencode_list_close(w);
	}
	bencode_dict_close(w);
}

static void write_error(struct bencode_writer *w, const struct dht_message *m)
{
	bencode_write_key(w, "e");
	bencode_list_open(w);
	bencode_write_int(w, m->code);
	/* No words: an answer should not be longer than the question. */
	bencode_write_text(w, "");
	bencode_list_close(w);
}

static void write_root(struct bencode_writer *w, const struct dht_message *m)
{
	bool query = m->kind < DHT_UNKNOWN_QUERY;

	bencode_dict_open(w);
	if (query)
		write_query(w, m);
	if (m->kind == DHT_ERROR)
		write_error(w, m);
	if (m->has_ip) {
		bencode_write_key(w, "ip");
		write_endpoint(w, &m->ip);
	}
	if (query) {
		bencode_write_key(w, "q");
		bencode_write_text(w, query_names[m->kind]);
	}
	if (m->kind == DHT_REPLY)
		write_reply(w, m);
	if (query && m->read_only) {
		bencode_write_key(w, "ro");
		bencode_write_int(w, 1);
	}
	write_span(w, "t", m->transaction);
	bencode_write_key(w, "y");
	bencode_write_text(w, query ? "q" : m->kind == DHT_REPLY ? "r" : "e");
	bencode_dict_close(w);
}

size_t dht_message_write(
	const struct dht_message *m, uint8_t ret[DHT_PACKET_SENT_MAX])
{
	struct buffer out;
	struct bencode_writer w;
	size_t len = 0;

	buffer_init(&out, DHT_PACKET_SENT_MAX);
	bencode_writer_init(&w, &out);
	write_root(&w, m);
	if (!out.failed) {
		len = out.len;
		memcpy(ret, out.bytes, len);
	}
	buffer_finish(&out);
	return len;
}
