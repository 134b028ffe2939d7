#ifndef CLIENT_SESSION_SESSION_CONTEXT_H
#define CLIENT_SESSION_SESSION_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/endpoint.h"

struct block_pool;
struct events;
struct finisher;
struct keeper;
struct lsd_socket;
struct peer_queue;
struct rate_limit;
struct session_torrent;
struct selection_list;
struct swarm_members;
struct udp_socket;

/* What all threads of a session share; set before they start, then only read
 * (the things pointed to see to themselves). */
struct session_context {
	uint8_t peer_id[PEER_ID_SIZE];
	uint16_t port; /* where we listen */
	/* The same as seen from outside: another one if a router maps it so. */
	_Atomic uint16_t public_port;
	const struct endpoint *bind; /* to dial from; NULL: any */
	struct block_pool *blocks;
	struct finisher *finisher;
	struct keeper *keeper;
	struct peer_queue *queue;
	struct rate_limit *download_limit;
	struct rate_limit *upload_limit;
	struct events *events;
	const struct selection_list *select; /* of leeches */
	bool seed_after;                     /* a leech goes on seeding */
	bool pex;                            /* peers are told of others */
	struct swarm_members *members;       /* of whom */
	struct udp_socket *udp;              /* NULL: no DHT */
	struct lsd_socket *lsd;              /* NULL: no LSD */
	struct session_torrent *torrents;
	size_t torrent_count;
};

/* The port at which that peer can dial us. */
static inline uint16_t session_port_for(
	const struct session_context *s, const struct endpoint *peer)
{
	bool inside = endpoint_is_private(peer) || endpoint_is_loopback(peer);

	return inside ? s->port : s->public_port;
}

#endif
