#include "client/discovery/lsd_message.h"

#include <string.h>

#include "shared/writer.h"
#include "tests/fuzz/fuzz.h"

/* What is read is bounded and of use, and what we write of it reads the same.
 */

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct lsd_message m, back;
	uint8_t packet[LSD_PACKET_MAX];
	struct writer w = writer_of(packet, sizeof(packet));

	if (!lsd_message_read((struct span){bytes, len}, &m))
		return 0;
	require(m.port != 0 && m.count > 0 && m.count <= LSD_TORRENTS_MAX);
	require(strnlen(m.cookie, LSD_COOKIE_SIZE) < LSD_COOKIE_SIZE);

	if (m.count > LSD_TOLD_MAX)
		m.count = LSD_TOLD_MAX;
	m.cookie[0] = '\0'; /* foreign text is never written */
	lsd_message_write(&w, &m, true);
	require(!w.bad);
	require(lsd_message_read((struct span){packet, writer_len(&w)}, &back));
	require(back.port == m.port && back.count == m.count &&
		memcmp(back.torrents, m.torrents,
			m.count * sizeof(m.torrents[0])) == 0);
	return 0;
}
