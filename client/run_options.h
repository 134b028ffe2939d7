#ifndef CLIENT_RUN_OPTIONS_H
#define CLIENT_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/options.h"

/* The options that `leech` and `seed` have in common, with their defaults and
 * their lines of --help. */

#define RUN_PORT_USUAL UINT64_MAX

enum { RUN_OPTION_LINES = 18 }; /* of the table, with its end */

struct run_options {
	uint64_t port; /* RUN_PORT_USUAL: none was given */
	const char *bind;
	uint64_t workers;
	struct option_list peers;
	uint64_t download_limit;
	uint64_t upload_limit;
	double seed_time_min; /* < 0: not given, until interrupted */
	double seed_ratio;    /* < 0: none */
	bool no_dht;
	struct option_list dht_nodes;
	bool no_pex;
	bool no_lsd;
	bool no_portmap;
	bool json;
	bool quiet;
	bool verbose;
	bool help;

	/* What fills them in: a command's own table goes on with this one, see
	 * OPTION_MORE.  It points into this struct, which is not to move. */
	struct option table[RUN_OPTION_LINES];
};

/* Nothing given yet. */
void run_options_init(struct run_options *o);

#endif
