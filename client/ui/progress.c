#include "client/ui/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/session/events.h"
#include "client/ui/hide_keys.h"
#include "client/ui/progress_line.h"
#include "client/ui/terminal.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/text.h"

enum {
	DRAW_EVERY_MS = 200,
	PLAIN_FIRST_MS = 1000, /* what is done within it needs no report */
	PLAIN_EVERY_MS = 10 * 1000,
	PLAIN_SEEDING_EVERY_MS = 60 * 1000,
	MAX_LINES = 200, /* however high the terminal */
	MAX_TROUBLES = 8,
	SHOWN_SIZE = 512,
};

/* A tracker's last failure, as hashes, so that it is told once and not at every
 * try. */
struct trouble {
	uint64_t url;
	uint64_t error;
};

struct entry {
	struct info_hash hash;
	struct progress_torrent shown;
	uint64_t plain_due_ms;
	size_t next_trouble;
	struct trouble troubles[MAX_TROUBLES];
};

struct progress {
	enum progress_style style;
	bool verbose;
	struct progress_look look;

	/* Events come one at a time, but any thread may print a line on
	 * stderr, for which the display is wiped away.  Held while printing to
	 * stdout, which nobody else does. */
	pthread_mutex_t lock;
	struct entry *entries;
	size_t count;
	unsigned drawn; /* lines; the cursor is at the start of the next */
	unsigned drawn_width;
	uint64_t drawn_ms;
};

enum progress_style progress_style_for_stdout(void)
{
	return terminal_is_able(STDOUT_FILENO) ? PROGRESS_TERMINAL
					       : PROGRESS_PLAIN;
}

/* Take the live lines away; the cursor is then where they began. */
static void wipe_locked(struct progress *p)
{
	if (p->drawn == 0)
		return;
	for (unsigned i = 0; i < p->drawn; i++)
		fputs("\r\x1b[2K\x1b[1A", stdout);
	fputs("\r\x1b[2K", stdout);
	fflush(stdout);
	p->drawn = 0;
	p->drawn_ms = 0; /* draw again as soon as may be */
}

static void wipe(void *ctx)
{
	struct progress *p = ctx;

	pthread_mutex_lock(&p->lock);
	wipe_locked(p);
	pthread_mutex_unlock(&p->lock);
}

struct progress *progress_create(enum progress_style style, bool verbose)
{
	struct progress *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	pthread_mutex_init(&p->lock, NULL);
	p->style = style;
	p->verbose = verbose;
	if (style == PROGRESS_TERMINAL) {
		/* The display goes out in one write, so it does not flicker. */
		setvbuf(stdout, NULL, _IOFBF, 64 * 1024);
		log_before_line(wipe, p);
	}
	return p;
}

void progress_destroy(struct progress *p)
{
	if (!p)
		return;
	log_before_line(NULL, NULL);
	wipe(p);
	fflush(stdout);
	pthread_mutex_destroy(&p->lock);
	free(p->entries);
	free(p);
}

static void name_entry(struct entry *e, const struct event *event)
{
	text_escape_str(event->name ? event->name : "", e->shown.name,
		sizeof(e->shown.name));
}

/* The event's torrent; NULL: about none, or no memory to show it. */
static struct entry *entry_of(struct progress *p, const struct event *event)
{
	if (!event->torrent)
		return NULL;
	for (size_t i = 0; i < p->count; i++)
		if (info_hash_equal(&p->entries[i].hash, event->torrent))
			return &p->entries[i];

	struct entry *more =
		realloc(p->entries, (p->count + 1) * sizeof(*more));
	if (!more)
		return NULL;
	p->entries = more;

	struct entry *e = &more[p->count++];
	*e = (struct entry){
		.hash = *event->torrent,
		.plain_due_ms = clock_ms() + PLAIN_FIRST_MS,
	};
	e->shown.eta_s = -1;
	name_entry(e, event);
	return e;
}

