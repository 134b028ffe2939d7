#ifndef TESTS_UNIT_TORRENT_LAB_H
#define TESTS_UNIT_TORRENT_LAB_H

#include "client/torrent/torrent.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/torrent/block_pool.h"
#include "client/torrent/open_piece.h"
#include "shared/metainfo.h"

/* A torrent, and peers who are asked for its blocks and bring them. */

enum { MAX_ASKED = 64, PIECES = 8, BLOCKS = 4 };

/* Each test is a process of its own. */
static struct metainfo m;
static struct block_pool *pool;
static struct torrent *torrent;

struct tester {
	struct torrent_peer peer;
	struct block_id asked[MAX_ASKED];
};

static inline void begin(uint32_t pieces, uint32_t blocks, uint32_t last)
{
	m = (struct metainfo){
		.piece_length = blocks * BLOCK_SIZE,
		.piece_count = pieces,
		.length = (uint64_t)(pieces - 1) * blocks * BLOCK_SIZE + last,
	};
	pool = block_pool_create();
	torrent = torrent_create(&m, pool, PIECE_ORDER_SEQUENTIAL, 1 << 30);
	cr_assert(pool && torrent);
}

static inline void end(void)
{
	torrent_destroy(torrent);
	block_pool_destroy(pool); /* dies if a block is missing */
}

static inline void join_leech(struct tester *t, uint8_t number)
{
	*t = (struct tester){.peer = {.wake_fd = eventfd(0, EFD_NONBLOCK)}};
	t->peer.pick.address.ip[15] = number;
	t->peer.pick.asked = t->asked;
	cr_assert(bitfield_init(&t->peer.pick.has, m.piece_count));
	torrent_join(torrent, &t->peer);
}

static inline void join(struct tester *t, uint8_t number)
{
	join_leech(t, number);
	bitfield_set_all(&t->peer.pick.has);
	torrent_peer_has_many(torrent, &t->peer, true);
}

static inline void leave(struct tester *t)
{
	torrent_leave(torrent, &t->peer);
	bitfield_finish(&t->peer.pick.has);
	close(t->peer.wake_fd);
}

static inline size_t reserve(struct tester *t, size_t max)
{
	size_t count = torrent_reserve(
		torrent, &t->peer, t->asked + t->peer.pick.asked_count, max);

	t->peer.pick.asked_count += count;
	return count;
}

/* How often it was woken since this was asked last. */
static inline uint64_t wakes(struct tester *t)
{
	uint64_t count = 0;

	return read(t->peer.wake_fd, &count, sizeof(count)) == sizeof(count)
		? count
		: 0;
}

/* The first block that it was asked for comes, all bytes being `fill`.  The
 * piece if it is full. */
static inline struct open_piece *receive(struct tester *t, uint8_t fill)
{
	struct arrival a = {.block = t->asked[0], .asked = true};
	struct open_piece *full = NULL;

	cr_assert_gt(t->peer.pick.asked_count, 0);
	t->peer.pick.asked_count--;
	memmove(t->asked, t->asked + 1,
		t->peer.pick.asked_count * sizeof(t->asked[0]));
	cr_assert_eq(block_pool_take(pool, &a.memory, 1), 1);
	memset(a.memory, fill, BLOCK_SIZE);
	torrent_receive(torrent, &t->peer, &a, 1, &full);
	block_pool_give(pool, &a.memory, 1); /* NULL if it was taken */
	return full;
}

/* What it was asked for comes, up to the end of a piece. */
static inline struct open_piece *receive_piece(struct tester *t)
{
	struct open_piece *piece = NULL;

	while (!piece)
		piece = receive(t, 1);
	return piece;
}

static inline size_t finish(
	struct open_piece *piece, bool good, struct endpoint *ret)
{
	cr_assert(piece);
	return torrent_finish_piece(torrent, piece, good, ret, 8);
}

#endif
