/* Which address is dialled next, when one is due again after its connection
 * ended, and what is not kept. */

#include "client/session/peer_priority.h"
#include "tests/unit/peer_book_lab.h"

Test(peer_book, address_is_dialled_once_and_then_connected)
{
	struct peer_book *b = peer_book_create(1, 1);

	cr_expect_eq(due_ms(b, t0), UINT64_MAX);
	hear(b, at(1, 1), FROM_TRACKER, t0);
	hear(b, at(1, 1), FROM_PEX, t0);
	cr_expect_eq(peer_book_count(b, 0), 1);
	cr_expect_eq(dialled(b, t0), 1);
	cr_expect_eq(peer_book_count(b, 0), 0);
	hear(b, at(1, 1), FROM_TRACKER, t0);
	hear(b, at(1, 1), FROM_USER, t0);
	cr_expect_eq(dialled(b, t0 + HOUR), 0);
	peer_book_destroy(b);
	peer_book_destroy(NULL);
}

Test(peer_book, what_cannot_be_a_peer_is_not_dialled)
{
	static const struct endpoint cases[] = {
		{{[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}, 0},
		{{0}, 1},
		{{[10] = 0xff, [11] = 0xff}, 1},
		{{[10] = 0xff, [11] = 0xff, [12] = 224, [15] = 1}, 1},
		{{[10] = 0xff, [11] = 0xff, 255, 255, 255, 255}, 1},
		{{0xff, 2, [15] = 1}, 1},
	};
	struct peer_book *b = peer_book_create(1, 1);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		hear(b, cases[i], FROM_PEX, t0);
		cr_expect_eq(dialled(b, t0), 0, "case %zu", i);
	}
	peer_book_destroy(b);
}

Test(peer_book, user_first_then_who_gave_data_then_in_order)
{
	struct peer_book *b = peer_book_create(1, 1);

	hear(b, at(1, 1), FROM_TRACKER, t0);
	cr_assert_eq(dialled(b, t0), 1);
	end(b, at(1, 1), PEER_END_CLOSED, true, t0);
	hear(b, at(2, 2), FROM_PEX, t0 + 1);
	hear(b, at(3, 3), FROM_TRACKER, t0 + 1);
	hear(b, at(4, 4), FROM_USER, t0 + MINUTE);
	cr_expect_eq(dialled(b, t0 + MINUTE), 4);
	cr_expect_eq(dialled(b, t0 + MINUTE), 1);
	cr_expect_eq(dialled(b, t0 + MINUTE), 2);
	cr_expect_eq(dialled(b, t0 + MINUTE), 3);
	peer_book_destroy(b);
}

Test(peer_book, torrents_take_turns)
{
	struct peer_book *b = peer_book_create(3, 1);
	static const int turns[] = {0, 2, 0, 2, 0};

	for (uint16_t i = 1; i <= 3; i++) {
		struct endpoint e = at(i, i);
		peer_book_heard(b, 0, &e, FROM_TRACKER, t0);
		if (i <= 2)
			peer_book_heard(b, 2, &e, FROM_TRACKER, t0);
	}
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		struct endpoint e;
		uint64_t next_ms;
		int torrent;

		cr_assert(peer_book_next(b, t0, &torrent, &e, &next_ms));
		cr_expect_eq(torrent, turns[i], "turn %zu", i);
	}
	peer_book_destroy(b);
}

Test(peer_book, failing_address_backs_off_to_an_hour)
{
	static const unsigned waits_s[] = {
		5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600};
	static const enum peer_end ends[] = {
		PEER_END_UNREACHABLE, PEER_END_NO_HANDSHAKE, PEER_END_CLOSED};

	for (size_t how = 0; how < 3; how++) {
		struct peer_book *b = peer_book_create(1, 1);
		uint64_t now_ms = t0;

		hear(b, at(1, 1), FROM_TRACKER, now_ms);
		for (size_t i = 0; i < sizeof(waits_s) / sizeof(waits_s[0]);
			i++) {
			cr_assert_eq(dialled(b, now_ms), 1);
			end(b, at(1, 1), ends[how], false, now_ms);
			hear(b, at(1, 1), FROM_TRACKER, now_ms);
			cr_expect_eq(due_ms(b, now_ms) - now_ms,
				(uint64_t)waits_s[i] * S, "failure %zu", i);
			now_ms += (uint64_t)waits_s[i] * S;
		}
		peer_book_destroy(b);
	}
}

