#include "client/torrent/open_piece.h"

#include <criterion/criterion.h>

#include "client/torrent/block.h"

static struct endpoint peer(uint16_t number, uint16_t port)
{
	return (struct endpoint){
		.ip = {[14] = (uint8_t)(number >> 8), [15] = (uint8_t)number},
		.port = port};
}

Test(open_piece, has_as_many_blocks_as_its_size_needs)
{
	static const struct {
		uint32_t size, blocks, last;
	} cases[] = {
		{1, 1, 1},
		{BLOCK_SIZE - 1, 1, BLOCK_SIZE - 1},
		{BLOCK_SIZE, 1, BLOCK_SIZE},
		{BLOCK_SIZE + 1, 2, 1},
		{3 * BLOCK_SIZE, 3, BLOCK_SIZE},
		{512 * 1024 * 1024, 32768, BLOCK_SIZE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct open_piece *p = open_piece_create(7, cases[i].size);

		cr_assert(p);
		cr_expect_eq(p->index, 7);
		cr_expect_eq(p->block_count, cases[i].blocks, "%zu", i);
		cr_expect_eq(p->unasked, cases[i].blocks);
		cr_expect_eq(open_piece_block_size(p, p->block_count - 1),
			cases[i].last);
		if (p->block_count > 1)
			cr_expect_eq(open_piece_block_size(p, 0), BLOCK_SIZE);
		open_piece_destroy(p);
	}
	open_piece_destroy(NULL);
}

Test(open_piece, knows_who_gave_what)
{
	struct open_piece *p = open_piece_create(0, 3 * BLOCK_SIZE);
	struct endpoint a = peer(1, 10), b = peer(2, 10);

	open_piece_note_giver(p, 0, &a);
	open_piece_note_giver(p, 1, &b);
	open_piece_note_giver(p, 2, &a);
	cr_expect_eq(p->giver_count, 2);
	cr_expect(endpoint_equal(open_piece_giver(p, 0), &a));
	cr_expect(endpoint_equal(open_piece_giver(p, 1), &b));
	cr_expect(endpoint_equal(open_piece_giver(p, 2), &a));
	cr_expect_not(open_piece_single_giver(p));
	open_piece_destroy(p);
}

Test(open_piece, a_giver_is_an_address_with_its_port)
{
	struct endpoint a = peer(1, 10), neighbour = peer(1, 11);

	for (int alone = 0; alone <= 1; alone++) {
		struct open_piece *p = open_piece_create(0, 3 * BLOCK_SIZE);

		cr_expect_not(open_piece_single_giver(p)); /* nobody yet */
		open_piece_note_giver(p, 0, &a);
		open_piece_note_giver(p, 1, alone ? &a : &neighbour);
		open_piece_note_giver(p, 2, &a);
		cr_expect_eq(open_piece_single_giver(p), alone);
		open_piece_destroy(p);
	}
}

Test(open_piece, givers_past_the_limit_are_unknown_and_nobody_else)
{
	enum { BLOCKS = OPEN_PIECE_GIVERS + 2 };
	struct open_piece *p = open_piece_create(0, BLOCKS * BLOCK_SIZE);

	for (uint16_t i = 0; i < BLOCKS; i++) {
		struct endpoint who = peer(i + 1, 5);
		open_piece_note_giver(p, i, &who);
	}
	for (uint16_t i = 0; i < BLOCKS; i++) {
		struct endpoint who = peer(i + 1, 5);
		const struct endpoint *known = open_piece_giver(p, i);

		if (i < OPEN_PIECE_GIVERS)
			cr_expect(endpoint_same_ip(known, &who), "%u", i);
		else
			cr_expect_null(known, "%u", i);
	}
	cr_expect_eq(p->giver_count, OPEN_PIECE_GIVERS);
	cr_expect_not(open_piece_single_giver(p));
	open_piece_destroy(p);
}
