#ifndef TRACKER_REDIS_NODES_H
#define TRACKER_REDIS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/span.h"

struct redisReply;
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

/* A script in Lua, asked for by its SHA-1 and sent whole to whoever does not
 * know it. */
struct redis_script {
	const char *text;
	char sha[41];
};

struct redis_script redis_script_of(const char *text);

/* A script run on one key.  All that it points to is the caller's. */
struct redis_question {
	const struct redis_script *script;
	struct span key;
	const struct span *arguments;
	size_t argument_count; /* <= REDIS_MAX_ARGUMENTS */
};

enum { REDIS_MAX_ARGUMENTS = 8 };

/* Starts the watcher and waits for its first look, but no longer than a name's
 * look-up and an answer should take.  A Redis that is away is no failure but a
 * warning, since it may come back.  NULL: out of memory or threads. */
struct redis_nodes *redis_nodes_create(
	const struct redis_url *url, struct error *err);

/* No other call may be under way.  NULL is allowed. */
void redis_nodes_destroy(struct redis_nodes *nodes);

/* Answer each of the questions, those for one node in one round trip.  The
 * `count` replies are the caller's, for redis_reply_free(), and none is an
 * error.  False: there are none; `err` says why in words for strangers, the log
 * has the details. */
bool redis_nodes_ask(struct redis_nodes *nodes,
	const struct redis_question *questions, size_t count,
	struct redisReply **ret, struct error *err);

/* What to add to seconds on clock_ms() to have Redis's time, which all who
 * share it have in common. */
int64_t redis_nodes_time_offset(struct redis_nodes *nodes);

/* The number of keys there; false: not known, since it is away, or a cluster.
 */
bool redis_nodes_size(struct redis_nodes *nodes, uint64_t *ret);

/* False: nobody answers, or some question failed in the last seconds. */
bool redis_nodes_healthy(struct redis_nodes *nodes, struct error *err);

#endif
