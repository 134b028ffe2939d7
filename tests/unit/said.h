#ifndef TESTS_UNIT_SAID_H
#define TESTS_UNIT_SAID_H

#include <stdlib.h>

#include "client/peer/wire.h"
#include "shared/buffer.h"

/* The next of the messages that are to go out to a peer: the one at `*at` in
 * `out`; `*at` moves on behind it.  False: there is none.  Aborts if it is not
 * well-formed. */
static inline bool said_next(const struct buffer *out, size_t *at,
	uint32_t piece_count, bool fast, struct wire_message *ret)
{
	struct wire_prefix prefix;

	if (*at == out->len)
		return false;
	struct span bytes = {out->bytes + *at, out->len - *at};
	if (wire_read_prefix(bytes, piece_count, fast, &prefix) != WIRE_OK ||
		prefix.size > bytes.len)
		abort();
	bytes.len = prefix.size;
	if (!wire_read(&prefix, bytes, ret))
		abort();
	*at += prefix.size;
	return true;
}

#endif
