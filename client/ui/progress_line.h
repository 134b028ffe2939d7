#ifndef CLIENT_UI_PROGRESS_LINE_H
#define CLIENT_UI_PROGRESS_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/session/events.h"

/* The lines of the progress display as text.  Pure: what is known and how wide
 * the terminal is comes in, a line goes out. */

enum progress_state {
	PROGRESS_STARTING,
	PROGRESS_FETCHING, /* the metadata of a magnet link */
	PROGRESS_CHECKING,
	PROGRESS_LEECHING,
	PROGRESS_SEEDING,
	PROGRESS_FAILED,
	PROGRESS_STOPPED,
};

/* What is known of one torrent. */
struct progress_torrent {
	char name[256]; /* escaped */
	enum progress_state state;
	uint64_t done; /* bytes there, or checked so far */
	uint64_t total;
	uint64_t down; /* bytes a second; of a check: its speed, if known */
	uint64_t up;
	uint64_t uploaded;
	unsigned peers;
	unsigned seeds;
	int64_t eta_s; /* -1: cannot be said */
	uint8_t map[PROGRESS_MAP_CELLS];
};

struct progress_look {
	unsigned width; /* columns that may be used */
	bool utf8;      /* else ASCII only */
	bool colour;
};

enum {
	PROGRESS_COLUMNS = 6, /* percent, amount, down, up, peers, time left */
	/* A line's largest size: a name of 255 bytes, however few columns they
	 * take, at most three bytes in each other column, and the escapes of
	 * its colours. */
	PROGRESS_MAX_WIDTH = 512,
	PROGRESS_LINE_SIZE = 4 * PROGRESS_MAX_WIDTH + 64,
};

/* How the width is shared out, so that the lines of several torrents stand in
 * columns.  0: left out, there is no room. */
struct progress_layout {
	unsigned name;
	unsigned bar;
	unsigned columns[PROGRESS_COLUMNS];
};

void progress_layout(const struct progress_torrent *const *torrents,
	size_t count, const struct progress_look *look,
	struct progress_layout *ret);

/* One torrent's line, never wider than look->width, without a newline.
 * Returns `ret`. */
const char *progress_format_line(const struct progress_torrent *t,
	const struct progress_look *look, const struct progress_layout *layout,
	char ret[PROGRESS_LINE_SIZE]);

/* Its map of pieces, over the whole width.  Returns `ret`. */
const char *progress_format_map(const struct progress_torrent *t,
	const struct progress_look *look, char ret[PROGRESS_LINE_SIZE]);

/* "NAME: 52.3%, 640.1 of 1,024.0 MiB, down ...", for a file or pipe.  Returns
 * `ret`. */
const char *progress_format_plain(
	const struct progress_torrent *t, char *ret, size_t size);

/* Columns that valid UTF-8 text takes in a terminal; without `utf8` each
 * character that is not ASCII is shown as `?`. */
unsigned progress_text_columns(const char *text, bool utf8);

#endif
