/* A piece is right when it is every byte that the torrent says, and no more. */

#include "shared/piece_check.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shared/digest.h"
#include "shared/metainfo.h"

Test(piece_check, wants_exactly_the_piece)
{
	uint8_t piece[16385] = {1, 2, 3};
	uint8_t hashes[40];
	char text[300];
	struct metainfo m;
	struct error err;

	digest_sha1(piece, 16384, hashes);
	digest_sha1(piece + 16384, 1, hashes + 20);
	int n = snprintf(text, sizeof(text),
		"d4:infod6:lengthi16385e4:name4:name"
		"12:piece lengthi16384e6:pieces40:");
	memcpy(text + n, hashes, 40);
	memcpy(text + n + 40, "ee", 2);
	cr_assert(metainfo_parse(
		(struct span){(uint8_t *)text, (size_t)n + 42}, &m, &err));

	struct piece_check *c = piece_check_create();
	cr_assert(c);
	piece_check_begin(c, &m, 0);
	piece_check_update(c, piece, 10000);
	piece_check_update(c, piece + 10000, 6384);
	cr_expect(piece_check_end(c));

	piece_check_begin(c, &m, 0);
	piece_check_update(c, piece, 16383);
	cr_expect_not(piece_check_end(c), "too short");

	piece_check_begin(c, &m, 0);
	piece_check_update(c, piece, 16384);
	piece_check_update(c, piece, 1);
	cr_expect_not(piece_check_end(c), "too long");

	piece_check_begin(c, &m, 1);
	piece_check_update(c, piece + 16384, 1);
	cr_expect(piece_check_end(c));
	piece_check_begin(c, &m, 1);
	piece_check_update(c, piece, 1);
	cr_expect_not(piece_check_end(c), "wrong byte");
	piece_check_destroy(c);
	piece_check_destroy(NULL);
	metainfo_finish(&m);
}
