#ifndef CLIENT_RUN_SESSION_H
#define CLIENT_RUN_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/session/session.h"
#include "shared/options.h"

/* What `leech` and `seed` have in common: their options, and one session from
 * its start to its end. */

struct run_options {
	uint64_t port; /* RUN_PORT_USUAL: none was given */
	const char *bind;
	uint64_t workers;
	struct option_list peers;
	uint64_t download_limit;
	uint64_t upload_limit;
	bool no_dht;
	struct option_list dht_nodes;
	bool no_pex;
	bool no_lsd;
	bool no_portmap;
	bool json;
	bool quiet;
	bool verbose;
	bool help;
};

#define RUN_PORT_USUAL UINT64_MAX

/* Nothing given, for options_parse() to fill in. */
#define RUN_OPTIONS_INIT                                                       \
	{                                                                      \
		.port = RUN_PORT_USUAL, .workers = 64                          \
	}

/* The lines of an option table for a struct run_options at `o`. */
/* clang-format off */
#define RUN_OPTIONS_TABLE(o) \
	{'p', "port", OPTION_NUMBER, &(o)->port, "N", \
		"TCP port to listen on, 0 = any free one\n" \
		"(6881, or the next free one up to 6889)", 0, 65535}, \
	{0, "bind", OPTION_TEXT, &(o)->bind, "ADDR", \
		"local address to listen on and connect from", 0, 0}, \
	{'w', "workers", OPTION_NUMBER, &(o)->workers, "N", \
		"size of the worker pool = most peers at once (64)", 1, 10000}, \
	{0, "peer", OPTION_LIST, &(o)->peers, "HOST:PORT", \
		"connect to this peer (repeatable)", 0, 0}, \
	{0, "download-limit", OPTION_SIZE, &(o)->download_limit, "RATE", \
		"bytes a second, such as 500K or 2M, 0 = none (0)", 0, 0}, \
	{0, "upload-limit", OPTION_SIZE, &(o)->upload_limit, "RATE", \
		"the same for what is sent (0)", 0, 0}, \
	{0, "no-dht", OPTION_FLAG, &(o)->no_dht, NULL, \
		"find no peers by DHT", 0, 0}, \
	{0, "dht-node", OPTION_LIST, &(o)->dht_nodes, "HOST:PORT", \
		"enter the DHT by this node (repeatable;\n" \
		"the usual public ones)", 0, 0}, \
	{0, "no-pex", OPTION_FLAG, &(o)->no_pex, NULL, \
		"find no peers by peer exchange", 0, 0}, \
	{0, "no-lsd", OPTION_FLAG, &(o)->no_lsd, NULL, \
		"find no peers in the local network", 0, 0}, \
	{0, "no-portmap", OPTION_FLAG, &(o)->no_portmap, NULL, \
		"ask no router to forward the port", 0, 0}, \
	{0, "json", OPTION_FLAG, &(o)->json, NULL, \
		"one JSON object a line on stdout", 0, 0}, \
	{'q', "quiet", OPTION_FLAG, &(o)->quiet, NULL, \
		"print errors only", 0, 0}, \
	{'v', "verbose", OPTION_FLAG, &(o)->verbose, NULL, \
		"tell about peers and trackers on stderr", 0, 0}, \
	{'h', "help", OPTION_FLAG, &(o)->help, NULL, \
		"print this and exit", 0, 0}
/* clang-format on */

struct run {
	const struct run_options *options;
	const struct option_list
		*torrents; /* paths of .torrent files; magnet links */
	enum session_mode mode;
	const char *folder; /* of the content */
	const char *name;   /* of the content in it; NULL: the torrent's */

	/* As in struct session_options. */
	enum session_order order;
	bool seed_after;
	uint64_t seed_time_s;
	double seed_ratio;
};

/* Run it until every torrent has ended, or SIGINT or SIGTERM: the first stops
 * it in order, the second at once.  Prints its events, and what went wrong.
 * Returns the exit status. */
int run_session(const struct run *run);

#endif
