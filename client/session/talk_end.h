#ifndef CLIENT_SESSION_TALK_END_H
#define CLIENT_SESSION_TALK_END_H

#include "client/discovery/peer_queue.h"

/* How a worker's time with a peer ended: for the book, and for a person. */
struct talk_end {
	enum peer_end ended;
	const char *reason; /* static */
};

/* Ended by letters (mailbox.h), of which there is one at least. */
struct talk_end talk_end_by(unsigned letters);

#endif