/* A line that stays, above the live ones. */
static void say_locked(struct progress *p, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static void say_locked(struct progress *p, const char *fmt, ...)
{
	va_list args;

	if (p->style == PROGRESS_QUIET)
		return;
	wipe_locked(p);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

static bool is_over(const struct progress_torrent *t)
{
	return t->state == PROGRESS_STOPPED || t->state == PROGRESS_FAILED;
}

static bool is_busy(const struct progress_torrent *t)
{
	return !is_over(t) && t->state != PROGRESS_SEEDING;
}

/* Up to `max` torrents to show: first what still has something to do. */
static size_t choose_locked(
	struct progress *p, const struct progress_torrent **ret, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < p->count && count < max; i++)
		if (is_busy(&p->entries[i].shown))
			ret[count++] = &p->entries[i].shown;
	for (size_t i = 0; i < p->count && count < max; i++)
		if (!is_busy(&p->entries[i].shown) &&
			p->entries[i].shown.state != PROGRESS_STOPPED)
			ret[count++] = &p->entries[i].shown;
	return count;
}

static void sum_locked(
	const struct progress *p, size_t shown, struct progress_torrent *ret)
{
	*ret = (struct progress_torrent){
		.state = PROGRESS_SEEDING, .eta_s = -1};
	for (size_t i = 0; i < p->count; i++) {
		const struct progress_torrent *t = &p->entries[i].shown;

		if (t->state == PROGRESS_LEECHING)
			ret->state = PROGRESS_LEECHING;
		else if (is_busy(t) && ret->state == PROGRESS_SEEDING)
			ret->state = PROGRESS_CHECKING;
		ret->done += t->done;
		ret->total += t->total;
		ret->uploaded += t->uploaded;
		if (is_over(t))
			continue;
		ret->down += t->down;
		ret->up += t->up;
		ret->peers += t->peers;
		ret->seeds += t->seeds;
	}
	if (ret->down > 0 && ret->total > ret->done)
		ret->eta_s = (int64_t)((ret->total - ret->done) / ret->down);
	if (shown < p->count)
		snprintf(ret->name, sizeof(ret->name), "%zu of %zu torrents",
			shown, p->count);
	else
		snprintf(
			ret->name, sizeof(ret->name), "%zu torrents", p->count);
}

static void draw_line(const char *line) { printf("\x1b[2K%s\n", line); }

/* The lines themselves; the cursor is where they begin.  Returns how many. */
static unsigned draw_lines_locked(struct progress *p, size_t room)
{
	const struct progress_torrent *shown[MAX_LINES];
	struct progress_torrent sum;
	struct progress_layout layout;
	char line[PROGRESS_LINE_SIZE];

	/* One torrent has a map below, several a sum. */
	bool with_sum = p->count > 1 && room > 1;
	size_t count = choose_locked(p, shown, with_sum ? room - 1 : room);
	if (count == 0)
		return 0;
	size_t lines = count;
	if (with_sum) {
		sum_locked(p, count, &sum);
		shown[lines++] = &sum;
	}

	progress_layout(shown, lines, &p->look, &layout);
	for (size_t i = 0; i < lines; i++)
		draw_line(progress_format_line(
			shown[i], &p->look, &layout, line));
	if (p->count == 1 && room > 1 && shown[0]->state == PROGRESS_LEECHING) {
		draw_line(progress_format_map(shown[0], &p->look, line));
		lines++;
	}
	return (unsigned)lines;
}

static void draw_locked(struct progress *p)
{
	unsigned rows;

	p->look = terminal_look(STDOUT_FILENO, &rows);
	/* In a terminal made narrower the old lines may have been wrapped:
	 * leave them, rather than count wrong and wipe what is above. */
	if (p->look.width < p->drawn_width)
		p->drawn = 0;
	p->drawn_width = p->look.width;

	unsigned before = p->drawn;
	putchar('\r');
	if (before > 0)
		printf("\x1b[%uA", before);
	size_t room = rows > 2 ? rows - 2 : 1;
	p->drawn = draw_lines_locked(p, room < MAX_LINES ? room : MAX_LINES);
	for (unsigned i = p->drawn; i < before; i++)
		draw_line("");
	if (p->drawn < before)
		printf("\x1b[%uA", before - p->drawn);
	fputs("\x1b[2K", stdout); /* a ^C that was typed there */
	fflush(stdout);
}

static void draw_if_due_locked(struct progress *p)
{
	uint64_t now_ms = clock_ms();

	if (p->style != PROGRESS_TERMINAL ||
		now_ms - p->drawn_ms < DRAW_EVERY_MS)
		return;
	p->drawn_ms = now_ms;
	draw_locked(p);
}

/* In a file or pipe: a line now and then. */
static void report_if_due_locked(struct progress *p, struct entry *e)
{
	uint64_t now_ms = clock_ms();
	char line[SHOWN_SIZE];

	if (p->style != PROGRESS_PLAIN || now_ms < e->plain_due_ms)
		return;
	e->plain_due_ms = now_ms +
		(e->shown.state == PROGRESS_SEEDING ? PLAIN_SEEDING_EVERY_MS
						    : PLAIN_EVERY_MS);
	say_locked(
		p, "%s", progress_format_plain(&e->shown, line, sizeof(line)));
}

static void on_metadata_locked(
	struct progress *p, struct entry *e, const struct event *event)
{
	char length[TEXT_UNIT_SIZE];
	char piece[TEXT_UNIT_SIZE];
	bool partial = event->metadata.selected != NULL;

	name_entry(e, event); /* a magnet link may have called it otherwise */
	e->shown.total = partial ? event->metadata.selected_length
				 : event->metadata.length;
	say_locked(p, "%s: %s in %zu file%s, %" PRIu32 " piece%s of %s",
		e->shown.name, text_size(event->metadata.length, length),
		event->metadata.files_on_disk,
		event->metadata.files_on_disk == 1 ? "" : "s",
		event->metadata.pieces, event->metadata.pieces == 1 ? "" : "s",
		text_size(event->metadata.piece_length, piece));
	if (partial)
		say_locked(p, "%s: %zu file%s of it selected, %s",
			e->shown.name, event->metadata.selected_files,
			event->metadata.selected_files == 1 ? "" : "s",
			text_size(event->metadata.selected_length, length));
}

static void on_checked_locked(
	struct progress *p, struct entry *e, const struct event *event)
{
	e->shown.state = PROGRESS_STARTING;
	/* That a new download begins with nothing is no news. */
	if (event->checked.have > 0)
		say_locked(p,
			"%s: checked, %" PRIu32 " of %" PRIu32 " piece%s good",
			e->shown.name, event->checked.have,
			event->checked.pieces,
			event->checked.pieces == 1 ? "" : "s");
}

static void on_progress_locked(struct entry *e, const struct event *event)
{
	struct progress_torrent *t = &e->shown;

	t->state = event->progress.total == 0 ? PROGRESS_FETCHING
		: event->progress.seeding     ? PROGRESS_SEEDING
					      : PROGRESS_LEECHING;
	t->done = event->progress.done;
	t->total = event->progress.total;
	t->down = event->progress.down;
	t->up = event->progress.up;
	t->uploaded = event->progress.uploaded;
	t->peers = event->progress.peers;
	t->seeds = event->progress.seeds;
	t->eta_s = event->progress.eta_s;
	if (event->progress.map)
		memcpy(t->map, event->progress.map, sizeof(t->map));
}

static void on_complete_locked(
	struct progress *p, struct entry *e, const struct event *event)
{
	char bytes[TEXT_UNIT_SIZE];
	char rate[TEXT_UNIT_SIZE];
	char duration[TEXT_UNIT_SIZE];
	double seconds = event->complete.seconds;

	if (seconds < 10)
		snprintf(duration, sizeof(duration), "%.1f s", seconds);
	else
		text_duration((uint64_t)seconds, duration);
	e->shown.state = PROGRESS_SEEDING;
	e->shown.done = e->shown.total;
	e->plain_due_ms = clock_ms() + PLAIN_SEEDING_EVERY_MS;
	if (event->complete.down == 0)
		say_locked(p, "%s: complete: %s, which were here already",
			e->shown.name, text_size(event->complete.bytes, bytes));
	else
		say_locked(p, "%s: complete: %s in %s, %s/s", e->shown.name,
			text_size(event->complete.bytes, bytes), duration,
			text_size(event->complete.down, rate));
}

static void on_stopped_locked(
	struct progress *p, struct entry *e, const struct event *event)
{
	char down[TEXT_UNIT_SIZE];
	char up[TEXT_UNIT_SIZE];
	char done[TEXT_UNIT_SIZE];
	char total[TEXT_UNIT_SIZE];

	if (e->shown.state != PROGRESS_FAILED)
		e->shown.state = PROGRESS_STOPPED;
	if (event->stopped.total == 0) /* nobody knows: no metadata came */
		return;
	say_locked(p, "%s: stopped: %s of %s here, %s down, %s up",
		e->shown.name, text_size(event->stopped.done, done),
		text_size(event->stopped.total, total),
		text_size(event->stopped.downloaded, down),
		text_size(event->stopped.uploaded, up));
}

static void update_locked(
	struct progress *p, struct entry *e, const struct event *event)
{
	switch (event->kind) {
	case EVENT_METADATA:
		on_metadata_locked(p, e, event);
		break;
	case EVENT_CHECKING:
		e->shown.state = PROGRESS_CHECKING;
		e->shown.done = event->checking.done;
		e->shown.total = event->checking.total;
		report_if_due_locked(p, e);
		break;
	case EVENT_CHECKED:
		on_checked_locked(p, e, event);
		break;
	case EVENT_PROGRESS:
		on_progress_locked(e, event);
		report_if_due_locked(p, e);
		break;
	case EVENT_COMPLETE:
		on_complete_locked(p, e, event);
		break;
	case EVENT_STOPPED:
		on_stopped_locked(p, e, event);
		break;
	case EVENT_ERROR: /* main prints it, when all has ended */
		e->shown.state = PROGRESS_FAILED;
		break;
	case EVENT_LISTENING:
	case EVENT_PEER:
	case EVENT_PIECE:
	case EVENT_ANNOUNCE:
	case EVENT_WARNING:
	case EVENT_MAPPED:
	case EVENT_STALLED:
		break;
	}
}

/* FNV-1a: a clash costs one message. */
static uint64_t hash_text(const char *text)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3;
	return hash;
}

