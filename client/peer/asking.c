#include "client/peer/asking.h"

#include <string.h>

#include "client/peer/say.h"
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
	/* What waits longer in its queue may come sooner from another who has
	 * it by now; but not what will leave it within so long. */
	BACKLOG_MS = 200,
	DUE_MS = 50,
	OVERDUE_CHECK_MS = 1000,
	BATCH = 64, /* requests dealt with under one lock */
};

void asking_begin(struct asking *a, struct torrent *torrent,
	struct torrent_peer *peer, struct buffer *out, uint64_t now_ms)
{
	*a = (struct asking){
		.torrent = torrent,
		.peer = peer,
		.out = out,
		.depth = FIRST_DEPTH,
		.may_ask = SIZE_MAX,
		.round_trip_ms = MAX_ROUND_TRIP_MS,
		.block_ms = now_ms,
		.window_ms = now_ms,
	};
	peer->pick.asked = a->asked;
	peer->pick.asked_count = 0;
}

static struct block_ref ref_of(
	const struct asking *a, const struct block_id *block)
{
	uint32_t size =
		metainfo_piece_size(torrent_metainfo(a->torrent), block->piece);
	uint32_t begin = block->index * BLOCK_SIZE;

	return (struct block_ref){
		.piece = block->piece,
		.begin = begin,
		.length = size - begin < BLOCK_SIZE ? size - begin : BLOCK_SIZE,
	};
}

/* ---- the list ---- */

static void set_count(struct asking *a, size_t count)
{
	a->count = count;
	a->peer->pick.asked_count = count;
}

static void take_out(struct asking *a, size_t place)
{
	size_t after = a->count - place - 1;

	memmove(&a->asked[place], &a->asked[place + 1],
		after * sizeof(a->asked[0]));
	memmove(&a->asked_ms[place], &a->asked_ms[place + 1],
		after * sizeof(a->asked_ms[0]));
	memmove(&a->released[place], &a->released[place + 1],
		after * sizeof(a->released[0]));
	set_count(a, a->count - 1);
}

void asking_end(struct asking *a)
{
	size_t kept = 0;

	for (size_t i = 0; i < a->count; i++) {
		if (a->released[i])
			continue;
		a->asked[kept] = a->asked[i];
		a->released[kept++] = false;
	}
	set_count(a, kept);
}

/* Place in the list, or a->count.  Nearly always the first one. */
static size_t find_id(const struct asking *a, const struct block_id *id)
{
	size_t i = 0;

	while (i < a->count &&
		(a->asked[i].piece != id->piece ||
			a->asked[i].index != id->index))
		i++;
	return i;
}

static size_t find(const struct asking *a, const struct block_ref *block)
{
	if (block->begin % BLOCK_SIZE != 0)
		return a->count;
	return find_id(
		a, &(struct block_id){block->piece, block->begin / BLOCK_SIZE});
}

/* ---- to ask ---- */

static void ask_one(
	struct asking *a, const struct block_id *block, uint64_t now_ms)
{
	struct block_ref ref = ref_of(a, block);
	size_t place = find_id(a, block);

	if (place == a->count)
		set_count(a, a->count + 1);
	else if (now_ms - a->asked_ms[place] < ASKING_ANSWER_MS) {
		/* Given back in vain, and it still has our request. */
		a->released[place] = false;
		return;
	}
	a->asked[place] = *block;
	a->asked_ms[place] = now_ms;
	a->released[place] = false;
	a->requests++;
	if (a->may_ask != SIZE_MAX)
		a->may_ask--;
	say_block(a->out, WIRE_REQUEST, &ref);
}

/* Requests that may be under way at once. */
static size_t most_asked(const struct asking *a, uint32_t reqq)
{
	size_t depth = a->snubbed ? 1 : a->depth;

	return depth < reqq ? depth : reqq;
}

size_t asking_room(const struct asking *a, uint32_t reqq, uint64_t now_ms)
{
	size_t depth = most_asked(a, reqq);

	if ((a->rest_ms != 0 && now_ms - a->rest_ms < ASKING_REST_MS) ||
		a->count > depth - depth / 4)
		return 0;
	return depth - a->count;
}

void asking_ask(struct asking *a, uint32_t reqq, uint64_t now_ms)
{
	struct block_id chosen[BATCH];
	size_t depth = most_asked(a, reqq);
	size_t room = asking_room(a, reqq, now_ms);

	if (now_ms - a->rest_ms >= ASKING_REST_MS)
		a->rest_ms = 0;
	while (room > 0 && a->may_ask > 0) {
		size_t most = room < a->may_ask ? room : a->may_ask;
		size_t count = torrent_reserve(a->torrent, a->peer, chosen,
			most < BATCH ? most : BATCH);

		if (count == 0)
			return;
		if (a->count == 0)
			a->block_ms = now_ms; /* silence counts from here */
		for (size_t i = 0; i < count; i++)
			ask_one(a, &chosen[i], now_ms);
		room = a->count < depth ? depth - a->count : 0;
	}
}

