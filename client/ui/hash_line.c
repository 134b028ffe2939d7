#include "client/ui/hash_line.h"

#include <stdio.h>
#include <unistd.h>

#include "client/ui/progress_line.h"
#include "client/ui/terminal.h"
#include "shared/clock.h"
#include "shared/text.h"

enum { DRAW_EVERY_MS = 200 };

void hash_line_init(struct hash_line *line, const char *name)
{
	*line = (struct hash_line){.started_ms = clock_ms()};
	text_escape_str(name, line->name, sizeof(line->name));
}

static void show(void *ctx, uint64_t done, uint64_t total)
{
	struct hash_line *line = ctx;
	uint64_t now_ms = clock_ms();
	uint64_t before_ms = line->drawn_ms ? line->drawn_ms : line->started_ms;
	struct progress_torrent t = {.state = PROGRESS_CHECKING};
	const struct progress_torrent *shown = &t;
	struct progress_layout layout;
	char text[PROGRESS_LINE_SIZE];
	unsigned rows;

	if (now_ms - before_ms < DRAW_EVERY_MS)
		return;
	line->drawn_ms = now_ms;

	snprintf(t.name, sizeof(t.name), "%s", line->name);
	t.done = done;
	t.total = total;
	t.down = done * 1000 / (now_ms - line->started_ms);
	t.eta_s = t.down > 0 ? (int64_t)((total - done) / t.down) : -1;

	struct progress_look look = terminal_look(STDERR_FILENO, &rows);
	progress_layout(&shown, 1, &look, &layout);
	fprintf(stderr, "\r%s\x1b[K",
		progress_format_line(&t, &look, &layout, text));
}

void (*hash_line_progress(void))(void *ctx, uint64_t done, uint64_t total)
{
	return terminal_is_able(STDERR_FILENO) ? show : NULL;
}

void hash_line_wipe(struct hash_line *line)
{
	if (line->drawn_ms > 0)
		fputs("\r\x1b[K", stderr);
	line->drawn_ms = 0;
}
