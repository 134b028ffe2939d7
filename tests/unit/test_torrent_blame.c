/* Who is guilty of a bad piece: the only giver at once, one of several when the
 * truth is known. */

#include "tests/unit/torrent_lab.h"

Test(torrent_blame, the_only_giver_of_a_bad_piece_is_guilty_at_once)
{
	struct tester a, b, neighbour;
	struct endpoint guilty[8];

	begin(2, BLOCKS, BLOCK_SIZE);
	join(&a, 1);
	join(&b, 2);
	join(&neighbour, 1);
	neighbour.peer.pick.address.port++; /* behind the same IP */
	reserve(&a, BLOCKS);
	reserve(&b, 1);
	torrent_sleeping(&a.peer, true);
	cr_expect_eq(finish(receive_piece(&a), false, guilty), 1);
	cr_expect(endpoint_same_ip(&guilty[0], &a.peer.pick.address));
	cr_expect(torrent_peer_corrupt(&a.peer));
	cr_expect_not(torrent_peer_corrupt(&neighbour.peer));
	cr_expect_not(torrent_peer_corrupt(&b.peer));
	cr_expect(torrent_peer_has_letters(&a.peer));
	cr_expect_eq(wakes(&a), 1);
	cr_expect_eq(torrent_have_count(torrent), 0);
	cr_expect_not(torrent_has_news(torrent, 0));
	leave(&a);
	leave(&b);
	leave(&neighbour);
	end();
}

/* Two fetch the piece together: `a` the first half, `b` the second. */
static struct open_piece *fetch_by_halves(
	struct tester *a, uint8_t fill_a, struct tester *b, uint8_t fill_b)
{
	struct open_piece *piece = NULL;

	cr_assert_eq(reserve(a, BLOCKS / 2), BLOCKS / 2);
	for (unsigned i = 0; i < BLOCKS / 2; i++)
		receive(a, fill_a);
	torrent_release(torrent, &a->peer, NULL, 0, true);
	cr_assert_eq(reserve(b, BLOCKS / 2), BLOCKS / 2);
	for (unsigned i = 0; i < BLOCKS / 2; i++)
		piece = receive(b, fill_b);
	return piece;
}

Test(torrent_blame,
	among_several_givers_the_liar_is_named_when_the_truth_is_known)
{
	for (unsigned liar = 0; liar < 2; liar++) {
		struct tester a, b, c;
		struct endpoint guilty[8];

		begin(1, BLOCKS, BLOCKS * BLOCK_SIZE);
		join(&a, 1);
		join(&b, 2);
		join(&c, 3);
		struct tester *bad = liar ? &b : &a;
		struct open_piece *piece =
			fetch_by_halves(&a, liar ? 1 : 9, &b, liar ? 9 : 1);
		cr_expect_eq(finish(piece, false, guilty), 0);
		cr_expect_not(torrent_peer_corrupt(&a.peer));
		cr_expect_not(torrent_peer_corrupt(&b.peer));

		/* Begun again, and left: who goes on begins it anew. */
		cr_expect_eq(reserve(bad, BLOCKS / 2), BLOCKS / 2);
		receive(bad, 9);
		receive(bad, 9);
		torrent_release(torrent, &bad->peer, NULL, 0, true);
		cr_expect_eq(reserve(&c, BLOCKS), BLOCKS);
		cr_expect_eq(finish(receive_piece(&c), true, guilty), 1);
		cr_expect(
			endpoint_same_ip(&guilty[0], &bad->peer.pick.address));
		cr_expect_eq(torrent_peer_corrupt(&a.peer), !liar);
		cr_expect_eq(torrent_peer_corrupt(&b.peer), liar);
		cr_expect_not(torrent_peer_corrupt(&c.peer));
		cr_expect(torrent_complete(torrent));
		leave(&a);
		leave(&b);
		leave(&c);
		end();
	}
}

Test(torrent_blame, of_a_liar_that_is_known_nothing_more_is_judged)
{
	struct tester a, b;
	struct endpoint guilty[8];

	begin(3, BLOCKS, 3 * BLOCKS * BLOCK_SIZE);
	join(&a, 1);
	join(&b, 2);
	reserve(&a, BLOCKS);
	struct open_piece *first = receive_piece(&a);
	reserve(&a, BLOCKS);
	struct open_piece *second = receive_piece(&a);
	reserve(&b, BLOCKS);
	struct open_piece *other = receive_piece(&b);
	cr_expect_not(torrent_tainted(torrent, second));
	cr_expect_eq(finish(first, false, guilty), 1);
	cr_expect(torrent_tainted(torrent, second));
	cr_expect_not(torrent_tainted(torrent, other));
	/* Both were hashed at the same time: it is named once. */
	cr_expect_eq(finish(second, false, guilty), 0);
	cr_expect_eq(finish(other, true, guilty), 0);
	leave(&a);

	/* The ban is over; it lies again. */
	join(&a, 1);
	reserve(&a, BLOCKS);
	first = receive_piece(&a);
	cr_expect_not(torrent_tainted(torrent, first));
	cr_expect_eq(finish(first, false, guilty), 1);
	cr_expect(torrent_peer_corrupt(&a.peer));
	leave(&a);
	leave(&b);
	end();
}
