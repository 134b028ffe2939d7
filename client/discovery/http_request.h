#ifndef CLIENT_DISCOVERY_HTTP_REQUEST_H
#define CLIENT_DISCOVERY_HTTP_REQUEST_H

#include <curl/curl.h>
#include <stdbool.h>

struct endpoint;
struct error;

/* What is the same for each HTTP request of ours, to a tracker, a web seed or
 * for a torrent file: which URLs it may go to, with what caution, and from
 * where. */
enum {
	HTTP_CONNECT_MS = 10 * 1000, /* look-up, TCP and TLS */
	HTTP_MAX_REDIRECTS = 5,
};

/* Prepare a handle.  `bind`: the local address; NULL: any, and any family.
 * `words`: where libcurl keeps what it says of a failure, for as long as the
 * handle is used.  Certificates are trusted as the curl command does it, by
 * CURL_CA_BUNDLE, SSL_CERT_DIR and SSL_CERT_FILE of the environment.
 *
 * False: out of memory, or libcurl cannot do it. */
bool http_request_prepare(
	CURL *curl, const struct endpoint *bind, char words[CURL_ERROR_SIZE]);

/* Why a request of that handle failed, without the URL, which may hold a key.
 * Returns false. */
bool http_request_explain(
	CURL *curl, CURLcode code, const char *words, struct error *err);

/* Whether it was TLS that failed; then `err` says why, and what may help. */
bool http_request_tls_failed(
	CURLcode code, const char *words, struct error *err);

#endif