/* How many blocks it gives in so long. */
static size_t blocks_in(const struct asking *a, uint64_t ms)
{
	return (size_t)(a->rate * ms / 1000 / BLOCK_SIZE);
}

void asking_measure(struct asking *a, uint64_t now_ms)
{
	uint64_t passed = now_ms - a->window_ms;

	/* Nothing was asked for: that says nothing about its speed. */
	if (a->count == 0 && a->window_bytes == 0) {
		atomic_store(&a->peer->backlogged, false);
		a->window_ms = now_ms;
		return;
	}
	if (passed < WINDOW_MS)
		return;
	uint64_t rate = a->window_bytes * 1000 / passed;
	/* Up at once, down slowly. */
	a->rate = rate > a->rate ? rate : (3 * a->rate + rate) / 4;
	a->window_ms = now_ms;
	a->window_bytes = 0;

	size_t depth = blocks_in(a, DEPTH_MS + 2 * a->round_trip_ms);
	if (depth < LEAST_DEPTH)
		depth = LEAST_DEPTH;
	if (depth > ASKING_MAX)
		depth = ASKING_MAX;
	a->depth = depth;
	atomic_store(&a->peer->backlogged,
		a->count > blocks_in(a, a->round_trip_ms + BACKLOG_MS));
}

/* ---- blocks ---- */

bool asking_knows(const struct asking *a, const struct block_ref *block)
{
	size_t place = find(a, block);

	return place < a->count &&
		ref_of(a, &a->asked[place]).length == block->length;
}

enum asking_block asking_expect(struct asking *a, const struct block_ref *block)
{
	if (asking_knows(a, block))
		return BLOCK_ASKED;
	if (a->late_allowed > 0)
		a->late_allowed--;
	else
		a->unasked++;
	return BLOCK_UNASKED;
}

bool asking_tired(const struct asking *a)
{
	return a->unasked > ASKING_MAX_UNASKED;
}

void asking_received(struct asking *a, size_t len, uint64_t now_ms)
{
	a->block_ms = now_ms;
	a->window_bytes += len;
	a->snubbed = false;
}

void asking_arrived(
	struct asking *a, const struct block_ref *block, uint8_t *memory)
{
	size_t place = find(a, block);
	struct arrival *arrival = &a->arrivals[a->arrival_count++];

	/* It may have been cancelled while it came in. */
	arrival->block =
		(struct block_id){block->piece, block->begin / BLOCK_SIZE};
	arrival->memory = memory;
	arrival->asked = place < a->count && !a->released[place];
	a->payload += block->length;
	if (place == a->count)
		return;
	a->answered++;
	/* The least there was is without waiting in its queue. */
	if (a->block_ms - a->asked_ms[place] < a->round_trip_ms)
		a->round_trip_ms = a->block_ms - a->asked_ms[place];
	take_out(a, place);
}

size_t asking_flush(
	struct asking *a, struct open_piece **ret_full, size_t *ret_left)
{
	size_t left = 0;

	if (a->arrival_count == 0) {
		*ret_left = 0;
		return 0;
	}
	size_t full = torrent_receive(
		a->torrent, a->peer, a->arrivals, a->arrival_count, ret_full);
	for (size_t i = 0; i < a->arrival_count; i++) {
		if (a->arrivals[i].memory)
			a->arrivals[left++] = a->arrivals[i];
	}
	a->arrival_count = 0;
	*ret_left = left;
	return full;
}

/* ---- what is not answered ---- */

/* Give what it has not sent and was asked for before `before_ms` back to the
 * torrent.  Should it come after all, it is still used. */
static size_t release_before(struct asking *a, uint64_t before_ms)
{
	struct block_id back[ASKING_MAX];
	size_t count = 0;

	for (size_t i = 0; i < a->count; i++) {
		if (a->released[i] || a->asked_ms[i] >= before_ms)
			continue;
		back[count++] = a->asked[i];
		a->released[i] = true;
	}
	if (count > 0 || before_ms == UINT64_MAX)
		torrent_release(a->torrent, a->peer, back, count, true);
	return count;
}

/* The same for all of it, which will not come any more; or if it does, being
 * under way, it is skipped, and not held against the peer. */
static void forget_all(struct asking *a)
{
	release_before(a, UINT64_MAX);
	a->late_allowed += a->count;
	set_count(a, 0);
}

