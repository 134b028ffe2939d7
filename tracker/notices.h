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
 * Threads: main only. */

/* It ends with that. */
void notice_error(bool json, const struct error *err);

/* `protocol`: "http" or "udp". */
void notice_listening(
	bool json, const char *protocol, const struct endpoint *bound);

/* Nothing when there was nobody in the state. */
void notice_restored(bool json, const struct state_loaded *l);

void notice_warning(bool json, const char *text);

#endif
