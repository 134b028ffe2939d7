#include "client/discovery/http_tracker.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "client/discovery/host_lookup.h"
#include "client/discovery/http_request.h"
#include "shared/announce_http_query.h"
#include "shared/announce_http_reply.h"
#include "shared/buffer.h"
#include "shared/clock.h"
#include "shared/endpoint.h"
#include "shared/writer.h"

enum {
	MAX_TIME_MS = 30 * 1000,
	POLL_MS = 100,              /* how soon a changed give_up_ms is seen */
	OTHER_FAMILY_MS = 2 * 1000, /* to answer after the first one has */
	MAX_BODY = 2 * 1024 * 1024, /* decompressed */
};

enum { MAX_TRANSFERS = 2 }; /* IPv4 and IPv6 */

/* One request under way. */
struct transfer {
	CURL *curl;
	long resolve; /* CURL_IPRESOLVE_... */
	struct buffer body;
	bool body_too_long;
	struct http_notes notes;

	/* How it ended. */
	bool over;
	CURLcode code;
};

/* One question: to the tracker over each family that its name may have. */
struct announcing {
	const struct http_tracker_request *request;
	const char *url;
	uint64_t start_ms, end_ms;
	size_t count;
	struct transfer transfers[MAX_TRANSFERS];

	/* What came of it. */
	bool answered; /* with more than a failure reason */
	bool on_loopback;
	struct announce_reply reply; /* of all that answered, in one */
};

void http_tracker_global_init(void)
{
	/* It fails for lack of memory only; every request then says so. */
	(void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* Any other return value than the length ends the transfer. */
static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct transfer *t = ctx;

	t->body_too_long = !buffer_append(&t->body, bytes, size * count);
	return t->body_too_long ? 0 : size * count;
}

static bool set_options(CURL *curl, const char *url,
	const struct endpoint *bind, struct transfer *t)
{
	bool ok = true;

	ok &= !curl_easy_setopt(curl, CURLOPT_URL, url);
	ok &= !curl_easy_setopt(curl, CURLOPT_PRIVATE, t);
	ok &= !curl_easy_setopt(curl, CURLOPT_IPRESOLVE, t->resolve);
	ok &= !curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	/* Last, since an address allows its own family only. */
	return ok && http_request_prepare(curl, bind, &t->notes);
}

/* Why the transfer failed, without the URL. */
static bool explain(const struct transfer *t, const struct endpoint *bind,
	struct error *err)
{
	long number = 0;

	(void)curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &number);
	if (bind != NULL &&
		(t->code == CURLE_COULDNT_RESOLVE_HOST ||
			(t->code == CURLE_COULDNT_CONNECT && number == 0)))
		return host_lookup_none(bind, err);
	if (t->body_too_long)
		return error_set(err, "answer too long");
	return http_request_explain(t->curl, t->code, &t->notes, err);
}

static bool is_loopback_text(const char *address)
{
	struct endpoint e;

	return strcasecmp(address, "localhost") == 0 ||
		(endpoint_parse_ip(address, &e) && endpoint_is_loopback(&e));
}

static bool proxies_configured(void)
{
	/* As libcurl looks for them. */
	static const char *const names[] = {"http_proxy", "https_proxy",
		"HTTPS_PROXY", "all_proxy", "ALL_PROXY"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *proxy = getenv(names[i]);

		if (proxy != NULL && proxy[0] != '\0')
			return true;
	}
	return false;
}

/* Whether the URL itself, after redirects, names the loopback. */
static bool url_on_loopback(CURL *curl)
{
	const char *url = NULL;
	char *host = NULL;
	CURLU *parts = curl_url();
	bool loopback = parts != NULL &&
		curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &url) ==
			CURLE_OK &&
		curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		is_loopback_text(host);

	curl_free(host);
	curl_url_cleanup(parts);
	return loopback;
}

/* A proxy on this machine does not make the tracker behind it a local one. */
static bool tracker_on_loopback(CURL *curl)
{
	const char *address = NULL;

	if (curl_easy_getinfo(curl, CURLINFO_PRIMARY_IP, &address) !=
			CURLE_OK ||
		address == NULL || !is_loopback_text(address))
		return false;
	return !proxies_configured() || url_on_loopback(curl);
}

/* A name may have addresses of both families; then the tracker shall know us by
 * both of ours (BEP 7).  Of a proxy's two addresses one is enough. */
static size_t plan(const char *url, const struct endpoint *bind,
	struct transfer transfers[MAX_TRANSFERS])
{
	struct endpoint ignored;
	char *host = NULL;
	CURLU *parts = curl_url();
	bool is_name = parts != NULL &&
		curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
		curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
		!endpoint_parse_ip(host, &ignored);

	curl_free(host);
	curl_url_cleanup(parts);
	transfers[0].resolve = CURL_IPRESOLVE_WHATEVER;
	if (!is_name || bind != NULL || proxies_configured())
		return 1;
	transfers[0].resolve = CURL_IPRESOLVE_V4;
	transfers[1].resolve = CURL_IPRESOLVE_V6;
	return 2;
}

/* Put a reply to what came already. */
static void take_reply(struct announcing *a, const struct announce_reply *reply,
	bool on_loopback)
{
	if (reply->failure[0] != '\0') {
		if (!a->answered) {
			a->reply = *reply;
			a->on_loopback = on_loopback;
		}
		return;
	}
	if (a->answered) {
		announce_reply_add(&a->reply, reply);
		a->on_loopback &= on_loopback;
		return;
	}
	a->answered = true;
	a->reply = *reply;
	a->on_loopback = on_loopback;
}

static bool parse(const struct announcing *a, struct span body,
	struct announce_reply *ret, struct error *err)
{
	struct scrape_entry entry;

