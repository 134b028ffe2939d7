/* The loop of one worker with its blocking socket: greet, then wait for both
 * directions, the wake-up and the next deadline, until somebody ends it. */

#include <string.h>

#include "client/discovery/udp_socket.h"
#include "client/peer/conversation.h"
#include "client/peer/intake.h"
#include "client/session/events.h"
#include "client/session/greeting.h"
#include "client/session/metadata_task.h"
#include "client/session/outgoing.h"
#include "client/session/rate_limit.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "client/session/swarm_members.h"
#include "client/session/talk_end.h"
#include "client/session/worker_pool.h"
#include "client/torrent/open_piece.h"
#include "shared/clock.h"

enum {
	/* After news of a piece there will soon be more: so long it is gathered
	 * rather than waking for each. */
	NEWS_PAUSE_MS = 50,
	/* Nothing of a batch could be sent for so long: the peer is gone. */
	STUCK_MS = 120 * 1000,
	/* A peer may become interested as often as it likes: we do not wake
	 * the coordinator for it more often, which looks by itself anyway. */
	TRADER_PAUSE_MS = 1000,
	FOREVER_MS = 60 * 1000,
};

/* One worker's talk with one peer. */
struct talk {
	struct worker *worker;
	struct session_torrent *st;
	struct stream stream;
	struct conversation conversation;
	struct intake intake;
	struct outgoing outgoing;

	bool maybe_readable;   /* there may be more than was read */
	uint64_t wait_ms;      /* until a limit lets something move */
	struct rate_turn turn; /* in the line to ask for blocks */
	uint64_t lost;         /* requests that were given back to the limit */
	uint64_t pause_until_ms;
	uint64_t send_since_ms; /* when something of a batch was last sent */
	uint64_t counted;       /* payload that was counted already */
	bool told_node;         /* the DHT was, of the peer's node */
	bool told_mirror;       /* the coordinator was, how we are seen */
	uint64_t trader_ms;     /* when the coordinator was last told of it */

	/* As others may be told of it; port 0: it cannot be dialled yet. */
	bool dialled;
	struct pex_peer member;
};

static struct talk_end verdict_end(
	const struct talk *t, enum conversation_verdict verdict)
{
	struct talk_end end = {PEER_END_CLOSED, t->conversation.reason};

	switch (verdict) {
	case CONVERSATION_PROTOCOL_ERROR:
		end.ended = PEER_END_PROTOCOL_ERROR;
		break;
	case CONVERSATION_CORRUPT:
		end.ended = PEER_END_CORRUPT;
		break;
	case CONVERSATION_USELESS:
		end.ended = PEER_END_USELESS;
		break;
	case CONVERSATION_SILENT:
	case CONVERSATION_GOES_ON:
		break;
	}
	return end;
}

/* ---- receiving ---- */

/* Hand over what has arrived; full pieces go to the finishers. */
static void flush(struct talk *t, uint64_t now_ms)
{
	struct asking *a = &t->conversation.asking;
	struct open_piece *full[ASKING_MAX_ARRIVALS];
	size_t left;
	size_t count = asking_flush(a, full, &left);

	for (size_t i = 0; i < left; i++)
		intake_return(&t->intake, a->arrivals[i].memory);
	if (a->payload > t->counted) {
		atomic_fetch_add(&t->st->downloaded, a->payload - t->counted);
		t->counted = a->payload;
		t->worker->useful_ms = now_ms;
	}
	/* Last, since hashing may fall to this thread. */
	for (size_t i = 0; i < count; i++)
		session_torrent_push_piece(t->st, full[i]);
}

/* The rest of what was read, after the conversation could take no more. */
static enum conversation_verdict resume_line(struct talk *t, uint64_t now_ms)
{
	enum conversation_verdict verdict = CONVERSATION_GOES_ON;

	while (verdict == CONVERSATION_GOES_ON && intake_pending(&t->intake) &&
		conversation_can_take(&t->conversation)) {
		verdict = intake_resume(&t->intake, now_ms);
		flush(t, now_ms);
	}
	return verdict;
}

/* Read once.  *ret_moved: something came. */
static enum conversation_verdict receive(
	struct talk *t, uint64_t now_ms, bool *ret_moved, bool *ret_closed)
{
	struct iovec iov[INTAKE_IOVS];
	size_t planned = 0, len = 0;

	size_t count = intake_plan(&t->intake, iov, SIZE_MAX);
	for (size_t i = 0; i < count; i++)
		planned += iov[i].iov_len;
	enum stream_result result = count > 0
		? stream_receive(&t->stream, iov, count, &len)
		: STREAM_CLOSED;
	t->maybe_readable = result == STREAM_MOVED && len == planned;
	if (result == STREAM_CLOSED)
		*ret_closed = true;
	if (result != STREAM_MOVED)
		return CONVERSATION_GOES_ON;

