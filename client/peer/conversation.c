#include "client/peer/conversation.h"

#include "client/peer/say.h"
#include "shared/metainfo.h"

enum { BATCH = 64 }; /* pieces dealt with under one lock */

static const struct metainfo *metainfo(const struct conversation *c)
{
	return torrent_metainfo(c->torrent);
}

static enum conversation_verdict broken(
	struct conversation *c, const char *reason)
{
	c->reason = reason;
	return CONVERSATION_PROTOCOL_ERROR;
}

/* We ask for nothing, or not any more. */
static bool wants_nothing(const struct conversation *c)
{
	return c->give_only || torrent_complete(c->torrent);
}

static void greet(struct conversation *c)
{
	c->told_upload_only = wants_nothing(c);
	extension_talk_greet(&c->extensions, &c->out,
		&(struct extended_handshake){
			.port = c->port,
			.reqq = WANTED_MAX,
			.yourip = c->peer.pick.address,
			.upload_only = c->told_upload_only,
		});
}

/* That all pieces are here our HAVEs say; that no others are wanted only
 * another handshake can (BEP 10, 21). */
static void tell_upload_only(struct conversation *c)
{
	if (!c->told_upload_only && wants_nothing(c) &&
		!torrent_whole(c->torrent))
		greet(c);
}

/* ---- beginning and end ---- */

bool conversation_begin(struct conversation *c,
	const struct conversation_start *start, uint64_t now_ms)
{
	*c = (struct conversation){
		.torrent = start->torrent,
		.reason = "",
		.fast = start->fast,
		.give_only = start->give_only,
		.port = start->port,
		.am_choking = true,
		.peer_choking = true,
		.heard_ms = now_ms,
		.sent_ms = now_ms,
	};
	c->peer.pick.address = start->address;
	c->peer.wake_fd = start->wake_fd;
	buffer_init(&c->out, CONVERSATION_MAX_OUT);
	extension_talk_begin(&c->extensions, metainfo(c), start->extended,
		start->pex, now_ms);
	asking_begin(&c->asking, c->torrent, &c->peer, &c->out, now_ms);
	if (!piece_talk_begin(
		    &c->pieces, c->torrent, &c->peer, &c->out, c->fast)) {
		piece_talk_finish(&c->pieces);
		return false;
	}
	torrent_join(c->torrent, &c->peer);
	if (!piece_talk_greet(&c->pieces, start->told_nothing)) {
		conversation_end(c);
		return false;
	}
	greet(c);
	if (start->dht_port != 0 && !metainfo(c)->private)
		say_port(&c->out, start->dht_port);
	return true;
}

void conversation_end(struct conversation *c)
{
	asking_end(&c->asking);
	torrent_leave(c->torrent, &c->peer);
	piece_talk_finish(&c->pieces);
	buffer_finish(&c->out);
}

/* ---- our requests ---- */

/* May it be asked for blocks, and has it any? */
static bool is_open(const struct conversation *c)
{
	return !c->peer_choking && c->am_interested;
}

size_t conversation_room(const struct conversation *c, uint64_t now_ms)
{
	return is_open(c)
		? asking_room(&c->asking, c->extensions.theirs.reqq, now_ms)
		: 0;
}

bool conversation_hungry(const struct conversation *c)
{
	return is_open(c) && c->asking.count == 0;
}

void conversation_received(struct conversation *c, size_t len, uint64_t now_ms)
{
	c->heard_ms = now_ms;
	asking_received(&c->asking, len, now_ms);
}

/* ---- pieces ---- */

static void update_interest(struct conversation *c)
{
	bool want = c->pieces.useful > 0 && !c->give_only;

	if (want == c->am_interested)
		return;
	/* Requests under way are still wanted. */
	if (!want && c->asking.count > 0)
		return;
	c->am_interested = want;
	say_plain(&c->out, want ? WIRE_INTERESTED : WIRE_NOT_INTERESTED);
}

/* Tell what has been completed since. */
static void tell_news(struct conversation *c)
{
	uint32_t pieces[BATCH];
	size_t count;

	while ((count = piece_talk_news(&c->pieces, pieces, BATCH)) > 0) {
		for (size_t i = 0; i < count; i++)
			asking_have(&c->asking, pieces[i]);
		if (!conversation_can_take(c))
			break; /* the rest when this has gone out */
	}
	update_interest(c);
}

