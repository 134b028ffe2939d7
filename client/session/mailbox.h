#ifndef CLIENT_SESSION_MAILBOX_H
#define CLIENT_SESSION_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>

/* Letters to a worker: a set, since the same letter twice says no more than
 * once, and an eventfd beside its socket that wakes it.
 *
 * Threads: post from any; take by the worker. */
enum letter {
	LETTER_STOP = 1,      /* its torrent, or the session, ends */
	LETTER_CORRUPT = 2,   /* its peer gave bad data */
	LETTER_MAKE_ROOM = 4, /* it does the least good: another waits */
	LETTER_DUPLICATE = 8, /* the same peer is connected twice */
	LETTER_BANNED = 16,   /* others at its peer's IP gave bad data */
};

struct mailbox {
	atomic_uint letters;
	int wake_fd;
};

/* False: no descriptor left. */
bool mailbox_init(struct mailbox *m);
void mailbox_finish(struct mailbox *m);

void mailbox_post(struct mailbox *m, enum letter letter);

/* Wake its owner without a letter. */
void mailbox_wake(struct mailbox *m);

/* The letters that lie there, without taking them. */
unsigned mailbox_peek(const struct mailbox *m);

/* Throw all away: a new peer begins. */
void mailbox_clear(struct mailbox *m);

/* Make wake_fd unreadable again. */
void mailbox_calm(struct mailbox *m);

#endif
