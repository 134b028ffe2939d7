#include "client/peer/metadata_exchange.h"
#include "tests/fuzz/fuzz.h"

/* A message that is read is within its bounds, and reads the same when written;
 * whatever comes, the assembler only takes what fits. */

static void assemble(const struct metadata_message *m)
{
	struct info_hash hash = {{0}};
	struct endpoint from = {.ip = {1}, .port = 1};
	struct metadata_assembler *a = metadata_assembler_create(&hash);
	uint32_t piece;

	require(a != NULL);
	enum metadata_verdict v = metadata_assembler_take(a, &from, m, 1);
	require(v != METADATA_WHOLE);
	if (v == METADATA_TAKEN &&
		metadata_assembler_next(a, &from, m->total_size, 1, &piece))
		require(metadata_piece_size(m->total_size, piece) > 0);
	require(metadata_assembler_trusts(a, &from) == (v == METADATA_TAKEN));
	metadata_assembler_destroy(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static uint8_t memory[METADATA_MESSAGE_SIZE];
	struct metadata_message m, back;
	struct writer w = writer_of(memory, sizeof(memory));

	if (!metadata_read((struct span){bytes, len}, &m) ||
		m.kind == METADATA_UNKNOWN)
		return 0;
	require(m.piece < METADATA_MAX_PIECES);
	require(m.data.len <= METADATA_PIECE_SIZE);
	if (m.kind == METADATA_DATA)
		assemble(&m);

	metadata_write(&w, &m);
	require(!w.bad);
	require(metadata_read((struct span){memory, writer_len(&w)}, &back));
	require(back.kind == m.kind && back.piece == m.piece &&
		back.total_size == m.total_size && back.data.len == m.data.len);
	return 0;
}
