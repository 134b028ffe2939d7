#include "shared/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/buffer.h"

struct writer writer_of(void *memory, size_t len)
{
	uint8_t *p = memory;

	return (struct writer){
		.start = p, .next = p, .end = len > 0 ? p + len : p};
}

size_t writer_len(const struct writer *w)
{
	return (size_t)(w->next - w->start);
}

size_t writer_left(const struct writer *w)
{
	return (size_t)(w->end - w->next);
}

void writer_bytes(struct writer *w, const void *bytes, size_t len)
{
	if (w->bad || len > writer_left(w)) {
		w->bad = true;
		return;
	}
	if (len > 0)
		memcpy(w->next, bytes, len);
	w->next += len;
}

void writer_buffer(struct writer *w, struct buffer *b)
{
	if (b->failed)
		w->bad = true;
	else
		writer_bytes(w, b->bytes, b->len);
	buffer_finish(b);
}

void writer_text(struct writer *w, const char *text)
{
	writer_bytes(w, text, strlen(text));
}

void writer_number(struct writer *w, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	writer_bytes(w, digits + at, sizeof(digits) - at);
}

void writer_format(struct writer *w, const char *fmt, ...)
{
	va_list args;
	char *text;

	/* Not straight into our memory: there need not be room for a NUL. */
	va_start(args, fmt);
	int len = vasprintf(&text, fmt, args);
	va_end(args);
	if (len < 0) {
		w->bad = true;
		return;
	}
	writer_bytes(w, text, (size_t)len);
	free(text);
}

static void put_be(struct writer *w, uint64_t value, size_t width)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> 8 * (width - 1 - i));
	writer_bytes(w, bytes, width);
}

void writer_u8(struct writer *w, uint8_t value) { put_be(w, value, 1); }
void writer_u16(struct writer *w, uint16_t value) { put_be(w, value, 2); }
void writer_u32(struct writer *w, uint32_t value) { put_be(w, value, 4); }
void writer_u64(struct writer *w, uint64_t value) { put_be(w, value, 8); }