	*ret_moved = true;
	enum conversation_verdict verdict =
		intake_take(&t->intake, len, now_ms);
	flush(t, now_ms);
	return verdict;
}

/* ---- asking ---- */

/* The download limit is kept by asking no faster: what is not asked for does
 * not fill the line and the sockets' buffers, and what was asked for is not
 * taken for lost while it waits there. */
static enum conversation_verdict tick(struct talk *t, uint64_t now_ms)
{
	struct rate_limit *limit = t->worker->session->download_limit;
	struct conversation *c = &t->conversation;
	struct asking *a = &c->asking;

	if (asking_minds_unread(a))
		a->unread = stream_unread(&t->stream);
	if (rate_limit_rate(limit) == 0)
		return conversation_tick(c, now_ms);

	uint64_t lost = asking_lost_requests(a);
	rate_limit_return(limit, (int64_t)(lost - t->lost) * BLOCK_SIZE);
	t->lost = lost;

	size_t room = conversation_room(c, now_ms);
	a->may_ask = 0; /* at first it is as without a limit */
	if (room > 0)
		a->may_ask = rate_limit_take(limit, &t->turn, now_ms,
				     room * BLOCK_SIZE, &t->wait_ms) /
			BLOCK_SIZE;
	else
		rate_limit_leave(limit, &t->turn);
	t->worker->limited = room > 0 && a->may_ask == 0 && a->count == 0;
	enum conversation_verdict verdict = conversation_tick(c, now_ms);
	rate_limit_return(limit, (int64_t)a->may_ask * BLOCK_SIZE);
	return verdict;
}

/* What was asked for, and will not come. */
static void end_asking(struct talk *t)
{
	struct rate_limit *limit = t->worker->session->download_limit;
	const struct asking *a = &t->conversation.asking;
	uint64_t lost = a->requests - a->answered;

	rate_limit_leave(limit, &t->turn);
	rate_limit_return(limit, (int64_t)(lost - t->lost) * BLOCK_SIZE);
}

/* ---- sending ---- */

/* False: the other side has closed. */
static bool send_batches(struct talk *t, uint64_t now_ms, bool *ret_moved)
{
	uint64_t payload;

	outgoing_fill(&t->outgoing, now_ms, &t->wait_ms);
	if (outgoing_empty(&t->outgoing)) {
		t->send_since_ms = now_ms;
		return true;
	}
	switch (outgoing_send(&t->outgoing, &t->stream, &payload)) {
	case STREAM_CLOSED:
		return false;
	case STREAM_BLOCKED:
		break;
	case STREAM_MOVED:
		*ret_moved = true;
		t->send_since_ms = now_ms;
		/* A slow peer takes long for a batch, and is of use. */
		if (payload > 0 || t->outgoing.payload > 0)
			t->worker->useful_ms = now_ms;
		if (payload > 0) {
			atomic_fetch_add(&t->st->uploaded, payload);
			t->worker->took += payload;
		}
		break;
	}
	return true;
}

/* ---- choking ---- */

/* Tell the choker about the peer, and the peer what the choker decided. */
static void trade(struct talk *t, uint64_t now_ms)
{
	struct conversation *c = &t->conversation;
	struct worker *w = t->worker;

	w->gave = c->asking.payload;
	w->peer_asks = outgoing_owes(&t->outgoing);
	w->peer_snubs = c->asking.snubbed;
	bool news = c->peer_interested && !w->peer_interested;
	w->peer_interested = c->peer_interested;
	/* After that, so that a grant made meanwhile is not missed. */
	if (!w->unchoke)
		conversation_choke(c, true);
	else if (c->peer_interested)
		conversation_choke(c, false);
	if (!news || !c->am_choking || now_ms - t->trader_ms < TRADER_PAUSE_MS)
		return;
	t->trader_ms = now_ms;
	/* No room: it will look by itself before long. */
	(void)peer_queue_push(w->session->queue,
		&(struct candidate){.source = FROM_TRADER,
			.torrent = t->st->index,
			.socket = -1});
}

/* ---- peer exchange (BEP 11) ---- */

/* Keep what other peers may be told of this one. */
static void update_member(struct talk *t)
{
	const struct conversation *c = &t->conversation;
	struct pex_peer now = {.address = c->peer.pick.address};

	/* Who came to us says where it listens. */
	if (!t->dialled)
		now.address.port = c->extensions.theirs.port;
	if (bitfield_full(&c->peer.pick.has) ||
		c->extensions.theirs.upload_only)
		now.flags |= PEX_SEED;
	if (t->dialled)
		now.flags |= PEX_REACHABLE;
	if (now.address.port == 0 ||
		(now.flags == t->member.flags &&
			endpoint_equal(&now.address, &t->member.address)))
		return;
	t->member = now;
	swarm_members_put(t->worker->session->members, t->worker->index,
		t->st->index, &now);
}

