#ifndef CLIENT_RUN_SESSION_H
#define CLIENT_RUN_SESSION_H

#include <stdbool.h>

#include "client/session/session.h"

struct option_list;
struct run_options;
struct selection_list;

/* What `leech` and `seed` do: one session from its start to its end. */

struct run {
	const struct run_options *options;
	const struct option_list
		*torrents; /* paths or URLs of .torrent files; magnet links */
	enum session_mode mode;
	const char *folder; /* of the content */
	const char *name;   /* of the content in it; NULL: the torrent's */

	/* As in struct session_options. */
	enum session_order order;
	const struct selection_list *select;
	bool seed_after;
};

/* Run it until every torrent has ended, or SIGINT or SIGTERM: the first stops
 * it in order, the second at once.  Prints its events, and what went wrong.
 * Returns the exit status. */
int run_session(const struct run *run);

#endif
