#include "client/discovery/http_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/endpoint.h"
#include "shared/error.h"

static const char allowed[] = "http,https";

static bool set_bind(CURL *curl, const struct endpoint *bind)
{
	char address[ENDPOINT_TEXT_SIZE];
	char interface[sizeof("host!") + ENDPOINT_TEXT_SIZE];

	snprintf(interface, sizeof(interface), "host!%s",
		endpoint_print_ip(bind, address));
	return !curl_easy_setopt(curl, CURLOPT_INTERFACE, interface) &&
		!curl_easy_setopt(curl, CURLOPT_IPRESOLVE,
			endpoint_is_v4(bind) ? CURL_IPRESOLVE_V4
					     : CURL_IPRESOLVE_V6);
}

/* NULL also if it is empty. */
static const char *environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The library has its own idea of whom to trust; these are the curl command's,
 * and people know them. */
static bool set_trust(CURL *curl)
{
	const char *file = environment("CURL_CA_BUNDLE");
	const char *folder = NULL;
	bool ok = true;

	if (file == NULL) {
		file = environment("SSL_CERT_FILE");
		folder = environment("SSL_CERT_DIR");
	}
	if (file != NULL)
		ok &= !curl_easy_setopt(curl, CURLOPT_CAINFO, file);
	if (folder != NULL)
		ok &= !curl_easy_setopt(curl, CURLOPT_CAPATH, folder);
	return ok;
}

bool http_request_count_header(struct http_notes *notes, size_t len)
{
	notes->header_bytes += len;
	return notes->header_bytes <= HTTP_MAX_HEADERS;
}

/* Any other return value than the length ends the transfer. */
static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
	(void)bytes;
	return http_request_count_header(ctx, size * count) ? size * count : 0;
}

bool http_request_prepare(
	CURL *curl, const struct endpoint *bind, struct http_notes *ret_notes)
{
	bool ok = set_trust(curl);

	ret_notes->words[0] = '\0';
	ret_notes->header_bytes = 0;
	ok &= !curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, ret_notes->words);
	ok &= !curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	ok &= !curl_easy_setopt(curl, CURLOPT_HEADERDATA, ret_notes);
	ok &= !curl_easy_setopt(curl, CURLOPT_USERAGENT, "tbt/" TBT_VERSION);
	ok &= !curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	ok &= !curl_easy_setopt(
		curl, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
	/* A name that is being looked up must not hold up our end: the
	 * library leaves its thread to end by itself. */
	ok &= !curl_easy_setopt(curl, CURLOPT_QUICK_EXIT, 1L);

	ok &= !curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, allowed);
	ok &= !curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, allowed);
	ok &= !curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
	ok &= !curl_easy_setopt(
		curl, CURLOPT_MAXREDIRS, (long)HTTP_MAX_REDIRECTS);
	ok &= !curl_easy_setopt(
		curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	ok &= !curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, 0L);
	/* "http://admin:admin@192.168.0.1/" in a torrent, or in a redirect,
	 * would make us knock at other people's doors. */
	ok &= !curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_NONE);
	ok &= !curl_easy_setopt(curl, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	return ok && (bind == NULL || set_bind(curl, bind));
}

bool http_request_tls_failed(
	CURLcode code, const struct http_notes *notes, struct error *err)
{
	const char *words = notes->words;
	bool untrusted = strstr(words, "self-signed") != NULL ||
		strstr(words, "self signed") != NULL ||
		strstr(words, "issuer") != NULL;

	switch ((int)code) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_CONNECT_ERROR:
		error_set(err, "%s%s",
			words[0] != '\0' ? words : curl_easy_strerror(code),
			untrusted ? " (those in the file that CURL_CA_BUNDLE "
				    "names are trusted)"
				  : "");
		return true;
	default:
		return false;
	}
}

bool http_request_explain(CURL *curl, CURLcode code,
	const struct http_notes *notes, struct error *err)
{
	char shown[96];
	long number = 0;

	if (http_request_tls_failed(code, notes, err))
		return false;
	if (notes->header_bytes > HTTP_MAX_HEADERS)
		return error_set(err, "headers too long");
	switch ((int)code) {
	case CURLE_COULDNT_CONNECT:
		(void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &number);
		return error_set(err, "%s",
			number == 0 ? "cannot connect"
				    : strerror_r((int)number, shown,
					      sizeof(shown)));
	case CURLE_OPERATION_TIMEDOUT:
		return error_set(
			err, "timed out after %d s", HTTP_CONNECT_MS / 1000);
	case CURLE_COULDNT_RESOLVE_HOST:
		return error_set(err, "host not found");
	case CURLE_TOO_MANY_REDIRECTS:
		return error_set(
			err, "more than %d redirects", HTTP_MAX_REDIRECTS);
	case CURLE_UNSUPPORTED_PROTOCOL:
		/* That of a redirect, or an answer without any headers. */
		return error_set(err, "%s",
			strstr(notes->words, "HTTP/0.9") != NULL
				? "not an HTTP answer"
				: "redirected to something that is not "
				  "http or https");
	default:
		return error_set(err, "%s", curl_easy_strerror(code));
	}
}
