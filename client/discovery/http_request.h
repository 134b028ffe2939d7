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
	HTTP_MAX_HEADERS = 64 * 1024, /* of all redirects together */
};

/* What is noted of a request, for as long as its handle is used. */
struct http_notes {
	char words[CURL_ERROR_SIZE]; /* libcurl's, of a failure */
	size_t header_bytes;         /* so far; 0 before the next request */
};

/* Prepare a handle.  `bind`: the local address; NULL: any, and any family.
 * Certificates are trusted as the curl command does it, by CURL_CA_BUNDLE,
 * SSL_CERT_DIR and SSL_CERT_FILE of the environment.
 *
 * False: out of memory, or libcurl cannot do it. */
bool http_request_prepare(
	CURL *curl, const struct endpoint *bind, struct http_notes *ret_notes);

/* For who reads the headers himself, of each: false when there are too many. */
bool http_request_count_header(struct http_notes *notes, size_t len);

/* Why a request of that handle failed, without the URL, which may hold a key.
 * Returns false. */
bool http_request_explain(CURL *curl, CURLcode code,
	const struct http_notes *notes, struct error *err);

/* Whether it was TLS that failed; then `err` says why, and what may help. */
bool http_request_tls_failed(
	CURLcode code, const struct http_notes *notes, struct error *err);

#endif
