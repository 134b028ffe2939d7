#include "client/peer/conversation.h"

#include <stdlib.h>
#include <string.h>

#include "shared/metainfo.h"

enum {
	/* Requests under way to a peer whose speed is not known yet, and to the
	 * slowest one. */
	FIRST_DEPTH = 32,
	LEAST_DEPTH = 4,
	/* As many requests as the peer serves in this time and two round trips.
	 * More would be ours for longer than needed: in a crowd behind a slow
	 * seeder the same pieces are asked of it again and again while they
	 * wait to be given to the first who asked. */
	DEPTH_MS = 400,
	MAX_ROUND_TRIP_MS = 2000,
	WINDOW_MS = 100,
	OVERDUE_CHECK_MS = 1000,
	BATCH = 64, /* requests or pieces dealt with under one lock */
};

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

/* ---- writing ---- */

/* Every message of ours but bitfields and extended ones fits. */
enum { SMALL_MESSAGE = 17 };

static void append(struct conversation *c, const struct writer *w)
{
	/* Bounded by CONVERSATION_MAX_OUT; conversation_can_take() keeps us far
	 * from it, and a peer that makes it overflow is dropped by the tick. */
	buffer_append(&c->out, w->start, writer_len(w));
}

static void send_plain(struct conversation *c, enum wire_id id)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_plain(&w, id);
	append(c, &w);
}

static void send_have(struct conversation *c, uint32_t piece)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_piece_index(&w, WIRE_HAVE, piece);
	append(c, &w);
}

static void send_block(
	struct conversation *c, enum wire_id id, const struct block_ref *block)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_block(&w, id, block);
	append(c, &w);
}

static struct block_ref ref_of(
	const struct conversation *c, const struct block_id *block)
{
	uint32_t size = metainfo_piece_size(metainfo(c), block->piece);
	uint32_t begin = block->index * BLOCK_SIZE;

	return (struct block_ref){
		.piece = block->piece,
		.begin = begin,
		.length = size - begin < BLOCK_SIZE ? size - begin : BLOCK_SIZE,
	};
}

static void send_port(struct conversation *c, uint16_t port)
{
	uint8_t bytes[SMALL_MESSAGE];
	struct writer w = writer_of(bytes, sizeof(bytes));

	wire_write_port(&w, port);
	append(c, &w);
}

static bool send_pieces(struct conversation *c)
{
	size_t len = bitfield_wire_size(c->have.count);
	bool ok = false;

	if (c->fast && c->have.set == 0) {
		send_plain(c, WIRE_HAVE_NONE);
		return true;
	}
	if (c->fast && bitfield_full(&c->have)) {
		send_plain(c, WIRE_HAVE_ALL);
		return true;
	}
	if (c->have.set == 0)
		return true; /* BEP 3: may be left out */

	uint8_t *bits = malloc(len);
	uint8_t *message = malloc(len + WIRE_PREFIX_SIZE);
	if (bits && message) {
		struct writer w = writer_of(message, len + WIRE_PREFIX_SIZE);
		bitfield_to_wire(&c->have, bits);
		wire_write_bitfield(&w, bits, len);
		append(c, &w);
		ok = true;
	}
	free(bits);
	free(message);
	return ok;
}

