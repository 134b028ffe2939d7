#include <string.h>

#include "client/peer/extension.h"
#include "tests/fuzz/fuzz.h"

/* Whatever is believed of a peer is within its bounds, and what we then write
 * of it reads the same. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct extended_handshake h = {0}, back = {0};
	uint8_t memory[512];
	struct writer w = writer_of(memory, sizeof(memory));

	if (!extension_read_handshake((struct span){bytes, len}, &h))
		return 0;
	require(h.reqq >= 1 && h.reqq <= EXTENSION_MAX_REQQ);
	require(h.metadata_size <= EXTENSION_MAX_METADATA_SIZE);
	require(memchr(h.client, '\0', sizeof(h.client)) != NULL);

	extension_write_handshake(&w, &h);
	require(!w.bad);
	require(extension_read_handshake(
		(struct span){memory, writer_len(&w)}, &back));
	require(back.port == h.port && back.reqq == h.reqq &&
		back.metadata_size == h.metadata_size &&
		back.upload_only == h.upload_only &&
		memcmp(back.ids, h.ids, sizeof(h.ids)) == 0 &&
		strcmp(back.client, h.client) == 0 &&
		endpoint_same_ip(&back.yourip, &h.yourip));
	return 0;
}