Test(peer_book, address_of_the_user_keeps_being_tried)
{
	struct peer_book *b = peer_book_create(1, 1);

	hear(b, at(1, 1), FROM_USER, t0);
	cr_expect_leq(failing_dials(b, t0, t0 + 15 * S), 12);
	for (unsigned i = 0; i < 50; i++)
		cr_expect_leq(failing_dials(b, t0 + HOUR + i * MINUTE,
				      t0 + HOUR + (i + 1) * MINUTE),
			3);
	cr_expect_geq(
		failing_dials(b, t0 + 2 * HOUR, t0 + 2 * HOUR + MINUTE), 1);
	peer_book_destroy(b);
}

Test(peer_book, known_address_that_the_user_names_is_due_at_once)
{
	struct peer_book *b = peer_book_create(1, 1);

	hear(b, at(1, 1), FROM_TRACKER, t0);
	cr_assert_eq(failing_dials(b, t0, t0 + 2 * MINUTE), 5);
	cr_assert_eq(dialled(b, t0 + 2 * MINUTE), 0);
	hear(b, at(1, 1), FROM_USER, t0 + 2 * MINUTE);
	cr_expect_eq(dialled(b, t0 + 2 * MINUTE), 1);
	peer_book_destroy(b);
}

Test(peer_book, end_decides_when_an_address_is_due_again)
{
	static const struct {
		enum peer_end how;
		bool got_data;
		uint64_t wait_ms; /* 0: never */
	} cases[] = {
		{PEER_END_CLOSED, true, 10 * S},
		{PEER_END_CLOSED, false, 5 * S},
		{PEER_END_UNREACHABLE, false, 5 * S},
		{PEER_END_NO_HANDSHAKE, false, 5 * S},
		{PEER_END_OURSELVES, false, 0},
		{PEER_END_DUPLICATE, false, 5 * S},
		{PEER_END_PROTOCOL_ERROR, false, 10 * MINUTE},
		{PEER_END_PROTOCOL_ERROR, true, 10 * MINUTE},
		{PEER_END_CORRUPT, false, HOUR},
		{PEER_END_CORRUPT, true, HOUR},
		{PEER_END_USELESS, false, 5 * MINUTE},
		{PEER_END_STOPPED, false, MINUTE},
		{PEER_END_NEIGHBOURS, false, 5 * S},
		{PEER_END_NEIGHBOURS, true, 5 * S},
	};
	static const enum candidate_source sources[] = {
		FROM_USER, FROM_TRACKER};

	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer_book *b = peer_book_create(1, 1);
		size_t c = i / 2;

		hear(b, at(1, 1), sources[i % 2], t0);
		cr_assert_eq(dialled(b, t0), 1);
		end(b, at(1, 1), cases[c].how, cases[c].got_data, t0);
		hear(b, at(1, 1), FROM_PEX, t0);
		if (cases[c].wait_ms == 0) {
			hear(b, at(1, 1), FROM_USER, t0);
			cr_expect_eq(due_ms(b, t0), UINT64_MAX);
		} else {
			cr_expect_eq(due_ms(b, t0) - t0, cases[c].wait_ms,
				"case %zu", c);
			cr_expect_eq(dialled(b, t0 + cases[c].wait_ms), 1,
				"case %zu", c);
		}
		peer_book_destroy(b);
	}
}

Test(peer_book, link_that_was_gone_for_minutes_is_tried_again_soon)
{
	struct peer_book *b = peer_book_create(1, 1);

	hear(b, at(1, 1), FROM_TRACKER, t0);
	cr_assert_eq(dialled(b, t0), 1);
	end(b, at(1, 1), PEER_END_CLOSED, true, t0);
	cr_expect_gt(failing_dials(b, t0, t0 + 10 * MINUTE), 8);
	cr_expect_leq(due_ms(b, t0 + 10 * MINUTE), t0 + 11 * MINUTE);
	/* But not for ever. */
	failing_dials(b, t0 + 10 * MINUTE, t0 + 2 * HOUR);
	cr_expect_leq(failing_dials(b, t0 + 2 * HOUR, t0 + 4 * HOUR), 3);
	peer_book_destroy(b);
}

