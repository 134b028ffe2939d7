#include <string.h>

#include "client/peer/handshake.h"
#include "tests/fuzz/fuzz.h"

/* The start of a stranger's connection, byte by byte as it may come in. */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	bool plausible = true;

	for (size_t n = 0; n <= len && n <= HANDSHAKE_SIZE; n++) {
		struct span s = {bytes, n};
		bool now = handshake_plausible(s);
		struct handshake h;

		require(plausible || !now); /* never good again */
		plausible = now;
		if (handshake_read(s, &h)) {
			uint8_t back[HANDSHAKE_SIZE];
			char name[CLIENT_NAME_SIZE];

			require(now);
			handshake_write(&h, back);
			require(memcmp(back + 28, bytes + 28, n - 28) == 0);
			handshake_client_name(h.peer_id, name);
			require(strlen(name) < sizeof(name));
		}
	}
	return 0;
}