static void exchange_peers(struct talk *t, uint64_t now_ms)
{
	struct conversation *c = &t->conversation;
	const struct session_context *s = t->worker->session;

	update_member(t);
	if (extension_talk_pex_due(&c->extensions, now_ms)) {
		struct pex_peer swarm[PEX_MAX_TOLD];
		size_t count = swarm_members_list(
			s->members, t->st->index, swarm, PEX_MAX_TOLD);

		conversation_tell_swarm(c, swarm, count, now_ms);
	}
	session_torrent_hear_of(t->st, FROM_PEX, c->extensions.heard.addresses,
		c->extensions.heard.count);
	c->extensions.heard.count = 0;
}

/* ---- waiting ---- */

static void wait_for_more(struct talk *t, uint64_t now_ms)
{
	struct conversation *c = &t->conversation;
	uint64_t due = conversation_deadline(c);
	uint64_t timeout = due > now_ms ? due - now_ms : 0;
	bool sending = !outgoing_empty(&t->outgoing);
	bool limited = t->wait_ms != FOREVER_MS;
	bool sleep = conversation_hungry(c) || now_ms >= t->pause_until_ms;
	bool read = conversation_can_take(c) && !intake_pending(&t->intake);

	if (limited && timeout > t->wait_ms)
		timeout = t->wait_ms;
	if (sending && timeout > STUCK_MS)
		timeout = STUCK_MS;
	if (!sleep && timeout > t->pause_until_ms - now_ms)
		timeout = t->pause_until_ms - now_ms;
	if (sleep) {
		/* What comes from here on wakes us; what came before must not
		 * be missed. */
		torrent_sleeping(&c->peer, true);
		if (conversation_has_news(c)) {
			torrent_sleeping(&c->peer, false);
			return;
		}
	}
	if (c->asking.count == 0)
		intake_rest(&t->intake);

	struct stream_ready ready = stream_wait(
		&t->stream, read, sending, t->worker->mailbox.wake_fd, timeout);
	torrent_sleeping(&c->peer, false);
	if (ready.woken) {
		mailbox_calm(&t->worker->mailbox);
		t->pause_until_ms = clock_ms() + NEWS_PAUSE_MS;
	}
	if (ready.readable)
		t->maybe_readable = true;
}

/* It has a node of the DHT, which may be asked whether it is there. */
static void hear_of_node(struct talk *t)
{
	struct udp_socket *udp = t->worker->session->udp;
	struct endpoint node = t->conversation.peer.pick.address;

	if (!udp || t->told_node || t->conversation.dht_port == 0)
		return;
	t->told_node = true;
	node.port = t->conversation.dht_port;
	udp_socket_node(udp, &node);
}

/* It said how it sees us (BEP 10). */
static void look_into_mirror(struct talk *t)
{
	const struct session_context *s = t->worker->session;
	struct endpoint seen = t->conversation.extensions.theirs.yourip;

	seen.port = s->port;
	if (t->told_mirror || !endpoint_dialable(&seen))
		return;
	t->told_mirror = true;
	/* No room: others will tell. */
	(void)peer_queue_push(s->queue,
		&(struct candidate){.source = FROM_MIRROR,
			.torrent = t->st->index,
			.address = seen,
			.by = t->conversation.peer.pick.address,
			.socket = -1});
}

/* ---- the loop ---- */

static struct talk_end converse(struct talk *t)
{
	struct conversation *c = &t->conversation;

	t->maybe_readable = true;
	for (;;) {
		uint64_t now = clock_ms();
		unsigned letters = mailbox_peek(&t->worker->mailbox);
		bool moved = false, closed = false;

		if (letters != 0)
			return talk_end_by(letters);
		if (!session_torrent_open(t->st))
			return talk_end_by(LETTER_STOP);

		t->wait_ms = FOREVER_MS;
		enum conversation_verdict verdict = tick(t, now);
		if (verdict != CONVERSATION_GOES_ON)
			return verdict_end(t, verdict);
		t->worker->peer_is_seed = bitfield_full(&c->peer.pick.has);
		t->worker->peer_offers = c->pieces.useful > 0;
		t->worker->peer_chokes = c->peer_choking;
		trade(t, now);
		exchange_peers(t, now);

		if (!send_batches(t, now, &moved))
			return (struct talk_end){PEER_END_CLOSED, "closed"};
		if (now - t->send_since_ms >= STUCK_MS)
			return (struct talk_end){
				PEER_END_CLOSED, "does not read"};

		verdict = resume_line(t, now);
		if (verdict == CONVERSATION_GOES_ON && t->maybe_readable &&
			!intake_pending(&t->intake) && conversation_can_take(c))
			verdict = receive(t, now, &moved, &closed);
		if (verdict != CONVERSATION_GOES_ON)
			return verdict_end(t, verdict);
		hear_of_node(t);
		look_into_mirror(t);
		if (closed)
			return (struct talk_end){PEER_END_CLOSED, "closed"};
		if (!moved)
			wait_for_more(t, now);
	}
}

