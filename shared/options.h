#ifndef SHARED_OPTIONS_H
#define SHARED_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

/* The options of one command as a table: parsed, checked and printed as help
 * from the same lines.  Built on getopt_long's habits: `--name VALUE`,
 * `--name=VALUE`, `-n VALUE`, `-nVALUE`, `--` ends the options, options and
 * arguments may be mixed.  A long name may be cut where it stays unique. */

enum option_kind {
	OPTION_FLAG,   /* target: bool, set to true */
	OPTION_TEXT,   /* target: const char * */
	OPTION_NUMBER, /* target: uint64_t, within [min, max] */
	OPTION_SIZE, /* target: uint64_t, suffixes K, M, G; within [min, max] */
	OPTION_DECIMAL, /* target: double, from 0 to max */
	OPTION_LIST,    /* target: struct option_list; repeatable */
	OPTION_MORE,    /* the table goes on at target: const struct option * */
};

struct option_list {
	const char **items; /* into argv */
	size_t count;
};

struct option {
	char short_name; /* 0: none */
	const char *name;
	enum option_kind kind;
	void *target;
	const char *value_name; /* "DIR"; NULL for flags */
	const char *help;       /* may hold newlines */
	uint64_t min, max;      /* numbers and sizes; max 0: no limit */
};

/* The last line of a table that goes on with another one. */
#define OPTIONS_GO_ON(table)                                                   \
	{                                                                      \
		.name = "", .kind = OPTION_MORE, .target = (table)             \
	}

/* Fill the targets from argv[1...]; the rest, none of it empty, goes to
 * `arguments` in order.  Lists are allocated: options_free().  False: bad
 * usage; `err` says which option and what it wants ("--port: wants a number
 * from 0 to 65535, not 'x'").  An empty `name` ends the table, or leads to
 * another. */
bool options_parse(const struct option *table, int argc, char **argv,
	struct option_list *arguments, struct error *err);

/* Free the lists of the table (and set them empty). */
void options_free(const struct option *table, struct option_list *arguments);

/* The table as aligned lines for --help, on stdout. */
void options_print_help(const struct option *table);

#endif
