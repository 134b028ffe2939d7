#include <stdlib.h>
#include <string.h>

#include "client/torrent/magnet.h"
#include "tests/fuzz/fuzz.h"

/* What was read is written so that it is read as the same. */
static void read_again(const struct magnet *m)
{
	struct buffer b;
	struct magnet again;
	struct error err;

	buffer_init(&b, SIZE_MAX);
	magnet_write(m, &b);
	buffer_append(&b, "", 1);
	if (b.len <= MAGNET_MAX_SIZE) {
		require(magnet_parse((const char *)b.bytes, &again, &err));
		require(info_hash_equal(&m->info_hash, &again.info_hash) &&
			strcmp(m->name, again.name) == 0 &&
			m->tracker_count == again.tracker_count &&
			m->peer_count == again.peer_count &&
			!m->select_only == !again.select_only);
		magnet_finish(&again);
	}
	buffer_finish(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	char *text = malloc(len + 1);
	struct magnet m;
	struct error err;

	if (len > 0)
		memcpy(text, bytes, len);
	text[len] = '\0';
	if (magnet_parse(text, &m, &err)) {
		read_again(&m);
		magnet_finish(&m);
	}
	free(text);
	return 0;
}
