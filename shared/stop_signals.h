#ifndef SHARED_STOP_SIGNALS_H
#define SHARED_STOP_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

/* SIGINT and SIGTERM: the first one asks a program to stop in order, the second
 * ends it at once.  Many who stop programs (`timeout`, a shell in a terminal
 * with a program that passes signals on) send each twice, to the process and to
 * its group: what comes within STOP_SIGNALS_SAME_MS of the first is no second
 * one.
 *
 * The state behind it is the process's own, as signals are.
 *
 * Threads: the one that the signals are delivered to. */

enum { STOP_SIGNALS_SAME_MS = 50 };

/* The two. */
sigset_t stop_signals(void);

/* Until there is something to stop in order, the first one ends the process:
 * with status 1 rather than by the signal, and with `last_words` (a whole line,
 * which stays the caller's) on stderr. */
void stop_signals_end_at_first(const char *last_words);

/* From now on they are taken by a handler, in this thread: they were blocked
 * until now.  `first_seen`: one has come just now, by other means. */
void stop_signals_end_at_second(bool first_seen);

#endif