static enum conversation_verdict tells_pieces(
	struct conversation *c, const struct wire_message *message)
{
	const char *wrong = piece_talk_heard(&c->pieces, message, is_open(c));

	if (wrong)
		return broken(c, wrong);
	update_interest(c);
	return CONVERSATION_GOES_ON;
}

/* ---- its requests ---- */

void conversation_refuse(struct conversation *c, const struct block_ref *block)
{
	/* It was told that we have a piece that we have no longer. */
	if (bitfield_has(&c->pieces.have, block->piece) &&
		!torrent_has(c->torrent, block->piece) &&
		extension_talk_lose(&c->extensions, &c->out, block->piece))
		piece_talk_we_lost(&c->pieces, block->piece);
	if (c->fast)
		say_block(&c->out, WIRE_REJECT, block);
}

static enum conversation_verdict requested(
	struct conversation *c, const struct block_ref *block)
{
	if (!block_ref_valid(
		    block, metainfo_piece_size(metainfo(c), block->piece)))
		return broken(c, "request outside the torrent");
	if (c->am_choking || !torrent_has(c->torrent, block->piece) ||
		!wanted_add(&c->wanted, block))
		conversation_refuse(c, block);
	return CONVERSATION_GOES_ON;
}

static void cancelled(struct conversation *c, const struct block_ref *block)
{
	for (size_t n = wanted_cancel(&c->wanted, block); n > 0; n--)
		conversation_refuse(c, block);
}

void conversation_choke(struct conversation *c, bool choke)
{
	struct block_ref next;

	if (choke == c->am_choking)
		return;
	c->am_choking = choke;
	say_plain(&c->out, choke ? WIRE_CHOKE : WIRE_UNCHOKE);
	if (!choke)
		return;
	/* BEP 6: each is refused by name. */
	while (wanted_take(&c->wanted, &next, 1, SIZE_MAX) > 0)
		conversation_refuse(c, &next);
}

/* ---- extensions ---- */

static enum conversation_verdict extended(struct conversation *c,
	const struct wire_message *message, uint64_t now_ms)
{
	const char *reason = "";
	uint32_t piece;

	switch (extension_talk_message(&c->extensions, message,
		&c->peer.pick.address, now_ms, &c->out, &piece, &reason)) {
	case EXTENSION_HEARD:
		break;
	case EXTENSION_LOST:
		if (piece_talk_peer_lost(&c->pieces, piece) && !c->fast)
			asking_peer_lost(&c->asking, piece);
		update_interest(c);
		break;
	case EXTENSION_BROKEN:
		return broken(c, reason);
	}
	return CONVERSATION_GOES_ON;
}

void conversation_tell_swarm(struct conversation *c,
	const struct pex_peer *swarm, size_t count, uint64_t now_ms)
{
	extension_talk_tell(&c->extensions, &c->out, &c->peer.pick.address,
		swarm, count, now_ms);
}

/* ---- messages ---- */

enum conversation_verdict conversation_message(struct conversation *c,
	const struct wire_message *message, uint64_t now_ms)
{
	c->heard_ms = now_ms;
	switch (message->id) {
	case WIRE_CHOKE:
		c->peer_choking = true;
		asking_choked(&c->asking, c->fast);
		return CONVERSATION_GOES_ON;
	case WIRE_UNCHOKE:
		if (c->peer_choking)
			asking_unchoked(&c->asking);
		c->peer_choking = false;
		return CONVERSATION_GOES_ON;
	case WIRE_INTERESTED:
		c->peer_interested = true;
		return CONVERSATION_GOES_ON;
	case WIRE_NOT_INTERESTED:
		c->peer_interested = false;
		return CONVERSATION_GOES_ON;
	case WIRE_HAVE:
	case WIRE_BITFIELD:
	case WIRE_HAVE_ALL:
	case WIRE_HAVE_NONE:
		return tells_pieces(c, message);
	case WIRE_REQUEST:
		return requested(c, &message->block);
	case WIRE_CANCEL:
		cancelled(c, &message->block);
		return CONVERSATION_GOES_ON;
	case WIRE_REJECT:
		asking_rejected(
			&c->asking, &message->block, c->peer_choking, now_ms);
		return CONVERSATION_GOES_ON;
	case WIRE_EXTENDED:
		return extended(c, message, now_ms);
	case WIRE_PORT:
		/* One is enough: it must not make us knock at all its ports. */
		if (c->dht_port == 0 && !metainfo(c)->private)
			c->dht_port = message->port;
		return CONVERSATION_GOES_ON;
	case WIRE_PIECE: /* by way of asking_expect() */
	case WIRE_SUGGEST:
	case WIRE_ALLOWED_FAST:
	case WIRE_KEEP_ALIVE:
	case WIRE_UNKNOWN:
		return CONVERSATION_GOES_ON;
	}
	return CONVERSATION_GOES_ON;
}

