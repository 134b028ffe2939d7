#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/peer/extension.h"
#include "client/peer/metadata_talk.h"
#include "shared/digest.h"
#include "tests/unit/said.h"

enum { START_MS = 100 * 1000, SIZE = METADATA_PIECE_SIZE + 10, THEIRS = 7 };

static uint8_t right[SIZE];

struct talk {
	struct metadata_assembler *assembler;
	struct metadata_talk t;
};

static struct talk begin(bool fast, bool extended)
{
	struct talk l;
	struct info_hash hash;

	memset(right, 'x', SIZE);
	right[0] = 'd';
	right[SIZE - 1] = 'e';
	digest_sha1(right, SIZE, hash.bytes);
	l.assembler = metadata_assembler_create(&hash);
	cr_assert(l.assembler);
	struct metadata_talk_start start = {
		.assembler = l.assembler,
		.from = {.ip = {1}, .port = 1},
		.fast = fast,
		.extended = extended,
		.port = 6881,
	};
	metadata_talk_begin(&l.t, &start, START_MS);
	return l;
}

static void end(struct talk *l)
{
	metadata_talk_end(&l->t);
	metadata_assembler_destroy(l->assembler);
}

static enum metadata_talk_verdict says(
	struct talk *l, uint8_t id, const void *bytes, size_t len)
{
	return metadata_talk_message(&l->t,
		&(struct wire_message){.id = WIRE_EXTENDED,
			.extended_id = id,
			.payload = {bytes, len}},
		START_MS);
}

static enum metadata_talk_verdict says_handshake(struct talk *l, uint32_t size)
{
	char text[100];
	int len = snprintf(text, sizeof(text),
		"d1:md11:ut_metadatai%dee13:metadata_sizei%ue1:pi99ee", THEIRS,
		size);

	return says(l, EXTENDED_HANDSHAKE_ID, text, (size_t)len);
}

