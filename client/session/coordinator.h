#ifndef CLIENT_SESSION_COORDINATOR_H
#define CLIENT_SESSION_COORDINATOR_H

#include "client/session/session.h"
#include "shared/error.h"

struct session_context;
struct worker_pool;

/* The thread that pulls peers off the queue and hands them to workers, keeps
 * the book of addresses, decides with the choker whom we upload to, and twice a
 * second looks after each torrent: progress, trouble on disk, whether it has
 * seeded enough. */
struct coordinator;

/* `options` and the rest outlive it.  `done_fd`: an eventfd that is written to
 * when every torrent has ended.  NULL: err says why. */
struct coordinator *coordinator_start(const struct session_context *session,
	const struct session_options *options, struct worker_pool *pool,
	int done_fd, struct error *err);

/* The queue was closed: wait for the thread's end.  NULL is allowed. */
void coordinator_destroy(struct coordinator *c);

#endif