bool conversation_can_take(const struct conversation *c)
{
	return c->wanted.count < WANTED_MAX &&
		c->out.len < CONVERSATION_MAX_OUT / 2;
}

bool conversation_peer_is_done(const struct conversation *c)
{
	return piece_talk_peer_is_seed(&c->pieces) ||
		c->extensions.theirs.upload_only;
}

/* ---- time ---- */

/* We need nothing, and have told of all that we have; and the peer will not ask
 * for anything either. */
static bool both_complete(const struct conversation *c)
{
	bool done = bitfield_full(&c->pieces.have) ||
		(wants_nothing(c) &&
			!torrent_has_news(c->torrent, c->pieces.news_at));

	return done && conversation_peer_is_done(c);
}

enum conversation_verdict conversation_tick(
	struct conversation *c, uint64_t now_ms)
{
	if (torrent_peer_corrupt(&c->peer)) {
		c->reason = "sent bad data";
		return CONVERSATION_CORRUPT;
	}
	if (asking_tired(&c->asking))
		return broken(c, "blocks that nobody asked for");
	if (c->out.failed)
		return broken(c, "does not read what is sent");
	if (now_ms - c->heard_ms >= CONVERSATION_SILENCE_MS) {
		c->reason = "silent for too long";
		return CONVERSATION_SILENT;
	}

	asking_measure(&c->asking, now_ms);
	tell_news(c);
	tell_upload_only(c);
	asking_cancel_unneeded(&c->asking);
	asking_mind_unanswered(&c->asking, now_ms);
	if (is_open(c))
		asking_ask(&c->asking, c->extensions.theirs.reqq, now_ms);

	if (!both_complete(c)) {
		c->farewell_ms = 0;
	} else if (c->farewell_ms == 0) {
		c->farewell_ms = now_ms;
	} else if (now_ms - c->farewell_ms >= CONVERSATION_FAREWELL_MS) {
		c->reason = "both have what they want";
		return CONVERSATION_USELESS;
	}

	if (c->out.len > 0) {
		c->sent_ms = now_ms;
	} else if (now_ms - c->sent_ms >= CONVERSATION_KEEP_ALIVE_MS) {
		say_keep_alive(&c->out);
		c->sent_ms = now_ms;
	}
	return CONVERSATION_GOES_ON;
}

bool conversation_has_news(const struct conversation *c)
{
	return torrent_has_news(c->torrent, c->pieces.news_at) ||
		torrent_peer_has_letters(&c->peer);
}

uint64_t conversation_deadline(const struct conversation *c)
{
	uint64_t due = c->heard_ms + CONVERSATION_SILENCE_MS;

	if (due > c->sent_ms + CONVERSATION_KEEP_ALIVE_MS)
		due = c->sent_ms + CONVERSATION_KEEP_ALIVE_MS;
	if (due > asking_deadline(&c->asking, is_open(c)))
		due = asking_deadline(&c->asking, is_open(c));
	if (extension_talk_tells_pex(&c->extensions) &&
		due > c->extensions.pex_due_ms)
		due = c->extensions.pex_due_ms;
	if (c->farewell_ms > 0 &&
		due > c->farewell_ms + CONVERSATION_FAREWELL_MS)
		due = c->farewell_ms + CONVERSATION_FAREWELL_MS;
	return due;
}