/* Note how an announce ended; true when it failed in a new way. */
static bool is_new_trouble(struct entry *e, const struct event *event)
{
	struct trouble now = {hash_text(event->announce.url),
		event->announce.error ? hash_text(event->announce.error) : 0};
	struct trouble *known = NULL;

	for (size_t i = 0; i < MAX_TROUBLES && !known; i++)
		if (e->troubles[i].url == now.url)
			known = &e->troubles[i];
	if (!known && !event->announce.error)
		return false;
	if (!known) {
		known = &e->troubles[e->next_trouble++ % MAX_TROUBLES];
		*known = (struct trouble){0};
	}
	bool new = now.error != 0 && now.error != known->error;
	*known = now;
	return new;
}

/* A tracker's URL as it is shown: without keys, and escaped. */
static const char *shown_url(const char *url, char ret[SHOWN_SIZE])
{
	char open[SHOWN_SIZE];

	hide_keys_in_url(url, open, sizeof(open));
	return text_escape_str(open, ret, SHOWN_SIZE);
}

static void tell_announce(
	const char *name, const struct event *event, bool new_trouble)
{
	char url[SHOWN_SIZE];
	char open[SHOWN_SIZE];
	char error[SHOWN_SIZE];

	shown_url(event->announce.url, url);
	if (!event->announce.error) {
		log_verbose("%s: announced%s%s to %s: %zu peer%s", name,
			event->announce.sent == ANNOUNCE_NONE ? "" : " ",
			announce_event_name(event->announce.sent), url,
			event->announce.peers,
			event->announce.peers == 1 ? "" : "s");
		return;
	}
	hide_keys_in_text(event->announce.error, open, sizeof(open));
	text_escape_str(open, error, sizeof(error));
	if (new_trouble)
		log_warning("%s: %s: %s", name, url, error);
	else
		log_verbose("%s: %s: again %s", name, url, error);
}

