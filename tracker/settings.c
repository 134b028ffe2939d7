#include "tracker/settings.h"

#include <string.h>

#include "shared/text.h"
#include "tracker/address_limit.h"

enum {
	OPTIONS = 32, /* room for all */

	MAX_PEERS = 1000 * 1000 * 1000,
	MAX_INTERVAL_S = 7 * 24 * 3600,
};

struct table {
	struct option options[OPTIONS];
};

static struct table table_of(struct settings *s)
{
	return (struct table){{
		{'l', "listen", OPTION_LIST, &s->listen, "ADDR:PORT",
			"listen there for HTTP (TCP) and UDP (repeatable;\n"
			"port 0: any free one)\n"
			"default: 0.0.0.0:6969 and [::]:6969",
			0, 0},
		{'t', "torrent", OPTION_LIST, &s->torrents, "FILE",
			"track only these torrents (repeatable); without\n"
			"--listen the first one's announce URL says where",
			0, 0},
		{0, "allow-dir", OPTION_TEXT, &s->allow_dir, "DIR",
			"track only the torrents in this folder, which is\n"
			"read again on SIGHUP",
			0, 0},
		{0, "store", OPTION_TEXT, &s->store, "URL",
			"where peers are kept: memory: (the default), or\n"
			"redis://[USER:PASSWORD@]HOST:PORT[/DB], or\n"
			"unix:/PATH, for several trackers together",
			0, 0},
		{0, "interval", OPTION_NUMBER, &s->interval_s, "SECONDS",
			"announce interval told to peers; default: 1800", 1,
			MAX_INTERVAL_S},
		{0, "peer-timeout", OPTION_NUMBER, &s->peer_timeout_s,
			"SECONDS",
			"drop a peer unheard of for so long; default:\n"
			"twice the interval",
			1, 2 * MAX_INTERVAL_S},
		{0, "max-peers", OPTION_NUMBER, &s->max_peers, "N",
			"keep so many peers at most (in memory:); default: as\n"
			"many as fit in a quarter of the memory",
			1, MAX_PEERS},
		{0, "state", OPTION_TEXT, &s->state, "FILE",
			"keep the peers there over a restart (memory: only)", 0,
			0},
		{0, "state-interval", OPTION_NUMBER, &s->state_interval_s,
			"SECONDS",
			"save them so often, and at the end; default: 300", 1,
			MAX_INTERVAL_S},
		{0, "passkeys", OPTION_TEXT, &s->passkeys, "FILE",
			"for /announce/KEY only, with a key of this file,\n"
			"which is read again on SIGHUP",
			0, 0},
		{0, "trust-proxy", OPTION_LIST, &s->trust_proxy, "CIDR",
			"believe X-Forwarded-For of the proxies there\n"
			"(repeatable)",
			0, 0},
		{0, "announce-limit", OPTION_NUMBER, &s->announce_limit, "N",
			"announces a minute of one address; 0: no limit;\n"
			"default: 30000, and none for private addresses",
			0, ADDRESS_LIMIT_MAX},
		{0, "new-swarm-limit", OPTION_NUMBER, &s->swarm_limit, "N",
			"torrents a minute that one address may bring;\n"
			"0: no limit; default: 6000, and none for private\n"
			"addresses",
			0, ADDRESS_LIMIT_MAX},
		{0, "connection-limit", OPTION_NUMBER, &s->connection_limit,
			"N",
			"HTTP connections of one address; 0: no limit;\n"
			"default: a quarter of all, or with --trust-proxy none",
			0, SETTINGS_MAX_CONNECTIONS},
		{0, "threads", OPTION_NUMBER, &s->threads, "N",
			"threads for HTTP, and as many for UDP; default:\n"
			"half as many as cores; with Redis four a core",
			1, SETTINGS_MAX_THREADS},
		{0, "no-udp", OPTION_FLAG, &s->no_udp, NULL, "no UDP", 0, 0},
		{0, "no-http", OPTION_FLAG, &s->no_http, NULL, "no HTTP", 0, 0},
		{0, "json", OPTION_FLAG, &s->json, NULL,
			"events as JSON lines on stdout", 0, 0},
		{'h', "help", OPTION_FLAG, &s->help, NULL,
			"print this and exit", 0, 0},
		{0},
	}};
}

static bool check_store(struct settings *s, struct error *err)
{
	struct error why;

	s->in_redis = strcmp(s->store, "memory:") != 0;
	if (!s->in_redis)
		return true;
	if (!redis_url_parse(s->store, &s->redis, &why))
		return error_set(err, "--store: %s", why.text);
	if (s->max_peers > 0)
		return error_set(err,
			"--max-peers: is for --store memory:; Redis has "
			"maxmemory for that");
	return true;
}

static bool check(struct settings *s, struct error *err)
{
	char shown[64];

	if (s->rest.count > 0)
		return error_set(err, "serve: takes no argument '%s'",
			text_escape_str(
				s->rest.items[0], shown, sizeof(shown)));
	if (!check_store(s, err))
		return false;
	if (s->state && s->in_redis)
		return error_set(err,
			"--state: Redis keeps its own, only memory: needs it");
	if (s->state && s->state[0] == '\0')
		return error_set(err, "--state: the file has no name");
	if (s->no_http && s->no_udp)
		return error_set(err,
			"--no-http and --no-udp: nothing is left to serve");
	return true;
}

bool settings_parse(
	int argc, char **argv, struct settings *ret, struct error *err)
{
	*ret = (struct settings){
		.store = "memory:",
		.interval_s = 1800,
		.state_interval_s = 300,
		.announce_limit = SETTINGS_UNSAID,
		.swarm_limit = SETTINGS_UNSAID,
		.connection_limit = SETTINGS_UNSAID,
	};

	struct table table = table_of(ret);
	if (!options_parse(table.options, argc, argv, &ret->rest, err))
		return false;
	if (ret->peer_timeout_s == 0)
		ret->peer_timeout_s = 2 * ret->interval_s;
	return ret->help || check(ret, err);
}

void settings_finish(struct settings *s)
{
	struct table table = table_of(s);

	options_free(table.options, &s->rest);
}

void settings_print_help(void)
{
	struct settings unused;
	struct table table = table_of(&unused);

	options_print_help(table.options);
}
