#ifndef TRACKER_REDIS_NODES_H
#define TRACKER_REDIS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

struct redisReply;
struct redis_command;
struct redis_redirect;
struct redis_url;

/* One Redis, or the nodes of a cluster: which of them has a key, connections to
 * each, and whether it is there at all.
 *
 * A question waits for its answer for REDIS_PATIENCE_MS at most.  Who waited in
 * vain takes its node for away; from then on questions for it fail at once,
 * until the watcher, a thread of its own that tries now and then, reaches it
 * again.  So a Redis that hangs holds up each thread once, and what is asked
 * meanwhile does not pile up.
 *
 * In a cluster the other nodes become known by what they say (MOVED); a node
 * that stays away is forgotten.
 *
 * Connections are kept for the next question: as many as there are threads that
 * ask at the same time.
 *
 * Threads: any, but for create and destroy. */
struct redis_nodes;

enum { REDIS_PATIENCE_MS = 500 };

/* Starts the watcher and waits for its first look, but no longer than a name's
 * look-up and an answer should take.  A Redis that is away is no failure but a
 * warning, since it may come back.  NULL: out of memory or threads. */
struct redis_nodes *redis_nodes_create(
	const struct redis_url *url, struct error *err);

/* No other call may be under way.  NULL is allowed. */
void redis_nodes_destroy(struct redis_nodes *nodes);

/* Whom to ask for what is in that slot; false: nobody is there. */
bool redis_nodes_route(struct redis_nodes *nodes, unsigned slot, size_t *ret);

/* Send all commands to that node and get a reply for each, for
 * redis_reply_free(); errors are replies, too.  False: it cannot be reached, or
 * did not answer by `deadline_ms`, and counts as away now. */
bool redis_nodes_exchange(struct redis_nodes *nodes, size_t index,
	const struct redis_command *commands, size_t count,
	uint64_t deadline_ms, struct redisReply **ret, struct error *err);

/* Node `from` sent us to another: who is that?  Remembered if it is for good.
 * False: there are too many nodes. */
bool redis_nodes_redirect(struct redis_nodes *nodes, size_t from,
	const struct redis_redirect *r, size_t *ret);

/* The node of the URL is not what it was: if it has a name, look that up. */
void redis_nodes_look_up_again(struct redis_nodes *nodes, const char *why);

/* What to add to seconds on clock_ms() to have Redis's time, which all who
 * share it have in common. */
int64_t redis_nodes_time_offset(struct redis_nodes *nodes);

/* The number of keys there; false: not known, since it is away, or a cluster.
 */
bool redis_nodes_size(struct redis_nodes *nodes, uint64_t *ret);

#endif
