#ifndef TRACKER_DEADLINES_H
#define TRACKER_DEADLINES_H

#include <stddef.h>
#include <stdint.h>

/* Open connections, each with the moment since when it owes us a whole
 * request: a client that trickles its bytes is never idle, and would keep a
 * connection for ever.  Those that are late are shut down; whoever serves them
 * then sees their end.
 *
 * Threads: any may call any function but create and destroy. */
struct deadlines;
struct deadline;

/* NULL: out of memory. */
struct deadlines *deadlines_create(void);

/* All connections must have left.  NULL is allowed. */
void deadlines_destroy(struct deadlines *d);

/* A connection came.  NULL: out of memory; nobody will look after it. */
struct deadline *deadlines_add(struct deadlines *d, int fd, uint64_t now_ms);

/* It has been answered: the next request has its own time.  NULL is allowed,
 * also below. */
void deadline_renew(struct deadline *c, uint64_t now_ms);

/* It is about to be closed. */
void deadlines_remove(struct deadlines *d, struct deadline *c);

/* Shut those down that wait since before `since_ms`. */
void deadlines_enforce(struct deadlines *d, uint64_t since_ms);

#endif
