#ifndef CLIENT_UI_HASH_LINE_H
#define CLIENT_UI_HASH_LINE_H

#include <stdint.h>

/* How far `create` and `verify` are: a line on stderr that keeps its place, for
 * a terminal.  What is done at once has none. */
struct hash_line {
	uint64_t started_ms;
	uint64_t drawn_ms; /* 0: not yet */
	char name[256];    /* escaped */
};

void hash_line_init(struct hash_line *line, const char *name);

/* What to call with the progress; ctx is the struct hash_line.  NULL: stderr is
 * no terminal that could show it. */
void (*hash_line_progress(void))(void *ctx, uint64_t done, uint64_t total);

/* Gone, as if it had never been there. */
void hash_line_wipe(struct hash_line *line);

#endif
