#ifndef TESTS_UNIT_PEER_BOOK_LAB_H
#define TESTS_UNIT_PEER_BOOK_LAB_H

#include <criterion/criterion.h>

#include "client/session/peer_book.h"

/* What happens to the addresses in a book: they are heard of, dialled, and
 * their connections end. */

enum { S = 1000, MINUTE = 60 * S, HOUR = 60 * MINUTE };

/* Some moment; the rules must not depend on where the clock began. */
static const uint64_t t0 = 5000000;

/* 10.x.y.z by number. */
static inline struct endpoint at(unsigned ip, uint16_t port)
{
	return (struct endpoint){
		.ip = {[10] = 0xff,
			[11] = 0xff,
			[12] = 10,
			[13] = (uint8_t)(ip >> 16),
			[14] = (uint8_t)(ip >> 8),
			[15] = (uint8_t)ip},
		.port = port,
	};
}

static inline void hear(struct peer_book *b, struct endpoint e,
	enum candidate_source source, uint64_t now_ms)
{
	peer_book_heard(b, 0, &e, source, now_ms);
}

/* The port of who is dialled now, or 0. */
static inline uint16_t dialled(struct peer_book *b, uint64_t now_ms)
{
	struct endpoint e;
	uint64_t next_ms;
	int torrent;

	if (!peer_book_next(b, now_ms, &torrent, &e, &next_ms)) {
		cr_expect_gt(next_ms, now_ms, "would spin");
		return 0;
	}
	return e.port;
}

static inline void end(struct peer_book *b, struct endpoint e,
	enum peer_end how, bool got_data, uint64_t now_ms)
{
	peer_book_ended(b,
		&(struct candidate){
			.source = FROM_WORKER,
			.address = e,
			.socket = -1,
			.ended = how,
			.dialled = true,
			.got_data = got_data,
		},
		now_ms);
}

static inline void visitor_end(struct peer_book *b, struct endpoint e,
	uint16_t listen_port, enum peer_end how, bool got_data, uint64_t now_ms)
{
	peer_book_ended(b,
		&(struct candidate){
			.source = FROM_WORKER,
			.address = e,
			.socket = -1,
			.ended = how,
			.got_data = got_data,
			.listen_port = listen_port,
		},
		now_ms);
}

/* When somebody is due, as the book says when asked at `now_ms`. */
static inline uint64_t due_ms(struct peer_book *b, uint64_t now_ms)
{
	struct endpoint e;
	uint64_t next_ms = 0;
	int torrent;

	cr_assert_not(peer_book_next(b, now_ms, &torrent, &e, &next_ms));
	return next_ms;
}

/* Dials within [from, to) when each fails at once, `workers` being free. */
static inline unsigned failing_dials(
	struct peer_book *b, uint64_t from_ms, uint64_t to_ms)
{
	uint64_t now_ms = from_ms;
	unsigned dials = 0;

	while (now_ms < to_ms) {
		struct endpoint e;
		uint64_t next_ms;
		int torrent;

		if (peer_book_next(b, now_ms, &torrent, &e, &next_ms)) {
			dials++;
			end(b, e, PEER_END_UNREACHABLE, false, now_ms);
			continue;
		}
		cr_assert_gt(next_ms, now_ms, "would spin");
		now_ms = next_ms;
	}
	return dials;
}

#endif
