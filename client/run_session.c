#include "client/run_session.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/command_common.h"
#include "client/discovery/dht_entrances.h"
#include "client/discovery/torrent_download.h"
#include "client/run_options.h"
#include "client/session/events.h"
#include "client/torrent/magnet.h"
#include "client/torrent/selection.h"
#include "client/ui/json_events.h"
#include "client/ui/progress.h"
#include "shared/log.h"
#include "shared/metainfo.h"
#include "shared/stop_signals.h"
#include "shared/text.h"

enum {
	PORT_FIRST = 6881,
	PORT_LAST = 6889,
	MAX_ADDRESSES = 8,      /* used of one --peer's name */
	MAX_OPEN_FILES = 65536, /* asked for: more would only cost tables */
	SHOWN_SIZE = 128,
	HOST_SIZE = 256,
};

/* A run under way; what it holds is released by finish(). */
struct running {
	const struct run *run;
	struct metainfo *torrents;
	size_t torrent_count; /* of these, loaded */
	struct magnet *magnets;
	size_t magnet_count;
	struct endpoint *peers;
	size_t peer_count;
	struct dht_entrance *dht_nodes;
	char (*dht_hosts)[HOST_SIZE];
	size_t dht_node_count;
	struct endpoint bind;
	struct progress *progress;
	struct events *events;
	struct session *session;
	bool left_out; /* a torrent was, and told of */
	int signals;
};

/* In a session errors are events; the others become some here.  `m`: whose;
 * NULL: it is not known, or concerns all. */
static void emit_error(
	struct running *r, const struct metainfo *m, const struct error *err)
{
	if (r->events)
		events_emit(r->events,
			&(struct event){.kind = EVENT_ERROR,
				.torrent = m ? &m->info_hash : NULL,
				.name = m ? m->name : NULL,
				.text.message = err->text});
}

/* One of the torrents cannot be had or shared.  That is told at once, since the
 * others may take long. */
static void leave_out(
	struct running *r, const struct metainfo *m, const struct error *err)
{
	emit_error(r, m, err);
	(void)command_fail(1, err);
	r->left_out = true;
}

/* An address of its own, or a name to look up: all its addresses count. */
static bool resolve_peer(struct running *r, const char *text, struct error *err)
{
	char host[HOST_SIZE];
	char shown[SHOWN_SIZE];
	uint16_t port;

	text_escape_str(text, shown, sizeof(shown));
	if (endpoint_parse(text, &r->peers[r->peer_count])) {
		if (!endpoint_dialable(&r->peers[r->peer_count]))
			return error_set(
				err, "--peer: nobody can be at '%s'", shown);
		r->peer_count++;
		return true;
	}

	if (!endpoint_split_name(text, host, sizeof(host), &port))
		return error_set(
			err, "--peer: wants HOST:PORT, not '%s'", shown);

	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int status = getaddrinfo(host, NULL, &hints, &found);
	if (status != 0)
		return error_set(
			err, "--peer: %s: %s", shown, gai_strerror(status));

	struct addrinfo *a = found;
	for (int i = 0; a && i < MAX_ADDRESSES; a = a->ai_next, i++) {
		struct endpoint e;

		if (!endpoint_from_sockaddr(a->ai_addr, &e))
			continue;
		e.port = port;
		r->peers[r->peer_count++] = e;
	}
	freeaddrinfo(found);
	return true;
}

static bool resolve_peers(struct running *r, struct error *err)
{
	const struct option_list *peers = &r->run->options->peers;

	if (peers->count == 0)
		return true;
	r->peers = calloc(peers->count * MAX_ADDRESSES, sizeof(*r->peers));
	if (!r->peers)
		return error_set(err, "--peer: out of memory");
	for (size_t i = 0; i < peers->count; i++)
		if (!resolve_peer(r, peers->items[i], err))
			return false;
	return true;
}

/* Names are looked up when they are needed, and hold up nothing. */
static bool parse_dht_node(
	struct running *r, const char *text, struct error *err)
{
	char *host = r->dht_hosts[r->dht_node_count];
	struct dht_entrance *node = &r->dht_nodes[r->dht_node_count];
	char shown[SHOWN_SIZE];
	struct endpoint e;

	node->host = host;
	if (endpoint_parse(text, &e) && endpoint_dialable(&e)) {
		endpoint_print_ip(&e, host);
		node->port = e.port;
	} else if (!endpoint_split_name(text, host, HOST_SIZE, &node->port)) {
		return error_set(err, "--dht-node: wants HOST:PORT, not '%s'",
			text_escape_str(text, shown, sizeof(shown)));
	}
	r->dht_node_count++;
	return true;
}

