#ifndef CLIENT_PEER_SAY_H
#define CLIENT_PEER_SAY_H

#include <stdint.h>

#include "client/peer/wire.h"
#include "shared/buffer.h"

/* Small messages, appended to what waits to go out.  When that would pass the
 * buffer's largest size nothing is added and it has `failed`: who speaks asks
 * for that once, at the end. */

void say_keep_alive(struct buffer *out);

/* CHOKE, UNCHOKE, INTERESTED, NOT_INTERESTED, HAVE_ALL, HAVE_NONE. */
void say_plain(struct buffer *out, enum wire_id id);

void say_have(struct buffer *out, uint32_t piece);

/* REQUEST, CANCEL, REJECT. */
void say_block(
	struct buffer *out, enum wire_id id, const struct block_ref *block);

void say_port(struct buffer *out, uint16_t port);

#endif
