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

/* The address to dial next for any torrent, fairly in turn, if one is due; it
 * then counts as connected.  FROM_USER first, then those that gave data, then
 * the rest in the order heard.  Failing dials back off 5 s, doubling, to an
 * hour; an address (whatever the port) that failed ten times in a row waits as
 * a whole.  `ret_next_ms`: when to ask again (UINT64_MAX: when something is
 * heard). */
bool peer_book_next(struct peer_book *b, uint64_t now_ms, int *ret_torrent,
	struct endpoint *ret, uint64_t *ret_next_ms);

/* A dialled or accepted peer's conversation has ended. */
void peer_book_ended(
	struct peer_book *b, const struct candidate *c, uint64_t now_ms);

/* May a connection from this address be taken?  (Not banned.) */
bool peer_book_welcome(
	struct peer_book *b, const struct endpoint *address, uint64_t now_ms);

/* Refuse this IP for an hour, on any port. */
void peer_book_ban(
	struct peer_book *b, const struct endpoint *address, uint64_t now_ms);

/* A torrent has ended, or wants no peers for the time being (complete: dial
 * nobody but who was never tried); or wants them again. */
void peer_book_want(struct peer_book *b, int torrent, bool want);

/* Addresses known for a torrent that are neither connected nor banned. */
size_t peer_book_count(const struct peer_book *b, int torrent);

#endif
