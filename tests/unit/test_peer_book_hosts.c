/* What holds for an IP as a whole, whatever the port: how fast its ports are
 * dialled, and bans. */

#include "client/session/host_book.h"
#include "tests/unit/peer_book_lab.h"

Test(peer_book_hosts, flood_of_dead_ports_of_one_ip_is_slow)
{
	struct peer_book *b = peer_book_create(1, 1);

	for (uint16_t port = 1; port <= 500; port++)
		hear(b, at(1, port), FROM_PEX, t0);
	unsigned dials = failing_dials(b, t0, t0 + 10 * S);
	cr_expect(dials >= 10 && dials <= 20, "%u dials", dials);
	/* They are not forgotten either: somebody honest may be among them. */
	cr_expect_gt(failing_dials(b, t0 + 10 * S, t0 + 15 * MINUTE), 500);
	peer_book_destroy(b);
}

Test(peer_book_hosts, dead_ports_that_hang_are_as_slow)
{
	struct peer_book *b = peer_book_create(1, 1);
	unsigned dials = 0;

	for (uint16_t port = 1; port <= 500; port++)
		hear(b, at(1, port), FROM_PEX, t0);
	for (unsigned ms = 0; ms < 10 * S; ms += 100)
		while (dialled(b, t0 + ms) != 0)
			dials++;
	cr_expect(dials >= 10 && dials <= 20, "%u dials", dials);
	peer_book_destroy(b);
}

Test(peer_book_hosts, other_ips_do_not_wait_for_a_flooded_one)
{
	struct peer_book *b = peer_book_create(1, 1);
	bool found = false;

	for (uint16_t port = 1; port <= 500; port++)
		hear(b, at(1, port), FROM_PEX, t0);
	hear(b, at(2, 999), FROM_TRACKER, t0);
	for (uint16_t port; (port = dialled(b, t0)) != 0;)
		found |= port == 999;
	cr_expect(found);
	peer_book_destroy(b);
}

Test(peer_book_hosts, user_and_proven_do_not_wait_for_a_flooded_ip)
{
	struct peer_book *b = peer_book_create(1, 1);

	hear(b, at(1, 600), FROM_TRACKER, t0);
	cr_assert_eq(dialled(b, t0), 600);
	end(b, at(1, 600), PEER_END_CLOSED, true, t0);
	for (uint16_t port = 1; port <= 500; port++)
		hear(b, at(1, port), FROM_PEX, t0);
	failing_dials(b, t0, t0 + 9 * S);
	hear(b, at(1, 700), FROM_USER, t0 + 10 * S);
	cr_expect_eq(dialled(b, t0 + 10 * S), 700);
	cr_expect_eq(dialled(b, t0 + 10 * S), 600);
	peer_book_destroy(b);
}

Test(peer_book_hosts, live_peers_behind_one_ip_are_dialled_at_once)
{
	struct peer_book *b = peer_book_create(1, 1);

	for (uint16_t port = 1; port <= 60; port++)
		hear(b, at(1, port), FROM_TRACKER, t0);
	for (unsigned i = 0; i < 60; i++) {
		uint16_t port = dialled(b, t0 + i);
		struct endpoint e = at(1, port);

		cr_assert_neq(port, 0, "after %u", i);
		peer_book_connected(b, 0, &e);
		peer_book_connected(b, 0, &e); /* counts once */
	}
	peer_book_destroy(b);
}

Test(peer_book_hosts, ban_is_for_the_ip_and_for_an_hour)
{
	struct peer_book *b = peer_book_create(1, 1);
	struct endpoint known = at(1, 1), other = at(1, 2), free = at(2, 1);

	hear(b, known, FROM_TRACKER, t0);
	cr_expect(peer_book_welcome(b, &known, t0));
	peer_book_ban(b, &other, t0);
	cr_expect_not(peer_book_welcome(b, &known, t0));
	cr_expect_not(peer_book_welcome(b, &other, t0 + HOUR - 1));
	cr_expect(peer_book_welcome(b, &free, t0));
	cr_expect_eq(peer_book_count(b, 0), 0);
	hear(b, other, FROM_USER, t0);
	cr_expect_eq(due_ms(b, t0), t0 + HOUR);

	cr_expect(peer_book_welcome(b, &other, t0 + HOUR));
	cr_expect_eq(dialled(b, t0 + HOUR), 1);
	cr_expect_eq(dialled(b, t0 + HOUR), 0); /* 2 was not taken in */
	peer_book_destroy(b);
}

