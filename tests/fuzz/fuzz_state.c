#include <string.h>

#include "shared/reader.h"
#include "shared/writer.h"
#include "tests/fuzz/fuzz.h"
#include "tracker/state_format.h"
#include "tracker/store_memory.h"
#include "tracker/swarm_part.h"
#include "tracker/swarm_store.h"

/* A tracker's state file: headers and frames as they are, and their parts also
 * without a checksum in front, which a fuzzer does not find.  A part that is
 * read makes sense, and is written as it was. */

static void check_part(
	const struct swarm_part *part, const uint8_t *from, size_t len)
{
	static uint8_t again[STATE_PART_MAX];
	struct writer w = writer_of(again, sizeof(again));

	require(part->peer_count > 0 && part->peer_count <= SWARM_PART_PEERS);
	state_write_part(&w, part, 7);
	require(!w.bad && writer_len(&w) == len &&
		memcmp(again, from, len) == 0);
}

static void read_parts(struct reader r, struct swarm_store *store)
{
	static struct swarm_part part;

	for (;;) {
		const uint8_t *from = r.next;

		if (!state_read_part(&r, 7, &part))
			return;
		check_part(&part, from, (size_t)(r.next - from));
		require(store_memory_restore(store, &part, 1000) <=
			part.peer_count);
	}
}

/* What went in comes out, once. */
static void check_walk(struct swarm_store *store)
{
	static struct swarm_part part;
	struct store_walk at = {.shard = 0};
	struct swarm_totals totals;
	struct error err;
	uint64_t peers = 0;

	while (store_memory_next(store, &at, 1000, &part))
		peers += part.peer_count;
	require(swarm_store_totals(store, &totals, &err) &&
		peers == totals.seeders + totals.leechers);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct swarm_store *store = store_memory_create(1000, 3600);
	struct reader r = reader_of(bytes, len);
	struct state_frame_head head;
	struct state_header header;
	struct error err;

	if (!store)
		return 0;
	if (state_read_header(&r, &header, &err)) {
		require(header.unit_s != 0);
		for (uint64_t number = 0; state_read_frame_head(&r, &head);
			number++) {
			const uint8_t *payload = reader_take(&r, head.len);
			struct span span = {payload, head.len};

			if (!payload ||
				!state_frame_is_whole(&head, number, span))
				break;
			read_parts(reader_of_span(span), store);
		}
	}
	read_parts(reader_of(bytes, len), store);
	check_walk(store);
	swarm_store_destroy(store);
	return 0;
}
