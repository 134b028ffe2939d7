#include "tracker/front_http.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shared/announce_http.h"
#include "shared/buffer.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/net.h"
#include "shared/random_bytes.h"
#include "tracker/address_counts.h"
#include "tracker/announce.h"
#include "tracker/counters.h"
#include "tracker/open_connections.h"
#include "tracker/page_metrics.h"
#include "tracker/page_stats.h"
#include "tracker/page_status.h"
#include "tracker/passkeys.h"
#include "tracker/swarm_store.h"
#include "tracker/trusted_proxies.h"

enum {
	/* Of one connection, for its request line and headers, and 64 bytes for
	 * each of these.  Beyond 32 KiB the library would map and unmap memory
	 * for each connection. */
	CONNECTION_MEMORY = 32 * 1024,

	/* For a whole request, which is one packet, and for the pause before
	 * the next. */
	REQUEST_TIMEOUT_S = 10,

	BACKLOG = 1024,

	PAGE_MAX = 16 * 1024,
};

struct front_http {
	struct open_connections *open;
	const struct announce_rules *rules;
	const struct trusted_proxies *proxies;
	atomic_flag warned;            /* of a proxy that adds no header */
	unsigned max_per_address;      /* connections */
	struct address_counts *counts; /* of them; NULL: there is no limit */
	uint64_t started_ms;

	/* A thread each, with a listener of its own on the same port: a pool
	 * that shares one listener wakes all its threads for a connection. */
	unsigned server_count;
	struct server {
		struct front_http *front;
		unsigned number;
		struct MHD_Daemon *daemon;
	} servers[];
};

/* The request's target as it came: libmicrohttpd unescapes in place, and info
 * hashes are better unescaped once, by us. */
struct request {
	bool accepted;       /* its headers are fine */
	struct span passkey; /* of /announce/KEY, or nothing */
	struct span query;
	size_t len;
	char target[];
};

/* A request hangs here and not in the library's context alone: the library
 * forgets it when a request does not fit in its memory. */
struct connection {
	struct open_connection *open;
	struct request *request; /* under way, or NULL */
};

/* --- Answers --- */

