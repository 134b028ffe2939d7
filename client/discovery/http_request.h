#ifndef CLIENT_DISCOVERY_HTTP_REQUEST_H
#define CLIENT_DISCOVERY_HTTP_REQUEST_H

#include <curl/curl.h>
#include <stdbool.h>

struct endpoint;

/* What is the same for each HTTP request of ours, to a tracker or a web seed:
 * which URLs it may go to, with what caution, and from where. */
enum {
	HTTP_CONNECT_MS = 10 * 1000, /* look-up, TCP and TLS */
	HTTP_MAX_REDIRECTS = 5,
};

/* Prepare a handle.  `bind`: the local address; NULL: any, and any family.
 * False: out of memory, or libcurl cannot do it. */
bool http_request_prepare(CURL *curl, const struct endpoint *bind);

#endif
