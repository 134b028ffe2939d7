#ifndef CLIENT_PEER_PEX_H
#define CLIENT_PEER_PEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/span.h"
#include "shared/writer.h"

/* Peers tell each other whom they are connected to (BEP 11).  Pure. */

enum {
	PEX_MAX = 50,              /* addresses added, or dropped, a message */
	PEX_MAX_TOLD = 200,        /* remembered of what a peer was told */
	PEX_MESSAGE_SIZE = 4096,   /* the longest that we write */
	PEX_FIRST_MS = 2 * 1000,   /* after the handshake */
	PEX_EVERY_MS = 60 * 1000,  /* we tell no more often */
	PEX_AT_MOST_MS = 50 * 1000 /* nor listen; other clocks differ a bit */
};

enum pex_flag {
	PEX_PREFERS_ENCRYPTION = 1,
	PEX_SEED = 2, /* or wants nothing (BEP 21) */
	PEX_UTP = 4,
	PEX_REACHABLE = 16, /* it was dialled */
};

struct pex_peer {
	struct endpoint address;
	uint8_t flags;
};

struct pex_message {
	size_t added_count;
	struct pex_peer added[PEX_MAX];
	size_t dropped_count;
	struct endpoint dropped[PEX_MAX];
};

/* Read the payload of a ut_pex message.  Of more addresses than PEX_MAX the
 * first are taken, those at which nobody can be are left out, ill-typed entries
 * and broken lists are skipped.  False: not bencode. */
bool pex_read(struct span payload, struct pex_message *ret);

/* Write it, at most PEX_MESSAGE_SIZE bytes. */
void pex_write(struct writer *w, const struct pex_message *m);

/* Who may be told of whom: nobody is sent to this machine itself but by itself.
 */
bool pex_may_know_of(
	const struct endpoint *other, const struct endpoint *address);

/* What one peer has told, to be taken from there. */
struct pex_heard {
	size_t count;
	struct endpoint addresses[PEX_MAX];
	uint64_t at_ms; /* when it last told; 0: never */
};

/* The peer at `from` sent the payload of a ut_pex message; what comes too soon
 * after the one before is passed over.  False: not bencode. */
bool pex_hear(struct pex_heard *heard, struct span payload,
	const struct endpoint *from, uint64_t now_ms);

/* What one peer has been told. */
struct pex_told {
	size_t count;
	struct endpoint addresses[PEX_MAX_TOLD];
};

/* What is to be told now, when the swarm is `now`: who has come and who is gone
 * since.  It then counts as told.  False: nothing. */
bool pex_next(struct pex_told *told, const struct pex_peer *now, size_t count,
	struct pex_message *ret);

#endif
