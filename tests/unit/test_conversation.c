#include "client/peer/conversation.h"

#include "client/torrent/selection.h"
#include "tests/unit/conversation_lab.h"

static const struct conversation_start plain = {0};
static const struct conversation_start fast = {.fast = true};

/* ---- the beginning ---- */

Test(conversation, begins_with_what_is_had_and_then_the_extended_handshake)
{
	static const struct {
		bool fast, extended;
		uint32_t had;
		const char *said;
	} cases[] = {
		{false, false, 0, ""},
		{false, true, 0, "extended"},
		{false, true, 1, "bitfield extended"},
		{false, false, LAB_PIECES - 1, "bitfield"},
		{false, true, LAB_PIECES, "bitfield extended"},
		{true, true, 0, "have_none extended"},
		{true, false, 1, "bitfield"},
		{true, true, LAB_PIECES, "have_all extended"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lab l = lab_open(cases[i].had);
		struct conversation_start start = {
			.fast = cases[i].fast, .extended = cases[i].extended};
		struct conversation *c = lab_begin(&l, start, LAB_START_MS);

		cr_expect_str_eq(lab_said(c), cases[i].said, "%zu", i);
		lab_end(c);
		lab_close(&l);
	}
}

Test(conversation, tells_its_pieces_only_and_its_queue)
{
	struct lab l = lab_open(9);
	struct conversation_start start = {.extended = true, .port = 6881};
	struct conversation *c = lab_begin(&l, start, LAB_START_MS);
	static const uint8_t bitfield[] = {
		0, 0, 0, 6, WIRE_BITFIELD, 0xff, 0x80, 0, 0, 0};
	struct extended_handshake h = {0};

	cr_assert_gt(c->out.len, sizeof(bitfield) + 6);
	cr_expect_arr_eq(c->out.bytes, bitfield, sizeof(bitfield));
	cr_assert(extension_read_handshake(
		(struct span){c->out.bytes + sizeof(bitfield) + 6,
			c->out.len - sizeof(bitfield) - 6},
		&h));
	cr_expect_eq(h.reqq, WANTED_MAX);
	cr_expect_eq(h.port, 6881);
	cr_expect_not(h.upload_only);
	lab_end(c);
	lab_close(&l);
}

/* ---- interest ---- */

Test(conversation, is_interested_from_the_first_useful_piece_to_the_last)
{
	struct lab l = lab_open(1);
	struct conversation *c = lab_begin(&l, plain, LAB_START_MS);
	uint64_t now = LAB_START_MS;

	cr_expect_str_eq(lab_said(c), "bitfield");
	lab_says_have(c, 0, now); /* had already */
	cr_expect_str_eq(lab_tick(c, now), "");
	lab_says_have(c, LAB_LAST, now);
	lab_says_have(c, LAB_LAST, now); /* said twice, counted once */
	cr_expect_str_eq(lab_said(c), "interested");

	lab_says(c, WIRE_UNCHOKE, now);
	cr_expect_str_eq(lab_tick(c, now), "request:39.0 request:39.1");
	cr_expect(lab_gives(&l, c, LAB_LAST, 0, now));
	cr_expect_str_eq(lab_tick(c, now), "");
	cr_expect(lab_gives(&l, c, LAB_LAST, 1, now));
	cr_expect_str_eq(lab_tick(c, now), "have:39 not_interested");
	lab_says_have(c, 5, now);
	cr_expect_str_eq(lab_tick(c, now),
		"interested request:5.0 request:5.1 "
		"request:5.2 request:5.3");
	lab_end(c);
	lab_close(&l);
}

Test(conversation, goes_by_the_bitfield_too)
{
	struct lab l = lab_open(1);
	struct conversation *c = lab_begin(&l, plain, LAB_START_MS);

	(void)lab_said(c);
	lab_says_bitfield(c, "\x80\0\0\0\0", 5, LAB_START_MS);
	cr_expect_str_eq(lab_said(c), "");
	/* aria2 sends a second one instead of many HAVEs. */
	cr_expect_eq(lab_says_bitfield(c, "\xc0\0\0\0\0", 5, LAB_START_MS),
		CONVERSATION_GOES_ON);
	cr_expect_str_eq(lab_said(c), "interested");
	cr_expect_eq(c->pieces.useful, 1);
	lab_end(c);
	lab_close(&l);
}

Test(conversation, who_sends_bitfields_without_end_is_dropped)
{
	struct lab l = lab_open(1);
	struct conversation *c = lab_begin(&l, fast, LAB_START_MS);

	for (int i = 0; i < PIECE_TALK_MAX_BITFIELDS; i++)
		cr_expect_eq(
			lab_says_bitfield(c, "\x80\0\0\0\0", 5, LAB_START_MS),
			CONVERSATION_GOES_ON);
	cr_expect_eq(lab_says(c, WIRE_HAVE_ALL, LAB_START_MS),
		CONVERSATION_PROTOCOL_ERROR);
	lab_end(c);
	lab_close(&l);
}

Test(conversation, who_has_pieces_cannot_say_that_it_has_none)
{
	struct lab l = lab_open(1);
	struct conversation *c = lab_begin(&l, fast, LAB_START_MS);

	(void)lab_said(c);
	for (int i = 0; i < 2; i++)
		cr_expect_eq(lab_says(c, WIRE_HAVE_NONE, LAB_START_MS),
			CONVERSATION_GOES_ON);
	for (int i = 0; i < 2; i++)
		cr_expect_eq(lab_says(c, WIRE_HAVE_ALL, LAB_START_MS),
			CONVERSATION_GOES_ON);
	cr_expect_str_eq(lab_said(c), "interested");
	cr_expect_eq(c->pieces.useful, LAB_PIECES - 1);
	cr_expect_eq(lab_says(c, WIRE_HAVE_NONE, LAB_START_MS),
		CONVERSATION_PROTOCOL_ERROR);
	lab_end(c);
	lab_close(&l);
}

Test(conversation, who_only_gives_is_never_interested)
{
	struct lab l = lab_open(3);
	struct conversation_start start = {.fast = true, .give_only = true};
	struct conversation *c = lab_begin(&l, start, LAB_START_MS);

	(void)lab_said(c);
	lab_says(c, WIRE_HAVE_ALL, LAB_START_MS);
	lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
	lab_says_have(c, 7, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "");
	lab_end(c);
	lab_close(&l);
}

Test(conversation, pieces_that_are_told_wrongly_end_it)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_begin(&l, plain, LAB_START_MS);

	cr_expect_eq(lab_says_have(c, LAB_PIECES - 1, LAB_START_MS),
		CONVERSATION_GOES_ON);
	cr_expect_eq(lab_says_have(c, LAB_PIECES, LAB_START_MS),
		CONVERSATION_PROTOCOL_ERROR);
	cr_expect_eq(lab_says_have(c, UINT32_MAX, LAB_START_MS),
		CONVERSATION_PROTOCOL_ERROR);
	cr_expect_eq(lab_says_bitfield(c, "\0\0\0\0", 4, LAB_START_MS),
		CONVERSATION_PROTOCOL_ERROR);
	lab_end(c);
	lab_close(&l);
}

