#ifndef SHARED_BUFFER_H
#define SHARED_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that grow up to a largest size, fixed at birth.  An append that would
 * pass it, or for which there is no memory, returns false, adds nothing and
 * sets `failed`, so a caller may append many times and ask once. */
struct buffer {
	uint8_t *bytes;
	size_t len;
	size_t capacity;
	size_t max;
	bool failed;
};

/* An empty buffer; it allocates nothing yet. */
void buffer_init(struct buffer *b, size_t max);

/* Free the bytes; zeroed memory is allowed. */
void buffer_finish(struct buffer *b);

bool buffer_append(struct buffer *b, const void *bytes, size_t len);

/* Drop the first `len` (<= b->len) bytes. */
void buffer_drop(struct buffer *b, size_t len);

#endif