static void tell_peer(const struct talk *t, const struct candidate *candidate,
	const struct handshake *theirs, enum event_peer_state state,
	const char *reason)
{
	char name[CLIENT_NAME_SIZE];
	const char *client = handshake_client_name(theirs->peer_id, name);

	session_torrent_emit(t->st,
		&(struct event){.kind = EVENT_PEER,
			.peer = {.address = candidate->address,
				.state = state,
				.client = client,
				.reason = reason}});
}

/* The address that was dialled is not dead. */
static void tell_coordinator(
	const struct talk *t, const struct candidate *candidate)
{
	struct candidate c = *candidate;

	c.source = FROM_GREETING;
	c.torrent = t->st->index;
	/* No room: then its other ports are dialled more slowly. */
	(void)peer_queue_push(t->worker->session->queue, &c);
}

/* From where the conversation has begun to its end, but for closing the stream.
 * `said`: as below. */
static struct worker_result talk_to_the_end(struct talk *t,
	const struct candidate *candidate, const struct greeting *g,
	struct buffer *said)
{
	const struct session_context *s = t->worker->session;
	struct talk_end end = {PEER_END_CLOSED, "out of memory"};

	intake_begin(&t->intake, &t->conversation, s->blocks);
	outgoing_begin(&t->outgoing, t->st, &t->conversation,
		t->worker->mailbox.wake_fd);
	if (!said)
		tell_peer(t, candidate, &g->theirs, PEER_CONNECTED, "");
	if (t->dialled)
		tell_coordinator(t, candidate);

	bool ready = !said ||
		intake_replay(
			&t->intake, (struct span){said->bytes, said->len});
	if (said)
		buffer_finish(said);
	if (ready)
		end = converse(t);

	swarm_members_remove(s->members, t->worker->index);
	struct worker_result result = {
		.ended = end.ended,
		.torrent = g->torrent,
		.got_data = t->conversation.asking.payload > 0,
		.lacks = !conversation_peer_is_done(&t->conversation),
		.listen_port = t->conversation.extensions.theirs.port,
	};
	tell_peer(t, candidate, &g->theirs, PEER_CLOSED, end.reason);
	flush(t, clock_ms());
	end_asking(t);
	outgoing_end(&t->outgoing);
	intake_end(&t->intake);
	conversation_end(&t->conversation);
	return result;
}

/* `said`: what the peer has sent since, while the metadata was fetched, and is
 * taken over; NULL: it was not. */
static struct worker_result talk_after_greeting(struct worker *worker,
	const struct candidate *candidate, const struct greeting *g,
	struct buffer *said)
{
	const struct session_context *s = worker->session;
	struct worker_result result = {
		.ended = PEER_END_CLOSED, .torrent = g->torrent};
	struct talk t = {
		.worker = worker,
		.st = &s->torrents[g->torrent],
		.stream = g->stream,
		.send_since_ms = clock_ms(),
		.dialled = candidate->socket < 0,
		.turn.wake_fd = worker->mailbox.wake_fd,
	};
	struct conversation_start start = {
		.torrent = t.st->torrent,
		.address = candidate->address,
		.wake_fd = worker->mailbox.wake_fd,
		.fast = g->theirs.fast,
		.extended = g->theirs.extended,
		.give_only = t.st->mode != SESSION_LEECH,
		.port = session_port_for(s, &candidate->address),
		.pex = s->pex,
		.dht_port = s->udp && g->theirs.dht
			? session_port_for(s, &candidate->address)
			: 0,
		.told_nothing = said != NULL,
	};

	if (conversation_begin(&t.conversation, &start, clock_ms()))
		result = talk_to_the_end(&t, candidate, g, said);
	stream_close(&t.stream);
	return result;
}

struct worker_result worker_talk(
	struct worker *worker, const struct candidate *candidate)
{
	struct greeting g;

	if (!greet(worker, candidate, &g))
		return (struct worker_result){
			.ended = g.failed, .torrent = g.torrent};

	const struct session_torrent *st =
		&worker->session->torrents[g.torrent];
	if (!st->task || session_torrent_open(st))
		return talk_after_greeting(worker, candidate, &g, NULL);

	struct buffer said;
	struct worker_result result =
		metadata_task_talk(st->task, worker, candidate, &g, &said);
	if (result.ended == PEER_END_METADATA && !said.failed) {
		bool gave = result.got_data;

		result = talk_after_greeting(worker, candidate, &g, &said);
		result.got_data |= gave;
	}
	buffer_finish(&said);
	return result;
}
