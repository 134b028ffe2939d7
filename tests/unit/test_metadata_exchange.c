#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "client/peer/metadata_exchange.h"
#include "shared/digest.h"
#include "tests/unit/guarded.h"

enum {
	START_MS = 100 * 1000,
	/* Three pieces, the last short. */
	SIZE = 2 * METADATA_PIECE_SIZE + 100,
	PIECES = 3,
};

/* ---- messages ---- */

Test(metadata_exchange, messages_go_there_and_back)
{
	static const struct metadata_message cases[] = {
		{.kind = METADATA_REQUEST, .piece = 0},
		{.kind = METADATA_REJECT, .piece = METADATA_MAX_PIECES - 1},
		{.kind = METADATA_DATA,
			.piece = 1,
			.total_size = METADATA_MAX_SIZE,
			.data = {(const uint8_t *)"de", 2}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct metadata_message *m = &cases[i];
		struct metadata_message back;
		uint8_t memory[128];
		struct writer w = writer_of(memory, sizeof(memory));

		metadata_write(&w, m);
		cr_assert_not(w.bad);
		cr_assert(metadata_read(
			guarded_span(memory, writer_len(&w)), &back));
		cr_expect_eq(back.kind, m->kind);
		cr_expect_eq(back.piece, m->piece);
		cr_expect_eq(back.total_size, m->total_size);
		cr_expect_eq(back.data.len, m->data.len);
	}
}

Test(metadata_exchange, the_longest_message_fits)
{
	static uint8_t data[METADATA_PIECE_SIZE];
	static uint8_t memory[METADATA_MESSAGE_SIZE];
	struct writer w = writer_of(memory, sizeof(memory));

	metadata_write(&w,
		&(struct metadata_message){.kind = METADATA_DATA,
			.piece = METADATA_MAX_PIECES - 1,
			.total_size = METADATA_MAX_SIZE,
			.data = {data, sizeof(data)}});
	cr_expect_not(w.bad);
}

Test(metadata_exchange, odd_messages_are_ignored_or_malformed)
{
	static const struct {
		const char *in;
		bool ok;
		enum metadata_kind kind;
	} cases[] = {
		{"d8:msg_typei0e5:piecei0ee", true, METADATA_REQUEST},
		{"d8:msg_typei0e5:piecei2047ee", true, METADATA_REQUEST},
		{"d8:msg_typei0e5:piecei2048ee", false, 0},
		{"d8:msg_typei0e5:piecei-1ee", false, 0},
		{"d8:msg_typei0ee", false, 0},
		{"d8:msg_typei0e5:piece1:0e", false, 0},
		{"d8:msg_typei3ee", true, METADATA_UNKNOWN},
		{"d8:msg_typei-1ee", true, METADATA_UNKNOWN},
		{"d8:msg_typei1e5:piecei0e10:total_sizei1eex", true,
			METADATA_DATA},
		{"d8:msg_typei1e5:piecei0e10:total_sizei0eex", false, 0},
		{"d8:msg_typei1e5:piecei0e10:total_sizei33554433eex", false, 0},
		{"d8:msg_typei1e5:piecei0eex", false, 0},
		{"de", false, 0},
		{"d", false, 0},
		{"", false, 0},
		{"le", false, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct metadata_message m = {.kind = 0};

		cr_expect_eq(metadata_read(guarded_text(cases[i].in), &m),
			cases[i].ok, "'%s'", cases[i].in);
		cr_expect_eq(m.kind, cases[i].kind, "'%s'", cases[i].in);
	}
}

Test(metadata_exchange, pieces_have_their_sizes)
{
	cr_expect_eq(metadata_piece_size(1, 0), 1);
	cr_expect_eq(metadata_piece_size(1, 1), 0);
	cr_expect_eq(metadata_piece_size(METADATA_PIECE_SIZE, 0),
		METADATA_PIECE_SIZE);
	cr_expect_eq(metadata_piece_size(METADATA_PIECE_SIZE, 1), 0);
	cr_expect_eq(metadata_piece_size(METADATA_PIECE_SIZE + 1, 1), 1);
	cr_expect_eq(
		metadata_piece_size(METADATA_MAX_SIZE, METADATA_MAX_PIECES - 1),
		METADATA_PIECE_SIZE);
	cr_expect_eq(metadata_piece_size(METADATA_MAX_SIZE, UINT32_MAX), 0);
}

/* ---- a whole of pieces ---- */

/* The right bytes, and wrong ones of the same form. */
static uint8_t right[SIZE], wrong[SIZE];

static struct metadata_assembler *begin(void)
{
	struct info_hash hash;

	for (size_t i = 0; i < SIZE; i++)
		right[i] = (uint8_t)(i * 7 % 251);
	right[0] = 'd';
	right[SIZE - 1] = 'e';
	memcpy(wrong, right, SIZE);
	for (uint32_t i = 0; i < PIECES; i++)
		wrong[i * METADATA_PIECE_SIZE + 50] ^= 1;
	digest_sha1(right, SIZE, hash.bytes);
	struct metadata_assembler *a = metadata_assembler_create(&hash);
	cr_assert(a);
	return a;
}

static struct endpoint peer(uint16_t n)
{
	return (struct endpoint){.ip = {[15] = 1}, .port = n};
}

static enum metadata_verdict gives(struct metadata_assembler *a, uint16_t n,
	const uint8_t *bytes, uint32_t size, uint32_t piece, uint64_t now_ms)
{
	struct endpoint from = peer(n);

	return metadata_assembler_take(a, &from,
		&(struct metadata_message){.kind = METADATA_DATA,
			.piece = piece,
			.total_size = size,
			.data = {bytes + piece * METADATA_PIECE_SIZE,
				metadata_piece_size(size, piece)}},
		now_ms);
}

/* The piece that would be asked of it; -1: none. */
static int asked(struct metadata_assembler *a, uint16_t n, uint64_t now_ms)
{
	struct endpoint from = peer(n);
	uint32_t piece;

	return metadata_assembler_next(a, &from, SIZE, now_ms, &piece)
		? (int)piece
		: -1;
}

Test(metadata_exchange, one_peer_gives_the_whole)
{
	struct metadata_assembler *a = begin();

	for (uint32_t i = 0; i < PIECES; i++) {
		cr_expect_eq(metadata_assembler_whole(a).len, 0);
		cr_expect_eq(asked(a, 1, START_MS), (int)i);
		cr_expect_eq(gives(a, 1, right, SIZE, i, START_MS),
			i + 1 < PIECES ? METADATA_TAKEN : METADATA_WHOLE);
	}
	struct span whole = metadata_assembler_whole(a);
	cr_assert_eq(whole.len, SIZE);
	cr_expect_arr_eq(whole.at, right, SIZE);
	cr_expect_eq(asked(a, 2, START_MS), -1, "nothing more is needed");
	metadata_assembler_destroy(a);
}

Test(metadata_exchange, several_peers_are_asked_for_different_pieces)
{
	struct metadata_assembler *a = begin();
	struct endpoint two = peer(2);

	/* Before anything has come, the size is only a claim. */
	cr_expect_eq(asked(a, 1, START_MS), 0);
	cr_expect_eq(asked(a, 2, START_MS), 0);
	gives(a, 1, right, SIZE, 0, START_MS);
	cr_expect_eq(asked(a, 1, START_MS), 1);
	cr_expect_eq(asked(a, 2, START_MS), 2);
	cr_expect_eq(asked(a, 3, START_MS), -1);

	/* One says no, one does not answer: others are asked. */
	metadata_assembler_unask(a, &two, SIZE, 2);
	cr_expect_eq(asked(a, 3, START_MS + 1), 2);
	cr_expect_eq(asked(a, 3, START_MS + METADATA_ANSWER_MS - 1), -1);
	cr_expect_eq(asked(a, 3, START_MS + METADATA_ANSWER_MS), 1);
	metadata_assembler_destroy(a);
}

Test(metadata_exchange, who_gave_a_wrong_whole_is_not_asked_again)
{
	struct metadata_assembler *a = begin();
	struct endpoint liar = peer(1);

	gives(a, 1, wrong, SIZE, 0, START_MS);
	gives(a, 1, wrong, SIZE, 1, START_MS);
	cr_expect_eq(gives(a, 1, wrong, SIZE, 2, START_MS), METADATA_WRONG);
	cr_expect_not(metadata_assembler_trusts(a, &liar));
	cr_expect_eq(asked(a, 1, START_MS), -1);

	gives(a, 2, right, SIZE, 0, START_MS);
	gives(a, 2, right, SIZE, 1, START_MS);
	cr_expect_eq(gives(a, 2, right, SIZE, 2, START_MS), METADATA_WHOLE);
	metadata_assembler_destroy(a);
}

Test(metadata_exchange, nobody_spoils_for_ever_what_others_give)
{
	struct metadata_assembler *a = begin();
	struct endpoint honest = peer(1), liar = peer(2);

	gives(a, 1, right, SIZE, 0, START_MS);
	gives(a, 2, wrong, SIZE, 1, START_MS);
	cr_expect_eq(gives(a, 1, right, SIZE, 2, START_MS), METADATA_WRONG);
	cr_expect(metadata_assembler_trusts(a, &honest));
	cr_expect(metadata_assembler_trusts(a, &liar), "nobody knows yet");

	/* Now each gives all by itself. */
	for (uint32_t i = 0; i < PIECES; i++) {
		cr_expect_eq(asked(a, 1, START_MS), (int)i);
		cr_expect_eq(asked(a, 2, START_MS), (int)i);
		cr_expect_eq(gives(a, 2, wrong, SIZE, i, START_MS),
			i + 1 < PIECES ? METADATA_TAKEN : METADATA_WRONG);
		cr_expect_eq(gives(a, 1, right, SIZE, i, START_MS),
			i + 1 < PIECES ? METADATA_TAKEN : METADATA_WHOLE);
	}
	cr_expect_not(metadata_assembler_trusts(a, &liar));
	metadata_assembler_destroy(a);
}

Test(metadata_exchange, a_piece_that_does_not_fit_its_size_is_not_taken)
{
	struct metadata_assembler *a = begin();
	static uint8_t bytes[METADATA_PIECE_SIZE] = "d";
	static const struct {
		uint32_t size, piece;
		size_t len;
		bool ok;
	} cases[] = {
		{SIZE, 0, METADATA_PIECE_SIZE, true},
		{SIZE, 0, METADATA_PIECE_SIZE - 1, false},
		{SIZE, 0, 0, false},
		{SIZE, PIECES - 1, 100, false}, /* no 'e' at its end */
		{SIZE, PIECES, 100, false},
		{0, 0, 0, false},
		{METADATA_MAX_SIZE, 0, METADATA_PIECE_SIZE, true},
		{METADATA_MAX_SIZE + 1u, 0, METADATA_PIECE_SIZE, false},
		{UINT32_MAX, 0, METADATA_PIECE_SIZE, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint from = peer((uint16_t)(1 + i));
		struct metadata_message m = {
			.kind = METADATA_DATA,
			.piece = cases[i].piece,
			.total_size = cases[i].size,
			.data = {bytes, cases[i].len},
		};
		cr_expect_eq(metadata_assembler_take(a, &from, &m, START_MS),
			cases[i].ok ? METADATA_TAKEN : METADATA_IMPLAUSIBLE,
			"case %zu", i);
		cr_expect_eq(metadata_assembler_trusts(a, &from), cases[i].ok,
			"case %zu", i);
	}
	metadata_assembler_destroy(a);
}

Test(metadata_exchange, what_was_asked_of_a_liar_is_asked_of_others_at_once)
{
	struct metadata_assembler *a = begin();

	gives(a, 1, right, SIZE, 0, START_MS);
	cr_expect_eq(asked(a, 2, START_MS), 1);
	cr_expect_eq(asked(a, 2, START_MS), 2);
	cr_expect_eq(asked(a, 1, START_MS), -1);
	right[SIZE - 1] = 'x';
	cr_expect_eq(
		gives(a, 2, right, SIZE, 2, START_MS), METADATA_IMPLAUSIBLE);
	cr_expect_eq(asked(a, 1, START_MS), 1);
	cr_expect_eq(asked(a, 1, START_MS), 2);
	metadata_assembler_destroy(a);
}

Test(metadata_exchange, who_gives_what_cannot_be_keeps_no_buffer)
{
	enum { LIARS = METADATA_BUFFERS };
	struct metadata_assembler *a = begin();
	static uint8_t cannot_be[SIZE];

	memcpy(cannot_be, wrong, SIZE);
	cannot_be[SIZE - 1] = 'x';
	for (uint16_t i = 0; i < LIARS; i++) {
		gives(a, i, wrong, SIZE, 0, START_MS);
		gives(a, 100 + i, right, SIZE, 1, START_MS);
		cr_assert_eq(gives(a, i, wrong, SIZE, 2, START_MS),
			METADATA_WRONG, "now each gives all alone");
	}
	for (uint16_t i = 0; i < LIARS; i++)
		cr_assert_eq(asked(a, i, START_MS), 0);
	for (uint16_t i = 0; i < LIARS; i++)
		gives(a, i, cannot_be, SIZE, 0, START_MS);
	cr_expect_eq(asked(a, LIARS, START_MS), -1, "no buffer is left");
	for (uint16_t i = 0; i < LIARS; i++)
		cr_expect_eq(gives(a, i, cannot_be, SIZE, 2, START_MS),
			METADATA_IMPLAUSIBLE);
	for (uint32_t i = 0; i < PIECES; i++) {
		cr_expect_eq(asked(a, LIARS, START_MS), (int)i);
		cr_expect_eq(gives(a, LIARS, right, SIZE, i, START_MS),
			i + 1 < PIECES ? METADATA_TAKEN : METADATA_WHOLE);
	}
	metadata_assembler_destroy(a);
}

Test(metadata_exchange, slow_claims_make_room_for_others)
{
	struct metadata_assembler *a = begin();
	static uint8_t bytes[METADATA_PIECE_SIZE] = "d";
	uint64_t later_ms = START_MS + 60 * 1000;

	/* All buffers are taken by sizes of which nothing more comes. */
	for (uint16_t i = 0; i < METADATA_BUFFERS; i++)
		cr_expect_eq(gives(a, (uint16_t)(10 + i), bytes,
				     METADATA_MAX_SIZE - i, 0, START_MS),
			METADATA_TAKEN);
	gives(a, 1, right, SIZE, 0, START_MS + 1);
	cr_expect_eq(asked(a, 1, START_MS + 1), -1, "it could not be kept");

	cr_expect_eq(asked(a, 1, later_ms), 0);
	gives(a, 1, right, SIZE, 0, later_ms);
	cr_expect_eq(asked(a, 1, later_ms), 1);
	gives(a, 1, right, SIZE, 1, later_ms);
	cr_expect_eq(gives(a, 1, right, SIZE, 2, later_ms), METADATA_WHOLE);
	metadata_assembler_destroy(a);
}

Test(metadata_exchange, notes_on_liars_are_bounded)
{
	struct metadata_assembler *a = begin();
	struct endpoint first = peer(1), last = peer(METADATA_MAX_NOTES + 10);

	for (uint16_t n = 1; n <= METADATA_MAX_NOTES + 10; n++)
		cr_expect_eq(
			gives(a, n, (const uint8_t *)"dxe", 3, 0, START_MS),
			METADATA_WRONG);
	cr_expect_not(metadata_assembler_trusts(a, &last));
	cr_expect(metadata_assembler_trusts(a, &first), "long forgotten");
	metadata_assembler_destroy(a);
}
