#ifndef SHARED_WRITER_H
#define SHARED_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A place in memory where a message is built.  As with the reader, the first
 * write that does not fit sets `bad` and from then on nothing is written, so
 * a caller builds the whole message and asks once, at the end.
 *
 * The memory belongs to the caller. */
struct writer {
	uint8_t *start;
	uint8_t *next;
	uint8_t *end;
	bool bad;
};

struct buffer;

struct writer writer_of(void *memory, size_t len);

/* Bytes written so far. */
size_t writer_len(const struct writer *w);

/* Bytes that still fit. */
size_t writer_left(const struct writer *w);

void writer_bytes(struct writer *w, const void *bytes, size_t len);

/* What a buffer holds, which is finished then; one that has failed does not
 * fit. */
void writer_buffer(struct writer *w, struct buffer *b);

/* A C string without its NUL. */
void writer_text(struct writer *w, const char *text);

/* In decimal. */
void writer_number(struct writer *w, uint64_t number);

void writer_format(struct writer *w, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Unsigned integers in network byte order. */
void writer_u8(struct writer *w, uint8_t value);
void writer_u16(struct writer *w, uint16_t value);
void writer_u32(struct writer *w, uint32_t value);
void writer_u64(struct writer *w, uint64_t value);

#endif