/* ---- its requests ---- */

Test(conversation, serves_only_who_is_unchoked_and_only_what_is_had)
{
	for (int speaks_fast = 0; speaks_fast <= 1; speaks_fast++) {
		struct lab l = lab_open(2);
		struct conversation *c =
			lab_begin(&l, speaks_fast ? fast : plain, LAB_START_MS);
		struct block_ref got[4];

		(void)lab_said(c);
		lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 0, 1), 0);
		cr_expect_str_eq(lab_said(c), speaks_fast ? "reject:0.1" : "");
		conversation_choke(c, false);
		conversation_choke(c, false);
		cr_expect_str_eq(lab_said(c), "unchoke");
		lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 0, 1), 0);
		lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 2, 0), 0);
		lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 1, 3), 0);
		cr_expect_str_eq(lab_said(c), speaks_fast ? "reject:2.0" : "");
		cr_expect_eq(wanted_take(&c->wanted, got, 4, SIZE_MAX), 2);
		cr_expect_eq(got[0].piece, 0);
		cr_expect_eq(got[1].piece, 1);

		lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 0, 2), 0);
		lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 0, 3), 0);
		lab_says_block(c, WIRE_CANCEL, lab_ref(&l, 0, 2), 0);
		cr_expect_str_eq(lab_said(c), speaks_fast ? "reject:0.2" : "");
		conversation_choke(c, true);
		cr_expect_str_eq(lab_said(c),
			speaks_fast ? "choke reject:0.3" : "choke");
		cr_expect_eq(wanted_take(&c->wanted, got, 4, SIZE_MAX), 0);
		lab_end(c);
		lab_close(&l);
	}
}

