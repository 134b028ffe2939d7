#include "shared/event_line.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/text.h"

/* Jansson takes a NULL object or value in good humour and reports failure: out
 * of memory a key or a line is missing, and nothing worse. */
static void put(struct event_line *e, const char *key, json_t *value)
{
	(void)json_object_set_new(e->json, key, value);
}

/* JSON integers are signed here. */
static json_t *number(uint64_t value)
{
	return json_integer(value < INT64_MAX ? (json_int_t)value : INT64_MAX);
}

void event_line_begin(struct event_line *e, const char *event)
{
	e->json = json_object();
	put(e, "event", json_string(event));
	put(e, "time", json_real(clock_wall()));
}

void event_line_number(struct event_line *e, const char *key, uint64_t value)
{
	put(e, key, number(value));
}

void event_line_signed(struct event_line *e, const char *key, int64_t value)
{
	put(e, key, json_integer(value));
}

void event_line_real(struct event_line *e, const char *key, double value)
{
	put(e, key, json_real(isfinite(value) ? value : 0)); /* JSON has none */
}

void event_line_bool(struct event_line *e, const char *key, bool value)
{
	put(e, key, json_boolean(value));
}

void event_line_text(struct event_line *e, const char *key, const char *value)
{
	struct span in = {(const uint8_t *)value, strlen(value)};
	size_t size = 3 * in.len + 1; /* each byte could become U+FFFD */
	char *text = malloc(size);

	if (!text)
		return;
	text_utf8_repair(in, text, size);
	put(e, key, json_string(text));
	free(text);
}

void event_line_hash(
	struct event_line *e, const char *key, const struct info_hash *hash)
{
	char hex[INFO_HASH_HEX_SIZE];

	info_hash_hex(hash, hex);
	put(e, key, json_string(hex));
}

void event_line_ranges(struct event_line *e, const char *key,
	const uint64_t (*ranges)[2], size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *pair = json_array();
		(void)json_array_append_new(pair, number(ranges[i][0]));
		(void)json_array_append_new(pair, number(ranges[i][1]));
		(void)json_array_append_new(list, pair);
	}
	put(e, key, list);
}

/* Jansson leaves DEL as it is, which moves a terminal's cursor. */
static void print_without_del(const char *line, FILE *to)
{
	for (size_t len; *line != '\0'; line += len) {
		len = strcspn(line, "\x7f");
		fwrite(line, 1, len, to);
		if (line[len] == '\x7f') {
			fputs("\\u007f", to);
			len++;
		}
	}
}

void event_line_print(struct event_line *e, FILE *to)
{
	/* ASCII only, so that C1 and the like are escaped too; 15 digits give
	 * the time in microseconds without the noise of a double. */
	char *line = json_dumps(e->json,
		JSON_COMPACT | JSON_ENSURE_ASCII | JSON_REAL_PRECISION(15));

	json_decref(e->json);
	e->json = NULL;
	if (!line)
		return;

	flockfile(to);
	print_without_del(line, to);
	putc_unlocked('\n', to);
	fflush(to);
	funlockfile(to);
	free(line);
}
