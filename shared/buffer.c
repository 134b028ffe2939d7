#include "shared/buffer.h"

#include <stdlib.h>
#include <string.h>

void buffer_init(struct buffer *b, size_t max)
{
	*b = (struct buffer){.max = max};
}

void buffer_finish(struct buffer *b)
{
	free(b->bytes);
	*b = (struct buffer){0};
}

/* Room for `len` more bytes (b->len + len <= b->max). */
static bool grow(struct buffer *b, size_t len)
{
	enum { FIRST = 256 };
	size_t capacity = b->capacity < FIRST ? FIRST : b->capacity;

	while (capacity - b->len < len)
		capacity = capacity > b->max / 2 ? b->max : 2 * capacity;
	if (capacity > b->max)
		capacity = b->max;

	uint8_t *bytes = realloc(b->bytes, capacity);
	if (!bytes)
		return false;
	b->bytes = bytes;
	b->capacity = capacity;
	return true;
}

bool buffer_append(struct buffer *b, const void *bytes, size_t len)
{
	if (b->failed)
		return false;
	if (len > b->max - b->len ||
		(len > b->capacity - b->len && !grow(b, len))) {
		b->failed = true;
		return false;
	}
	if (len > 0)
		memcpy(b->bytes + b->len, bytes, len);
	b->len += len;
	return true;
}

void buffer_drop(struct buffer *b, size_t len)
{
	b->len -= len;
	if (len > 0 && b->len > 0)
		memmove(b->bytes, b->bytes + len, b->len);
}