static void send_haves(struct conversation *c)
{
	for (uint32_t i = 0; c->have.set > 0 && i < c->have.count; i++) {
		if (bitfield_has(&c->have, i))
			send_have(c, i);
	}
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
			.reqq = CONVERSATION_MAX_WANTED,
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
	uint32_t pieces = torrent_metainfo(start->torrent)->piece_count;

	*c = (struct conversation){
		.torrent = start->torrent,
		.reason = "",
		.fast = start->fast,
		.give_only = start->give_only,
		.port = start->port,
		.am_choking = true,
		.peer_choking = true,
		.depth = FIRST_DEPTH,
		.may_ask = SIZE_MAX,
		.round_trip_ms = MAX_ROUND_TRIP_MS,
		.heard_ms = now_ms,
		.block_ms = now_ms,
		.sent_ms = now_ms,
		.window_ms = now_ms,
	};
	extension_talk_begin(&c->extensions, metainfo(c), start->extended,
		start->pex, now_ms);
	buffer_init(&c->out, CONVERSATION_MAX_OUT);
	c->peer.pick.address = start->address;
	c->peer.wake_fd = start->wake_fd;
	c->peer.pick.asked = c->asked;
	if (!bitfield_init(&c->have, pieces) ||
		!bitfield_init(&c->peer.pick.has, pieces)) {
		bitfield_finish(&c->have);
		bitfield_finish(&c->peer.pick.has);
		return false;
	}
	torrent_join(c->torrent, &c->peer);
	torrent_have(c->torrent, &c->have, &c->news_at);
	if (start->told_nothing) {
		send_haves(c);
	} else if (!send_pieces(c)) {
		conversation_end(c);
		return false;
	}
	greet(c);
	if (start->dht_port != 0 && !metainfo(c)->private)
		send_port(c, start->dht_port);
	return true;
}

static void set_asked_count(struct conversation *c, size_t count)
{
	c->asked_count = count;
	c->peer.pick.asked_count = count;
}

/* What was given to others already must not be given back once more. */
static void forget_released(struct conversation *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->asked_count; i++) {
		if (c->released[i])
			continue;
		c->asked[kept] = c->asked[i];
		c->released[kept++] = false;
	}
	set_asked_count(c, kept);
}

void conversation_end(struct conversation *c)
{
	forget_released(c);
	torrent_leave(c->torrent, &c->peer);
	bitfield_finish(&c->have);
	bitfield_finish(&c->peer.pick.has);
	buffer_finish(&c->out);
}

/* ---- our requests ---- */

static void remove_asked(struct conversation *c, size_t place)
{
	size_t after = c->asked_count - place - 1;

	memmove(&c->asked[place], &c->asked[place + 1],
		after * sizeof(c->asked[0]));
	memmove(&c->asked_ms[place], &c->asked_ms[place + 1],
		after * sizeof(c->asked_ms[0]));
	memmove(&c->released[place], &c->released[place + 1],
		after * sizeof(c->released[0]));
	set_asked_count(c, c->asked_count - 1);
}

/* Place in the list, or asked_count.  Nearly always the first one. */
static size_t find_id(const struct conversation *c, const struct block_id *id)
{
	size_t i = 0;

	while (i < c->asked_count &&
		(c->asked[i].piece != id->piece ||
			c->asked[i].index != id->index))
		i++;
	return i;
}

static size_t find_asked(
	const struct conversation *c, const struct block_ref *block)
{
	if (block->begin % BLOCK_SIZE != 0)
		return c->asked_count;
	return find_id(
		c, &(struct block_id){block->piece, block->begin / BLOCK_SIZE});
}

/* Give what it has not sent and was asked for before `before_ms` back to the
 * torrent.  Should it come after all, it is still used. */
static size_t release_before(struct conversation *c, uint64_t before_ms)
{
	struct block_id back[CONVERSATION_MAX_ASKED];
	size_t count = 0;

	for (size_t i = 0; i < c->asked_count; i++) {
		if (c->released[i] || c->asked_ms[i] >= before_ms)
			continue;
		back[count++] = c->asked[i];
		c->released[i] = true;
	}
	if (count > 0 || before_ms == UINT64_MAX)
		torrent_release(c->torrent, &c->peer, back, count, true);
	return count;
}

/* The same for all of it, which will not come any more; or if it does, being
 * under way, it is skipped, and not held against the peer. */
static void forget_all(struct conversation *c)
{
	release_before(c, UINT64_MAX);
	c->late_allowed += c->asked_count;
	set_asked_count(c, 0);
}

/* One request will not be answered. */
static void release_one(struct conversation *c, size_t place, bool rest)
{
	if (!c->released[place])
		torrent_release(
			c->torrent, &c->peer, &c->asked[place], 1, rest);
	remove_asked(c, place);
}