	if (!a->request->scrape)
		return announce_http_parse_reply(body, ret, err);
	entry.info_hash = a->request->announce->info_hash;
	if (!announce_http_parse_scraped(body, &entry, err))
		return false;
	announce_reply_count(ret, &entry);
	return true;
}

/* It ended: false, and why, if there is no reply to be had of it. */
static bool judge(
	struct announcing *a, const struct transfer *t, struct error *err)
{
	struct announce_reply reply = {0};
	long status = 0;

	if (t->code != CURLE_OK)
		return explain(t, a->request->bind, err);
	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	bool parsed = parse(
		a, (struct span){t->body.bytes, t->body.len}, &reply, err);
	if (status != 200 && !(parsed && reply.failure[0] != '\0'))
		return error_set(err, "HTTP %ld", status);
	if (!parsed)
		return false;
	take_reply(a, &reply, tracker_on_loopback(t->curl));
	return true;
}

/* The reason that is worth to be told: "host not found" may only mean that it
 * has no address of that family. */
static void keep_reason(
	struct error *kept, const struct error *other, CURLcode code)
{
	if (kept->text[0] == '\0' || code != CURLE_COULDNT_RESOLVE_HOST)
		*kept = *other;
}

static size_t take_ended(
	struct announcing *a, CURLM *multi, struct error *reason)
{
	CURLMsg *message;
	int queued;
	size_t left = 0;

	while ((message = curl_multi_info_read(multi, &queued)) != NULL) {
		struct transfer *t = NULL;
		struct error err;

		(void)curl_easy_getinfo(
			message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
		t->over = true;
		t->code = message->data.result;
		if (!judge(a, t, &err))
			keep_reason(reason, &err, t->code);
		else if (clock_ms() + OTHER_FAMILY_MS < a->end_ms)
			a->end_ms = clock_ms() + OTHER_FAMILY_MS;
	}
	for (size_t i = 0; i < a->count; i++)
		left += !a->transfers[i].over;
	return left;
}

/* Run to the end.  The multi interface, since only there we can look at
 * give_up_ms while the other side is silent.  False: time ran out. */
static bool run(struct announcing *a, CURLM *multi, struct error *reason)
{
	const _Atomic uint64_t *give_up_ms = a->request->give_up_ms;
	uint64_t planned_ms = *give_up_ms;
	int running;

	for (;;) {
		if (curl_multi_perform(multi, &running) != CURLM_OK)
			return error_set(reason, "out of memory");
		if (take_ended(a, multi, reason) == 0)
			return true;

		uint64_t now_ms = clock_ms();
		if (*give_up_ms < planned_ms && now_ms >= *give_up_ms)
			return error_set(reason, "given up");
		if (now_ms >= *give_up_ms || now_ms >= a->end_ms)
			return error_set(reason, "timed out after %u s",
				(unsigned)((now_ms - a->start_ms + 500) /
					1000));
		(void)curl_multi_poll(multi, NULL, 0, POLL_MS, NULL);
	}
}

static bool begin(struct announcing *a, CURLM *multi)
{
	for (size_t i = 0; i < a->count; i++) {
		struct transfer *t = &a->transfers[i];

		t->curl = curl_easy_init();
		if (t->curl == NULL ||
			!set_options(t->curl, a->url, a->request->bind, t) ||
			curl_multi_add_handle(multi, t->curl) != CURLM_OK)
			return false;
	}
	return true;
}

/* True: an answer, if only a failure reason. */
static bool ask(struct announcing *a, struct error *err)
{
	CURLM *multi = curl_multi_init();
	struct error reason = {0};

	for (size_t i = 0; i < a->count; i++)
		buffer_init(&a->transfers[i].body, MAX_BODY);
	if (multi == NULL || !begin(a, multi))
		error_set(&reason, "out of memory");
	else
		(void)run(a, multi, &reason); /* one may have answered */
	for (size_t i = 0; i < a->count; i++) {
		struct transfer *t = &a->transfers[i];

		if (multi != NULL && t->curl != NULL)
			(void)curl_multi_remove_handle(multi, t->curl);
		curl_easy_cleanup(t->curl);
		buffer_finish(&t->body);
	}
	curl_multi_cleanup(multi);
	*err = reason;
	return a->answered || a->reply.failure[0] != '\0';
}

static bool write_url(
	const struct http_tracker_request *request, struct writer *w)
{
	return request->scrape
		? announce_http_scrape_url(
			  request->url, &request->announce->info_hash, w)
		: announce_http_url(request->url, request->announce,
			  request->tracker_id, w);
}

bool http_tracker_scrapes(const char *url)
{
	uint8_t memory[ANNOUNCE_HTTP_MAX_URL];
	struct writer w = writer_of(memory, sizeof(memory));

	return announce_http_scrape_url(url, &(struct info_hash){0}, &w);
}

bool http_tracker_announce(const struct http_tracker_request *request,
	struct announce_reply *ret, bool *ret_on_loopback, struct error *err)
{
	uint8_t url[ANNOUNCE_HTTP_MAX_URL + 1];
	struct writer w = writer_of(url, sizeof(url) - 1);
	uint64_t now_ms = clock_ms();
	struct announcing a = {
		.request = request,
		.url = (const char *)url,
		.start_ms = now_ms,
		.end_ms = now_ms + MAX_TIME_MS,
	};

	if (!write_url(request, &w))
		return error_set(err, "the URL is too long");
	url[writer_len(&w)] = '\0';

	a.count = plan(a.url, request->bind, a.transfers);
	if (!ask(&a, err))
		return false;
	*ret_on_loopback = a.on_loopback;
	*ret = a.reply;
	return true;
}