static bool parse_dht_nodes(struct running *r, struct error *err)
{
	const struct option_list *nodes = &r->run->options->dht_nodes;

	if (nodes->count == 0)
		return true;
	r->dht_nodes = calloc(nodes->count, sizeof(*r->dht_nodes));
	r->dht_hosts = calloc(nodes->count, sizeof(*r->dht_hosts));
	if (!r->dht_nodes || !r->dht_hosts)
		return error_set(err, "--dht-node: out of memory");
	for (size_t i = 0; i < nodes->count; i++)
		if (!parse_dht_node(r, nodes->items[i], err))
			return false;
	return true;
}

static bool parse_bind(struct running *r, struct error *err)
{
	const char *text = r->run->options->bind;
	char shown[SHOWN_SIZE];

	if (!text || endpoint_parse_ip(text, &r->bind))
		return true;
	return error_set(err, "--bind: wants an IP address, not '%s'",
		text_escape_str(text, shown, sizeof(shown)));
}

static bool is_loaded(const struct running *r, const struct info_hash *hash)
{
	for (size_t i = 0; i < r->torrent_count; i++) {
		if (info_hash_equal(&r->torrents[i].info_hash, hash))
			return true;
	}
	for (size_t i = 0; i < r->magnet_count; i++) {
		if (info_hash_equal(&r->magnets[i].info_hash, hash))
			return true;
	}
	return false;
}

static bool download_torrent(const struct running *r, const char *url,
	struct metainfo *ret, struct error *err)
{
	char shown[COMMAND_SOURCE_SIZE];
	struct error why;

	if (torrent_download(
		    url, r->run->options->bind ? &r->bind : NULL, ret, &why))
		return true;
	return error_set(
		err, "%s: %s", command_show_source(url, shown), why.text);
}

static bool load_torrent(struct running *r, const char *path, struct error *err)
{
	struct metainfo *m = &r->torrents[r->torrent_count];
	char shown[COMMAND_SOURCE_SIZE];

	if (!(torrent_download_is_url(path) ? download_torrent(r, path, m, err)
					    : metainfo_load(path, m, err)))
		return false;
	if (is_loaded(r, &m->info_hash)) {
		metainfo_finish(m);
		return error_set(err, "%s: given twice",
			command_show_source(path, shown));
	}
	r->torrent_count++;
	return true;
}

static bool load_magnet(struct running *r, const char *link, struct error *err)
{
	struct magnet *m = &r->magnets[r->magnet_count];
	char shown[COMMAND_SOURCE_SIZE];
	char hex[INFO_HASH_HEX_SIZE];

	if (r->run->mode != SESSION_LEECH)
		return error_set(err, "%s: seeding wants the torrent file",
			command_show_source(link, shown));
	if (!magnet_parse(link, m, err))
		return false;
	if (is_loaded(r, &m->info_hash)) {
		info_hash_hex(&m->info_hash, hex);
		magnet_finish(m);
		return error_set(err, "magnet link of %s: given twice", hex);
	}
	r->magnet_count++;
	return true;
}

/* False when none is left: then with an empty error if each was told of. */
static bool some_left(size_t count, struct error *err)
{
	if (count == 0)
		*err = (struct error){0};
	return count > 0;
}

static bool load_torrents(struct running *r, struct error *err)
{
	const struct option_list *paths = r->run->torrents;

	r->torrents = calloc(paths->count, sizeof(*r->torrents));
	r->magnets = calloc(paths->count, sizeof(*r->magnets));
	if (!r->torrents || !r->magnets)
		return error_set(err, "torrents: out of memory");
	for (size_t i = 0; i < paths->count; i++) {
		const char *word = paths->items[i];
		if (!(magnet_looks_like(word) ? load_magnet : load_torrent)(
			    r, word, err))
			leave_out(r, NULL, err);
	}
	return some_left(r->torrent_count + r->magnet_count, err);
}

/* What --select names has to be in each torrent.  Of a magnet link that is only
 * known when its metadata is there. */
static bool check_selection(const struct running *r, struct error *err)
{
	for (size_t i = 0; r->run->select && i < r->torrent_count; i++) {
		struct selection selection;

		if (!selection_choose(
			    r->run->select, &r->torrents[i], &selection, err))
			return false;
		selection_finish(&selection);
	}
	return true;
}

static bool listen_to_events(struct running *r, struct error *err)
{
	const struct run_options *o = r->run->options;

	log_init("tbt-client",
		o->quiet             ? LOG_QUIET
			: o->verbose ? LOG_VERBOSE
				     : LOG_NORMAL);
	r->events = events_create();
	if (!r->events)
		return error_set(err, "events: out of memory");
	if (o->json) {
		events_listen(r->events, json_events_on_event, NULL);
		return true;
	}
	r->progress = progress_create(
		o->quiet ? PROGRESS_QUIET : progress_style_for_stdout(),
		o->verbose);
	if (!r->progress)
		return error_set(err, "progress: out of memory");
	events_listen(r->events, progress_on_event, r->progress);
	return true;
}

