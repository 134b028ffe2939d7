#ifndef CLIENT_UI_PROGRESS_H
#define CLIENT_UI_PROGRESS_H

#include <stdbool.h>

struct event;

/* What a person sees on stdout while the client works: on a terminal a live
 * display of a line or two for each torrent (bar, speed, peers, time left, a
 * map of the pieces), in a pipe or file a plain line now and then.  Peers and
 * trackers are told only to who asked with --verbose. */
struct progress;

enum progress_style { PROGRESS_QUIET, PROGRESS_PLAIN, PROGRESS_TERMINAL };

/* TERMINAL when stdout is one (and TERM is not "dumb"), else PLAIN. */
enum progress_style progress_style_for_stdout(void);

struct progress *progress_create(enum progress_style style, bool verbose);

/* Ends the live line; NULL is allowed. */
void progress_destroy(struct progress *p);

/* An event_listener; ctx is the struct progress. */
void progress_on_event(void *ctx, const struct event *event);

#endif
