#ifndef TRACKER_SETTINGS_H
#define TRACKER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/options.h"
#include "tracker/redis_url.h"

/* What the operator wants of `tbt-tracker serve`: its options, parsed, and
 * checked as far as they can be without looking at files and the machine. */
struct settings {
	struct option_list listen;
	struct option_list torrents;
	const char *allow_dir;
	const char *store;
	struct redis_url redis; /* where the store is, unless in memory */
	bool in_redis;
	uint64_t interval_s;
	uint64_t peer_timeout_s;
	uint64_t threads;   /* 0: not said */
	uint64_t max_peers; /* 0: not said */
	const char *state;
	uint64_t state_interval_s;
	const char *passkeys;
	struct option_list trust_proxy;
	uint64_t announce_limit; /* these three: 0: none; or SETTINGS_UNSAID */
	uint64_t swarm_limit;
	uint64_t connection_limit;
	bool no_udp;
	bool no_http;
	bool json;
	bool help; /* is all that is wanted */
	struct option_list rest;
};

/* Of a limit that the operator has not set. */
#define SETTINGS_UNSAID UINT64_MAX

enum { SETTINGS_MAX_THREADS = 256, SETTINGS_MAX_CONNECTIONS = 65536 };

/* Texts and lists are in argv; settings_finish() frees the lists, also after a
 * failure.  False: bad usage; `ret` is what could be read. */
bool settings_parse(
	int argc, char **argv, struct settings *ret, struct error *err);

void settings_finish(struct settings *s);

/* All options, on stdout. */
void settings_print_help(void);

#endif
