#ifndef SHARED_LOG_H
#define SHARED_LOG_H

/* Words for a person on stderr, one line each: "NAME: text".  For what is
 * noteworthy but no failure of the job.  The one module of shared/ with state:
 * the program's name, level and listener, set once at the start before other
 * threads.
 * Text from outside must have gone through text_escape().
 *
 * Threads: any. */
enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE };

void log_init(const char *program, enum log_level level);

/* Something is wrong but work goes on; unless quiet. */
void log_warning(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* What is going on, for who asked with --verbose. */
void log_verbose(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Why the process ends right after this.  Nothing is waited for, so it may be
 * left unsaid: no lock, no display, no reader of stderr who is asleep. */
void log_last_words(const char *text);

/* Who else is to hear of each warning: its text, without the program's name,
 * from any thread.  Set once, as above.  NULL: nobody. */
void log_on_warning(void (*tell)(const char *text));

/* A display that keeps the last line of the terminal to itself is told before
 * a line is printed, and may wipe itself away.  NULL: nobody. */
void log_before_line(void (*wipe)(void *ctx), void *ctx);

#endif
