#ifndef TRACKER_STATE_FORMAT_H
#define TRACKER_STATE_FORMAT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/span.h"

struct reader;
struct swarm_part;
struct writer;

/* The bytes of a state file, both directions.  Pure.
 *
 *	header     "tbtstate", version (4), unit of ages in seconds (4), when
 *	           it was saved in seconds since the epoch (8), checksum (8)
 *	frame...   length of the payload (4), checksum (8), payload: parts
 *	end        a frame of length 0
 *	part       info hash (20), `completed` of the swarm (4), IPv4 peers
 *	           (2), IPv6 peers (2), the peers
 *	peer       compact address (6 or 18) and 2 bytes: bit 15 seeder, bit 14
 *	           completed, the others its age
 *
 * Numbers are in network byte order.  Checksums are XXH3 of what they are for,
 * a frame's with its number as seed: they find damage, not forgery.  A frame
 * stands by itself, so all up to the first bad one is good. */
enum {
	STATE_VERSION = 1,
	STATE_HEADER_SIZE = 32,
	STATE_FRAME_HEAD_SIZE = 12,
	STATE_FRAME_MAX = 64 * 1024, /* its payload */
	STATE_PART_MAX = 28 + 512 * 20,
	STATE_AGE_MAX = (1 << 14) - 1, /* units; older peers count as so old */
};

struct state_header {
	uint32_t unit_s; /* > 0 */
	uint64_t saved_at_s;
};

struct state_frame_head {
	uint32_t len; /* 0: the end */
	uint64_t checksum;
};

void state_write_header(struct writer *w, const struct state_header *h);

/* False: `err` says what the file is instead, without its name. */
bool state_read_header(
	struct reader *r, struct state_header *ret, struct error *err);

void state_write_frame_head(
	struct writer *w, uint64_t number, struct span payload);

/* False: torn, or longer than any. */
bool state_read_frame_head(struct reader *r, struct state_frame_head *ret);

bool state_frame_is_whole(const struct state_frame_head *head, uint64_t number,
	struct span payload);

/* Takes up to STATE_PART_MAX bytes. */
void state_write_part(
	struct writer *w, const struct swarm_part *part, uint32_t unit_s);

/* False: not what state_write_part writes; `ret` is void then. */
bool state_read_part(struct reader *r, uint32_t unit_s, struct swarm_part *ret);

#endif