Test(conversation, requests_outside_the_torrent_end_it)
{
	static const struct {
		struct block_ref block;
		bool ok;
	} cases[] = {
		{{0, 0, 1}, true},
		{{0, 0, LAB_PIECE}, true},
		{{0, LAB_PIECE - 1, 1}, true},
		{{LAB_LAST, BLOCK_SIZE, LAB_LAST_BLOCK}, true},
		{{0, 0, 0}, false},
		{{0, LAB_PIECE, 1}, false},
		{{0, LAB_PIECE - 1, 2}, false},
		{{LAB_LAST, BLOCK_SIZE, LAB_LAST_BLOCK + 1}, false},
		{{LAB_PIECES, 0, 1}, false},
		{{UINT32_MAX, 0, 1}, false},
		{{0, 0, REQUEST_MAX_LENGTH + 1}, false},
		{{0, 1, UINT32_MAX}, false},
		{{0, UINT32_MAX, 2}, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int choking = 0; choking <= 1; choking++) {
			struct lab l = lab_open(LAB_PIECES);
			struct conversation *c =
				lab_begin(&l, fast, LAB_START_MS);

			conversation_choke(c, choking);
			cr_expect_eq(lab_says_block(c, WIRE_REQUEST,
					     cases[i].block, LAB_START_MS),
				cases[i].ok ? CONVERSATION_GOES_ON
					    : CONVERSATION_PROTOCOL_ERROR,
				"%zu", i);
			lab_end(c);
			lab_close(&l);
		}
	}
}

Test(conversation, a_full_queue_stops_the_reading)
{
	struct lab l = lab_open(LAB_PIECES);
	struct conversation *c = lab_begin(&l, fast, LAB_START_MS);
	struct block_ref got[16];

	conversation_choke(c, false);
	(void)lab_said(c);
	for (uint32_t i = 0; i < WANTED_MAX; i++) {
		cr_expect(conversation_can_take(c));
		lab_says_block(c, WIRE_REQUEST, (struct block_ref){0, i, 1}, 0);
	}
	cr_expect_not(conversation_can_take(c));
	cr_expect_str_eq(lab_said(c), "");
	lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 1, 1), 0);
	cr_expect_str_eq(lab_said(c), "reject:1.1");

	cr_expect_eq(wanted_take(&c->wanted, got, 16, SIZE_MAX), 16);
	cr_expect(conversation_can_take(c));
	lab_end(c);
	lab_close(&l);
}

Test(conversation, a_peer_that_reads_nothing_is_not_read_from)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_begin(&l, fast, LAB_START_MS);
	size_t said = 0;

	/* Each is refused, and nothing of that is read. */
	while (conversation_can_take(c) && said < 1000000) {
		lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 0, 0), 0);
		said++;
	}
	cr_expect_lt(c->out.len, CONVERSATION_MAX_OUT / 2 + 100);
	cr_expect_lt(said, 1000000);
	lab_end(c);
	lab_close(&l);
}

/* ---- news and time ---- */

Test(conversation, news_are_told_once_and_to_all)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *giver = lab_giving(&l, plain);
	struct conversation *a = lab_begin(&l, fast, LAB_START_MS);
	uint64_t now = LAB_START_MS;

	(void)lab_said(a);
	(void)lab_tick(giver, now);
	cr_expect_not(conversation_has_news(a));
	cr_expect(lab_gives(&l, giver, LAB_LAST, 0, now));
	cr_expect_str_eq(lab_tick(a, now), "");
	cr_expect(lab_gives(&l, giver, LAB_LAST, 1, now));
	cr_expect(conversation_has_news(a));
	cr_expect_str_eq(lab_tick(a, now), "have:39");
	cr_expect_str_eq(lab_tick(a, now), "");

	/* Who comes now is told by HAVE ALL, and not again. */
	struct conversation *late = lab_begin(&l, fast, now);
	cr_expect_str_eq(lab_said(late), "have_all");
	cr_expect_str_eq(lab_tick(late, now), "");
	lab_end(late);
	lab_end(a);
	lab_end(giver);
	lab_close(&l);
}

Test(conversation, a_keep_alive_is_said_before_the_peer_could_hang_up)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_begin(&l, plain, LAB_START_MS);
	uint64_t now = LAB_START_MS;

	(void)lab_said(c);
	cr_expect_eq(
		conversation_deadline(c), now + CONVERSATION_KEEP_ALIVE_MS);
	cr_expect_str_eq(lab_tick(c, now + CONVERSATION_KEEP_ALIVE_MS - 1), "");
	now += CONVERSATION_KEEP_ALIVE_MS;
	lab_says(c, WIRE_KEEP_ALIVE, now);
	cr_expect_str_eq(lab_tick(c, now), "keep_alive");
	cr_expect_str_eq(lab_tick(c, now), "");
	cr_expect_eq(
		conversation_deadline(c), now + CONVERSATION_KEEP_ALIVE_MS);
	lab_end(c);
	lab_close(&l);
}