/* What others have brought meanwhile need not be sent.  It may be on its way
 * all the same: then it is skipped, and not held against the peer. */
static void cancel_unneeded(struct conversation *c)
{
	size_t places[CONVERSATION_MAX_ASKED];
	size_t count = torrent_prune(
		c->torrent, &c->peer, places, CONVERSATION_MAX_ASKED);

	while (count-- > 0) {
		struct block_ref ref = ref_of(c, &c->asked[places[count]]);

		send_block(c, WIRE_CANCEL, &ref);
		release_one(c, places[count], false);
		c->late_allowed++;
	}
}

/* The same for what was given back, and came in a piece that is whole now. */
static void cancel_released(struct conversation *c, uint32_t piece)
{
	for (size_t i = c->asked_count; i-- > 0;) {
		if (!c->released[i] || c->asked[i].piece != piece)
			continue;
		struct block_ref ref = ref_of(c, &c->asked[i]);

		send_block(c, WIRE_CANCEL, &ref);
		remove_asked(c, i);
		c->late_allowed++;
	}
}

static void ask_one(
	struct conversation *c, const struct block_id *block, uint64_t now_ms)
{
	struct block_ref ref = ref_of(c, block);
	size_t place = find_id(c, block);

	if (place == c->asked_count)
		set_asked_count(c, c->asked_count + 1);
	else if (now_ms - c->asked_ms[place] < CONVERSATION_ANSWER_MS) {
		/* Given back in vain, and it still has our request. */
		c->released[place] = false;
		return;
	}
	c->asked[place] = *block;
	c->asked_ms[place] = now_ms;
	c->released[place] = false;
	c->requests++;
	if (c->may_ask != SIZE_MAX)
		c->may_ask--;
	send_block(c, WIRE_REQUEST, &ref);
}

/* Requests that may be under way at once. */
static size_t most_asked(const struct conversation *c)
{
	size_t depth = c->snubbed ? 1 : c->depth;

	return depth < c->extensions.reqq ? depth : c->extensions.reqq;
}

size_t conversation_room(const struct conversation *c, uint64_t now_ms)
{
	size_t depth = most_asked(c);

	if (c->peer_choking || !c->am_interested ||
		(c->rest_ms != 0 &&
			now_ms - c->rest_ms < CONVERSATION_REST_MS) ||
		c->asked_count > depth - depth / 4)
		return 0;
	return depth - c->asked_count;
}

static void ask(struct conversation *c, uint64_t now_ms)
{
	struct block_id chosen[BATCH];
	size_t depth = most_asked(c);
	size_t room = conversation_room(c, now_ms);

	if (now_ms - c->rest_ms >= CONVERSATION_REST_MS)
		c->rest_ms = 0;
	while (room > 0 && c->may_ask > 0) {
		size_t most = room < c->may_ask ? room : c->may_ask;
		size_t count = torrent_reserve(c->torrent, &c->peer, chosen,
			most < BATCH ? most : BATCH);

		if (count == 0)
			return;
		if (c->asked_count == 0)
			c->block_ms = now_ms; /* silence counts from here */
		for (size_t i = 0; i < count; i++)
			ask_one(c, &chosen[i], now_ms);
		room = c->asked_count < depth ? depth - c->asked_count : 0;
	}
}

/* What is not answered must not be waited for by all: others may be asked.  And
 * it may be lost, so after a while it is asked for anew. */
static void mind_unanswered(struct conversation *c, uint64_t now_ms)
{
	uint64_t silent_ms = now_ms - c->block_ms;

	if (c->asked_count == 0)
		return;
	if (silent_ms >= 2 * CONVERSATION_SNUBBED_MS)
		forget_all(c);
	else if (silent_ms >= CONVERSATION_SNUBBED_MS && !c->snubbed)
		release_before(c, UINT64_MAX);
	if (silent_ms >= CONVERSATION_SNUBBED_MS)
		c->snubbed = true;

	/* A byte now and then is not an answer. */
	if (now_ms >= CONVERSATION_ANSWER_MS &&
		now_ms - c->overdue_ms >= OVERDUE_CHECK_MS) {
		c->overdue_ms = now_ms;
		if (release_before(c, now_ms - CONVERSATION_ANSWER_MS) > 0)
			c->rest_ms = now_ms;
	}
}

