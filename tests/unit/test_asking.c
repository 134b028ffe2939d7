#include "client/peer/asking.h"

#include "tests/unit/conversation_lab.h"

/* As part of a conversation, which says when it is choked and what it wants. */

static const struct conversation_start plain = {0};
static const struct conversation_start fast = {.fast = true};

Test(asking, asks_only_when_unchoked_and_interested)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_begin(&l, plain, LAB_START_MS);

	lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "");
	lab_says(c, WIRE_CHOKE, LAB_START_MS);
	lab_says_have(c, 0, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "interested");
	lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
	cr_expect_eq(lab_count(lab_tick(c, LAB_START_MS + 5000), "request"), 4);
	lab_end(c);
	lab_close(&l);
}

static void says_reqq(struct conversation *c, unsigned reqq)
{
	char text[64];
	int len = snprintf(text, sizeof(text), "d4:reqqi%uee", reqq);

	conversation_message(c,
		&(struct wire_message){.id = WIRE_EXTENDED,
			.payload = {(const uint8_t *)text, (size_t)len}},
		LAB_START_MS);
}

Test(asking, asks_for_no_more_than_the_peer_queues)
{
	static const struct {
		unsigned reqq;
		size_t asked;
	} cases[] = {{1, 1}, {7, 7}, {32, 32}, {250, 32}, {0, 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lab l = lab_open(0);
		struct conversation *c = lab_giving(&l, plain);

		c->extensions.spoken = true;
		says_reqq(c, cases[i].reqq);
		cr_expect_eq(lab_count(lab_tick(c, LAB_START_MS), "request"),
			cases[i].asked, "%u", cases[i].reqq);
		lab_end(c);
		lab_close(&l);
	}
}

Test(asking, the_depth_follows_the_speed)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_giving(&l, plain);
	uint64_t now = LAB_START_MS;

	/* Idleness says nothing about it. */
	lab_says(c, WIRE_CHOKE, now);
	for (int i = 0; i < 50; i++)
		(void)lab_tick(c, now += 200);
	lab_says(c, WIRE_UNCHOKE, now);
	cr_expect_eq(lab_count(lab_tick(c, now), "request"), 32);

	/* 10 blocks in 100 ms are 50 in 400 ms and two round trips. */
	for (uint32_t i = 0; i < 10; i++)
		cr_expect(lab_gives(&l, c, i / 4, i % 4, now + 50));
	cr_expect_eq(
		lab_count(lab_tick(c, now += 100), "request"), 50 - (32 - 10));

	/* Slower and slower, and never below a few. */
	for (int i = 0; i < 40; i++)
		(void)lab_tick(c, now += 100);
	cr_expect_eq(c->asking.depth, 4);
	lab_end(c);
	lab_close(&l);
}

Test(asking, the_depth_covers_a_long_way)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_giving(&l, plain);
	uint64_t now = LAB_START_MS;

	cr_expect_eq(lab_count(lab_tick(c, now), "request"), 32);
	for (; now < LAB_START_MS + 500; now += 100)
		(void)lab_tick(c, now);
	for (uint32_t i = 0; i < 10; i++)
		cr_expect(lab_gives(&l, c, i / 4, i % 4, now));
	(void)lab_tick(c, now += 100);
	cr_expect_eq(c->asking.depth, 10 * (400 + 2 * 500) / 200);
	lab_end(c);
	lab_close(&l);
}

Test(asking, a_peer_that_chokes_frees_its_blocks_for_others)
{
	for (int speaks_fast = 0; speaks_fast <= 1; speaks_fast++) {
		struct lab l = lab_open(LAB_LAST);
		struct conversation *c =
			lab_giving(&l, speaks_fast ? fast : plain);
		struct conversation *other = lab_giving(&l, plain);

		cr_expect_str_eq(
			lab_tick(c, LAB_START_MS), "request:39.0 request:39.1");
		/* Once choked it is not waited for. */
		lab_says(c, WIRE_CHOKE, LAB_START_MS);
		cr_expect_str_eq(lab_tick(c, LAB_START_MS), "");
		cr_expect_str_eq(lab_tick(other, LAB_START_MS),
			"request:39.0 request:39.1");
		lab_end(other);

		lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
		cr_expect_str_eq(
			lab_tick(c, LAB_START_MS), "request:39.0 request:39.1");
		lab_end(c);
		lab_close(&l);
	}
}

Test(asking, with_fast_what_is_sent_after_a_choke_is_used)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_giving(&l, fast);

	(void)lab_tick(c, LAB_START_MS);
	lab_says(c, WIRE_CHOKE, LAB_START_MS);
	cr_expect(lab_gives(&l, c, LAB_LAST, 0, LAB_START_MS));
	lab_says_block(c, WIRE_REJECT, lab_ref(&l, LAB_LAST, 1), LAB_START_MS);
	lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "request:39.1");
	cr_expect_eq(c->asking.unasked, 0);
	lab_end(c);
	lab_close(&l);
}