Test(conversation, the_port_of_the_dht_is_told_and_heard_once)
{
	static const struct {
		uint16_t port;
		bool private;
		const char *said;
		uint16_t heard;
	} cases[] = {
		{6881, false, "port:6881", 1},
		{0, false, "", 1},
		{6881, true, "", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lab l = lab_open(0);
		struct conversation_start start = plain;

		start.dht_port = cases[i].port;
		l.made->m.private = cases[i].private;
		struct conversation *c = lab_begin(&l, start, LAB_START_MS);
		cr_expect_str_eq(lab_said(c), cases[i].said);
		for (uint16_t port = 1; port < 4; port++)
			conversation_message(c,
				&(struct wire_message){
					.id = WIRE_PORT, .port = port},
				LAB_START_MS);
		/* The first one counts. */
		cr_expect_eq(c->dht_port, cases[i].heard);
		lab_end(c);
		lab_close(&l);
	}
}

Test(conversation, silence_ends_it)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_begin(&l, plain, LAB_START_MS);
	uint64_t now = LAB_START_MS + 1000;

	lab_says(c, WIRE_KEEP_ALIVE, now);
	cr_expect_eq(conversation_tick(c, now + CONVERSATION_SILENCE_MS - 1),
		CONVERSATION_GOES_ON);
	cr_expect_eq(conversation_tick(c, now + CONVERSATION_SILENCE_MS),
		CONVERSATION_SILENT);
	cr_expect_str_not_empty(c->reason);
	lab_end(c);
	lab_close(&l);
}

Test(conversation, two_that_have_everything_part_after_a_farewell)
{
	struct lab l = lab_open(LAB_PIECES);
	struct conversation *c = lab_begin(&l, fast, LAB_START_MS);
	uint64_t now = LAB_START_MS;

	(void)lab_tick(c, now);
	cr_expect_eq(conversation_tick(c, now + 50000), CONVERSATION_GOES_ON);
	now += 50000;
	lab_says(c, WIRE_HAVE_ALL, now);
	cr_expect_eq(conversation_tick(c, now), CONVERSATION_GOES_ON);
	cr_expect_eq(conversation_deadline(c), now + CONVERSATION_FAREWELL_MS);
	cr_expect_eq(conversation_tick(c, now + CONVERSATION_FAREWELL_MS - 1),
		CONVERSATION_GOES_ON);
	cr_expect_eq(conversation_tick(c, now + CONVERSATION_FAREWELL_MS),
		CONVERSATION_USELESS);
	lab_end(c);
	lab_close(&l);
}

Test(conversation, who_only_uploads_is_useless_to_a_seed)
{
	struct lab l = lab_open(LAB_PIECES);
	struct conversation_start start = {.extended = true};
	struct conversation *c = lab_begin(&l, start, LAB_START_MS);
	static const char seed[] = "d11:upload_onlyi1ee";

	conversation_message(c,
		&(struct wire_message){.id = WIRE_EXTENDED,
			.payload = {(const uint8_t *)seed, sizeof(seed) - 1}},
		LAB_START_MS);
	(void)lab_tick(c, LAB_START_MS);
	cr_expect_eq(
		conversation_tick(c, LAB_START_MS + CONVERSATION_FAREWELL_MS),
		CONVERSATION_USELESS);
	lab_end(c);
	lab_close(&l);
}

/* Of the lab's pieces only 0 to 9 are wanted. */
static struct selection select_ten(struct lab *l)
{
	struct metainfo_file *files = calloc(2, sizeof(*files));
	struct selection_list list = {0};
	struct selection selection;
	struct metainfo *m = &l->made->m;
	struct error err;

	files[0] =
		(struct metainfo_file){.path = "a", .length = 10 * LAB_PIECE};
	files[1] = (struct metainfo_file){.path = "b",
		.offset = 10 * LAB_PIECE,
		.length = LAB_LENGTH - 10 * LAB_PIECE};
	free(m->files);
	m->files = files; /* its own from now on */
	m->file_count = 2;
	cr_assert(selection_list_add(&list, "1", &err));
	cr_assert(selection_choose(&list, m, &selection, &err));
	selection_list_finish(&list);
	return selection;
}

