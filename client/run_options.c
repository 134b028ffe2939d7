#include "client/run_options.h"

#include <string.h>

void run_options_init(struct run_options *o)
{
	enum { MAX_MINUTES = 60 * 24 * 366 * 100 };
	/* clang-format off */
	const struct option table[] = {
		{0, "seed-time", OPTION_DECIMAL, &o->seed_time_min, "MINUTES",
			"seed this long once complete,\n"
			"0 = exit then (until interrupted)", 0, MAX_MINUTES},
		{0, "seed-ratio", OPTION_DECIMAL, &o->seed_ratio, "RATIO",
			"stop seeding at this share ratio (none)", 0, 0},
		{'p', "port", OPTION_NUMBER, &o->port, "N",
			"TCP port to listen on, 0 = any free one\n"
			"(6881, or the next free one up to 6889)", 0, 65535},
		{0, "bind", OPTION_TEXT, &o->bind, "ADDR",
			"local address to listen on and connect from", 0, 0},
		{'w', "workers", OPTION_NUMBER, &o->workers, "N",
			"size of the worker pool = most peers at once (64)",
			1, 10000},
		{0, "peer", OPTION_LIST, &o->peers, "HOST:PORT",
			"connect to this peer (repeatable)", 0, 0},
		{0, "download-limit", OPTION_SIZE, &o->download_limit, "RATE",
			"bytes a second, such as 500K or 2M, 0 = none (0)",
			0, 0},
		{0, "upload-limit", OPTION_SIZE, &o->upload_limit, "RATE",
			"the same for what is sent (0)", 0, 0},
		{0, "no-dht", OPTION_FLAG, &o->no_dht, NULL,
			"find no peers by DHT", 0, 0},
		{0, "dht-node", OPTION_LIST, &o->dht_nodes, "HOST:PORT",
			"enter the DHT by this node (repeatable;\n"
			"the usual public ones)", 0, 0},
		{0, "no-pex", OPTION_FLAG, &o->no_pex, NULL,
			"find no peers by peer exchange", 0, 0},
		{0, "no-lsd", OPTION_FLAG, &o->no_lsd, NULL,
			"find no peers in the local network", 0, 0},
		{0, "no-portmap", OPTION_FLAG, &o->no_portmap, NULL,
			"ask no router to forward the port", 0, 0},
		{0, "json", OPTION_FLAG, &o->json, NULL,
			"one JSON object a line on stdout", 0, 0},
		{'q', "quiet", OPTION_FLAG, &o->quiet, NULL,
			"print errors only", 0, 0},
		{'v', "verbose", OPTION_FLAG, &o->verbose, NULL,
			"tell about peers and trackers on stderr", 0, 0},
		{'h', "help", OPTION_FLAG, &o->help, NULL,
			"print this and exit", 0, 0},
		{0},
	};
	/* clang-format on */

	_Static_assert(sizeof(table) == sizeof(o->table), "RUN_OPTION_LINES");
	*o = (struct run_options){
		.port = RUN_PORT_USUAL,
		.workers = 64,
		.seed_time_min = -1,
		.seed_ratio = -1,
	};
	memcpy(o->table, table, sizeof(table));
}
