#include "client/discovery/torrent_download.h"

#include <curl/curl.h>
#include <strings.h>

#include "client/discovery/http_request.h"
#include "shared/buffer.h"
#include "shared/metainfo.h"

enum { MAX_TIME_MS = 30 * 1000 };

bool torrent_download_is_url(const char *text)
{
	return strncasecmp(text, "http://", 7) == 0 ||
		strncasecmp(text, "https://", 8) == 0;
}

struct answer {
	struct buffer body;
	bool too_long;
	struct http_notes notes;
};

/* Any other return value than the length ends the transfer. */
static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct answer *a = ctx;

	a->too_long = !buffer_append(&a->body, bytes, size * count);
	return a->too_long ? 0 : size * count;
}

static bool set_options(CURL *curl, const char *url,
	const struct endpoint *bind, struct answer *a)
{
	bool ok = true;

	ok &= !curl_easy_setopt(curl, CURLOPT_URL, url);
	ok &= !curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)MAX_TIME_MS);
	ok &= !curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
	return ok && http_request_prepare(curl, bind, &a->notes);
}

static bool fetch(const char *url, const struct endpoint *bind,
	struct answer *a, struct error *err)
{
	CURL *curl = curl_easy_init();
	long status = 0;
	bool ok = false;

	if (!curl || !set_options(curl, url, bind, a)) {
		error_set(err, "out of memory");
		goto out;
	}

	CURLcode code = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (a->too_long)
		error_set(err, "larger than %d MiB", METAINFO_MAX_SIZE >> 20);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		error_set(err, "timed out");
	else if (code != CURLE_OK)
		http_request_explain(curl, code, &a->notes, err);
	else if (status != 200)
		error_set(err, "HTTP %ld", status);
	else
		ok = true;
out:
	curl_easy_cleanup(curl);
	return ok;
}

bool torrent_download(const char *url, const struct endpoint *bind,
	struct metainfo *ret, struct error *err)
{
	struct answer a = {0};

	buffer_init(&a.body, METAINFO_MAX_SIZE);
	bool ok = fetch(url, bind, &a, err) &&
		metainfo_parse(
			(struct span){a.body.bytes, a.body.len}, ret, err);
	buffer_finish(&a.body);
	return ok;
}