bool conversation_knows(
	const struct conversation *c, const struct block_ref *block)
{
	size_t place = find_asked(c, block);

	return place < c->asked_count &&
		ref_of(c, &c->asked[place]).length == block->length;
}

enum conversation_block conversation_expect(
	struct conversation *c, const struct block_ref *block)
{
	if (conversation_knows(c, block))
		return BLOCK_ASKED;
	if (c->late_allowed > 0)
		c->late_allowed--;
	else
		c->unasked++;
	return BLOCK_UNASKED;
}

bool conversation_tired(const struct conversation *c)
{
	return c->unasked > CONVERSATION_MAX_UNASKED;
}

void conversation_arrived(
	struct conversation *c, const struct block_ref *block, uint8_t *memory)
{
	size_t place = find_asked(c, block);
	struct arrival *a = &c->arrivals[c->arrival_count++];

	/* It may have been cancelled while it came in. */
	a->block = (struct block_id){block->piece, block->begin / BLOCK_SIZE};
	a->memory = memory;
	c->payload += block->length;
	a->asked = place < c->asked_count && !c->released[place];
	if (place == c->asked_count)
		return;
	c->answered++;
	/* The least there was is without waiting in its queue. */
	if (c->block_ms - c->asked_ms[place] < c->round_trip_ms)
		c->round_trip_ms = c->block_ms - c->asked_ms[place];
	remove_asked(c, place);
}

size_t conversation_flush(
	struct conversation *c, struct open_piece **ret_full, size_t *ret_left)
{
	size_t left = 0;

	if (c->arrival_count == 0) {
		*ret_left = 0;
		return 0;
	}
	size_t full = torrent_receive(
		c->torrent, &c->peer, c->arrivals, c->arrival_count, ret_full);
	for (size_t i = 0; i < c->arrival_count; i++) {
		if (c->arrivals[i].memory)
			c->arrivals[left++] = c->arrivals[i];
	}
	c->arrival_count = 0;
	*ret_left = left;
	return full;
}

void conversation_received(struct conversation *c, size_t len, uint64_t now_ms)
{
	c->heard_ms = now_ms;
	c->block_ms = now_ms;
	c->window_bytes += len;
	c->snubbed = false;
}

static void measure(struct conversation *c, uint64_t now_ms)
{
	uint64_t passed = now_ms - c->window_ms;

	/* Nothing was asked for: that says nothing about its speed. */
	if (c->asked_count == 0 && c->window_bytes == 0) {
		c->window_ms = now_ms;
		return;
	}
	if (passed < WINDOW_MS)
		return;
	uint64_t rate = c->window_bytes * 1000 / passed;
	/* Up at once, down slowly. */
	c->rate = rate > c->rate ? rate : (3 * c->rate + rate) / 4;
	c->window_ms = now_ms;
	c->window_bytes = 0;

	uint64_t cover_ms = DEPTH_MS + 2 * c->round_trip_ms;
	uint64_t depth = c->rate * cover_ms / 1000 / BLOCK_SIZE;
	if (depth < LEAST_DEPTH)
		depth = LEAST_DEPTH;
	if (depth > CONVERSATION_MAX_ASKED)
		depth = CONVERSATION_MAX_ASKED;
	c->depth = (size_t)depth;
}

/* ---- its pieces, our interest ---- */

static void update_interest(struct conversation *c)
{
	bool want = c->useful > 0 && !c->give_only;

	if (want == c->am_interested)
		return;
	/* Requests under way are still wanted. */
	if (!want && c->asked_count > 0)
		return;
	c->am_interested = want;
	send_plain(c, want ? WIRE_INTERESTED : WIRE_NOT_INTERESTED);
}