Test(peer_book, long_visit_is_no_failure)
{
	struct peer_book *b = peer_book_create(1, 1);
	uint64_t now_ms = t0;

	hear(b, at(1, 1), FROM_TRACKER, now_ms);
	for (unsigned i = 0; i < 5; i++) {
		cr_assert_eq(dialled(b, now_ms), 1);
		now_ms += 10 * MINUTE;
		end(b, at(1, 1), PEER_END_CLOSED, false, now_ms);
		cr_expect_eq(due_ms(b, now_ms), now_ms + 5 * S);
		now_ms += 5 * S;
	}
	peer_book_destroy(b);
}

Test(peer_book, visitor_is_dialled_where_it_listens)
{
	struct peer_book *b = peer_book_create(1, 1);

	visitor_end(b, at(1, 50000), 0, PEER_END_CLOSED, true, t0);
	cr_expect_eq(due_ms(b, t0), UINT64_MAX);
	visitor_end(b, at(1, 50000), 6881, PEER_END_CLOSED, true, t0);
	cr_expect_eq(due_ms(b, t0), t0 + 10 * S);
	cr_expect_eq(dialled(b, t0 + 10 * S), 6881);
	/* Another of the same peer: the dial goes on. */
	visitor_end(b, at(1, 50001), 6881, PEER_END_CLOSED, true, t0 + 11 * S);
	cr_expect_eq(dialled(b, t0 + HOUR), 0);
	peer_book_destroy(b);
}

/* Both dialled one another at the same time. */
Test(peer_book, duplicate_is_dialled_once_its_other_connection_has_ended)
{
	static const struct {
		enum peer_end visit;
		uint64_t wait_ms; /* from the end of the visit */
	} cases[] = {
		{PEER_END_METADATA, 0},
		{PEER_END_CLOSED, 5 * S},
		{PEER_END_STOPPED, MINUTE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer_book *b = peer_book_create(1, 1);
		uint64_t now = t0;

		hear(b, at(1, 6881), FROM_TRACKER, now);
		cr_assert_eq(dialled(b, now), 6881);
		end(b, at(1, 6881), PEER_END_DUPLICATE, false, now);
		cr_assert_eq(dialled(b, now += 5 * S), 6881);
		end(b, at(1, 6881), PEER_END_DUPLICATE, false, now);
		cr_expect_eq(due_ms(b, now), now + MINUTE);

		now += S;
		visitor_end(b, at(1, 50000), 6881, cases[i].visit, false, now);
		cr_expect_eq(dialled(b, now + cases[i].wait_ms), 6881,
			"case %zu", i);
		/* Who only says that it was that one changes nothing more. */
		end(b, at(1, 6881), PEER_END_UNREACHABLE, false, now);
		uint64_t due = due_ms(b, now);
		visitor_end(b, at(1, 50000), 6881, cases[i].visit, false, now);
		cr_expect_eq(due_ms(b, now), due, "case %zu", i);
		peer_book_destroy(b);
	}
}

Test(peer_book, visitor_cannot_speak_ill_of_another_port)
{
	static const enum peer_end ends[] = {PEER_END_OURSELVES,
		PEER_END_PROTOCOL_ERROR, PEER_END_NO_HANDSHAKE, PEER_END_CLOSED,
		PEER_END_USELESS};

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct peer_book *b = peer_book_create(1, 1);

		hear(b, at(1, 6881), FROM_TRACKER, t0);
		visitor_end(b, at(1, 50000), 6881, ends[i], false, t0);
		cr_expect_eq(dialled(b, t0), 6881, "case %zu", i);
		peer_book_destroy(b);
	}
}

