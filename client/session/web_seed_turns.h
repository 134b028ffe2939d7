#ifndef CLIENT_SESSION_WEB_SEED_TURNS_H
#define CLIENT_SESSION_WEB_SEED_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/metainfo.h"

/* Which of a torrent's web seeds is used next.  There may be more than are used
 * at once: one that fails makes room for another, and has its turn again when
 * it is due.  Pure, and not locked. */

enum {
	WEB_SEED_NOBODY = METAINFO_MAX_WEB_SEEDS, /* none of them */
	WEB_SEED_BACK_OFF_MS = 5 * 1000, /* after a failure; doubling */
	WEB_SEED_MAX_BACK_OFF_MS = 10 * 60 * 1000,
};

struct web_seed_turns {
	size_t count;
	struct web_seed_place {
		bool in_use;
		bool over;            /* found to be none */
		uint64_t due_ms;      /* not before; 0: it was not used yet */
		uint64_t back_off_ms; /* how long it waited last; 0: it is good
				       */
	} places[METAINFO_MAX_WEB_SEEDS];
};

/* For `count` (<= METAINFO_MAX_WEB_SEEDS) of them, none used yet. */
void web_seed_turns_init(struct web_seed_turns *t, size_t count);

/* Whose turn is it?  That one is then in use.  First come those that were not
 * used yet, in order, then whoever waits longest.  WEB_SEED_NOBODY: nobody's
 * before *ret_due_ms; UINT64_MAX: all are in use or none. */
size_t web_seed_turns_take(
	struct web_seed_turns *t, uint64_t now_ms, uint64_t *ret_due_ms);

/* One that is in use has given something: a failure now would be the first. */
void web_seed_turns_good(struct web_seed_turns *t, size_t place);

/* It failed, and is not in use any more; it may do better after a back-off, or
 * what it asked for if that is longer (0: it did not say).  True: that was the
 * first failure in a row. */
bool web_seed_turns_later(struct web_seed_turns *t, size_t place,
	uint64_t now_ms, uint64_t asked_ms);

/* It is not in use any more, and never will be. */
void web_seed_turns_over(struct web_seed_turns *t, size_t place);

/* The address by which the web seed at `place` is known as a giver: 100::N with
 * N its place from 1, an address of nobody (RFC 6666).  And back; false: it is
 * somebody's. */
struct endpoint web_seed_place_address(size_t place);
bool web_seed_place_of(const struct endpoint *address, size_t *ret_place);

#endif
