#ifndef TRACKER_NOTICES_H
#define TRACKER_NOTICES_H

#include <stdbool.h>

struct endpoint;
struct error;
struct state_loaded;

/* What the tracker says while it runs: a line for people on stdout or stderr,
 * and with `json` an event on stdout, as docs/man/tbt-tracker.1.scd lists
 * them.
 *
 * Threads: main only, but warnings come from all. */

/* It ends with that. */
void notice_error(bool json, const struct error *err);

/* `protocol`: "http" or "udp". */
void notice_listening(
	bool json, const char *protocol, const struct endpoint *bound);

/* Nothing when there was nobody in the state. */
void notice_restored(bool json, const struct state_loaded *l);

/* `text`: anything. */
void notice_warning(const char *text);

/* From now on each warning, whoever logs it, is an event as well.  Before there
 * are other threads. */
void notice_warnings_as_events(void);

#endif
