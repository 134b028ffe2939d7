#ifndef SHARED_BENCODE_WRITER_H
#define SHARED_BENCODE_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "shared/buffer.h"

/* Bencoding (BEP 3) written into a buffer.  Keys of a dictionary must be given
 * in sorted order (as raw bytes): the writer asserts it, since they are always
 * our own.  Room is asked for once, at the end, by buffer.failed. */
enum { BENCODE_WRITER_MAX_DEPTH = 16 };

struct bencode_writer {
	struct buffer *out;
	unsigned depth;
	char last_key[BENCODE_WRITER_MAX_DEPTH][32]; /* to assert the order */
};

void bencode_writer_init(struct bencode_writer *w, struct buffer *out);

void bencode_write_int(struct bencode_writer *w, int64_t value);
void bencode_write_string(struct bencode_writer *w, const void *at, size_t len);
void bencode_write_text(struct bencode_writer *w, const char *text);

void bencode_write_key(struct bencode_writer *w, const char *key);
void bencode_dict_open(struct bencode_writer *w);
void bencode_dict_close(struct bencode_writer *w);
void bencode_list_open(struct bencode_writer *w);
void bencode_list_close(struct bencode_writer *w);

#endif