static bool is_wanted(const struct conversation *c, uint32_t piece)
{
	const struct bitfield *unwanted = torrent_unwanted(c->torrent);

	return !unwanted || !bitfield_has(unwanted, piece);
}

static void count_useful(struct conversation *c)
{
	const struct bitfield *unwanted = torrent_unwanted(c->torrent);

	c->useful = 0;
	for (uint32_t i = 0; i < c->have.count; i++) {
		i = bitfield_find(&c->peer.pick.has, &c->have, unwanted, i,
			c->have.count);
		if (i == BITFIELD_NONE)
			break;
		c->useful++;
	}
}

static enum conversation_verdict has_piece(
	struct conversation *c, uint32_t piece)
{
	if (piece >= c->have.count)
		return broken(c, "HAVE of a piece that there is not");
	if (bitfield_has(&c->peer.pick.has, piece))
		return CONVERSATION_GOES_ON;
	bitfield_set(&c->peer.pick.has, piece);
	torrent_peer_has_piece(c->torrent, &c->peer, piece);
	if (!bitfield_has(&c->have, piece) && is_wanted(c, piece)) {
		c->useful++;
		update_interest(c);
	}
	return CONVERSATION_GOES_ON;
}

/* Tell what has been completed since. */
static void tell_news(struct conversation *c)
{
	uint32_t pieces[BATCH];
	size_t count;

	while ((count = torrent_news(c->torrent, &c->news_at, pieces, BATCH)) >
		0) {
		for (size_t i = 0; i < count; i++) {
			if (bitfield_has(&c->have, pieces[i]))
				continue; /* lost and found again */
			bitfield_set(&c->have, pieces[i]);
			send_have(c, pieces[i]);
			cancel_released(c, pieces[i]);
			if (bitfield_has(&c->peer.pick.has, pieces[i]) &&
				is_wanted(c, pieces[i]))
				c->useful--;
		}
		if (!conversation_can_take(c))
			break; /* the rest when this has gone out */
	}
	update_interest(c);
}

/* ---- its requests ---- */

static struct block_ref *wanted_at(struct conversation *c, size_t i)
{
	return &c->wanted[(c->wanted_head + i) % CONVERSATION_MAX_WANTED];
}

/* It was told that we have a piece that we have no longer. */
static void tell_lost(struct conversation *c, uint32_t piece)
{
	if (!extension_talk_lose(&c->extensions, &c->out, piece))
		return;
	bitfield_clear(&c->have, piece);
	if (bitfield_has(&c->peer.pick.has, piece) && is_wanted(c, piece))
		c->useful++;
}

void conversation_refuse(struct conversation *c, const struct block_ref *block)
{
	if (bitfield_has(&c->have, block->piece) &&
		!torrent_has(c->torrent, block->piece))
		tell_lost(c, block->piece);
	if (c->fast)
		send_block(c, WIRE_REJECT, block);
}

static enum conversation_verdict requested(
	struct conversation *c, const struct block_ref *block)
{
	if (!block_ref_valid(
		    block, metainfo_piece_size(metainfo(c), block->piece)))
		return broken(c, "request outside the torrent");
	if (c->am_choking || c->wanted_count == CONVERSATION_MAX_WANTED ||
		!torrent_has(c->torrent, block->piece)) {
		conversation_refuse(c, block);
		return CONVERSATION_GOES_ON;
	}
	c->wanted_count++;
	*wanted_at(c, c->wanted_count - 1) = *block;
	return CONVERSATION_GOES_ON;
}

static void cancelled(struct conversation *c, const struct block_ref *block)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->wanted_count; i++) {
		struct block_ref *w = wanted_at(c, i);
		if (block_ref_equal(w, block))
			conversation_refuse(c, block);
		else
			*wanted_at(c, kept++) = *w;
	}
	c->wanted_count = kept;
}

