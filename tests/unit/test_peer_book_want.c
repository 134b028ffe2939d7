/* Who is dialled for a torrent that does not want everybody: a seed wants those
 * who may take from it, and some want nobody. */

#include "tests/unit/peer_book_lab.h"

Test(peer_book_want, torrent_that_wants_nobody_dials_nobody)
{
	struct peer_book *b = peer_book_create(1, 1);

	hear(b, at(1, 1), FROM_TRACKER, t0);
	cr_assert_eq(dialled(b, t0), 1);
	end(b, at(1, 1), PEER_END_CLOSED, true, t0);
	hear(b, at(2, 2), FROM_TRACKER, t0);

	peer_book_want(b, 0, PEER_BOOK_NOBODY);
	cr_expect_eq(due_ms(b, t0 + HOUR), UINT64_MAX);
	peer_book_want(b, 0, PEER_BOOK_TAKERS);
	cr_expect_eq(dialled(b, t0 + HOUR), 2);
	cr_expect_eq(due_ms(b, t0 + HOUR), UINT64_MAX);
	peer_book_want(b, 0, PEER_BOOK_ALL);
	cr_expect_eq(dialled(b, t0 + HOUR), 1);
	peer_book_destroy(b);
}

static void taker_end(struct peer_book *b, bool dialled, enum peer_end how,
	bool lacks, uint64_t now_ms)
{
	peer_book_ended(b,
		&(struct candidate){
			.source = FROM_WORKER,
			.address = at(1, dialled ? 6881 : 50000),
			.socket = -1,
			.ended = how,
			.dialled = dialled,
			.lacks = lacks,
			.listen_port = 6881,
		},
		now_ms);
}

Test(peer_book_want, seed_dials_again_whom_it_dialled_and_who_lacks_something)
{
	static const struct {
		enum peer_end how;
		bool lacks;
		bool again;
	} cases[] = {
		{PEER_END_CLOSED, true, true},
		{PEER_END_CLOSED, false, false},
		{PEER_END_DUPLICATE, false, true},
		{PEER_END_UNREACHABLE, false, false},
		{PEER_END_NO_HANDSHAKE, false, false},
		{PEER_END_PROTOCOL_ERROR, true, false},
		{PEER_END_USELESS, false, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer_book *b = peer_book_create(1, 1);

		peer_book_want(b, 0, PEER_BOOK_TAKERS);
		hear(b, at(1, 6881), FROM_LSD, t0);
		cr_assert_eq(dialled(b, t0), 6881);
		taker_end(b, true, cases[i].how, cases[i].lacks, t0);
		cr_expect_eq(due_ms(b, t0),
			cases[i].again ? t0 + 5 * S : UINT64_MAX, "case %zu",
			i);
		peer_book_destroy(b);
	}
}

Test(peer_book_want, seed_gives_up_a_taker_that_fails_for_20_minutes)
{
	static const enum peer_end ends[] = {
		PEER_END_UNREACHABLE, PEER_END_NO_HANDSHAKE, PEER_END_CLOSED};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct peer_book *b = peer_book_create(1, 1);
		unsigned dials = 0;

		peer_book_want(b, 0, PEER_BOOK_TAKERS);
		hear(b, at(1, 6881), FROM_LSD, t0);
		cr_assert_eq(dialled(b, t0), 6881);
		taker_end(b, true, PEER_END_CLOSED, true, t0);
		for (uint64_t now = t0; now < t0 + HOUR; now += S) {
			if (dialled(b, now) == 0)
				continue;
			dials++;
			taker_end(b, true, ends[i], true, now);
		}
		cr_expect_eq(dials, 8, "case %zu: %u", i, dials);
		peer_book_destroy(b);
	}
}

Test(peer_book_want, seed_leaves_it_to_visitors_to_come_again)
{
	struct peer_book *b = peer_book_create(1, 1);

	peer_book_want(b, 0, PEER_BOOK_TAKERS);
	taker_end(b, false, PEER_END_CLOSED, true, t0);
	cr_expect_eq(due_ms(b, t0), UINT64_MAX);
	peer_book_destroy(b);
}

Test(peer_book_want, seed_does_not_ask_for_ever_whether_a_visitor_is_there)
{
	struct peer_book *b = peer_book_create(1, 1);

	peer_book_want(b, 0, PEER_BOOK_TAKERS);
	hear(b, at(1, 6881), FROM_LSD, t0);
	for (unsigned i = 0; i < 2; i++) {
		cr_assert_eq(dialled(b, t0 + i * 5 * S), 6881);
		taker_end(b, true, PEER_END_DUPLICATE, false, t0 + i * 5 * S);
	}
	cr_expect_eq(due_ms(b, t0 + 5 * S), UINT64_MAX);
	peer_book_destroy(b);
}
