#include <criterion/criterion.h>

#include "client/peer/metadata_exchange.h"
#include "tests/unit/conversation_lab.h"

/* What a conversation does with the extensions: ut_metadata, ut_pex and
 * lt_donthave.  The made-up peer calls them 11, 12 and 13. */

static const struct conversation_start usual = {
	.fast = true,
	.extended = true,
	.pex = true,
	.port = 6881,
};

enum { THEIRS = 11 };

static enum conversation_verdict says(struct conversation *c, uint8_t id,
	const void *payload, size_t len, uint64_t now_ms)
{
	return conversation_message(c,
		&(struct wire_message){.id = WIRE_EXTENDED,
			.extended_id = id,
			.payload = {payload, len}},
		now_ms);
}

static enum conversation_verdict says_kind(struct conversation *c,
	enum extension_kind kind, const char *text, uint64_t now_ms)
{
	return says(c, extension_our_id(kind), text, strlen(text), now_ms);
}

static void says_handshake(struct conversation *c)
{
	static const char text[] = "d1:md11:lt_donthavei13e11:ut_metadatai11e"
				   "6:ut_pexi12eee";

	cr_assert_eq(says(c, 0, text, strlen(text), LAB_START_MS),
		CONVERSATION_GOES_ON);
}

/* The last thing said to it, which is of that kind, is taken out. */
static struct span said(struct conversation *c, enum extension_kind kind)
{
	static struct wire_message m;
	size_t at = 0;

	cr_assert_gt(c->out.len, 0, "nothing was said");
	while (said_next(&c->out, &at, LAB_PIECES, true, &m))
		;
	cr_expect_eq(m.id, WIRE_EXTENDED);
	cr_expect_eq(m.extended_id, THEIRS + kind);
	c->out.len = 0;
	return m.payload;
}

static struct extended_handshake offered(struct conversation *c)
{
	struct extended_handshake h = {0};
	size_t start = WIRE_PREFIX_SIZE + WIRE_PREFIX_SIZE + 1; /* have_none */

	cr_assert(extension_read_handshake(
		(struct span){c->out.bytes + start, c->out.len - start}, &h));
	c->out.len = 0;
	return h;
}

static struct conversation *begin(struct lab *l)
{
	struct conversation *c = lab_begin(l, usual, LAB_START_MS);

	c->out.len = 0;
	says_handshake(c);
	return c;
}

/* ---- ut_metadata ---- */

Test(extension_talk, handshake_offers_what_is_understood)
{
	struct lab l = lab_open(0);
	struct conversation_start start = usual;
	struct conversation *c;
	struct extended_handshake h;

	c = lab_begin(&l, start, LAB_START_MS);
	h = offered(c);
	for (enum extension_kind k = 0; k < EXTENSION_KINDS; k++)
		cr_expect_eq(h.ids[k], extension_our_id(k));
	cr_expect_eq(h.metadata_size, l.made->m.info.len);
	lab_end(c);

	/* Not asked for; and never for a private torrent. */
	start.pex = false;
	c = lab_begin(&l, start, LAB_START_MS);
	cr_expect_eq(offered(c).ids[EXTENSION_PEX], 0);
	lab_end(c);
	start.pex = true;
	l.made->m.private = true;
	c = lab_begin(&l, start, LAB_START_MS);
	h = offered(c);
	cr_expect_eq(h.ids[EXTENSION_PEX], 0);
	cr_expect_neq(h.ids[EXTENSION_METADATA], 0);
	lab_end(c);
	lab_close(&l);
}

Test(extension_talk, metadata_is_given_and_what_is_not_there_rejected)
{
	struct lab l = lab_open(0);
	struct conversation *c = begin(&l);
	struct metadata_message m;

	says_kind(c, EXTENSION_METADATA, "d8:msg_typei0e5:piecei0ee",
		LAB_START_MS);
	cr_assert(metadata_read(said(c, EXTENSION_METADATA), &m));
	cr_expect_eq(m.kind, METADATA_DATA);
	cr_expect_eq(m.total_size, l.made->m.info.len);
	cr_assert_eq(m.data.len, l.made->m.info.len);
	cr_expect_arr_eq(m.data.at, l.made->m.info.at, m.data.len);

	says_kind(c, EXTENSION_METADATA, "d8:msg_typei0e5:piecei1ee",
		LAB_START_MS);
	cr_assert(metadata_read(said(c, EXTENSION_METADATA), &m));
	cr_expect_eq(m.kind, METADATA_REJECT);
	cr_expect_eq(m.piece, 1);
	lab_end(c);
	lab_close(&l);
}

