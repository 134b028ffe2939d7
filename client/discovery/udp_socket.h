#ifndef CLIENT_DISCOVERY_UDP_SOCKET_H
#define CLIENT_DISCOVERY_UDP_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/dht_entrances.h"
#include "shared/endpoint.h"
#include "shared/error.h"
#include "shared/info_hash.h"

/* The client's UDP port, of the same number as its TCP port: a socket for each
 * family, one thread that waits on them and hands the packets out by their
 * first byte.  That of the DHT is 'd'; others are dropped, until there is uTP.
 *
 * The thread owns the DHT's machine; others write to it by letter.  It loads
 * the nodes of the last run when it starts and saves them when it ends.
 *
 * Threads: any may call want, forget and node between open and destroy. */
struct udp_socket;

struct udp_options {
	uint16_t port;
	const struct endpoint *bind;          /* NULL: all, IPv4 and IPv6 */
	const struct dht_entrance *entrances; /* to enter by; copied */
	size_t entrance_count;
	bool public; /* the usual public ones, too */

	void *ctx;
	/* Peers were found, as in struct dht_options; from the thread, must not
	 * block for long. */
	void (*peers)(void *ctx, const struct info_hash *torrent,
		const struct endpoint *peers, size_t count);
};

/* Bind and start.  NULL: no family could be bound, or no memory or thread. */
struct udp_socket *udp_socket_open(
	const struct udp_options *options, struct error *err);

/* Look for a torrent's peers and announce that we are one, at TCP `port`, from
 * now on; `hungry`: more are needed soon.  May be called again.  False: the
 * letter box is full, try later. */
bool udp_socket_want(struct udp_socket *u, const struct info_hash *torrent,
	uint16_t port, bool hungry);
bool udp_socket_forget(struct udp_socket *u, const struct info_hash *torrent);

/* A node of the DHT is said to be there.  No matter if it is lost. */
void udp_socket_node(struct udp_socket *u, const struct endpoint *node);

/* How many nodes the DHT knows. */
size_t udp_socket_nodes(const struct udp_socket *u);

/* End, save and free; NULL is allowed. */
void udp_socket_destroy(struct udp_socket *u);

#endif
