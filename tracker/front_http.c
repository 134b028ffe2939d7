#include "tracker/front_http.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shared/announce_http_query.h"
#include "shared/clock.h"
#include "shared/net.h"
#include "shared/random_bytes.h"
#include "tracker/address_counts.h"
#include "tracker/http_pages.h"
#include "tracker/open_connections.h"

enum {
	/* Of one connection, for its request line (8 KiB at the most) and
	 * headers, and 64 bytes for each of these.  The library clears all of
	 * it after each request. */
	CONNECTION_MEMORY = 16 * 1024,

	/* For a whole request, which is one packet, and for the pause before
	 * the next. */
	REQUEST_TIMEOUT_S = 10,

	BACKLOG = 1024,
};

struct front_http {
	struct open_connections *open;
	struct http_site site;
	unsigned max_per_address;      /* connections */
	struct address_counts *counts; /* of them; NULL: there is no limit */

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
	bool accepted; /* its headers are fine */
	bool too_long; /* `target` is not there */
	char target[];
};

/* A request hangs here and not in the library's context alone: the library
 * forgets it when a request does not fit in its memory. */
struct connection {
	struct open_connection *open;
	struct request *request; /* under way, or NULL */
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
		return http_answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED,
			"only GET and HEAD are served here\n");
	if (!ends_with_its_headers(c))
		return http_answer_text(c, MHD_HTTP_BAD_REQUEST,
			"a request with a body, or with odd headers, is not "
			"understood\n");
	if (request->too_long)
		return http_answer_text(
			c, MHD_HTTP_URI_TOO_LONG, "the URL is too long\n");
	request->accepted = true;
	return MHD_YES;
}

/* Called once when the headers have come, and again when the (empty) body
 * has. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *c,
	const char *url, const char *method, const char *version,
	const char *upload, size_t *upload_len, void **context)
{
	struct front_http *f = cls;
	struct request *request = *context;

	(void)url; /* unescaped already */
	(void)version;
	(void)upload;
	(void)upload_len;
	if (!request)
		return MHD_NO; /* out of memory */
	if (!request->accepted)
		return accept_request(c, method, request);
	return http_pages_answer(&f->site, c, request->target);
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

	bool too_long = len > ANNOUNCE_HTTP_MAX_URL;
	size_t room = too_long ? 0 : len + 1;
	struct request *request = malloc(sizeof(*request) + room);
	if (!request)
		return NULL;
	request->accepted = false;
	request->too_long = too_long;
	memcpy(request->target, target, room);
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
	unsigned share = (most_connections(o) + 3) / 4;

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

/* A daemon each for the `listeners`.  False, with errno: those that no daemon
 * was tried with are closed.  The one that it failed with the library may have
 * closed, or not: then it is left to the end of the process, which is near. */
static bool start_daemons(struct front_http *f,
	const struct front_http_options *o, const int *listeners)
{
	unsigned i = 0;
	bool ok = true;

	for (; i < o->threads && ok; i++) {
		struct server *s = &f->servers[i];

		s->front = f;
		s->number = i;
		s->daemon = start_daemon(f, s, o, listeners[i]);
		ok = s->daemon;
	}

	int why = errno;
	for (; i < o->threads; i++)
		close(listeners[i]);
	errno = why;
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
	f->site.rules = o->rules;
	f->site.proxies = o->proxies;
	f->site.started_ms = o->started_ms;
	f->max_per_address = o->max_per_address;
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