Test(conversation, who_has_only_unwanted_pieces_is_of_no_interest)
{
	static const char beyond[] = "\0\3\377\377\377"; /* 14 to 39 */
	struct lab l = lab_open(0);
	struct selection selection = select_ten(&l);
	cr_assert(torrent_select(l.torrent, &selection));
	struct conversation *c =
		lab_begin(&l, (struct conversation_start){0}, LAB_START_MS);

	(void)lab_said(c);
	lab_says_bitfield(c, beyond, 5, LAB_START_MS);
	lab_says_have(c, 10, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "");
	cr_expect_eq(c->pieces.useful, 0);
	lab_says_have(c, 9, LAB_START_MS);
	cr_expect_eq(c->pieces.useful, 1);
	cr_expect(c->am_interested);
	lab_end(c);
	lab_close(&l);
	selection_finish(&selection);
}

Test(conversation, a_partial_seed_lets_seeds_go)
{
	uint8_t good[LAB_PIECES] = {0};
	struct lab l = lab_open(0);
	struct selection selection = select_ten(&l);
	cr_assert(torrent_select(l.torrent, &selection));
	struct conversation *c =
		lab_begin(&l, (struct conversation_start){0}, LAB_START_MS);

	lab_says(c, WIRE_HAVE_ALL, LAB_START_MS);
	(void)lab_tick(c, LAB_START_MS);
	cr_expect_eq(c->farewell_ms, 0);
	memset(good, 1, 10);
	torrent_set_have(l.torrent, good);
	(void)lab_tick(c, LAB_START_MS);
	cr_expect_eq(
		conversation_tick(c, LAB_START_MS + CONVERSATION_FAREWELL_MS),
		CONVERSATION_USELESS);
	lab_end(c);
	lab_close(&l);
	selection_finish(&selection);
}

Test(conversation, a_leech_that_has_all_it_wants_says_that_it_only_uploads)
{
	uint8_t good[LAB_PIECES] = {0};
	struct lab l = lab_open(0);
	struct selection selection = select_ten(&l);
	cr_assert(torrent_select(l.torrent, &selection));
	struct conversation_start start = {.extended = true};
	struct conversation *c = lab_begin(&l, start, LAB_START_MS);

	cr_expect_not(c->told_upload_only);
	(void)lab_said(c);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "");
	memset(good, 1, 10);
	torrent_set_have(l.torrent, good);
	cr_expect_eq(lab_count(lab_tick(c, LAB_START_MS), "extended"), 1);
	cr_expect(c->told_upload_only);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "");
	lab_end(c);
	lab_close(&l);
	selection_finish(&selection);
}

Test(conversation, extended_messages_need_the_bit_and_a_dictionary)
{
	static const struct {
		bool extended;
		uint8_t id;
		const char *payload;
		bool ok;
	} cases[] = {
		{true, 0, "de", true},
		{true, 0, "d1:pi6881ee", true},
		{true, 0, "d1:v", false},
		{true, 0, "x", false},
		{true, 7, "x", true}, /* none that we offered */
		{false, 0, "de", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lab l = lab_open(0);
		struct conversation_start start = {
			.extended = cases[i].extended};
		struct conversation *c = lab_begin(&l, start, LAB_START_MS);
		struct wire_message m = {.id = WIRE_EXTENDED,
			.extended_id = cases[i].id,
			.payload = {(const uint8_t *)cases[i].payload,
				strlen(cases[i].payload)}};

		cr_expect_eq(conversation_message(c, &m, 0),
			cases[i].ok ? CONVERSATION_GOES_ON
				    : CONVERSATION_PROTOCOL_ERROR,
			"%zu", i);
		lab_end(c);
		lab_close(&l);
	}
}

Test(conversation, who_gave_a_bad_piece_is_let_go)
{
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_giving(&l, plain);
	struct open_piece *full[ASKING_MAX_ARRIVALS];
	struct endpoint guilty[4];
	size_t left;

	(void)lab_tick(c, LAB_START_MS);
	for (uint32_t i = 0; i < 2; i++) {
		struct block_ref ref = lab_ref(&l, LAB_LAST, i);
		uint8_t *memory;
		cr_assert_eq(block_pool_take(l.pool, &memory, 1), 1);
		memset(memory, 0, BLOCK_SIZE);
		cr_assert_eq(asking_expect(&c->asking, &ref), BLOCK_ASKED);
		asking_arrived(&c->asking, &ref, memory);
	}
	cr_assert_eq(asking_flush(&c->asking, full, &left), 1);
	cr_expect_eq(
		torrent_finish_piece(l.torrent, full[0], false, guilty, 4), 1);
	cr_expect(conversation_has_news(c));
	cr_expect_eq(conversation_tick(c, LAB_START_MS), CONVERSATION_CORRUPT);
	lab_end(c);
	lab_close(&l);
}
