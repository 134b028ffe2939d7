#include "shared/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *log_program = "";
static enum log_level log_level = LOG_NORMAL;
static void (*log_tell)(const char *text);
static void (*log_wipe)(void *ctx);
static void *log_wipe_ctx;

void log_init(const char *program, enum log_level level)
{
	log_program = program;
	log_level = level;
}

void log_on_warning(void (*tell)(const char *text)) { log_tell = tell; }

void log_before_line(void (*wipe)(void *ctx), void *ctx)
{
	log_wipe = wipe;
	log_wipe_ctx = ctx;
}

/* One write(2) a line, so lines of several threads never mix.  `tell`: who else
 * hears of it, or NULL. */
static void print(void (*tell)(const char *text), const char *fmt, va_list args)
{
	char line[1024];
	size_t room = sizeof(line) - 1; /* for the newline */

	int n = snprintf(line, room, "%s: ", log_program);
	if (n < 0 || (size_t)n >= room)
		return;
	if (vsnprintf(line + n, room - (size_t)n, fmt, args) < 0)
		return;
	if (tell)
		tell(line + n);

	size_t len = strlen(line);
	line[len++] = '\n';
	if (log_wipe)
		log_wipe(log_wipe_ctx);
	/* Where would one complain that stderr is gone? */
	ssize_t written = write(STDERR_FILENO, line, len);
	(void)written;
}

void log_last_words(const char *text)
{
	struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
	char line[256];

	int n = snprintf(line, sizeof(line), "%s: %s\n", log_program, text);
	if (n > 0 && (size_t)n < sizeof(line) && poll(&out, 1, 0) == 1 &&
		(out.revents & POLLOUT))
		(void)!write(STDERR_FILENO, line, (size_t)n);
}

void log_warning(const char *fmt, ...)
{
	va_list args;

	if (log_level == LOG_QUIET)
		return;
	va_start(args, fmt);
	print(log_tell, fmt, args);
	va_end(args);
}

void log_verbose(const char *fmt, ...)
{
	va_list args;

	if (log_level != LOG_VERBOSE)
		return;
	va_start(args, fmt);
	print(NULL, fmt, args);
	va_end(args);
}