static void tell_mapped(const struct event *event)
{
	const struct endpoint *outside = &event->mapped.external;
	const struct endpoint nowhere = {.port = outside->port};
	char text[ENDPOINT_TEXT_SIZE];

	if (endpoint_same_ip(outside, &nowhere))
		log_verbose("port %u is reachable from outside as port %u (%s)",
			event->mapped.port, outside->port, event->mapped.how);
	else if (endpoint_is_private(outside))
		log_verbose("port %u is mapped to %s (%s), which is no public "
			    "address: another router is in front",
			event->mapped.port, endpoint_print(outside, text),
			event->mapped.how);
	else
		log_verbose("port %u is reachable from outside as %s (%s)",
			event->mapped.port, endpoint_print(outside, text),
			event->mapped.how);
}

static void tell_peer(const char *name, const struct event *event)
{
	static const char *const states[] = {"connected", "closed", "banned"};
	char address[ENDPOINT_TEXT_SIZE];
	char client[SHOWN_SIZE];
	char reason[SHOWN_SIZE];

	text_escape_str(event->peer.client, client, sizeof(client));
	text_escape_str(event->peer.reason, reason, sizeof(reason));
	log_verbose("%s: %s%s%s%s: %s%s%s", name,
		endpoint_print(&event->peer.address, address),
		client[0] ? " (" : "", client, client[0] ? ")" : "",
		states[event->peer.state], reason[0] ? ": " : "", reason);
}

