#ifndef CLIENT_UI_TERMINAL_H
#define CLIENT_UI_TERMINAL_H

#include <stdbool.h>

#include "client/ui/progress_line.h"

/* What is at the other end of a descriptor, for who draws on it. */

/* A terminal that can move its cursor: TERM is not "dumb". */
bool terminal_is_able(int fd);

/* How to draw there now: its width, the locale's characters, and colours
 * unless NO_COLOR is set.  80 columns of 24 rows where nobody knows. */
struct progress_look terminal_look(int fd, unsigned *ret_rows);

#endif
