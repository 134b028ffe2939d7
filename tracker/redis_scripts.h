#ifndef TRACKER_REDIS_SCRIPTS_H
#define TRACKER_REDIS_SCRIPTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"
#include "shared/span.h"

struct redisReply;
struct redis_nodes;

/* Scripts in Lua, each run on one key, on whichever node has it: redirections
 * (MOVED, ASK) are followed.
 *
 * Threads: any.  Fill in `nodes`, the rest begins as zeros. */
struct redis_scripts {
	struct redis_nodes *nodes;
	atomic_uint_fast64_t failed_ms; /* when a question failed last */
	atomic_uint_fast64_t refusal_told_ms;
};

/* A script is asked for by its SHA-1, and sent whole to whoever does not know
 * it. */
struct redis_script {
	const char *text;
	char sha[41];
};

struct redis_script redis_script_of(const char *text);

enum { REDIS_MAX_ARGUMENTS = 9 };

/* All that it points to is the caller's. */
struct redis_question {
	const struct redis_script *script;
	struct span key;
	const struct span *arguments;
	size_t argument_count; /* <= REDIS_MAX_ARGUMENTS */
};

/* Answer each of the questions, those for one node in one round trip.  The
 * `count` replies are the caller's, for redis_reply_free(), and none is an
 * error.  False, after REDIS_PATIENCE_MS at most: there are none; `err` says
 * why in words for strangers, the log has the details.  A thread that has
 * waited for long for earlier ones does not ask (wait_budget.h). */
bool redis_scripts_ask(struct redis_scripts *s,
	const struct redis_question *questions, size_t count,
	struct redisReply **ret, struct error *err);

/* The number of keys there, as redis_nodes_size() says; false, too, when this
 * thread has waited for long. */
bool redis_scripts_size(struct redis_scripts *s, uint64_t *ret);

/* False: nobody answers, or some question failed in the last seconds. */
bool redis_scripts_healthy(struct redis_scripts *s, struct error *err);

#endif