static void tell_piece(const char *name, const struct event *event)
{
	char address[ENDPOINT_TEXT_SIZE];

	if (event->piece.failed)
		log_verbose("%s: piece %" PRIu32
			    " from %s does not match its hash",
			name, event->piece.index,
			endpoint_print(&event->piece.address, address));
}

/* What goes to stderr; without the lock, which wipe() takes. */
static void tell(
	const struct progress *p, const struct event *event, bool new_trouble)
{
	char name[SHOWN_SIZE];
	char open[SHOWN_SIZE]; /* without keys, but not escaped yet */
	char message[SHOWN_SIZE];

	text_escape_str(event->name ? event->name : "", name, sizeof(name));
	switch (event->kind) {
	case EVENT_WARNING:
		text_escape_str(event->text.message, message, sizeof(message));
		log_warning("%s", message);
		break;
	case EVENT_STALLED:
		hide_keys_in_text(event->stalled.reason, open, sizeof(open));
		text_escape_str(open, message, sizeof(message));
		log_warning("%s: nothing is coming: %s", name, message);
		break;
	case EVENT_MAPPED:
		tell_mapped(event);
		break;
	case EVENT_ANNOUNCE:
		tell_announce(name, event, new_trouble);
		break;
	case EVENT_PEER:
		if (p->verbose)
			tell_peer(name, event);
		break;
	case EVENT_PIECE:
		if (p->verbose)
			tell_piece(name, event);
		break;
	case EVENT_LISTENING:
	case EVENT_METADATA:
	case EVENT_CHECKING:
	case EVENT_CHECKED:
	case EVENT_PROGRESS:
	case EVENT_COMPLETE:
	case EVENT_STOPPED:
	case EVENT_ERROR:
		break;
	}
}

void progress_on_event(void *ctx, const struct event *event)
{
	struct progress *p = ctx;
	bool new_trouble = false;

	pthread_mutex_lock(&p->lock);
	struct entry *e = entry_of(p, event);
	if (event->kind == EVENT_LISTENING)
		say_locked(p, "listening on port %u", event->listening.port);
	if (e && event->kind == EVENT_ANNOUNCE)
		new_trouble = is_new_trouble(e, event);
	if (e)
		update_locked(p, e, event);
	pthread_mutex_unlock(&p->lock);

	tell(p, event, new_trouble);

	pthread_mutex_lock(&p->lock);
	draw_if_due_locked(p);
	pthread_mutex_unlock(&p->lock);
}
