#ifndef CLIENT_SESSION_PEER_BOOK_H
#define CLIENT_SESSION_PEER_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/peer_queue.h"
#include "shared/endpoint.h"

/* Memory of addresses: known, connected, tried, banned, due again when.  The
 * rules about addresses (PROMISES, Peers) live here and nowhere else.  Pure:
 * time is an argument.  Belongs to the coordinator alone, so it has no lock.
 *
 * Limits: PEER_BOOK_MAX addresses in a torrent (the longest-failing unconnected
 * one makes room), keyed hash with a random seed. */
struct peer_book;

enum { PEER_BOOK_MAX = 4000 };

struct peer_book *peer_book_create(size_t torrents, uint64_t seed);
void peer_book_destroy(struct peer_book *b);

/* We heard of an address.  Not dialable, banned, ourselves, known: no change
 * (but a known one that a user names is due at once). */
void peer_book_heard(struct peer_book *b, int torrent,
	const struct endpoint *address, enum candidate_source source,
	uint64_t now_ms);

/* A peer (`by`) says that it sees us at `ours`, whose port is where we listen.
 * Believed when two say so, one after the other. */
void peer_book_seen_as(struct peer_book *b, const struct endpoint *ours,
	const struct endpoint *by);

/* The address to dial next for any torrent, fairly in turn, if one is due; it
 * then counts as connected.  FROM_USER first, then those that gave data, then
 * the rest in the order in which they fall due; of those never tried, heard of
 * within one minute, the one with the highest peer_priority(), once we know how
 * others see us.  Failing dials back off 5 s, doubling, to an hour (30 s for
 * the user's own).  Of one IP, whatever the port, ten dials may have failed or
 * be under way (see peer_book_connected); further ones wait, but not those
 * named by the user or that gave data.  `ret_next_ms`: when to ask again
 * (UINT64_MAX: when something is heard). */
bool peer_book_next(struct peer_book *b, uint64_t now_ms, int *ret_torrent,
	struct endpoint *ret, uint64_t *ret_next_ms);

/* Would peer_book_next() have one? */
bool peer_book_due(const struct peer_book *b, uint64_t now_ms);

/* The handshake with a dialled peer is done: its IP is not dead.  Without this
 * call that is taken as open until the conversation has ended, and many peers
 * behind one IP are dialled slowly, one in 1.5 s after the first ten. */
void peer_book_connected(
	struct peer_book *b, int torrent, const struct endpoint *address);

/* A dialled or accepted peer's conversation has ended: when its address (that
 * of an accepted one by its listen port) is due again follows from how.
 * PEER_END_CORRUPT bans it. */
void peer_book_ended(
	struct peer_book *b, const struct candidate *c, uint64_t now_ms);

/* May a connection from this address be taken?  (Not banned.) */
bool peer_book_welcome(
	struct peer_book *b, const struct endpoint *address, uint64_t now_ms);

/* The peer at this address gave bad data: refuse its IP for an hour, on any
 * port.  But for what it did others behind its IP are not held to account:
 * those that the user named, or that gave us data, are dialled all the same.
 * True: so many there have lied that nobody is to be talked to any more. */
bool peer_book_ban(
	struct peer_book *b, const struct endpoint *address, uint64_t now_ms);

/* Whom to dial for a torrent; at first all. */
enum peer_book_wanted {
	PEER_BOOK_NOBODY, /* it has ended, or wants no peers for now */
	PEER_BOOK_ALL,
	/* Complete: who was never tried, or was dialled and has not all that it
	 * wants, and the user's. */
	PEER_BOOK_TAKERS,
};
void peer_book_want(
	struct peer_book *b, int torrent, enum peer_book_wanted wanted);

/* Addresses known for a torrent that are neither connected nor banned. */
size_t peer_book_count(const struct peer_book *b, int torrent);

#endif