/* Queue a response with these bytes (copied) and drop our hold on it. */
static enum MHD_Result answer(struct MHD_Connection *c, unsigned status,
	const char *type, struct span body)
{
	/* The library takes a pointer to non-const and copies. */
	struct MHD_Response *response = MHD_create_response_from_buffer(
		body.len, (void *)(uintptr_t)body.at, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result ok = MHD_YES;

	if (!response)
		return MHD_NO; /* closes the connection */
	ok &= MHD_add_response_header(
		response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	ok &= MHD_add_response_header(
		response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		ok &= MHD_add_response_header(
			response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	if (ok)
		ok = MHD_queue_response(c, status, response);
	MHD_destroy_response(response);
	return ok;
}

static enum MHD_Result answer_text(
	struct MHD_Connection *c, unsigned status, const char *text)
{
	struct span body = {(const uint8_t *)text, strlen(text)};

	return answer(c, status, "text/plain; charset=utf-8", body);
}

/* What a writer holds; BitTorrent clients do not look at the type. */
static enum MHD_Result answer_bencoded(
	struct MHD_Connection *c, const struct writer *w)
{
	struct span body = {w->start, writer_len(w)};

	if (w->bad)
		return answer_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
			"the answer is too long\n");
	return answer(c, MHD_HTTP_OK, "text/plain", body);
}

static enum MHD_Result answer_failure(
	struct MHD_Connection *c, const char *reason, uint32_t retry_s)
{
	uint8_t bytes[2 * ANNOUNCE_TEXT_SIZE + sizeof(struct error)];
	struct writer w = writer_of(bytes, sizeof(bytes));

	announce_http_write_failure(&w, reason, retry_s);
	return answer_bencoded(c, &w);
}

/* --- Pages --- */

/* X-Forwarded-For, as one list if it is there several times. */
struct forwarded {
	struct writer list;
	bool given;
};

static enum MHD_Result add_forwarded(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct forwarded *f = cls;

	(void)kind;
	if (strcasecmp(name, "X-Forwarded-For") != 0)
		return MHD_YES;
	if (f->given)
		writer_text(&f->list, ",");
	writer_text(&f->list, value ? value : "");
	f->given = true;
	return MHD_YES;
}

static void warn_of_silent_proxy(
	struct front_http *f, const struct endpoint *proxy)
{
	char text[ENDPOINT_TEXT_SIZE];

	if (!atomic_flag_test_and_set(&f->warned))
		log_warning("an announce came by the trusted proxy %s without "
			    "X-Forwarded-For; taken as the proxy's own",
			endpoint_print_ip(proxy, text));
}

/* Where an announce came from; behind a proxy, by what that one says. */
static bool peer_address(struct front_http *f, struct MHD_Connection *c,
	struct endpoint *ret, struct error *err)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	uint8_t bytes[FORWARDED_MAX_SIZE];
	struct forwarded forwarded = {writer_of(bytes, sizeof(bytes)), false};

	if (!info || !endpoint_from_sockaddr(info->client_addr, ret))
		return error_set(err, "where you are cannot be told");
	if (!trusted_proxies_has(f->proxies, ret))
		return true;
	MHD_get_connection_values(
		c, MHD_HEADER_KIND, add_forwarded, &forwarded);
	if (!forwarded.given) {
		warn_of_silent_proxy(f, ret);
		return true;
	}

	/* Not the proxy's address instead: nobody would find a peer there. */
	struct span list = {bytes, writer_len(&forwarded.list)};
	return (!forwarded.list.bad &&
		       trusted_proxies_client(f->proxies, list, ret)) ||
		error_set(err,
			"X-Forwarded-For of the tracker's proxy names no "
			"address");
}

static enum MHD_Result page_announce(struct front_http *f,
	struct MHD_Connection *c, const struct request *request)
{
	uint8_t bytes[ANNOUNCE_HTTP_MAX_REPLY];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct announce a = {.left = 0};
	struct announce_reply reply;
	struct error err;

	if (!peer_address(f, c, &a.peer, &err) ||
		!announce_http_parse_query(request->query, &a, &err)) {
		announce_count_bad(f->rules);
		return answer_failure(c, err.text, 0);
	}
	announce_handle(
		f->rules, &a, request->passkey, clock_ms() / 1000, &reply);
	if (reply.failure[0] != '\0')
		return answer_failure(c, reply.failure, reply.retry_s);
	announce_http_write_reply(&w, &a, &reply);
	return answer_bencoded(c, &w);
}

static enum MHD_Result page_scrape(struct front_http *f,
	struct MHD_Connection *c, const struct request *request)
{
	uint8_t bytes[ANNOUNCE_HTTP_MAX_REPLY];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct info_hash hashes[ANNOUNCE_MAX_SCRAPE];
	struct scrape_entry entries[ANNOUNCE_MAX_SCRAPE];
	size_t count = 0;
	struct error err;

	if (!announce_http_parse_scrape(request->query, hashes,
		    ANNOUNCE_MAX_SCRAPE, &count, &err) ||
		!announce_handle_scrape(f->rules, hashes, count,
			request->passkey, entries, &count, &err))
		return answer_failure(c, err.text, 0);
	announce_http_write_scrape(&w, entries, count);
	return answer_bencoded(c, &w);
}

/* 0: it cannot be told. */
static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*u %" SCNu64, &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static bool collect_figures(
	struct front_http *f, struct tracker_figures *ret, struct error *err)
{
	const struct counters *counters = f->rules->counters;
	struct swarm_totals totals;

	if (!swarm_store_totals(f->rules->store, &totals, err))
		return false;
	*ret = (struct tracker_figures){
		.swarms = totals.swarms,
		.seeders = totals.seeders,
		.leechers = totals.leechers,
		.announces = counters->announces,
		.refused = counters->refused,
		.scrapes = counters->scrapes,
		.memory_bytes = resident_bytes(),
		.uptime_s = (clock_ms() - f->started_ms) / 1000,
		.interval_s = f->rules->interval_s,
	};
	return true;
}

static enum MHD_Result answer_page(struct front_http *f,
	struct MHD_Connection *c, const char *type,
	void (*write)(const struct tracker_figures *f, struct buffer *out))
{
	struct tracker_figures figures;
	enum MHD_Result result;
	struct buffer page;
	struct error err;

	if (!collect_figures(f, &figures, &err))
		return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, err.text);
	buffer_init(&page, PAGE_MAX);
	write(&figures, &page);
	if (page.failed)
		result = answer_text(
			c, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	else
		result = answer(c, MHD_HTTP_OK, type,
			(struct span){page.bytes, page.len});
	buffer_finish(&page);
	return result;
}

static enum MHD_Result page_status(struct front_http *f,
	struct MHD_Connection *c, const struct request *request)
{
	(void)request;
	return answer_page(f, c, "text/html; charset=utf-8", page_status_write);
}

static enum MHD_Result page_stats(struct front_http *f,
	struct MHD_Connection *c, const struct request *request)
{
	(void)request;
	return answer_page(f, c, "application/json", page_stats_write);
}

static enum MHD_Result page_metrics(struct front_http *f,
	struct MHD_Connection *c, const struct request *request)
{
	(void)request;
	return answer_page(f, c, PAGE_METRICS_TYPE, page_metrics_write);
}

static enum MHD_Result page_health(struct front_http *f,
	struct MHD_Connection *c, const struct request *request)
{
	struct error err;

	(void)request;
	if (swarm_store_healthy(f->rules->store, &err))
		return answer_text(c, MHD_HTTP_OK, "ok\n");

	char text[sizeof(err.text) + 1];
	snprintf(text, sizeof(text), "%s\n", err.text);
	return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static const struct page {
	const char *path;
	enum MHD_Result (*answer)(struct front_http *f,
		struct MHD_Connection *c, const struct request *request);
	bool keyed; /* a passkey may follow */
} pages[] = {
	{"/announce", page_announce, true},
	{"/scrape", page_scrape, true},
	{"/", page_status, false},
	{"/stats", page_stats, false},
	{"/metrics", page_metrics, false},
	{"/health", page_health, false},
};

/* --- Requests --- */

/* How a request says that a body follows. */
struct framing {
	unsigned lengths;
	bool body;
	bool odd_name;
};

static enum MHD_Result look_at_header(
	void *cls, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct framing *framing = cls;

	(void)kind;
	framing->odd_name |= name[strcspn(name, " \t")] != '\0';
	if (strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
		framing->lengths++;
		framing->body |= !value || strcmp(value, "0") != 0;
	} else if (strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0) {
		framing->body = true;
	}
	return MHD_YES;
}

/* Whether all agree on where the request ends.  We take no bodies; two lengths
 * are a smuggler's trick, and so is "Content-Length : 5", which the library
 * takes for a header of that odd name and a proxy may take for a length. */
static bool ends_with_its_headers(struct MHD_Connection *c)
{
	struct framing framing = {0};

	MHD_get_connection_values(c, MHD_HEADER_KIND, look_at_header, &framing);
	return !framing.body && !framing.odd_name && framing.lengths <= 1;
}

/* The headers are there: refuse what is no request of ours.  An answer at this
 * point ends the connection, whatever the client still meant to send. */
static enum MHD_Result accept_request(
	struct MHD_Connection *c, const char *method, struct request *request)
{
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
		strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED,
			"only GET and HEAD are served here\n");
	if (!ends_with_its_headers(c))
		return answer_text(c, MHD_HTTP_BAD_REQUEST,
			"a request with a body, or with odd headers, is not "
			"understood\n");
	if (request->len > ANNOUNCE_HTTP_MAX_URL)
		return answer_text(
			c, MHD_HTTP_URI_TOO_LONG, "the URL is too long\n");
	request->accepted = true;
	return MHD_YES;
}

/* Whether it is that page; if so its parts are filled in. */
static bool is_for(
	const struct front_http *f, const struct page *page, struct request *r)
{
	struct span path = {
		(const uint8_t *)r->target, strcspn(r->target, "?")};

	r->passkey = (struct span){NULL, 0};
	r->query = (struct span){path.at + path.len, r->len - path.len};
	if (r->query.len > 0) {
		r->query.at++;
		r->query.len--;
	}
	if (page->keyed && f->rules->passkeys) {
		r->passkey = passkey_of_path(path, page->path);
		if (r->passkey.len > 0)
			return true;
	}
	return strlen(page->path) == path.len &&
		memcmp(page->path, path.at, path.len) == 0;
}

static enum MHD_Result answer_request(
	struct front_http *f, struct MHD_Connection *c, struct request *request)
{
	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (is_for(f, &pages[i], request))
			return pages[i].answer(f, c, request);
	}
	return answer_text(c, MHD_HTTP_NOT_FOUND, "there is no such page\n");
}