size_t conversation_next_wanted(struct conversation *c, struct block_ref *ret,
	size_t max, size_t max_bytes)
{
	size_t count = 0, bytes = 0;

	while (count < max && c->wanted_count > 0) {
		const struct block_ref *w = wanted_at(c, 0);
		if (count > 0 && w->length > max_bytes - bytes)
			break;
		ret[count++] = *w;
		bytes += w->length;
		c->wanted_head = (c->wanted_head + 1) % CONVERSATION_MAX_WANTED;
		c->wanted_count--;
		if (bytes >= max_bytes)
			break;
	}
	return count;
}

size_t conversation_wanted_bytes(
	const struct conversation *c, size_t max, size_t max_bytes)
{
	size_t bytes = 0;

	for (size_t i = 0; i < c->wanted_count && i < max; i++) {
		size_t at = (c->wanted_head + i) % CONVERSATION_MAX_WANTED;
		if (i > 0 && c->wanted[at].length > max_bytes - bytes)
			break;
		bytes += c->wanted[at].length;
		if (bytes >= max_bytes)
			break;
	}
	return bytes;
}

void conversation_choke(struct conversation *c, bool choke)
{
	if (choke == c->am_choking)
		return;
	c->am_choking = choke;
	send_plain(c, choke ? WIRE_CHOKE : WIRE_UNCHOKE);
	if (!choke)
		return;
	/* BEP 6: each is refused by name. */
	for (; c->wanted_count > 0; c->wanted_count--) {
		conversation_refuse(c, wanted_at(c, 0));
		c->wanted_head = (c->wanted_head + 1) % CONVERSATION_MAX_WANTED;
	}
}

/* ---- extensions ---- */

/* The peer has a piece no longer (BEP 54). */
static void lost_piece(struct conversation *c, uint32_t piece)
{
	/* Each costs a walk through all pieces: not without end. */
	if (!bitfield_has(&c->peer.pick.has, piece) ||
		c->lost == CONVERSATION_MAX_LOST)
		return;
	c->lost++;
	torrent_peer_has_many(c->torrent, &c->peer, false);
	bitfield_clear(&c->peer.pick.has, piece);
	torrent_peer_has_many(c->torrent, &c->peer, true);
	if (!bitfield_has(&c->have, piece) && is_wanted(c, piece)) {
		c->useful--;
		update_interest(c);
	}
}

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
		lost_piece(c, piece);
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

static enum conversation_verdict tells_pieces(
	struct conversation *c, const struct wire_message *message)
{
	bool well_formed = true;

	/* BEP 3 wants it first and once; aria2 sends another one when that is
	 * shorter than the HAVEs that it owes. */
	torrent_peer_has_many(c->torrent, &c->peer, false);
	switch (message->id) {
	case WIRE_HAVE_ALL:
		bitfield_set_all(&c->peer.pick.has);
		break;
	case WIRE_BITFIELD:
		well_formed =
			bitfield_from_wire(&c->peer.pick.has, message->payload);
		break;
	default:
		bitfield_clear_all(&c->peer.pick.has);
		break;
	}
	torrent_peer_has_many(c->torrent, &c->peer, true);
	if (!well_formed)
		return broken(c, "malformed bitfield");
	count_useful(c);
	update_interest(c);
	return CONVERSATION_GOES_ON;
}

static void rejected(
	struct conversation *c, const struct block_ref *block, uint64_t now_ms)
{
	size_t place = find_asked(c, block);

	if (place == c->asked_count)
		return;
	/* Asked again at once it would refuse again, and so on as fast as the
	 * line is.  Others may have more luck. */
	if (!c->peer_choking)
		c->rest_ms = now_ms;
	release_one(c, place, true);
}