/* One request will not be answered. */
static void release_one(struct asking *a, size_t place, bool rest)
{
	if (!a->released[place])
		torrent_release(a->torrent, a->peer, &a->asked[place], 1, rest);
	take_out(a, place);
}

/* These, by their places, ascending, are not to come.  One may be on its way
 * all the same: then it is skipped, and not held against the peer. */
static void take_back(struct asking *a, const size_t *places, size_t count)
{
	struct block_id back[ASKING_MAX];
	size_t given = 0;

	a->late_allowed += count;
	while (count-- > 0) {
		size_t place = places[count];

		if (!a->released[place])
			back[given++] = a->asked[place];
		take_out(a, place);
	}
	if (given > 0)
		torrent_release(a->torrent, a->peer, back, given, false);
}

/* The same, and the peer is told. */
static void cancel(struct asking *a, const size_t *places, size_t count)
{
	for (size_t i = count; i-- > 0;) {
		struct block_ref ref = ref_of(a, &a->asked[places[i]]);
		say_block(a->out, WIRE_CANCEL, &ref);
	}
	take_back(a, places, count);
}

static size_t places_of(
	const struct asking *a, uint32_t piece, size_t ret[ASKING_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < a->count; i++) {
		if (a->asked[i].piece == piece)
			ret[count++] = i;
	}
	return count;
}

bool asking_minds_unread(const struct asking *a)
{
	return atomic_load(&a->peer->backlogged);
}

void asking_cancel_unneeded(struct asking *a)
{
	size_t places[ASKING_MAX];
	size_t due = a->count;

	if (atomic_load(&a->peer->backlogged))
		due = blocks_in(a, a->round_trip_ms + DUE_MS) +
			a->unread / BLOCK_SIZE + 1;
	size_t count =
		torrent_prune(a->torrent, a->peer, due, places, ASKING_MAX);

	cancel(a, places, count);
}

void asking_have(struct asking *a, uint32_t piece)
{
	size_t places[ASKING_MAX];
	size_t count = places_of(a, piece, places);

	cancel(a, places, count);
}

void asking_choked(struct asking *a, bool fast)
{
	/* With BEP 6 each request is rejected by name, or served. */
	if (fast)
		release_before(a, UINT64_MAX);
	else
		forget_all(a);
}

void asking_unchoked(struct asking *a)
{
	/* What was neither rejected nor served will not be any more. */
	forget_all(a);
}

void asking_rejected(struct asking *a, const struct block_ref *block,
	bool choked, uint64_t now_ms)
{
	size_t place = find(a, block);

	if (place == a->count) {
		/* Cancelled, and it will not come. */
		if (a->late_allowed > 0)
			a->late_allowed--;
		return;
	}
	/* Asked again at once it would refuse again, and so on as fast as the
	 * line is.  Others may have more luck. */
	if (!choked)
		a->rest_ms = now_ms;
	release_one(a, place, true);
}

void asking_peer_lost(struct asking *a, uint32_t piece)
{
	size_t places[ASKING_MAX];
	size_t count = places_of(a, piece, places);

	take_back(a, places, count);
	/* Even with nothing to take back the piece is not its own any more. */
	torrent_release(a->torrent, a->peer, NULL, 0, true);
}

void asking_mind_unanswered(struct asking *a, uint64_t now_ms)
{
	uint64_t silent_ms = now_ms - a->block_ms;

	if (a->count == 0)
		return;
	/* It may be lost, so after a while it is asked for anew. */
	if (silent_ms >= 2 * ASKING_SNUBBED_MS)
		forget_all(a);
	else if (silent_ms >= ASKING_SNUBBED_MS && !a->snubbed)
		release_before(a, UINT64_MAX);
	if (silent_ms >= ASKING_SNUBBED_MS && !a->snubbed) {
		a->snubbed = true;
		torrent_peer_silent(a->torrent, a->peer);
	}

	/* A byte now and then is not an answer. */
	if (now_ms >= ASKING_ANSWER_MS &&
		now_ms - a->overdue_ms >= OVERDUE_CHECK_MS) {
		a->overdue_ms = now_ms;
		if (release_before(a, now_ms - ASKING_ANSWER_MS) > 0)
			a->rest_ms = now_ms;
	}
}

uint64_t asking_deadline(const struct asking *a, bool open)
{
	uint64_t due = UINT64_MAX;

	if (a->count > 0) {
		due = a->block_ms + ASKING_SNUBBED_MS;
		if (a->snubbed)
			due += ASKING_SNUBBED_MS;
	}
	if (a->rest_ms != 0 && open && a->count == 0 &&
		due > a->rest_ms + ASKING_REST_MS)
		due = a->rest_ms + ASKING_REST_MS;
	return due;
}
