#ifndef CLIENT_SESSION_METADATA_TASK_H
#define CLIENT_SESSION_METADATA_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "client/session/greeting.h"
#include "client/session/worker_pool.h"
#include "shared/buffer.h"
#include "shared/info_hash.h"
#include "shared/span.h"

/* The metadata of one torrent of which only the hash is known: workers fetch it
 * from their peers, somebody waits for it.
 *
 * Threads: any. */
struct metadata_task;

/* NULL: out of memory. */
struct metadata_task *metadata_task_create(const struct info_hash *hash);

/* Nobody may wait or talk any more.  NULL is allowed. */
void metadata_task_destroy(struct metadata_task *task);

/* How many answers have come so far, good or not: more of them is progress. */
uint64_t metadata_task_answers(const struct metadata_task *task);

/* Wait for it.  False: stopped.  The bytes live as long as the task. */
bool metadata_task_wait(struct metadata_task *task, struct span *ret);
void metadata_task_stop(struct metadata_task *task);

/* By a worker that has greeted: talk until the metadata is there (from whoever
 * it came) and the torrent is open or has failed, or this peer is of no use.
 *
 * PEER_END_METADATA with `ret_said` not failed: the connection stays open for
 * the conversation about the content, which begins with those bytes: messages
 * that the peer has sent meanwhile, about pieces that nobody knew the number
 * of.  The caller ends it.  Otherwise it is closed. */
struct worker_result metadata_task_talk(struct metadata_task *task,
	struct worker *worker, const struct candidate *candidate,
	const struct greeting *g, struct buffer *ret_said);

#endif
