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

/* Any other return value than the length ends the transfer. */
static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	return buffer_append(ctx, bytes, size * count) ? size * count : 0;
}

static bool set_options(CURL *curl, const char *url,
	const struct endpoint *bind, char words[CURL_ERROR_SIZE],
	struct buffer *body)
{
	bool ok = true;

	ok &= !curl_easy_setopt(curl, CURLOPT_URL, url);
	ok &= !curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)MAX_TIME_MS);
	ok &= !curl_easy_setopt(curl, CURLOPT_ACCEPT_ENCODING, "");
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
	return ok && http_request_prepare(curl, bind, words);
}

static bool fetch(const char *url, const struct endpoint *bind,
	struct buffer *body, struct error *err)
{
	char words[CURL_ERROR_SIZE];
	CURL *curl = curl_easy_init();
	long status = 0;
	bool ok = false;

	if (!curl || !set_options(curl, url, bind, words, body)) {
		error_set(err, "out of memory");
		goto out;
	}

	CURLcode code = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (code == CURLE_WRITE_ERROR)
		error_set(err, "larger than %d MiB", METAINFO_MAX_SIZE >> 20);
	else if (code == CURLE_OPERATION_TIMEDOUT)
		error_set(err, "timed out");
	else if (code != CURLE_OK)
		http_request_explain(curl, code, words, err);
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
	struct buffer body;

	buffer_init(&body, METAINFO_MAX_SIZE);
	bool ok = fetch(url, bind, &body, err) &&
		metainfo_parse((struct span){body.bytes, body.len}, ret, err);
	buffer_finish(&body);
	return ok;
}