/* Called once when the headers have come, and again when the (empty) body
 * has. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *c,
	const char *url, const char *method, const char *version,
	const char *upload, size_t *upload_len, void **context)
{
	struct request *request = *context;

	(void)url; /* unescaped already */
	(void)version;
	(void)upload;
	(void)upload_len;
	if (!request)
		return MHD_NO; /* out of memory */
	if (!request->accepted)
		return accept_request(c, method, request);
	return answer_request(cls, c, request);
}

static struct connection *connection_of(struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

	return info ? info->socket_context : NULL;
}

static void drop_request(struct connection *connection)
{
	free(connection->request);
	connection->request = NULL;
}

/* Hide the query from the library.  It would unescape and list every key in its
 * own way, for nothing, and a query with more keys than its memory holds would
 * get no answer until the connection times out.  The text is the library's
 * buffer, which it is about to write to itself. */
static void hide_query(const char *target)
{
	char *query = strchr((char *)(uintptr_t)target, '?');

	if (query && query[1] != '\0')
		query[1] = '\0';
}

/* The request line has come.  What we return is `context` from now on. */
static void *on_target(void *cls, const char *target, struct MHD_Connection *c)
{
	struct connection *connection = connection_of(c);
	size_t len = strlen(target);

	(void)cls;
	if (!connection)
		return NULL;
	drop_request(connection);

	struct request *request = malloc(sizeof(*request) + len + 1);
	if (!request)
		return NULL;
	request->accepted = false;
	request->len = len;
	memcpy(request->target, target, len + 1);
	hide_query(target);
	connection->request = request;
	return request;
}