Test(asking, what_is_refused_is_asked_of_others_and_later_again)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_giving(&l, fast);
	struct conversation *other = lab_giving(&l, fast);
	uint64_t now = LAB_START_MS;

	(void)lab_tick(c, now);
	for (uint32_t i = 0; i < 2; i++)
		lab_says_block(c, WIRE_REJECT, lab_ref(&l, LAB_LAST, i), now);
	/* Two that did nothing but ask and refuse would never rest. */
	cr_expect_str_eq(lab_tick(c, now), "");
	cr_expect(conversation_hungry(c));
	cr_expect_eq(conversation_deadline(c), now + ASKING_REST_MS);
	cr_expect_str_eq(lab_tick(other, now), "request:39.0 request:39.1");
	lab_end(other);

	now += ASKING_REST_MS;
	cr_expect_str_eq(lab_tick(c, now), "request:39.0 request:39.1");
	cr_expect_gt(conversation_deadline(c), now);

	/* Nobody asked for that. */
	cr_expect_eq(lab_says_block(c, WIRE_REJECT, lab_ref(&l, 0, 0), now),
		CONVERSATION_GOES_ON);
	cr_expect_eq(c->asking.count, 2);
	lab_end(c);
	lab_close(&l);
}

Test(asking, the_blocks_of_a_silent_peer_go_to_others)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_giving(&l, plain);
	uint64_t now = LAB_START_MS;

	(void)lab_tick(c, now);
	struct conversation *other = lab_giving(&l, plain);
	cr_expect_eq(conversation_deadline(c), now + ASKING_SNUBBED_MS);
	now += ASKING_SNUBBED_MS;
	/* Whatever else it says. */
	lab_says_have(c, 0, now);
	lab_says(c, WIRE_KEEP_ALIVE, now);
	cr_expect_str_eq(lab_tick(c, now), "");
	cr_expect(c->asking.snubbed);
	cr_expect_str_eq(lab_tick(other, now), "request:39.0 request:39.1");
	cr_expect_gt(conversation_deadline(c), now);

	/* Late, and still used. */
	cr_expect(lab_gives(&l, c, LAB_LAST, 0, now + 1));
	cr_expect_not(c->asking.snubbed);
	cr_expect_str_eq(lab_tick(other, now + 1), "cancel:39.0");
	cr_expect(lab_gives(&l, other, LAB_LAST, 1, now + 2));
	cr_expect(torrent_complete(l.torrent));
	cr_expect_str_eq(
		lab_tick(c, now + 2), "have:39 cancel:39.1 not_interested");
	lab_end(other);
	lab_end(c);
	lab_close(&l);
}

Test(asking, a_peer_that_goes_on_is_not_asked_twice)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_giving(&l, plain);
	uint64_t now = LAB_START_MS;

	(void)lab_tick(c, now);
	now += ASKING_SNUBBED_MS;
	(void)lab_tick(c, now);
	cr_expect(lab_gives(&l, c, LAB_LAST, 0, now));
	cr_expect_str_eq(lab_tick(c, now), "");
	cr_expect(lab_gives(&l, c, LAB_LAST, 1, now));
	cr_expect(torrent_complete(l.torrent));
	lab_end(c);
	lab_close(&l);
}

Test(asking, requests_that_were_lost_are_made_anew)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_giving(&l, plain);
	uint64_t now = LAB_START_MS;

	cr_expect_eq(lab_count(lab_tick(c, now), "request"), 32);
	now += ASKING_SNUBBED_MS;
	cr_expect_str_eq(lab_tick(c, now), "");
	cr_expect_eq(conversation_deadline(c), now + ASKING_SNUBBED_MS);
	now += ASKING_SNUBBED_MS;
	cr_expect_str_eq(lab_tick(c, now), "request:0.0");
	cr_expect(lab_gives(&l, c, 0, 0, now));
	cr_expect_gt(lab_count(lab_tick(c, now), "request"), 1);
	lab_end(c);
	lab_close(&l);
}

Test(asking, a_byte_now_and_then_holds_no_block_for_ever)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_giving(&l, plain);
	uint64_t now = LAB_START_MS;

	(void)lab_tick(c, now);
	for (int i = 0; i <= 12; i++, now += 5000) {
		conversation_received(c, 1, now);
		cr_expect_str_eq(lab_tick(c, now), "");
	}
	conversation_received(c, 1, now);
	cr_expect_str_eq(lab_tick(c, now), "");
	cr_expect(c->asking.released[0] && c->asking.released[1]);
	now += ASKING_REST_MS;
	cr_expect_str_eq(lab_tick(c, now), "request:39.0 request:39.1");
	lab_end(c);
	lab_close(&l);
}

