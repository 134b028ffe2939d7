#include "client/discovery/http_request.h"

#include <stdio.h>

#include "shared/endpoint.h"

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

bool http_request_prepare(CURL *curl, const struct endpoint *bind)
{
	bool ok = true;

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
