#ifndef TESTS_FUZZ_SAME_ANNOUNCE_H
#define TESTS_FUZZ_SAME_ANNOUNCE_H

#include <string.h>

#include "shared/announce.h"
#include "tests/fuzz/fuzz.h"

/* What every transport carries was understood in the same way. */
static inline void require_same(
	const struct announce *a, const struct announce *b)
{
	require(info_hash_equal(&a->info_hash, &b->info_hash) &&
		memcmp(a->peer_id, b->peer_id, PEER_ID_SIZE) == 0 &&
		endpoint_equal(&a->peer, &b->peer) &&
		a->uploaded == b->uploaded && a->downloaded == b->downloaded &&
		a->left == b->left && a->event == b->event &&
		a->numwant == b->numwant && a->key == b->key);
}

#endif
