#ifndef CLIENT_SESSION_STALL_H
#define CLIENT_SESSION_STALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why is nothing coming?  Out of the client's own counters, in one line for a
 * person.  Pure. */

enum {
	STALL_MS = 10 * 1000,        /* nothing came for so long */
	STALL_REPEAT_MS = 60 * 1000, /* the same reason is told again */
	STALL_TEXT_SIZE = 256,
};

struct stall_facts {
	unsigned connected;  /* peers */
	unsigned choking;    /* of these, those that do not let us ask */
	unsigned offering;   /* of these, those that have something we lack */
	unsigned limited;    /* of these, those the download limit makes wait */
	uint64_t limit;      /* that limit, bytes a second */
	size_t addresses;    /* known, and not connected */
	bool dialling;       /* workers are trying some of them */
	uint32_t missing;    /* the first piece that is missing */
	const char *tracker; /* how the last announce went; "": none was made */
};

/* Writes the reason into `ret`; returns it. */
const char *stall_reason(
	const struct stall_facts *facts, char ret[STALL_TEXT_SIZE]);

#endif