static void on_completed(void *cls, struct MHD_Connection *c, void **context,
	enum MHD_RequestTerminationCode why)
{
	struct connection *connection = connection_of(c);

	(void)cls;
	(void)why;
	*context = NULL;
	if (!connection)
		return;
	drop_request(connection);
	open_connection_renew(connection->open, clock_ms());
}

/* Whether one more connection of that address is taken: if it has as many as it
 * may, another one of them has to go. */
static enum MHD_Result has_room(
	void *cls, const struct sockaddr *address, socklen_t len)
{
	const struct server *s = cls;
	const struct front_http *f = s->front;
	struct endpoint e;

	(void)len;
	return !endpoint_from_sockaddr(address, &e) ||
			address_counts_of(f->counts, &e) < f->max_per_address ||
			open_connections_make_room(f->open, &e)
		? MHD_YES
		: MHD_NO;
}

static bool address_of(struct MHD_Connection *c, struct endpoint *ret)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

	return info && endpoint_from_sockaddr(info->client_addr, ret);
}

/* Count a connection of its address, or (-1) count it no more. */
static void count_connection(
	struct front_http *f, struct MHD_Connection *c, int change)
{
	struct endpoint e;

	if (f->counts && address_of(c, &e))
		address_counts_add(f->counts, &e, change);
}

static struct connection *open_connection(
	const struct server *s, struct MHD_Connection *c)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct connection *connection = calloc(1, sizeof(*connection));
	struct endpoint e;

	if (connection && info && address_of(c, &e))
		connection->open = open_connections_add(s->front->open,
			s->number, info->connect_fd, &e, clock_ms());
	return connection;
}

static void close_connection(
	struct front_http *f, struct connection *connection)
{
	if (!connection)
		return;
	drop_request(connection);
	open_connections_remove(f->open, connection->open);
	free(connection);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
	enum MHD_ConnectionNotificationCode what)
{
	const struct server *s = cls;

	switch (what) {
	case MHD_CONNECTION_NOTIFY_STARTED:
		count_connection(s->front, c, 1);
		*context = open_connection(s, c);
		break;
	case MHD_CONNECTION_NOTIFY_CLOSED:
		count_connection(s->front, c, -1);
		close_connection(s->front, *context);
		*context = NULL;
		break;
	}
}