static enum metadata_talk_verdict says_metadata(
	struct talk *l, const struct metadata_message *m)
{
	static uint8_t bytes[METADATA_MESSAGE_SIZE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	metadata_write(&w, m);
	return says(
		l, extension_our_id(EXTENSION_METADATA), bytes, writer_len(&w));
}

static enum metadata_talk_verdict gives(
	struct talk *l, uint32_t piece, uint32_t size)
{
	return says_metadata(l,
		&(struct metadata_message){.kind = METADATA_DATA,
			.piece = piece,
			.total_size = size,
			.data = {right + piece * METADATA_PIECE_SIZE,
				metadata_piece_size(SIZE, piece)}});
}

/* The same of a whole of METADATA_MAX_SIZE bytes, of which nothing is known. */
static void gives_some(struct talk *l, uint32_t piece)
{
	static uint8_t some[METADATA_PIECE_SIZE] = {'d'};

	cr_expect_eq(says_metadata(l,
			     &(struct metadata_message){.kind = METADATA_DATA,
				     .piece = piece,
				     .total_size = METADATA_MAX_SIZE,
				     .data = {some, sizeof(some)}}),
		METADATA_TALK_GOES_ON);
}

/* The messages that were said, as "have_none handshake request:0 ...". */
static const char *said(struct talk *l)
{
	static char text[200];
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct wire_message m;
	struct metadata_message meta;
	size_t at = 0;

	while (said_next(&l->t.out, &at, 0, true, &m)) {
		if (m.id == WIRE_HAVE_NONE)
			fprintf(out, "have_none ");
		else if (m.extended_id == EXTENDED_HANDSHAKE_ID)
			fprintf(out, "handshake ");
		else if (m.extended_id == THEIRS &&
			metadata_read(m.payload, &meta))
			fprintf(out, "%s:%u ",
				meta.kind == METADATA_REQUEST ? "request"
							      : "reject",
				meta.piece);
	}
	l->t.out.len = 0;
	fputc('\0', out);
	fclose(out);
	return text;
}

static enum metadata_talk_verdict tick(struct talk *l, uint64_t after_ms)
{
	return metadata_talk_tick(&l->t, START_MS + after_ms);
}

Test(metadata_talk, asks_for_the_metadata_and_is_done)
{
	struct talk l = begin(true, true);

	cr_expect_str_eq(said(&l), "have_none handshake ");
	cr_expect_eq(tick(&l, 0), METADATA_TALK_GOES_ON);
	cr_expect_str_eq(said(&l), "", "it did not say anything yet");
	says_handshake(&l, SIZE);
	cr_expect_eq(l.t.theirs.port, 99);
	tick(&l, 1);
	cr_expect_str_eq(said(&l), "request:0 ", "its size is only a claim");
	cr_expect_eq(gives(&l, 0, SIZE), METADATA_TALK_GOES_ON);
	tick(&l, 2);
	cr_expect_str_eq(said(&l), "request:1 ");
	cr_expect_eq(gives(&l, 1, SIZE), METADATA_TALK_DONE);
	cr_expect(l.t.gave);
	end(&l);
}

Test(metadata_talk, is_done_when_others_gave_it)
{
	struct talk l = begin(true, true);
	struct endpoint other = {.ip = {2}, .port = 2};

	for (uint32_t i = 0; i < 2; i++) {
		struct metadata_message m = {.kind = METADATA_DATA,
			.piece = i,
			.total_size = SIZE,
			.data = {right + i * METADATA_PIECE_SIZE,
				metadata_piece_size(SIZE, i)}};
		metadata_assembler_take(l.assembler, &other, &m, START_MS);
	}
	cr_expect_eq(tick(&l, 0), METADATA_TALK_DONE);
	end(&l);
}

Test(metadata_talk, a_refusal_is_respected_for_a_while)
{
	struct talk l = begin(false, true);

	says_handshake(&l, SIZE);
	cr_expect_str_eq(said(&l), "handshake ");
	tick(&l, 0);
	cr_expect_str_eq(said(&l), "request:0 ");
	says_metadata(&l, &(struct metadata_message){.kind = METADATA_REJECT});
	tick(&l, METADATA_TALK_REST_MS - 1);
	cr_expect_str_eq(said(&l), "");
	tick(&l, METADATA_TALK_REST_MS);
	cr_expect_str_eq(said(&l), "request:0 ");
	end(&l);
}

Test(metadata_talk, who_gives_nothing_is_useless)
{
	struct talk plain = begin(false, false);
	struct talk mute = begin(true, true);

	cr_expect_eq(tick(&plain, 0), METADATA_TALK_USELESS);
	says_handshake(&mute, SIZE);
	cr_expect_eq(
		tick(&mute, METADATA_TALK_IDLE_MS - 1), METADATA_TALK_GOES_ON);
	cr_expect_eq(tick(&mute, METADATA_TALK_IDLE_MS), METADATA_TALK_USELESS);
	end(&plain);
	end(&mute);
}

Test(metadata_talk, what_was_not_asked_for_is_not_taken)
{
	struct talk l = begin(true, true);

	says_handshake(&l, SIZE);
	cr_expect_eq(gives(&l, 0, SIZE), METADATA_TALK_GOES_ON);
	cr_expect_not(l.t.gave);
	tick(&l, 0);
	cr_expect_eq(gives(&l, 0, SIZE + 1), METADATA_TALK_PROTOCOL_ERROR,
		"of another size than it said");
	end(&l);
}

Test(metadata_talk, our_own_metadata_is_still_to_come)
{
	struct talk l = begin(true, true);

	says_handshake(&l, SIZE);
	(void)said(&l);
	says_metadata(&l,
		&(struct metadata_message){
			.kind = METADATA_REQUEST, .piece = 5});
	cr_expect_str_eq(said(&l), "reject:5 ");
	end(&l);
}

Test(metadata_talk, malformed_messages_break_the_protocol)
{
	static const struct {
		bool extended;
		uint8_t id;
		const char *text;
	} cases[] = {
		{true, 0, "x"},
		{true, 1, "x"},
		{true, 1, "d8:msg_typei1e5:piecei0ee"},
		{false, 0, "de"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct talk l = begin(true, cases[i].extended);

		cr_expect_eq(says(&l, cases[i].id, cases[i].text,
				     strlen(cases[i].text)),
			METADATA_TALK_PROTOCOL_ERROR, "case %zu", i);
		end(&l);
	}
}

Test(metadata_talk, who_asks_without_reading_is_dropped)
{
	struct talk l = begin(true, true);
	enum metadata_talk_verdict verdict = METADATA_TALK_GOES_ON;
	int i = 0;

	says_handshake(&l, SIZE);
	for (; i < 10000 && verdict == METADATA_TALK_GOES_ON; i++) {
		says_metadata(&l,
			&(struct metadata_message){.kind = METADATA_REQUEST});
		verdict = tick(&l, 0);
	}
	cr_expect_eq(verdict, METADATA_TALK_PROTOCOL_ERROR);
	cr_expect_leq(l.t.out.len, METADATA_TALK_MAX_OUT);
	end(&l);
}

/* A talk that has asked for pieces 1 to 4. */
static struct talk begin_many(void)
{
	struct talk l = begin(false, true);

	says_handshake(&l, METADATA_MAX_SIZE);
	tick(&l, 0);
	gives_some(&l, 0);
	said(&l);
	tick(&l, 0);
	cr_expect_str_eq(said(&l), "request:1 request:2 request:3 request:4 ");
	return l;
}

Test(metadata_talk, requests_that_are_overtaken_are_made_again_one_by_one)
{
	struct talk l = begin_many();

	gives_some(&l, 1);
	tick(&l, 1);
	cr_expect_str_eq(said(&l), "request:5 ");
	gives_some(&l, 5);
	tick(&l, 2);
	cr_expect_str_eq(said(&l), "request:2 ");
	gives_some(&l, 2);
	tick(&l, 3);
	cr_expect_str_eq(said(&l), "request:3 ");
	/* Late after all, and of no use now. */
	gives_some(&l, 4);
	tick(&l, 4);
	cr_expect_str_eq(said(&l), "");
	end(&l);
}

Test(metadata_talk, requests_without_an_answer_are_made_again_after_a_while)
{
	struct talk l = begin_many();

	tick(&l, METADATA_TALK_LOST_MS - 1);
	cr_expect_str_eq(said(&l), "");
	tick(&l, METADATA_TALK_LOST_MS);
	cr_expect_str_eq(said(&l), "request:1 ");
	tick(&l, METADATA_TALK_LOST_MS + METADATA_ANSWER_MS - 1);
	cr_expect_str_eq(said(&l), "");
	tick(&l, METADATA_TALK_LOST_MS + METADATA_ANSWER_MS);
	cr_expect_str_eq(said(&l), "request:1 ");
	end(&l);
}

Test(metadata_talk, rtorrent_is_asked_for_one_piece_at_a_time)
{
	static const char theirs[] =
		"d1:md11:ut_metadatai7ee13:metadata_sizei33554432e"
		"1:v17:libTorrent 0.13.8e";
	struct talk l = begin(false, true);

	said(&l);
	says(&l, EXTENDED_HANDSHAKE_ID, theirs, strlen(theirs));
	for (uint32_t i = 0; i < 3; i++) {
		char expected[20];

		tick(&l, i);
		snprintf(expected, sizeof(expected), "request:%u ", i);
		cr_expect_str_eq(said(&l), expected);
		gives_some(&l, i);
	}
	end(&l);
}

Test(metadata_talk, who_tells_of_others_is_heard_if_that_was_offered)
{
	static const char pex[] = "d5:added12:\x01\x02\x03\x04\x00\x50"
				  "\x7f\x00\x00\x01\x00\x50"
				  "e";
	struct talk l = begin(false, true);
	struct endpoint e;

	cr_expect_eq(
		says(&l, extension_our_id(EXTENSION_PEX), pex, sizeof(pex) - 1),
		METADATA_TALK_GOES_ON);
	cr_expect_eq(l.t.heard.count, 0);

	l.t.pex = true;
	says(&l, extension_our_id(EXTENSION_PEX), pex, sizeof(pex) - 1);
	cr_assert_eq(l.t.heard.count, 1, "not this machine itself");
	cr_assert(endpoint_parse("1.2.3.4:80", &e));
	cr_expect(endpoint_equal(&l.t.heard.addresses[0], &e));
	end(&l);

	l = begin(false, true);
	l.t.pex = true;
	cr_expect_eq(says(&l, extension_our_id(EXTENSION_PEX), "x", 1),
		METADATA_TALK_PROTOCOL_ERROR);
	end(&l);
}
