#include "client/discovery/dht_parts.h"

#include "shared/bencode.h"
#include "shared/bencode_writer.h"
#include "shared/reader.h"
#include "shared/writer.h"

/* No ids: two runs at the same time would both be the same node. */
static const char *const node_keys[DHT_FAMILIES] = {"nodes", "nodes6"};

static void save_nodes(
	const struct dht *d, int family, struct bencode_writer *out)
{
	const struct dht_family *f = &d->families[family];
	uint8_t bytes[DHT_SAVED_MAX * ENDPOINT_V6_SIZE];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct dht_node nodes[DHT_SAVED_MAX];
	size_t count =
		dht_table_closest(f->table, &f->id, DHT_SAVED_MAX, nodes);

	for (size_t i = 0; i < count; i++) {
		if (family == 0)
			endpoint_write_v4(&w, &nodes[i].address);
		else
			endpoint_write_v6(&w, &nodes[i].address);
	}
	bencode_write_key(out, node_keys[family]);
	bencode_write_string(out, bytes, writer_len(&w));
}

void dht_save(const struct dht *d, struct buffer *out)
{
	struct bencode_writer w;

	bencode_writer_init(&w, out);
	bencode_dict_open(&w);
	for (int i = 0; i < DHT_FAMILIES; i++)
		save_nodes(d, i, &w);
	bencode_dict_close(&w);
}

bool dht_load(struct dht *d, struct span state)
{
	struct span dict, s;

	if (state.len > DHT_STATE_MAX || !bencode_document(state, &dict))
		return false;
	for (int i = 0; i < DHT_FAMILIES; i++) {
		size_t size = i == 0 ? ENDPOINT_V4_SIZE : ENDPOINT_V6_SIZE;

		if (!bencode_find_string(dict, node_keys[i], &s))
			continue;
		struct reader r = reader_of_span(s);
		while (reader_left(&r) >= size) {
			struct endpoint e = i == 0 ? endpoint_read_v4(&r)
						   : endpoint_read_v6(&r);
			dht_try_node(d, &e);
		}
	}
	return true;
}
