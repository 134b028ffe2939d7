#ifndef CLIENT_SESSION_WAITING_ROOM_H
#define CLIENT_SESSION_WAITING_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/peer_queue.h"

/* Accepted connections that wait while all workers are taken, and whose turn it
 * is next.  It is fair by host, so that one that knocks a thousand times a
 * second keeps nobody else out (PROMISES P10, "full pool"): first comes whose
 * host has the fewest workers, then who has sent something; of those that are
 * alike any, since who waited for long will soon be gone, and a queue of the
 * patient would be the attackers'.  When there are too many, one goes of the
 * host that waits most often.
 *
 * Belongs to the coordinator, so it has no lock. */
struct waiting_room;

enum { WAITING_ROOM_MS = 10 * 1000 }; /* nobody waits longer */

/* For `capacity` (> 0) connections at most; `seed`: of the dice.  NULL: out of
 * memory. */
struct waiting_room *waiting_room_create(size_t capacity, uint64_t seed);

/* Closes all that wait; NULL is allowed. */
void waiting_room_destroy(struct waiting_room *r);

size_t waiting_room_count(const struct waiting_room *r);

/* One more; its socket is the room's now.  If there is no place for it, it is
 * closed, or another is. */
void waiting_room_add(
	struct waiting_room *r, const struct candidate *c, uint64_t now_ms);

/* Close those who have gone, or waited too long. */
void waiting_room_tidy(struct waiting_room *r, uint64_t now_ms);

/* `held` below tells how many workers an address' host has. */

/* The fewest that the host of anybody who waits has; UINT_MAX: nobody waits. */
unsigned waiting_room_least_held(const struct waiting_room *r,
	unsigned (*held)(void *arg, const struct endpoint *address), void *arg);

/* Whose turn it is leaves, with its socket; how long it has waited is in
 * ret->waited_ms.  False: nobody waits. */
bool waiting_room_take(struct waiting_room *r,
	unsigned (*held)(void *arg, const struct endpoint *address), void *arg,
	uint64_t now_ms, struct candidate *ret);

#endif