/* --- Life --- */

/* Connections of each thread. */
static unsigned most_connections(const struct front_http_options *o)
{
	return o->max_connections / o->threads;
}

/* So many of them are kept for newcomers: the library stops accepting when
 * there are none left, and accepts several before it notices who has been shut
 * down for them. */
static unsigned spare_connections(const struct front_http_options *o)
{
	enum { MANY = 16 };
	unsigned share = most_connections(o) / 4;

	return share < MANY ? share : MANY;
}

static struct MHD_Daemon *start_daemon(struct front_http *f, struct server *s,
	const struct front_http_options *o, int listener)
{
	const struct MHD_OptionItem options[] = {
		{MHD_OPTION_LISTEN_SOCKET, listener, NULL},
		{MHD_OPTION_CONNECTION_LIMIT, most_connections(o), NULL},
		{MHD_OPTION_CONNECTION_TIMEOUT, REQUEST_TIMEOUT_S, NULL},
		{MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
		{MHD_OPTION_END, 0, NULL},
	};

	return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO,
		0, f->counts ? has_room : NULL, s, handle, f, MHD_OPTION_ARRAY,
		options, MHD_OPTION_URI_LOG_CALLBACK, on_target, f,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, f,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_END);
}

/* A daemon each for the `listeners`, and closes those that got none. */
static bool start_daemons(struct front_http *f,
	const struct front_http_options *o, const int *listeners)
{
	bool ok = true;

	for (unsigned i = 0; i < o->threads; i++) {
		struct server *s = &f->servers[i];

		s->front = f;
		s->number = i;
		s->daemon = ok ? start_daemon(f, s, o, listeners[i]) : NULL;
		ok = s->daemon;
		if (!ok)
			close(listeners[i]);
	}
	return ok;
}

static bool listen_and_start(struct front_http *f,
	const struct front_http_options *o, struct endpoint *ret_bound,
	struct error *err)
{
	int *listeners = reallocarray(NULL, o->threads, sizeof(int));
	char text[ENDPOINT_TEXT_SIZE];
	bool ok = false;

	endpoint_print(&o->listen, text);
	if (!listeners)
		return error_set(err, "%s: out of memory", text);
	if (net_listen_many(&o->listen, BACKLOG, o->threads, listeners,
		    ret_bound, err)) {
		ok = start_daemons(f, o, listeners);
		if (!ok)
			error_set_errno(
				err, "%s: cannot start HTTP threads", text);
	}
	free(listeners);
	return ok;
}

struct front_http *front_http_start(const struct front_http_options *o,
	struct endpoint *ret_bound, struct error *err)
{
	struct front_http *f =
		calloc(1, sizeof(*f) + o->threads * sizeof(struct server));

	if (f) {
		f->server_count = o->threads;
		f->open = open_connections_create(o->threads,
			most_connections(o) - spare_connections(o),
			random_u64());
		if (o->max_per_address > 0)
			f->counts = address_counts_create(random_u64());
	}
	if (!f || !f->open || (o->max_per_address > 0 && !f->counts)) {
		error_set(err, "HTTP: out of memory");
		front_http_stop(f);
		return NULL;
	}
	f->rules = o->rules;
	f->proxies = o->proxies;
	f->max_per_address = o->max_per_address;
	f->started_ms = o->started_ms;
	if (!listen_and_start(f, o, ret_bound, err)) {
		front_http_stop(f);
		return NULL;
	}
	return f;
}

void front_http_tick(struct front_http *f, uint64_t now_ms)
{
	enum { TIMEOUT_MS = REQUEST_TIMEOUT_S * 1000 };

	if (now_ms > TIMEOUT_MS)
		open_connections_enforce(f->open, now_ms - TIMEOUT_MS);
}

void front_http_stop(struct front_http *f)
{
	if (!f)
		return;
	for (unsigned i = 0; i < f->server_count; i++) {
		if (f->servers[i].daemon) /* and closes its listener */
			MHD_stop_daemon(f->servers[i].daemon);
	}
	open_connections_destroy(f->open);
	address_counts_destroy(f->counts);
	free(f);
}