/* Each peer costs a descriptor, and the usual soft limit is 1024. */
static void raise_open_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return;
	rlim_t wanted = limit.rlim_max < MAX_OPEN_FILES ? limit.rlim_max
							: MAX_OPEN_FILES;
	if (limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted;
	(void)setrlimit(RLIMIT_NOFILE, &limit); /* or fewer peers */
}

/* Before any thread is started, so that all of them inherit it: from now on
 * these signals only come out of the descriptor. */
static bool catch_signals(struct running *r, struct error *err)
{
	sigset_t set = stop_signals();

	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* the write says it, too */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	r->signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (r->signals < 0)
		return error_set_errno(err, "signals: cannot wait for them");
	return true;
}

static bool add_torrents(struct running *r, struct error *err)
{
	const struct run *run = r->run;
	size_t count = 0;

	for (size_t i = 0; i < r->torrent_count; i++) {
		const struct metainfo *m = &r->torrents[i];
		if (session_add(r->session, m, run->folder, run->name,
			    run->mode, err))
			count++;
		else
			leave_out(r, m, err);
	}
	for (size_t i = 0; i < r->magnet_count; i++) {
		if (session_add_magnet(
			    r->session, &r->magnets[i], run->folder, err))
			count++;
		else
			leave_out(r, NULL, err);
	}
	return some_left(count, err);
}

static bool start(struct running *r, struct error *err)
{
	const struct run *run = r->run;
	const struct run_options *o = run->options;
	bool port_given = o->port != RUN_PORT_USUAL;
	bool forever = o->seed_time_min < 0;
	struct session_options options = {
		.port_first = port_given ? (uint16_t)o->port : PORT_FIRST,
		.port_last = port_given ? (uint16_t)o->port : PORT_LAST,
		.bind = o->bind ? &r->bind : NULL,
		.workers = (unsigned)o->workers,
		.peers = r->peers,
		.peer_count = r->peer_count,
		.download_limit = o->download_limit,
		.upload_limit = o->upload_limit,
		.order = run->order,
		.select = run->select,
		.seed_after = run->seed_after,
		.seed_time_s = forever ? UINT64_MAX
				       : (uint64_t)(o->seed_time_min * 60),
		.seed_ratio = o->seed_ratio,
		.no_pex = o->no_pex,
		.no_lsd = o->no_lsd,
		.no_portmap = o->no_portmap,
		.no_dht = o->no_dht,
		.dht_nodes = r->dht_nodes,
		.dht_node_count = r->dht_node_count,
	};

	r->session = session_create(&options, r->events, err);
	return r->session && add_torrents(r, err) &&
		session_start(r->session, err);
}

/* Until every torrent has ended, or a signal came; true then. */
static bool wait_for_end(const struct running *r)
{
	struct pollfd polled[] = {
		{.fd = session_fd(r->session), .events = POLLIN},
		{.fd = r->signals, .events = POLLIN},
	};
	struct signalfd_siginfo info;

	while (poll(polled, 2, -1) < 0 && errno == EINTR)
		;
	return (polled[1].revents & POLLIN) &&
		read(r->signals, &info, sizeof(info)) > 0;
}

static void finish(struct running *r)
{
	session_destroy(r->session);
	progress_destroy(r->progress);
	events_destroy(r->events);
	for (size_t i = 0; i < r->torrent_count; i++)
		metainfo_finish(&r->torrents[i]);
	for (size_t i = 0; i < r->magnet_count; i++)
		magnet_finish(&r->magnets[i]);
	free(r->magnets);
	free(r->torrents);
	free(r->peers);
	free(r->dht_nodes);
	free(r->dht_hosts);
	if (r->signals >= 0)
		close(r->signals);
}

int run_session(const struct run *run)
{
	struct running r = {.run = run, .signals = -1};
	struct error err;
	int status = 1;

	/* Look-ups and downloads may take long. */
	stop_signals_end_at_first("tbt-client: stopped: before it began\n");
	if (!parse_bind(&r, &err) || !parse_dht_nodes(&r, &err) ||
		!resolve_peers(&r, &err)) {
		status = 2;
		goto out;
	}
	if (!listen_to_events(&r, &err))
		goto out;
	raise_open_files();
	bool loaded = load_torrents(&r, &err);
	if (loaded && !check_selection(&r, &err)) {
		loaded = false;
		status = 2;
	}
	if (!loaded || !catch_signals(&r, &err) || !start(&r, &err)) {
		if (err.text[0] != '\0')
			emit_error(&r, NULL, &err);
		goto out;
	}
	/* To stop takes seconds when a tracker is slow. */
	stop_signals_end_at_second(wait_for_end(&r));
	if (session_stop(r.session, &err)) {
		status = r.left_out ? 1 : 0;
		err = (struct error){0};
	}

out:
	finish(&r);
	return err.text[0] == '\0' ? status : command_fail(status, &err);
}
