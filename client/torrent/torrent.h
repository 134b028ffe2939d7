#ifndef CLIENT_TORRENT_TORRENT_H
#define CLIENT_TORRENT_TORRENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/torrent/bitfield.h"
#include "client/torrent/block.h"
#include "client/torrent/picker.h"
#include "shared/endpoint.h"

struct block_pool;
struct metainfo;
struct open_piece;
struct selection;

/* The state of one torrent that all workers share, behind one lock: what is
 * had, what is under way, who takes part.
 *
 * News of complete pieces is an append-only log with one counter: each worker
 * keeps its own place in it, so nobody writes into another's queue.  A worker
 * that sleeps is woken by its eventfd when there is news that concerns it.
 *
 * Threads: any, but those that take a torrent_peer only by that peer's worker.
 */
struct torrent;

/* One connected peer's part in the torrent; embedded in its conversation. */
struct torrent_peer {
	struct picker_peer
		pick; /* `has` and `asked` are the worker's to write */
	int wake_fd;  /* eventfd of its worker; outlives every thread that
		       * deals with the torrent: one may be about to write */

	/* What is asked of it waits long in its queue.  Its worker's to write.
	 */
	atomic_bool backlogged;

	/* Private to torrent.c. */
	struct torrent_peer *next;
	uint64_t woken;       /* the last round of waking that passed it */
	bool partial;         /* counted as one that has not all pieces */
	atomic_bool sleeping; /* wake it for news */
	atomic_bool stirred;  /* there was news while it was awake */
	atomic_bool prune;    /* some of what it asked for has come elsewhere */
	atomic_bool corrupt;  /* it gave a bad piece: end it */
};

/* NULL: out of memory.  `m` and `pool` outlive it. */
struct torrent *torrent_create(const struct metainfo *m,
	struct block_pool *pool, enum piece_order order, uint64_t budget);

/* Open pieces may take so many bytes from now on (picker.h). */
void torrent_set_budget(struct torrent *t, uint64_t budget);

/* At the start, before torrent_set_have(): only these files are wanted.
 * `selection` outlives it.  False: out of memory. */
bool torrent_select(struct torrent *t, const struct selection *selection);

/* Pieces that are not wanted, for as long as the torrent is there; NULL: all
 * are. */
const struct bitfield *torrent_unwanted(const struct torrent *t);

/* No peer may have joined, no piece be with a finisher. */
void torrent_destroy(struct torrent *t);

const struct metainfo *torrent_metainfo(const struct torrent *t);

/* ---- what is had ---- */

/* Before peers join: these pieces are had (one byte a piece). */
void torrent_set_have(struct torrent *t, const uint8_t *good);

/* Of what is wanted: pieces, and bytes in files; how much of it is had; and
 * whether that is all. */
uint32_t torrent_wanted_count(const struct torrent *t);
uint64_t torrent_wanted_bytes(const struct torrent *t);
uint32_t torrent_have_count(const struct torrent *t);
uint64_t torrent_have_bytes(const struct torrent *t);
bool torrent_complete(const struct torrent *t);

/* Is every piece had, wanted or not? */
bool torrent_whole(const struct torrent *t);

/* A copy of what is had, with the place in the log that it corresponds to. */
void torrent_have(struct torrent *t, struct bitfield *ret, size_t *ret_log);

/* Pieces completed since place *at of the log, at most `max`; moves *at. */
size_t torrent_news(struct torrent *t, size_t *at, uint32_t *ret, size_t max);

/* Whether there is news past `at`: no lock. */
bool torrent_has_news(const struct torrent *t, size_t at);

/* Whether the piece is had. */
bool torrent_has(struct torrent *t, uint32_t piece);

/* The first piece that is wanted and not had; piece_count: none. */
uint32_t torrent_first_missing(struct torrent *t);

/* A piece turned out to be on disk no longer as it was: it is not had. */
void torrent_lose(struct torrent *t, uint32_t piece);

/* The share that is there of each of `cells` equal stretches of what is wanted,
 * 0..255. */
void torrent_map(struct torrent *t, uint8_t *ret, size_t cells);

/* ---- peers ---- */

/* `peer->pick.address` and `wake_fd` are set, `has` is initialized. */
void torrent_join(struct torrent *t, struct torrent_peer *peer);

/* Gives back everything that was asked of it (peer->pick.asked). */
void torrent_leave(struct torrent *t, struct torrent_peer *peer);

/* Its pieces, for the order by rarity: `has` got one piece more (`open`: which
 * it would give us); or is about to be set as a whole (came = false), and has
 * been (true). */
void torrent_peer_has_piece(struct torrent *t, struct torrent_peer *peer,
	uint32_t piece, bool open);
void torrent_peer_has_many(
	struct torrent *t, struct torrent_peer *peer, bool came);

/* It owes us blocks and is silent: what it gave before proves nothing now. */
void torrent_peer_silent(struct torrent *t, struct torrent_peer *peer);

/* Now and then: what failed before is not left to slow peers (picker_lapse). */
void torrent_mind_failed(struct torrent *t, uint64_t now_ms);

/* Choose blocks to ask of it (picker_reserve). */
size_t torrent_reserve(struct torrent *t, struct torrent_peer *peer,
	struct block_id *ret, size_t max);

/* They will not come from it; if `rest`, nothing will for the time being. */
void torrent_release(struct torrent *t, struct torrent_peer *peer,
	const struct block_id *blocks, size_t count, bool rest);

/* Blocks that came, many under one lock. */
struct arrival {
	struct block_id block;
	uint8_t *memory; /* in: theirs; out: NULL if the torrent took it */
	bool asked;
};

/* Full pieces go to `ret_full` (room for `count` of them): hand each to a
 * finisher.  Returns how many. */
size_t torrent_receive(struct torrent *t, struct torrent_peer *peer,
	struct arrival *arrivals, size_t count, struct open_piece **ret_full);

/* Of the blocks asked of it, which are not wanted any more; or, but for the
 * first `due`, which are about to come, had better be asked of others
 * (picker_elsewhere)?  Writes their places in the list, ascending; returns how
 * many.  Cheap when nothing has changed. */
size_t torrent_prune(struct torrent *t, struct torrent_peer *peer, size_t due,
	size_t *ret_places, size_t max);

/* It is about to sleep (true), or awake and about to look for news, letters and
 * blocks to ask for (false).  After true, ask for news and letters once more:
 * what came before is not signalled. */
void torrent_sleeping(struct torrent_peer *peer, bool sleeping);

/* Is there something to prune, or to end it for, or may there be blocks to ask
 * for that were not there when it last looked? */
bool torrent_peer_has_letters(const struct torrent_peer *peer);

/* It gave a bad piece: true once it is known. */
bool torrent_peer_corrupt(const struct torrent_peer *peer);

/* ---- what finishers tell ---- */

/* Full piece `piece` (its blocks' memory still in it) was hashed and, if
 * `good`, written.  Frees it and gives its memory back.  Who is guilty by
 * what is now known, and was not before, is left in `ret_guilty`, at most
 * `max`, and marked corrupt: these connections alone, not others with the same
 * IP. */
size_t torrent_finish_piece(struct torrent *t, struct open_piece *piece,
	bool good, struct endpoint *ret_guilty, size_t max);

/* Is anything of a full piece from a peer that is known to have lied?  That it
 * is bad then is no news: abandon it. */
bool torrent_tainted(struct torrent *t, const struct open_piece *piece);

/* The piece is neither good nor bad (writing failed, say); forget it. */
void torrent_abandon_piece(struct torrent *t, struct open_piece *piece);

#endif