Test(peer_book_hosts, who_shares_the_ip_of_a_liar_is_dialled_if_there_is_trust)
{
	struct peer_book *b = peer_book_create(1, 1);
	struct endpoint liar = at(1, 66);

	hear(b, at(1, 1), FROM_USER, t0);
	hear(b, at(1, 2), FROM_TRACKER, t0);
	hear(b, at(1, 3), FROM_TRACKER, t0);
	cr_expect_eq(dialled(b, t0), 1);
	cr_expect_eq(dialled(b, t0), 2);
	cr_expect_not(peer_book_ban(b, &liar, t0));
	cr_expect_eq(peer_book_count(b, 0), 0); /* 3 is not known any more */
	end(b, at(1, 1), PEER_END_CLOSED, false, t0);
	end(b, at(1, 2), PEER_END_CLOSED, true, t0);
	cr_expect_eq(peer_book_count(b, 0), 2);
	cr_expect_eq(dialled(b, t0 + 5 * S), 1);
	cr_expect_eq(dialled(b, t0 + 10 * S), 2);
	cr_expect_eq(dialled(b, t0 + 10 * S), 0);
	peer_book_destroy(b);
}

Test(peer_book_hosts, who_lied_itself_waits_though_there_was_trust)
{
	enum { CONNECTED, GONE, CASES };

	for (int when = 0; when < CASES; when++) {
		struct peer_book *b = peer_book_create(1, 1);
		struct endpoint liar = at(1, 1);

		hear(b, liar, FROM_USER, t0);
		cr_expect_eq(dialled(b, t0), 1);
		if (when == GONE)
			end(b, liar, PEER_END_CLOSED, true, t0);
		peer_book_ban(b, &liar, t0);
		if (when == CONNECTED)
			end(b, liar, PEER_END_CORRUPT, true, t0);
		cr_expect_eq(peer_book_count(b, 0), 0);
		cr_expect_eq(dialled(b, t0 + HOUR - 1), 0);
		cr_expect_eq(dialled(b, t0 + HOUR), 1);
		peer_book_destroy(b);
	}
}

Test(peer_book_hosts, of_an_ip_with_three_liars_nobody_is_to_stay)
{
	struct peer_book *b = peer_book_create(1, 1);

	for (uint16_t port = 1; port <= 4; port++) {
		struct endpoint liar = at(1, port), single = at(2 + port, 1);

		cr_expect_eq(
			peer_book_ban(b, &liar, t0), port >= 3, "%u", port);
		/* That its connection ends then is no other lie. */
		visitor_end(b, liar, 0, PEER_END_CORRUPT, false, t0);
		cr_expect_not(peer_book_ban(b, &single, t0));
	}
	struct endpoint later = at(1, 9);
	cr_expect_not(peer_book_ban(b, &later, t0 + HOUR));
	peer_book_destroy(b);
}

Test(peer_book_hosts,
	corrupt_visitor_is_banned_whether_its_torrent_is_known_or_not)
{
	struct peer_book *b = peer_book_create(1, 1);
	struct endpoint e = at(1, 50000);

	visitor_end(b, e, 0, PEER_END_CORRUPT, false, t0);
	cr_expect_not(peer_book_welcome(b, &e, t0));
	peer_book_destroy(b);
}

Test(peer_book_hosts, bans_are_bounded_and_the_oldest_makes_room)
{
	struct peer_book *b = peer_book_create(1, 1);
	struct endpoint first = at(1, 1);

	for (unsigned i = 1; i <= HOST_BANS_MAX + 1; i++) {
		struct endpoint e = at(i, 1);
		peer_book_ban(b, &e, t0 + i);
		cr_assert_not(peer_book_welcome(b, &e, t0 + i));
	}
	cr_expect(peer_book_welcome(b, &first, t0 + 1 * MINUTE));
	peer_book_destroy(b);
}
