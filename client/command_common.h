#ifndef CLIENT_COMMAND_COMMON_H
#define CLIENT_COMMAND_COMMON_H

#include <stdbool.h>

#include "shared/error.h"

struct metainfo;
struct option_list;
struct selection_list;

struct option;

/* A command: its options, which point into `options`, and what to do when they
 * are understood. */
struct command_form {
	const char *usage; /* the words of --help above the options */
	const struct option *table;
	const bool *help; /* of these options, whether --help was given */
	int (*run)(const void *options, const struct option_list *arguments);
	const void *options;
};

/* Parse, then help or run.  Returns the exit status. */
int command_run(const struct command_form *form, int argc, char **argv);

/* Say on stderr why a command failed, in one line, "tbt-client: WHAT: WHY",
 * and return `status`, so that a command can end with it. */
int command_fail(int status, const struct error *err);

/* What all --select together say; `ret` is zeroed memory, and to be finished in
 * any case. */
bool command_parse_select(const struct option_list *options,
	struct selection_list *ret, struct error *err);

enum { COMMAND_SOURCE_SIZE = 128 };

/* What was given for a torrent, fit for a message: a path as it is, a URL or a
 * magnet link without the keys in it.  Returns `ret`. */
const char *command_show_source(
	const char *source, char ret[COMMAND_SOURCE_SIZE]);

/* A torrent file, for a command that opens no socket: words for who gives it
 * something else that `leech` would take. */
bool command_load_torrent(
	const char *path, struct metainfo *ret, struct error *err);

/* The end of a command that printed to stdout: 0, or 1 and a line on stderr
 * when not all of it could be written. */
int command_finish_output(void);

#endif
