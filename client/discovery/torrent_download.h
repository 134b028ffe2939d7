#ifndef CLIENT_DISCOVERY_TORRENT_DOWNLOAD_H
#define CLIENT_DISCOVERY_TORRENT_DOWNLOAD_H

#include <stdbool.h>

#include "shared/error.h"

struct endpoint;
struct metainfo;

/* A torrent that is given by the URL of its file. */

/* http://... or https://... */
bool torrent_download_is_url(const char *text);

/* Fetch and parse it: one blocking request of 30 s at most, with the caution of
 * http_request, and not more than METAINFO_MAX_SIZE of the answer.  `bind`: the
 * local address to ask from; NULL: any.  False: `err` says why, without the
 * URL, which may hold a key. */
bool torrent_download(const char *url, const struct endpoint *bind,
	struct metainfo *ret, struct error *err);

#endif
