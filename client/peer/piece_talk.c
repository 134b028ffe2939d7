#include "client/peer/piece_talk.h"

#include <stdlib.h>

#include "client/peer/say.h"
#include "shared/metainfo.h"

bool piece_talk_begin(struct piece_talk *t, struct torrent *torrent,
	struct torrent_peer *peer, struct buffer *out, bool fast)
{
	uint32_t pieces = torrent_metainfo(torrent)->piece_count;

	*t = (struct piece_talk){
		.torrent = torrent,
		.peer = peer,
		.out = out,
		.fast = fast,
	};
	return bitfield_init(&t->have, pieces) &&
		bitfield_init(&peer->pick.has, pieces);
}

void piece_talk_finish(struct piece_talk *t)
{
	bitfield_finish(&t->have);
	bitfield_finish(&t->peer->pick.has);
}

/* ---- what we have ---- */

static bool say_bitfield(struct piece_talk *t)
{
	size_t len = bitfield_wire_size(t->have.count);
	uint8_t *bits = malloc(len);
	uint8_t *message = malloc(len + WIRE_PREFIX_SIZE);

	if (bits && message) {
		struct writer w = writer_of(message, len + WIRE_PREFIX_SIZE);
		bitfield_to_wire(&t->have, bits);
		wire_write_bitfield(&w, bits, len);
		buffer_append(t->out, w.start, writer_len(&w));
	}
	bool ok = bits && message;
	free(bits);
	free(message);
	return ok;
}

static void say_haves(struct piece_talk *t)
{
	for (uint32_t i = 0; t->have.set > 0 && i < t->have.count; i++) {
		if (bitfield_has(&t->have, i))
			say_have(t->out, i);
	}
}

bool piece_talk_greet(struct piece_talk *t, bool told_nothing)
{
	torrent_have(t->torrent, &t->have, &t->news_at);
	if (told_nothing)
		say_haves(t);
	else if (t->fast && t->have.set == 0)
		say_plain(t->out, WIRE_HAVE_NONE);
	else if (t->fast && bitfield_full(&t->have))
		say_plain(t->out, WIRE_HAVE_ALL);
	else if (t->have.set > 0) /* BEP 3: else it may be left out */
		return say_bitfield(t);
	return true;
}

static bool is_wanted(const struct piece_talk *t, uint32_t piece)
{
	const struct bitfield *unwanted = torrent_unwanted(t->torrent);

	return !unwanted || !bitfield_has(unwanted, piece);
}

/* It has that one, and it is or would be of use to us. */
static bool would_help(const struct piece_talk *t, uint32_t piece)
{
	return bitfield_has(&t->peer->pick.has, piece) && is_wanted(t, piece);
}

size_t piece_talk_news(struct piece_talk *t, uint32_t *ret, size_t max)
{
	size_t count = torrent_news(t->torrent, &t->news_at, ret, max);

	for (size_t i = 0; i < count; i++) {
		if (bitfield_has(&t->have, ret[i]))
			continue; /* lost and found again */
		bitfield_set(&t->have, ret[i]);
		say_have(t->out, ret[i]);
		t->useful -= would_help(t, ret[i]);
	}
	return count;
}

void piece_talk_we_lost(struct piece_talk *t, uint32_t piece)
{
	bitfield_clear(&t->have, piece);
	t->useful += would_help(t, piece);
}

/* ---- what it has ---- */

static const char *has_piece(struct piece_talk *t, uint32_t piece, bool open)
{
	struct bitfield *has = &t->peer->pick.has;

	if (piece >= has->count)
		return "HAVE of a piece that there is not";
	if (bitfield_has(has, piece))
		return NULL;
	bitfield_set(has, piece);
	torrent_peer_has_piece(t->torrent, t->peer, piece, open);
	t->useful += !bitfield_has(&t->have, piece) && is_wanted(t, piece);
	return NULL;
}

static const char *has_these(
	struct piece_talk *t, const struct wire_message *message)
{
	struct bitfield *has = &t->peer->pick.has;
	bool well_formed = true;

	/* BEP 3 and 6 want it first and once; aria2 sends more.  Each is a walk
	 * through all pieces, and must not be without end. */
	if (message->id == WIRE_HAVE_NONE && has->set > 0)
		return "HAVE NONE after others";
	if (message->id == WIRE_HAVE_NONE ||
		(message->id == WIRE_HAVE_ALL && bitfield_full(has)))
		return NULL;
	if (t->bitfields++ == PIECE_TALK_MAX_BITFIELDS)
		return "too many bitfields";
	torrent_peer_has_many(t->torrent, t->peer, false);
	if (message->id == WIRE_HAVE_ALL)
		bitfield_set_all(has);
	else
		well_formed = bitfield_from_wire(has, message->payload);
	torrent_peer_has_many(t->torrent, t->peer, true);
	if (!well_formed)
		return "malformed bitfield";
	t->useful = bitfield_count(
		has, &t->have, torrent_unwanted(t->torrent), 0, has->count);
	return NULL;
}

const char *piece_talk_heard(
	struct piece_talk *t, const struct wire_message *message, bool open)
{
	return message->id == WIRE_HAVE ? has_piece(t, message->piece, open)
					: has_these(t, message);
}

bool piece_talk_peer_lost(struct piece_talk *t, uint32_t piece)
{
	struct bitfield *has = &t->peer->pick.has;

	/* Each costs a walk through all pieces: not without end. */
	if (!bitfield_has(has, piece) || t->lost == PIECE_TALK_MAX_LOST)
		return false;
	t->lost++;
	torrent_peer_has_many(t->torrent, t->peer, false);
	bitfield_clear(has, piece);
	torrent_peer_has_many(t->torrent, t->peer, true);
	t->useful -= !bitfield_has(&t->have, piece) && is_wanted(t, piece);
	return true;
}

bool piece_talk_peer_is_seed(const struct piece_talk *t)
{
	return bitfield_full(&t->peer->pick.has);
}
