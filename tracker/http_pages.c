#include "tracker/http_pages.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shared/announce_http_query.h"
#include "shared/announce_http_reply.h"
#include "shared/bencode.h"
#include "shared/buffer.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "tracker/announce.h"
#include "tracker/counters.h"
#include "tracker/page_metrics.h"
#include "tracker/page_stats.h"
#include "tracker/page_status.h"
#include "tracker/passkeys.h"
#include "tracker/swarm_store.h"
#include "tracker/trusted_proxies.h"

enum { PAGE_MAX = 16 * 1024 };

struct request {
	struct span passkey; /* of /announce/KEY, or nothing */
	struct span query;
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

enum MHD_Result http_answer_text(
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
		return http_answer_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR,
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
	struct http_site *site, const struct endpoint *proxy)
{
	char text[ENDPOINT_TEXT_SIZE];

	if (!atomic_flag_test_and_set(&site->warned))
		log_warning("an announce came by the trusted proxy %s without "
			    "X-Forwarded-For; taken as the proxy's own",
			endpoint_print_ip(proxy, text));
}

/* Where an announce came from; behind a proxy, by what that one says. */
static bool peer_address(struct http_site *site, struct MHD_Connection *c,
	struct endpoint *ret, struct error *err)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(c, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	uint8_t bytes[FORWARDED_MAX_SIZE];
	struct forwarded forwarded = {writer_of(bytes, sizeof(bytes)), false};

	if (!info || !endpoint_from_sockaddr(info->client_addr, ret))
		return error_set(err, "where you are cannot be told");
	if (!trusted_proxies_has(site->proxies, ret))
		return true;
	MHD_get_connection_values(
		c, MHD_HEADER_KIND, add_forwarded, &forwarded);
	if (!forwarded.given) {
		warn_of_silent_proxy(site, ret);
		return true;
	}

	/* Not the proxy's address instead: nobody would find a peer there. */
	struct span list = {bytes, writer_len(&forwarded.list)};
	return (!forwarded.list.bad &&
		       trusted_proxies_client(site->proxies, list, ret)) ||
		error_set(err,
			"X-Forwarded-For of the tracker's proxy names no "
			"address");
}

static enum MHD_Result page_announce(struct http_site *site,
	struct MHD_Connection *c, const struct request *request)
{
	uint8_t bytes[ANNOUNCE_HTTP_MAX_REPLY];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct announce a = {.left = 0};
	struct announce_reply reply;
	struct error err;

	if (!peer_address(site, c, &a.peer, &err) ||
		!announce_http_parse_query(request->query, &a, &err)) {
		announce_count_bad(site->rules);
		return answer_failure(c, err.text, 0);
	}
	announce_handle(
		site->rules, &a, request->passkey, clock_ms() / 1000, &reply);
	if (reply.failure[0] != '\0')
		return answer_failure(c, reply.failure, reply.retry_s);
	announce_http_write_reply(&w, &a, &reply);
	return answer_bencoded(c, &w);
}

static enum MHD_Result page_scrape(struct http_site *site,
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
		!announce_handle_scrape(site->rules, hashes, count,
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
	struct http_site *site, struct tracker_figures *ret, struct error *err)
{
	const struct counters *counters = site->rules->counters;
	struct swarm_totals totals;

	if (!swarm_store_totals(site->rules->store, &totals, err))
		return false;
	*ret = (struct tracker_figures){
		.swarms = totals.swarms,
		.seeders = totals.seeders,
		.leechers = totals.leechers,
		.announces = counters->announces,
		.refused = counters->refused,
		.scrapes = counters->scrapes,
		.memory_bytes = resident_bytes(),
		.uptime_s = (clock_ms() - site->started_ms) / 1000,
		.interval_s = site->rules->interval_s,
	};
	return true;
}

static enum MHD_Result answer_page(struct http_site *site,
	struct MHD_Connection *c, const char *type,
	void (*write)(const struct tracker_figures *f, struct buffer *out))
{
	struct tracker_figures figures;
	enum MHD_Result result;
	struct buffer page;
	struct error err;

	if (!collect_figures(site, &figures, &err))
		return http_answer_text(
			c, MHD_HTTP_SERVICE_UNAVAILABLE, err.text);
	buffer_init(&page, PAGE_MAX);
	write(&figures, &page);
	if (page.failed)
		result = http_answer_text(
			c, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory\n");
	else
		result = answer(c, MHD_HTTP_OK, type,
			(struct span){page.bytes, page.len});
	buffer_finish(&page);
	return result;
}

static enum MHD_Result page_status(struct http_site *site,
	struct MHD_Connection *c, const struct request *request)
{
	(void)request;
	return answer_page(
		site, c, "text/html; charset=utf-8", page_status_write);
}

static enum MHD_Result page_stats(struct http_site *site,
	struct MHD_Connection *c, const struct request *request)
{
	(void)request;
	return answer_page(site, c, "application/json", page_stats_write);
}

static enum MHD_Result page_metrics(struct http_site *site,
	struct MHD_Connection *c, const struct request *request)
{
	(void)request;
	return answer_page(site, c, PAGE_METRICS_TYPE, page_metrics_write);
}

static enum MHD_Result page_health(struct http_site *site,
	struct MHD_Connection *c, const struct request *request)
{
	struct error err;

	(void)request;
	if (swarm_store_healthy(site->rules->store, &err))
		return http_answer_text(c, MHD_HTTP_OK, "ok\n");

	char text[sizeof(err.text) + 1];
	snprintf(text, sizeof(text), "%s\n", err.text);
	return http_answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, text);
}

static const struct page {
	const char *path;
	enum MHD_Result (*answer)(struct http_site *site,
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

/* Whether a path is that of the page, perhaps with a passkey. */
static bool is_for(const struct http_site *site, const struct page *page,
	struct span path, struct span *ret_passkey)
{
	*ret_passkey = (struct span){NULL, 0};
	if (page->keyed && site->rules->passkeys) {
		*ret_passkey = passkey_of_path(path, page->path);
		if (ret_passkey->len > 0)
			return true;
	}
	return span_is(path, page->path);
}

/* A target may have "http://HOST" before its path (RFC 9112, 3.2.2). */
static const char *without_host(const char *target)
{
	static const char scheme[] = "http://";
	size_t len = sizeof(scheme) - 1;

	if (strncasecmp(target, scheme, len) != 0)
		return target;
	target += len;
	return target + strcspn(target, "/?");
}

enum MHD_Result http_pages_answer(
	struct http_site *site, struct MHD_Connection *c, const char *target)
{
	target = without_host(target);

	struct span path = {(const uint8_t *)target, strcspn(target, "?")};
	const char *query = target + path.len + (target[path.len] == '?');
	struct request request = {
		.query = {(const uint8_t *)query, strlen(query)}};

	for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
		if (is_for(site, &pages[i], path, &request.passkey))
			return pages[i].answer(site, c, &request);
	}
	return http_answer_text(
		c, MHD_HTTP_NOT_FOUND, "there is no such page\n");
}
