#ifndef CLIENT_SESSION_PEER_SHELF_H
#define CLIENT_SESSION_PEER_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

#include "client/session/due_heap.h"
#include "shared/endpoint.h"

struct host;
struct host_book;

/* One torrent's addresses, for the peer book: found by address; and those that
 * wait, each rank in the order in which they fall due.  The rules are the
 * book's: it gives an entry its rank and says when it is due.  Belongs to the
 * book, so it has no lock. */

enum peer_rank {
	RANK_USER,   /* named by the user */
	RANK_PROVEN, /* gave data */
	RANK_FRESH,  /* never tried */
	RANK_NEEDY,  /* could not yet take all that we have */
	RANK_TRIED,
	RANKS,
};

/* It waits, or it is picked up: only then may its rank, failures and `due`
 * change (but see peer_shelf_put_off). */
struct peer_entry {
	struct due_item due; /* first: it is cast back */
	struct endpoint address;
	struct host *host;
	enum peer_rank rank;
	unsigned failures; /* in a row */

	/* For the book alone. */
	bool connected; /* or being dialled; then picked up */
	bool charged;   /* its host, for this dial */
	bool ourselves;
	bool guilty;    /* of bad data, itself */
	bool duplicate; /* when last dialled, it was connected already */
	uint64_t dialled_ms;

	struct peer_entry *prev, *next; /* private, as is `hh` */
	UT_hash_handle hh;
};

enum { PEER_SHELF_FAILURES = 10 }; /* more count as so many */

/* Private. */
struct peer_shelf {
	struct host_book *hosts;
	uint64_t seed;
	uint64_t order; /* of the next entry */
	struct peer_entry *by_address;
	size_t count;
	struct due_heap heaps[RANKS];
	/* RANK_NEEDY and RANK_TRIED by failures, the longest waiting first. */
	struct peer_entry *evictable[PEER_SHELF_FAILURES + 1];
	/* Of the heaps: each has room for all, so that an entry can change its
	 * rank at any time. */
	size_t capacity;
	struct due_item **slots;
};

/* An empty one; `hosts` outlives it, `seed` is for the hashes. */
void peer_shelf_init(
	struct peer_shelf *s, struct host_book *hosts, uint64_t seed);
void peer_shelf_finish(struct peer_shelf *s);

/* NULL: not there. */
struct peer_entry *peer_shelf_find(
	const struct peer_shelf *s, const struct endpoint *address);

/* All of them, in any order: the first one (`e` NULL), or the one after `e`;
 * NULL after the last. */
struct peer_entry *peer_shelf_next(
	const struct peer_shelf *s, const struct peer_entry *e);

/* A new entry, picked up.  When there are `most` already, a tried or needy
 * one that waits makes room and is freed: of those that failed most often the
 * one that has waited longest.  NULL: none could, or out of memory. */
struct peer_entry *peer_shelf_add(struct peer_shelf *s,
	const struct endpoint *address, enum peer_rank rank, size_t most);

/* Let it wait until it is due; or take it out. */
void peer_shelf_put_down(struct peer_shelf *s, struct peer_entry *e);
void peer_shelf_pick_up(struct peer_shelf *s, struct peer_entry *e);

/* Of those that wait the one that falls due first (see due_heap), or NULL. */
struct peer_entry *peer_shelf_first(
	const struct peer_shelf *s, enum peer_rank rank);

/* One that waits is due at another time. */
void peer_shelf_put_off(
	struct peer_shelf *s, struct peer_entry *e, uint64_t due_ms);

#endif
