#ifndef TRACKER_OPEN_CONNECTIONS_H
#define TRACKER_OPEN_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint;

/* Open connections, each with the moment since when it owes us a whole request.
 * Those that owe it for too long are shut down: a client that trickles its
 * bytes is never idle, and would keep a connection for ever.  And when there
 * are as many as there may be, the one that has owed it for longest makes room:
 * whoever comes with a request at hand is served, however many others hold
 * connections and say nothing.
 *
 * Shut down means that whoever serves it sees its end soon.
 *
 * Threads: any may call any function but create and destroy. */
struct open_connections;
struct open_connection;

/* For `servers` of them, each with room for so many (> 0) connections.  `seed`
 * is random: anybody may choose addresses.  NULL: out of memory. */
struct open_connections *open_connections_create(
	unsigned servers, size_t room, uint64_t seed);

/* All connections must have left.  NULL is allowed. */
void open_connections_destroy(struct open_connections *o);

/* A connection of that address came to a server (0 to servers - 1), for which
 * another one of the same server may have to go.  NULL: out of memory; nobody
 * will look after it. */
struct open_connection *open_connections_add(struct open_connections *o,
	unsigned server, int fd, const struct endpoint *who, uint64_t now_ms);

/* It has been answered: the next request has its own time.  NULL is allowed,
 * also below. */
void open_connection_renew(struct open_connection *c, uint64_t now_ms);

/* It is about to be closed. */
void open_connections_remove(
	struct open_connections *o, struct open_connection *c);

/* Shut down one connection of that address (for IPv6, of its /64), the one that
 * has owed for longest.  False: there is none. */
bool open_connections_make_room(
	struct open_connections *o, const struct endpoint *who);

/* Shut those down that owe since before `since_ms`. */
void open_connections_enforce(struct open_connections *o, uint64_t since_ms);

#endif