Test(extension_talk, metadata_is_not_given_without_end)
{
	struct lab l = lab_open(0);
	struct conversation *c = begin(&l);
	struct metadata_message m;

	for (int i = 0; i <= EXTENSION_METADATA_TIMES; i++) {
		says_kind(c, EXTENSION_METADATA, "d8:msg_typei0e5:piecei0ee",
			LAB_START_MS);
		cr_assert(metadata_read(said(c, EXTENSION_METADATA), &m));
		cr_expect_eq(m.kind,
			i < EXTENSION_METADATA_TIMES ? METADATA_DATA
						     : METADATA_REJECT);
	}
	lab_end(c);
	lab_close(&l);
}

Test(extension_talk, malformed_messages_break_the_protocol)
{
	static const struct {
		enum extension_kind kind;
		const char *text;
	} cases[] = {
		{EXTENSION_METADATA, ""},
		{EXTENSION_METADATA, "d8:msg_typei0ee"},
		{EXTENSION_PEX, "x"},
		{EXTENSION_DONTHAVE, "abc"},
		{EXTENSION_DONTHAVE, "abcde"},
		{EXTENSION_DONTHAVE, "\xff\xff\xff\xff"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lab l = lab_open(0);
		struct conversation *c = begin(&l);

		cr_expect_eq(says_kind(c, cases[i].kind, cases[i].text,
				     LAB_START_MS),
			CONVERSATION_PROTOCOL_ERROR, "case %zu", i);
		lab_end(c);
		lab_close(&l);
	}
}

/* ---- ut_pex ---- */

static struct endpoint at(const char *text)
{
	struct endpoint e;

	cr_assert(endpoint_parse(text, &e));
	return e;
}

/* A conversation with a peer at that address. */
static struct conversation *begin_with(struct lab *l, const char *address)
{
	struct conversation *c = begin(l);

	c->peer.pick.address = at(address);
	return c;
}

static const char two_peers[] = "d5:added12:\1\2\3\4\0\5\x7f\1\1\1\0\6e";

static size_t hears(struct conversation *c, uint64_t now_ms)
{
	cr_expect_eq(says(c, extension_our_id(EXTENSION_PEX), two_peers,
			     sizeof(two_peers) - 1, now_ms),
		CONVERSATION_GOES_ON);
	size_t count = c->extensions.heard.count;
	c->extensions.heard.count = 0;
	return count;
}

Test(extension_talk, addresses_are_heard_but_loopback_only_from_loopback)
{
	struct lab l = lab_open(0);
	struct conversation *far = begin_with(&l, "9.9.9.9:9");
	struct conversation *near = begin_with(&l, "127.0.0.1:9");
	struct endpoint first = at("1.2.3.4:5");

	cr_expect_eq(hears(far, LAB_START_MS), 1);
	cr_expect(endpoint_equal(&far->extensions.heard.addresses[0], &first));
	cr_expect_eq(hears(near, LAB_START_MS), 2);
	lab_end(far);
	lab_end(near);
	lab_close(&l);
}

Test(extension_talk, a_peer_is_listened_to_once_a_minute)
{
	struct lab l = lab_open(0);
	struct conversation *c = begin_with(&l, "127.0.0.1:9");
	uint64_t now = LAB_START_MS;

	cr_expect_eq(hears(c, now), 2);
	cr_expect_eq(hears(c, now + PEX_AT_MOST_MS - 1), 0);
	cr_expect_eq(hears(c, now + PEX_AT_MOST_MS), 2);
	lab_end(c);
	lab_close(&l);
}

Test(extension_talk, nothing_is_heard_or_told_in_a_private_torrent)
{
	struct lab l = lab_open(0);
	l.made->m.private = true;
	struct conversation *c = begin_with(&l, "127.0.0.1:9");

	cr_expect_eq(hears(c, LAB_START_MS), 0);
	cr_expect_not(extension_talk_pex_due(&c->extensions, UINT64_MAX));
	lab_end(c);
	lab_close(&l);
}

Test(extension_talk, the_swarm_is_told_soon_and_then_once_a_minute)
{
	struct lab l = lab_open(0);
	struct conversation *c = begin_with(&l, "9.9.9.9:9");
	struct pex_peer swarm[] = {{.address = at("1.1.1.1:1")},
		{.address = at("127.0.0.1:2")}, /* is nothing to a far peer */
		{.address = at("9.9.9.9:9")},   /* itself */
		{.address = at("2.2.2.2:2")}};
	uint64_t now = LAB_START_MS + PEX_FIRST_MS;
	struct pex_message m;

	cr_expect_not(extension_talk_pex_due(&c->extensions, now - 1));
	cr_expect(extension_talk_pex_due(&c->extensions, now));
	cr_expect_leq(conversation_deadline(c), now);
	conversation_tell_swarm(c, swarm, 3, now);
	cr_assert(pex_read(said(c, EXTENSION_PEX), &m));
	cr_assert_eq(m.added_count, 1);
	cr_expect(endpoint_equal(&m.added[0].address, &swarm[0].address));

	now += PEX_EVERY_MS;
	cr_expect_not(extension_talk_pex_due(&c->extensions, now - 1));
	cr_expect(extension_talk_pex_due(&c->extensions, now));
	conversation_tell_swarm(c, swarm + 1, 3, now);
	cr_assert(pex_read(said(c, EXTENSION_PEX), &m));
	cr_expect_eq(m.added_count, 1);
	cr_expect_eq(m.dropped_count, 1);

	/* Nothing new: nothing is said, but looked for again before long. */
	now += PEX_EVERY_MS;
	conversation_tell_swarm(c, swarm + 1, 3, now);
	cr_expect_eq(c->out.len, 0);
	cr_expect_not(extension_talk_pex_due(&c->extensions, now));
	cr_expect(
		extension_talk_pex_due(&c->extensions, now + PEX_EVERY_MS / 2));
	lab_end(c);
	lab_close(&l);
}

Test(extension_talk, who_does_not_speak_pex_is_told_nothing)
{
	struct lab l = lab_open(0);
	struct conversation *c = lab_begin(&l, usual, LAB_START_MS);

	cr_expect_not(extension_talk_pex_due(&c->extensions, UINT64_MAX));
	lab_end(c);
	lab_close(&l);
}

/* ---- lt_donthave ---- */

static const char piece_three[] = {0, 0, 0, 3};

Test(extension_talk, a_lost_piece_is_not_asked_for)
{
	struct lab l = lab_open(0);
	struct conversation *c = begin(&l);

	lab_says_have(c, 3, LAB_START_MS);
	cr_expect_str_eq(lab_said(c), "interested");
	says(c, extension_our_id(EXTENSION_DONTHAVE), piece_three, 4,
		LAB_START_MS);
	cr_expect_str_eq(lab_said(c), "not_interested");
	cr_expect_not(bitfield_has(&c->peer.pick.has, 3));
	lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "");
	/* Once more is no harm, and it may come back. */
	says(c, extension_our_id(EXTENSION_DONTHAVE), piece_three, 4,
		LAB_START_MS);
	lab_says_have(c, 3, LAB_START_MS);
	cr_expect_str_eq(lab_said(c), "interested");
	lab_end(c);
	lab_close(&l);
}

