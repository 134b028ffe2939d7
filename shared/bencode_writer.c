#include "shared/bencode_writer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void bencode_writer_init(struct bencode_writer *w, struct buffer *out)
{
	*w = (struct bencode_writer){.out = out};
}

void bencode_write_int(struct bencode_writer *w, int64_t value)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "i%" PRId64 "e", value);

	buffer_append(w->out, text, (size_t)len);
}

void bencode_write_string(struct bencode_writer *w, const void *at, size_t len)
{
	char head[24];
	int head_len = snprintf(head, sizeof(head), "%zu:", len);

	buffer_append(w->out, head, (size_t)head_len);
	buffer_append(w->out, at, len);
}

void bencode_write_text(struct bencode_writer *w, const char *text)
{
	bencode_write_string(w, text, strlen(text));
}

static void open_level(struct bencode_writer *w, const char *mark)
{
	assert(w->depth < BENCODE_WRITER_MAX_DEPTH);
	w->last_key[w->depth++][0] = '\0';
	buffer_append(w->out, mark, 1);
}

static void close_level(struct bencode_writer *w)
{
	assert(w->depth > 0);
	w->depth--;
	buffer_append(w->out, "e", 1);
}

void bencode_write_key(struct bencode_writer *w, const char *key)
{
	assert(w->depth > 0);
	char *last = w->last_key[w->depth - 1];

	/* strcmp() compares as unsigned bytes, the order of BEP 3. */
	assert(strlen(key) < sizeof(w->last_key[0]) && strcmp(last, key) < 0);
	memccpy(last, key, '\0', sizeof(w->last_key[0]));
	bencode_write_text(w, key);
}

void bencode_dict_open(struct bencode_writer *w) { open_level(w, "d"); }
void bencode_dict_close(struct bencode_writer *w) { close_level(w); }
void bencode_list_open(struct bencode_writer *w) { open_level(w, "l"); }
void bencode_list_close(struct bencode_writer *w) { close_level(w); }
