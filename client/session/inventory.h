#ifndef CLIENT_SESSION_INVENTORY_H
#define CLIENT_SESSION_INVENTORY_H

#include <stdbool.h>

struct session_torrent;

/* What a torrent has on disk: found out at the start, by the resume file and by
 * hashing, and written down for the next start (PROMISES P5).
 *
 * Threads: one at a time for each torrent; saving while pieces come in is all
 * right. */

/* Find out what is there: resume file, then hashing.  Sets what is had; false:
 * failed, or stopped.  Takes as long as it takes. */
bool inventory_take(struct session_torrent *st);

/* Tell the listeners what it found: before any peer can change it, but after
 * what must not be lost is written down. */
void inventory_tell(struct session_torrent *st);

/* Write the resume file: content synced first.  `at_rest`: nobody writes any
 * more, so that what is not had need not be looked for the next time.  False:
 * the torrent has failed. */
bool inventory_save(struct session_torrent *st, bool at_rest);

#endif
