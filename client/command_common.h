#ifndef CLIENT_COMMAND_COMMON_H
#define CLIENT_COMMAND_COMMON_H

#include "shared/error.h"

/* Say on stderr why a command failed, in one line, "tbt-client: WHAT: WHY",
 * and return `status`, so that a command can end with it. */
int command_fail(int status, const struct error *err);

/* The end of a command that printed to stdout: 0, or 1 and a line on stderr
 * when not all of it could be written. */
int command_finish_output(void);

#endif