Test(asking, what_another_brought_is_cancelled_and_may_come_late)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_giving(&l, plain);
	struct conversation *other = lab_giving(&l, plain);

	(void)lab_tick(c, LAB_START_MS);
	/* The endgame: both are asked. */
	cr_expect_str_eq(
		lab_tick(other, LAB_START_MS), "request:39.0 request:39.1");
	cr_expect_not(conversation_has_news(c));
	cr_expect(lab_gives(&l, other, LAB_LAST, 0, LAB_START_MS));
	cr_expect(conversation_has_news(c));
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "cancel:39.0");
	cr_expect_not(lab_gives(&l, c, LAB_LAST, 0, LAB_START_MS));
	cr_expect_eq(c->asking.unasked, 0);
	cr_expect_not(lab_gives(&l, c, LAB_LAST, 0, LAB_START_MS));
	cr_expect_eq(c->asking.unasked, 1);
	lab_end(other);
	lab_end(c);
	lab_close(&l);
}

Test(asking, what_waits_long_in_a_queue_is_asked_of_who_has_it_by_now)
{
	struct lab l = lab_open(0);
	struct conversation *seed = lab_giving(&l, plain);
	struct conversation *leech = lab_begin(&l, plain, LAB_START_MS);
	uint64_t now = LAB_START_MS;

	/* Ten blocks in 100 ms: 40 take 0.4 s, and the first 11 of them are due
	 * in a round trip and 50 ms. */
	(void)lab_tick(seed, now);
	for (uint32_t i = 0; i < 20; i++) {
		cr_expect(lab_gives(&l, seed, i / 4, i % 4, now + 50));
		if (i % 10 == 9)
			(void)lab_tick(seed, now += 100);
	}
	cr_expect_eq(seed->asking.count, 40);
	cr_expect(seed->peer.backlogged);

	lab_says_have(leech, LAB_LAST, now);
	(void)lab_tick(leech, now);
	lab_says(leech, WIRE_UNCHOKE, now);
	leech->peer.pick.proven = true;
	lab_says_have(leech, 5, now);
	lab_says_have(leech, 9, now);
	cr_expect_eq(lab_count(lab_tick(seed, now), "cancel:9."), 4);
	cr_expect_str_eq(lab_tick(leech, now),
		"request:9.0 request:9.1 request:9.2 request:9.3 "
		"request:39.0 request:39.1");
	lab_end(leech);
	lab_end(seed);
	lab_close(&l);
}

Test(asking, what_was_asked_for_before_a_piece_failed_is_cancelled_in_the_end)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_giving(&l, plain);
	struct conversation *liar = lab_giving(&l, plain);

	(void)lab_tick(c, LAB_START_MS);
	(void)lab_tick(liar, LAB_START_MS);
	for (uint32_t i = 0; i < 2; i++)
		cr_expect(lab_gives_as(
			&l, liar, LAB_LAST, i, LAB_START_MS, false));
	/* A limit lets it ask for nothing just now: so the piece is begun anew
	 * by another, and nobody knows that it was asked before. */
	c->asking.may_ask = 0;
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "");

	struct conversation *other = lab_giving(&l, plain);
	cr_expect_str_eq(
		lab_tick(other, LAB_START_MS), "request:39.0 request:39.1");
	for (uint32_t i = 0; i < 2; i++)
		cr_expect(lab_gives(&l, other, LAB_LAST, i, LAB_START_MS));
	cr_expect_str_eq(lab_tick(c, LAB_START_MS),
		"have:39 cancel:39.1 cancel:39.0 not_interested");
	lab_end(other);
	lab_end(liar);
	lab_end(c);
	lab_close(&l);
}

Test(asking, unasked_blocks_are_put_up_with_sixteen_times)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_giving(&l, plain);

	(void)lab_tick(c, LAB_START_MS);
	for (int i = 0; i < ASKING_MAX_UNASKED; i++)
		cr_expect_not(lab_gives(&l, c, 30, 0, LAB_START_MS));
	cr_expect_not(asking_tired(&c->asking));
	(void)lab_tick(c, LAB_START_MS);
	cr_expect_not(lab_gives(&l, c, 30, 0, LAB_START_MS));
	cr_expect(asking_tired(&c->asking));
	cr_expect_eq(conversation_tick(c, LAB_START_MS),
		CONVERSATION_PROTOCOL_ERROR);
	lab_end(c);
	lab_close(&l);
}

Test(asking, only_exactly_what_was_asked_for_is_taken)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_giving(&l, plain);
	static const struct block_ref wrong[] = {
		{0, 0, BLOCK_SIZE - 1},
		{0, 1, BLOCK_SIZE},
		{0, 1, BLOCK_SIZE - 1},
		{0, LAB_PIECE, BLOCK_SIZE},
		{LAB_PIECES, 0, BLOCK_SIZE},
		{UINT32_MAX, UINT32_MAX - BLOCK_SIZE + 1, BLOCK_SIZE},
	};

	(void)lab_tick(c, LAB_START_MS);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_eq(asking_expect(&c->asking, &wrong[i]),
			BLOCK_UNASKED, "%zu", i);
	cr_expect(lab_gives(&l, c, 0, 0, LAB_START_MS));
	lab_end(c);
	lab_close(&l);
}
