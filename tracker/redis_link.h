#ifndef TRACKER_REDIS_LINK_H
#define TRACKER_REDIS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/error.h"
#include "shared/span.h"

struct redisReply;
struct redis_url;

/* One connection to a Redis: words go out, replies come in, and nothing waits
 * longer than it is told to.  hiredis reads and writes the protocol; sending,
 * receiving and waiting are done here, since its own have no deadline for a
 * whole reply.
 *
 * Threads: one at a time. */
struct redis_link;

/* A command, whose words are the caller's, and the most that one of ours
 * has. */
enum { REDIS_MAX_WORDS = 13 };

struct redis_command {
	size_t count;
	struct span words[REDIS_MAX_WORDS];
};

void redis_command_add(struct redis_command *c, struct span word);
void redis_command_add_text(struct redis_command *c, const char *word);

/* Connect to `at`, or to the Unix socket of `url` if that names one, and say
 * who we are and which database we want, as `url` has it.  NULL: it did not
 * work, or not before `deadline_ms` (on clock_ms()). */
struct redis_link *redis_link_open(const struct endpoint *at,
	const struct redis_url *url, uint64_t deadline_ms, struct error *err);

/* NULL is allowed. */
void redis_link_close(struct redis_link *link);

/* Add a command to what is to be sent.  False: there is too much of it, or no
 * memory; the link is of no more use. */
bool redis_link_send(struct redis_link *link, const struct redis_command *c);

enum redis_received {
	REDIS_RECEIVED,
	REDIS_CLOSED, /* by the other end, or it does not speak the protocol */
	REDIS_LATE,
};

/* Send what is left, and wait for the next reply; it is the caller's, for
 * redis_reply_free().  Error replies are replies, too.  After anything but
 * REDIS_RECEIVED the link is of no more use; `err` says why. */
enum redis_received redis_link_receive(struct redis_link *link,
	uint64_t deadline_ms, struct redisReply **ret, struct error *err);

/* NULL is allowed. */
void redis_reply_free(struct redisReply *reply);
void redis_replies_free(struct redisReply **replies, size_t count);

/* For whoever keeps links in a list. */
struct redis_link **redis_link_next(struct redis_link *link);

#endif