Test(peer_book, full_book_lets_go_of_the_longest_failing)
{
	struct peer_book *b = peer_book_create(1, 1);

	/* One that failed more often than the others. */
	hear(b, at(1, 1), FROM_TRACKER, t0);
	failing_dials(b, t0, t0 + MINUTE);
	for (unsigned i = 2; i <= PEER_BOOK_MAX; i++)
		hear(b, at(i, 2), FROM_TRACKER, t0 + MINUTE);
	cr_expect_eq(peer_book_count(b, 0), PEER_BOOK_MAX);

	hear(b, at(5001, 3), FROM_TRACKER, t0 + MINUTE);
	cr_expect_eq(peer_book_count(b, 0), PEER_BOOK_MAX);
	/* Now all are fresh, and nobody goes. */
	hear(b, at(5002, 4), FROM_TRACKER, t0 + MINUTE);
	unsigned seen[5] = {0};
	for (uint16_t port; (port = dialled(b, t0 + MINUTE)) != 0;)
		seen[port]++;
	cr_expect_eq(seen[1], 0);
	cr_expect_eq(seen[2], PEER_BOOK_MAX - 1);
	cr_expect_eq(seen[3], 1);
	cr_expect_eq(seen[4], 0);
	peer_book_destroy(b);
}

Test(peer_book, gossip_leaves_room_for_the_trackers)
{
	struct peer_book *b = peer_book_create(1, 1);

	for (unsigned i = 1; i <= 2 * PEER_BOOK_MAX; i++)
		hear(b, at(i, 1), FROM_PEX, t0);
	size_t gossip = peer_book_count(b, 0);
	cr_expect_lt(gossip, PEER_BOOK_MAX);
	hear(b, at(1, 2), FROM_TRACKER, t0);
	cr_expect_eq(peer_book_count(b, 0), gossip + 1);
	peer_book_destroy(b);
}

Test(peer_book, unknown_torrents_are_ignored)
{
	struct peer_book *b = peer_book_create(1, 1);
	struct endpoint e = at(1, 1);

	peer_book_heard(b, -1, &e, FROM_TRACKER, t0);
	peer_book_heard(b, 1, &e, FROM_TRACKER, t0);
	peer_book_ended(b,
		&(struct candidate){.torrent = -1,
			.address = e,
			.ended = PEER_END_NO_HANDSHAKE},
		t0);
	end(b, e, PEER_END_CLOSED, true, t0); /* never heard of */
	cr_expect_eq(due_ms(b, t0), UINT64_MAX);
	peer_book_destroy(b);
}

Test(peer_book, who_gave_metadata_is_dialled_again_at_once)
{
	struct peer_book *b = peer_book_create(1, 1);
	struct endpoint address, next;
	uint64_t next_ms;
	int torrent;

	cr_assert(b && endpoint_parse("1.2.3.4:5", &address));
	peer_book_heard(b, 0, &address, FROM_TRACKER, 1000);
	cr_assert(peer_book_next(b, 1000, &torrent, &next, &next_ms));
	peer_book_ended(b,
		&(struct candidate){.source = FROM_WORKER,
			.address = address,
			.socket = -1,
			.ended = PEER_END_METADATA,
			.dialled = true,
			.got_data = true},
		2000);
	cr_expect(peer_book_next(b, 2000, &torrent, &next, &next_ms));
	peer_book_destroy(b);
}

/* ---- BEP 40 ---- */

Test(peer_book, of_those_never_tried_the_preferred_comes_first)
{
	struct peer_book *b = peer_book_create(1, 42);
	const struct endpoint us = at(0x010203, 6881);
	const struct endpoint one = at(1, 1), two = at(2, 1);
	uint32_t last = UINT32_MAX;
	uint64_t minute = t0 - t0 % MINUTE + MINUTE;

	for (uint16_t i = 1; i <= 20; i++)
		hear(b, at(i * 0x10101u, i), FROM_TRACKER, minute);
	/* One may lie, however often it says so. */
	peer_book_seen_as(b, &us, &one);
	peer_book_seen_as(b, &us, &one);
	cr_expect_eq(dialled(b, minute), 1);
	cr_expect_eq(dialled(b, minute), 2);
	peer_book_seen_as(b, &us, &two);
	for (uint16_t i = 21; i <= 40; i++)
		hear(b, at(i * 0x10101u, i), FROM_TRACKER, minute + S);
	hear(b, at(0x990000, 99), FROM_TRACKER, minute + MINUTE);
	for (uint16_t i = 3; i <= 40; i++) {
		uint16_t port = dialled(b, minute + MINUTE);
		struct endpoint e = at(port * 0x10101u, port);
		uint32_t priority = peer_priority(&us, &e);
		cr_expect_leq(priority, last);
		last = priority;
	}
	/* However high its priority is, it came later. */
	cr_expect_eq(dialled(b, minute + MINUTE), 99);
	peer_book_destroy(b);
}
