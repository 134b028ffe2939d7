#ifndef TRACKER_LISTEN_PLAN_H
#define TRACKER_LISTEN_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/endpoint.h"
#include "shared/error.h"

/* Where the tracker listens: as told, or as the announce URL of a torrent
 * says, or on the usual port. */
enum { LISTEN_PLAN_MAX = 16, LISTEN_DEFAULT_PORT = 6969 };

struct listen_plan {
	size_t count;
	struct endpoint at[LISTEN_PLAN_MAX];
};

/* Each text is ADDR:PORT.  False: bad usage. */
bool listen_plan_of_options(const char *const *texts, size_t count,
	struct listen_plan *ret, struct error *err);

/* http://HOST:PORT/... or udp://HOST:PORT/... : that address if it is a literal
 * one of this machine, or else all of its addresses.  False: not such a URL. */
bool listen_plan_of_url(
	const char *url, struct listen_plan *ret, struct error *err);

/* All addresses of the machine; IPv6 only if it has it. */
struct listen_plan listen_plan_of_port(uint16_t port);

#endif
