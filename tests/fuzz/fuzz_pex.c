#include "client/peer/pex.h"
#include "tests/fuzz/fuzz.h"

/* What is taken of a message is bounded and can be dialled, and what we write
 * of it reads the same. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct pex_message m, back;
	uint8_t memory[PEX_MESSAGE_SIZE];
	struct writer w = writer_of(memory, sizeof(memory));

	if (!pex_read((struct span){bytes, len}, &m))
		return 0;
	require(m.added_count <= PEX_MAX && m.dropped_count <= PEX_MAX);
	for (size_t i = 0; i < m.added_count; i++)
		require(endpoint_dialable(&m.added[i].address));
	for (size_t i = 0; i < m.dropped_count; i++)
		require(endpoint_dialable(&m.dropped[i]));

	pex_write(&w, &m);
	require(!w.bad);
	require(pex_read((struct span){memory, writer_len(&w)}, &back));
	require(back.added_count == m.added_count &&
		back.dropped_count == m.dropped_count);
	return 0;
}
