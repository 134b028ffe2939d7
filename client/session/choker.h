#ifndef CLIENT_SESSION_CHOKER_H
#define CLIENT_SESSION_CHOKER_H

#include <stdbool.h>
#include <stdint.h>

/* Whom we upload to, when more peers want it than can be served well (BEP 3).
 * Pure: time is an argument, counters come in, grants come out.  Belongs to the
 * coordinator alone, so it has no lock.  One for all torrents of a session:
 * they share the upload, so they share its slots.
 *
 * A free slot is given at once.  Nobody is choked before a round, one in 10 s,
 * and only while somebody waits.  Then the slots go to
 *
 *	1. who gives to us, the most first, by the rate of the last two rounds
 *	   (not if it is silent though it owes us blocks);
 *	2. the others (all, where we seed) in turns of 30 s: who has one, then
 *	   who waits longest, then whose turn is over, the best taker first.
 *
 * Of every five slots, and of four at least, one is dealt by chance for 30 s
 * among those that wait: newcomers, who had nothing to give yet, have three
 * chances, and who waits has one more for each turn that it waited.
 *
 * A slot counts as used while its peer has requests waiting or took something
 * lately, and for a moment when it is new.  How many there are: see
 * choker_slots(). */
struct choker;

enum {
	CHOKER_ROUND_MS = 10 * 1000,
	CHOKER_TURN_MS = 30 * 1000,
	/* Who takes nothing for so long leaves its slot to others. */
	CHOKER_IDLE_MS = 5 * 1000,
	/* The same until it has asked for something: a crowd that never does
	 * holds up nobody for long. */
	CHOKER_BEGIN_MS = 1000,
	CHOKER_LEAST_SLOTS = 4,       /* with an upload limit */
	CHOKER_LEAST_UNLIMITED = 8,   /* without */
	CHOKER_SLOT_RATE = 64 * 1024, /* bytes a second, see choker_slots() */
};

/* What is known of a connected peer now. */
struct choker_peer {
	uint64_t since_ms;   /* when it came; 0: nobody is there.  Another time
				means another peer. */
	uint64_t gave, took; /* bytes of blocks since then */
	bool interested;
	bool asks;    /* requests of it wait to be served */
	bool snubs;   /* it owes us blocks and is silent */
	bool we_seed; /* it can give us nothing */
};

/* For peers [0, capacity).  `upload_limit`: bytes a second, 0: none.  NULL: out
 * of memory. */
struct choker *choker_create(
	unsigned capacity, uint64_t upload_limit, uint64_t seed);
void choker_destroy(struct choker *c);

/* Look at all `capacity` peers; call it when one wants to be unchoked, and
 * twice a second.  `uploaded`: bytes of blocks, to all peers there ever were.
 * Afterwards choker_grants() tells who may be served.  A newcomer that is not
 * interested yet is granted a slot if there is one, so that it need not wait
 * for us when it is. */
void choker_look(struct choker *c, const struct choker_peer *peers,
	uint64_t uploaded, uint64_t now_ms);
bool choker_grants(const struct choker *c, unsigned peer);

/* Slots there are now.  Each should be worth having for who gives us something
 * in return, and no upload may be lost for want of them:
 *
 * With a limit there are as many as it feeds at 4 * CHOKER_SLOT_RATE, at least
 * CHOKER_LEAST_SLOTS; half as many more at a time while all are used, somebody
 * waits, and the limit is not reached; an eighth less a round while it is.
 *
 * Without one nobody knows what the line can do: as many as the measured rate
 * feeds at CHOKER_SLOT_RATE, at least CHOKER_LEAST_UNLIMITED.  While all are
 * used and somebody waits a quarter more is tried for a round, and kept if the
 * rate grew by half as much. */
unsigned choker_slots(const struct choker *c);

#endif
