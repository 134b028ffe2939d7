#ifndef TRACKER_REDIS_URL_H
#define TRACKER_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

enum {
	REDIS_DEFAULT_PORT = 6379,
	REDIS_HOST_SIZE = 254, /* the longest name, and a NUL */
};

/* Where a Redis is and who we are there, as people write it:
 *
 *	redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]
 *	unix:[//[[USER]:PASSWORD@]]/PATH[?db=N]     (redis+unix: is the same)
 *
 * USER and PASSWORD may have %-escapes, HOST may be a name, an IPv4 address or
 * an IPv6 address in brackets. */
struct redis_url {
	char host[REDIS_HOST_SIZE]; /* without brackets; "": a Unix socket */
	uint16_t port;
	char path[108];     /* of the Unix socket */
	char user[128];     /* "": the default one */
	char password[256]; /* "": none */
	uint32_t db;
};

/* False: `err` says what is wrong with it, and shows none of it, since there
 * may be a password in it. */
bool redis_url_parse(
	const char *text, struct redis_url *ret, struct error *err);

#endif
