#include "client/peer/wire.h"
#include "tests/fuzz/fuzz.h"

/* A byte of choices, then what a peer sends, judged and read as a worker
 * does: what a prefix promised must then be readable. */

static void require_inside(struct span part, struct span whole)
{
	require(part.len == 0 ||
		(part.at >= whole.at && part.len <= whole.len &&
			part.at - whole.at <=
				(ptrdiff_t)(whole.len - part.len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len == 0)
		return 0;

	bool fast = bytes[0] & 1;
	uint32_t piece_count = bytes[0] & 2 ? 0 : 20;
	struct span in = {bytes + 1, len - 1};
	struct wire_prefix prefix;

	while (wire_read_prefix(in, piece_count, fast, &prefix) == WIRE_OK) {
		struct wire_message m;

		require(prefix.size >= 4 &&
			prefix.size <= 4 + WIRE_MAX_EXTENDED);
		if (prefix.size > in.len)
			break;

		struct span message = {in.at, prefix.size};
		require(wire_read(&prefix, message, &m));
		require(m.id == prefix.id);
		if (m.id == WIRE_PIECE)
			require(m.block.length > 0 &&
				m.block.length <= BLOCK_SIZE);
		require_inside(m.payload, message);
		in.at += prefix.size;
		in.len -= prefix.size;
	}
	return 0;
}