enum conversation_verdict conversation_message(struct conversation *c,
	const struct wire_message *message, uint64_t now_ms)
{
	c->heard_ms = now_ms;
	switch (message->id) {
	case WIRE_CHOKE:
		c->peer_choking = true;
		/* With BEP 6 each request is rejected by name, or served. */
		if (c->fast)
			release_before(c, UINT64_MAX);
		else
			forget_all(c);
		return CONVERSATION_GOES_ON;
	case WIRE_UNCHOKE:
		/* What was neither will not be any more. */
		if (c->peer_choking)
			forget_all(c);
		c->peer_choking = false;
		return CONVERSATION_GOES_ON;
	case WIRE_INTERESTED:
		c->peer_interested = true;
		return CONVERSATION_GOES_ON;
	case WIRE_NOT_INTERESTED:
		c->peer_interested = false;
		return CONVERSATION_GOES_ON;
	case WIRE_HAVE:
		return has_piece(c, message->piece);
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
		rejected(c, &message->block, now_ms);
		return CONVERSATION_GOES_ON;
	case WIRE_EXTENDED:
		return extended(c, message, now_ms);
	case WIRE_PORT:
		/* One is enough: it must not make us knock at all its ports. */
		if (c->dht_port == 0 && !metainfo(c)->private)
			c->dht_port = message->port;
		return CONVERSATION_GOES_ON;
	case WIRE_PIECE: /* by way of conversation_expect() */
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
	return c->wanted_count < CONVERSATION_MAX_WANTED &&
		c->out.len < CONVERSATION_MAX_OUT / 2;
}

/* ---- time ---- */

/* We need nothing, and have told of all that we have; and it is a seed, or will
 * not ask for anything either. */
static bool both_complete(const struct conversation *c)
{
	bool done = bitfield_full(&c->have) ||
		(wants_nothing(c) && !torrent_has_news(c->torrent, c->news_at));

	return done &&
		(bitfield_full(&c->peer.pick.has) || c->extensions.upload_only);
}

enum conversation_verdict conversation_tick(
	struct conversation *c, uint64_t now_ms)
{
	if (torrent_peer_corrupt(&c->peer)) {
		c->reason = "sent bad data";
		return CONVERSATION_CORRUPT;
	}
	if (conversation_tired(c))
		return broken(c, "blocks that nobody asked for");
	if (c->out.failed)
		return broken(c, "does not read what is sent");
	if (now_ms - c->heard_ms >= CONVERSATION_SILENCE_MS) {
		c->reason = "silent for too long";
		return CONVERSATION_SILENT;
	}

	measure(c, now_ms);
	tell_news(c);
	tell_upload_only(c);
	cancel_unneeded(c);
	mind_unanswered(c, now_ms);
	ask(c, now_ms);

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
		uint8_t bytes[SMALL_MESSAGE];
		struct writer w = writer_of(bytes, sizeof(bytes));

		wire_write_keep_alive(&w);
		append(c, &w);
		c->sent_ms = now_ms;
	}
	return CONVERSATION_GOES_ON;
}

bool conversation_hungry(const struct conversation *c)
{
	return !c->peer_choking && c->am_interested && c->asked_count == 0;
}

bool conversation_has_news(const struct conversation *c)
{
	return torrent_has_news(c->torrent, c->news_at) ||
		torrent_peer_has_letters(&c->peer);
}

uint64_t conversation_deadline(const struct conversation *c)
{
	uint64_t due = c->heard_ms + CONVERSATION_SILENCE_MS;

	if (due > c->sent_ms + CONVERSATION_KEEP_ALIVE_MS)
		due = c->sent_ms + CONVERSATION_KEEP_ALIVE_MS;
	if (c->asked_count > 0) {
		uint64_t silent = c->block_ms + CONVERSATION_SNUBBED_MS;
		if (c->snubbed)
			silent += CONVERSATION_SNUBBED_MS;
		if (due > silent)
			due = silent;
	}
	if (c->rest_ms != 0 && conversation_hungry(c) &&
		due > c->rest_ms + CONVERSATION_REST_MS)
		due = c->rest_ms + CONVERSATION_REST_MS;
	if (extension_talk_tells_pex(&c->extensions) &&
		due > c->extensions.pex_due_ms)
		due = c->extensions.pex_due_ms;
	if (c->farewell_ms > 0 &&
		due > c->farewell_ms + CONVERSATION_FAREWELL_MS)
		due = c->farewell_ms + CONVERSATION_FAREWELL_MS;
	return due;
}