/* With BEP 6 each request would be rejected by name. */
Test(extension_talk, what_was_asked_of_a_lost_piece_is_not_waited_for)
{
	static const char last[] = {0, 0, 0, LAB_LAST};
	struct conversation_start without_fast = {.extended = true};
	struct lab l = lab_open(LAB_LAST);
	struct conversation *c = lab_begin(&l, without_fast, LAB_START_MS);

	says_handshake(c);
	c->out.len = 0;
	lab_says_have(c, LAB_LAST, LAB_START_MS);
	lab_says(c, WIRE_UNCHOKE, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS),
		"interested request:39.0 request:39.1");
	says(c, extension_our_id(EXTENSION_DONTHAVE), last, 4, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS), "not_interested");
	/* One that was on its way is not held against it, ... */
	cr_expect_not(lab_gives(&l, c, LAB_LAST, 0, LAB_START_MS));
	cr_expect_eq(c->asking.unasked, 0);
	/* ... and both can be asked for again. */
	lab_says_have(c, LAB_LAST, LAB_START_MS);
	cr_expect_str_eq(lab_tick(c, LAB_START_MS),
		"interested request:39.0 request:39.1");
	lab_end(c);
	lab_close(&l);
}

Test(extension_talk, who_asks_for_a_lost_piece_is_told)
{
	struct lab l = lab_open(LAB_PIECES);
	struct conversation *c = begin(&l);

	conversation_choke(c, false);
	torrent_lose(l.torrent, 3);
	c->out.len = 0;
	lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 3, 0), LAB_START_MS);
	/* The DONTHAVE, then the reject. */
	cr_expect_str_eq(lab_said(c), "extended reject:3.0");
	lab_says_block(c, WIRE_REQUEST, lab_ref(&l, 3, 0), LAB_START_MS);
	cr_expect_str_eq(lab_said(c), "reject:3.0", "told once");
	lab_end(c);
	lab_close(&l);
}
