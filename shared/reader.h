#ifndef SHARED_READER_H
#define SHARED_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/span.h"

/* A place in bytes that came from outside.  Every read is checked.  The first
 * one that does not fit sets `bad`; from then on reads give zero and move
 * nothing, so a caller reads a whole message and asks once, at the end.
 *
 * The bytes belong to the caller and must outlive the reader and every
 * pointer it hands out. */
struct reader {
	const uint8_t *next;
	const uint8_t *end;
	bool bad;
};

struct reader reader_of(const void *bytes, size_t len);
struct reader reader_of_span(struct span bytes);

size_t reader_left(const struct reader *r);

/* The next `len` bytes, or NULL (and `bad`) when fewer are left. */
const uint8_t *reader_take(struct reader *r, size_t len);

/* All that is left, possibly nothing. */
struct span reader_rest(struct reader *r);

/* Unsigned integers in network byte order. */
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);

/* True when everything was read, nothing is left over, and nothing failed. */
bool reader_done(const struct reader *r);

#endif
