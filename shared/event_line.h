#ifndef SHARED_EVENT_LINE_H
#define SHARED_EVENT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shared/info_hash.h"
#include "shared/span.h"

/* One JSON object a line, `"event"` first and `"time"` second: what --json
 * prints (see the manuals).  Built with Jansson; text from outside is repaired
 * to UTF-8.
 *
 *	struct event_line e;
 *	event_line_begin(&e, "listening");
 *	event_line_number(&e, "port", 6881);
 *	event_line_print(&e, stdout);
 */
struct event_line {
	void *json;
};

void event_line_begin(struct event_line *e, const char *event);
void event_line_number(struct event_line *e, const char *key, uint64_t value);
void event_line_signed(struct event_line *e, const char *key, int64_t value);
void event_line_real(struct event_line *e, const char *key, double value);
void event_line_bool(struct event_line *e, const char *key, bool value);
void event_line_text(struct event_line *e, const char *key, const char *value);
void event_line_hash(
	struct event_line *e, const char *key, const struct info_hash *hash);

/* A list of [first, last] pairs. */
void event_line_ranges(struct event_line *e, const char *key,
	const uint64_t (*ranges)[2], size_t count);

/* Print it whole with its newline, in one write that other threads' lines do
 * not cut, flush, and free it.  A failure is left to ferror(): a download
 * goes on without a reader. */
void event_line_print(struct event_line *e, FILE *to);

#endif
