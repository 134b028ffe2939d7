#include <string.h>

#include "client/discovery/dht_message.h"
#include "tests/fuzz/fuzz.h"

/* Whatever is believed of a packet is within its bounds, and what we then write
 * of it reads the same. */

static bool same_span(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct dht_message m, back;
	uint8_t out[DHT_PACKET_SENT_MAX];

	if (!dht_message_read((struct span){bytes, len}, &m))
		return 0;
	require(len <= DHT_PACKET_MAX);
	require(m.transaction.len <= DHT_TRANSACTION_MAX);
	require(m.token.len <= DHT_TOKEN_MAX);
	require(m.node_count <= DHT_NODES_MAX);
	require(m.value_count <= DHT_VALUES_MAX);
	for (size_t i = 0; i < m.node_count; i++)
		require(endpoint_dialable(&m.nodes[i].address));
	for (size_t i = 0; i < m.value_count; i++)
		require(endpoint_dialable(&m.values[i]));
	if (m.kind == DHT_UNKNOWN_QUERY)
		return 0;

	size_t written = dht_message_write(&m, out);
	if (written == 0)
		return 0; /* longer than what we send */
	require(dht_message_read((struct span){out, written}, &back));
	require(back.kind == m.kind);
	require(same_span(back.transaction, m.transaction));
	require(m.kind == DHT_ERROR || dht_id_equal(&back.id, &m.id));
	require(back.node_count == m.node_count &&
		back.value_count == m.value_count);
	require(memcmp(back.values, m.values,
			m.value_count * sizeof(m.values[0])) == 0);
	if (m.kind == DHT_ANNOUNCE_PEER || m.kind == DHT_REPLY)
		require(same_span(back.token, m.token));
	return 0;
}
