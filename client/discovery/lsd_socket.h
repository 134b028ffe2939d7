#ifndef CLIENT_DISCOVERY_LSD_SOCKET_H
#define CLIENT_DISCOVERY_LSD_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/error.h"
#include "shared/info_hash.h"

/* Local service discovery at work: a multicast socket for each family and one
 * thread.  It takes part on every interface that is up and does multicast, and
 * on loopback, where other clients of this machine are; interfaces that come
 * later are noticed within a minute.
 *
 * Threads: any may call want and forget between open and destroy. */
struct lsd_socket;

struct lsd_options {
	uint16_t port;               /* where we listen, for BitTorrent */
	const struct endpoint *bind; /* its interface only; NULL: all */
	size_t torrents;             /* at most so many will be wanted */

	void *ctx;
	/* A peer of a wanted torrent; from the thread, must not block for
	 * long. */
	void (*peer)(void *ctx, const struct info_hash *torrent,
		const struct endpoint *peer);
};

/* NULL: no socket, memory or thread. */
struct lsd_socket *lsd_socket_open(
	const struct lsd_options *options, struct error *err);

/* Tell of a torrent, and hear of it, from now on.  False: too many. */
bool lsd_socket_want(struct lsd_socket *l, const struct info_hash *torrent);
void lsd_socket_forget(struct lsd_socket *l, const struct info_hash *torrent);

/* End and free; NULL is allowed. */
void lsd_socket_destroy(struct lsd_socket *l);

#endif
