#include "client/session/greeting.h"

#include <errno.h>
#include <string.h>

#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "client/session/talk_end.h"
#include "client/session/worker_pool.h"
#include "shared/clock.h"
#include "shared/metainfo.h"
#include "shared/net.h"

static bool failed(struct greeting *g, enum peer_end how, const char *reason)
{
	g->failed = how;
	g->reason = reason;
	return false;
}

/* Told by letters to end it, though it has not begun. */
static bool told_to_end(struct greeting *g, unsigned letters)
{
	struct talk_end end = talk_end_by(letters);

	/* Of what use it is could not be seen yet. */
	if (end.ended == PEER_END_USELESS)
		end.ended = PEER_END_NO_HANDSHAKE;
	return failed(g, end.ended, end.reason);
}

enum wait {
	WAIT_TO_READ,
	WAIT_TO_WRITE,
	WAIT_FOR_WAKE, /* what the peer says meanwhile is left unread */
};

/* False: the time is up, a letter came, or the peer went. */
static bool wait_for(struct worker *w, struct greeting *g, enum wait what,
	uint64_t deadline_ms)
{
	uint64_t now = clock_ms();

	if (now >= deadline_ms)
		return failed(g, PEER_END_NO_HANDSHAKE, "no handshake in time");
	bool look = what == WAIT_FOR_WAKE && stream_unread(&g->stream) == 0;
	struct stream_ready ready = stream_wait(&g->stream,
		what == WAIT_TO_READ || look, what == WAIT_TO_WRITE,
		w->mailbox.wake_fd, deadline_ms - now);
	if (ready.woken)
		mailbox_calm(&w->mailbox);
	unsigned letters = mailbox_peek(&w->mailbox);
	if (letters != 0)
		return told_to_end(g, letters);
	if (look && ready.readable && stream_unread(&g->stream) == 0)
		return failed(g, PEER_END_CLOSED, "closed");
	return true;
}

/* Read bytes [*have, want) of the handshake. */
static bool read_upto(struct worker *w, struct greeting *g, uint8_t *bytes,
	size_t *have, size_t want, uint64_t deadline_ms)
{
	while (*have < want) {
		struct iovec iov = {bytes + *have, want - *have};
		size_t len;

		switch (stream_receive(&g->stream, &iov, 1, &len)) {
		case STREAM_CLOSED:
			return failed(g, PEER_END_NO_HANDSHAKE,
				"closed before its handshake");
		case STREAM_BLOCKED:
			if (!wait_for(w, g, WAIT_TO_READ, deadline_ms))
				return false;
			break;
		case STREAM_MOVED:
			*have += len;
			if (!handshake_plausible((struct span){bytes, *have}))
				return failed(g, PEER_END_NO_HANDSHAKE,
					"not a BitTorrent handshake");
			break;
		}
	}
	return true;
}

static bool send_handshake(struct worker *w, struct greeting *g,
	const struct info_hash *hash, uint64_t deadline_ms)
{
	struct handshake ours = {
		.fast = true,
		.extended = true,
		.dht = w->session->udp &&
			!w->session->torrents[g->torrent].m->private,
		.info_hash = *hash,
	};
	uint8_t bytes[HANDSHAKE_SIZE];
	size_t done = 0;

	memcpy(ours.peer_id, w->session->peer_id, PEER_ID_SIZE);
	handshake_write(&ours, bytes);
	while (done < sizeof(bytes)) {
		struct iovec iov = {bytes + done, sizeof(bytes) - done};
		size_t len;

		switch (stream_send(&g->stream, &iov, 1, &len)) {
		case STREAM_CLOSED:
			return failed(g, PEER_END_NO_HANDSHAKE,
				"closed before its handshake");
		case STREAM_BLOCKED:
			if (!wait_for(w, g, WAIT_TO_WRITE, deadline_ms))
				return false;
			break;
		case STREAM_MOVED:
			done += len;
			break;
		}
	}
	return true;
}

static struct session_torrent *find_torrent(
	const struct session_context *s, const struct info_hash *hash)
{
	for (size_t i = 0; i < s->torrent_count; i++) {
		if (info_hash_equal(&s->torrents[i].m->info_hash, hash))
			return &s->torrents[i];
	}
	return NULL;
}

/* Which of our torrents the peer wants.  One whose content is still being
 * checked is waited for, so that who dials us early need not come again. */
static bool find_open_torrent(struct worker *w, const struct info_hash *hash,
	struct greeting *g, uint64_t deadline_ms)
{
	const struct session_torrent *st = find_torrent(w->session, hash);

	while (st && st->state == STATE_CHECKING) {
		if (!wait_for(w, g, WAIT_FOR_WAKE, deadline_ms))
			return false;
	}
	if (!st || (!session_torrent_open(st) && st->state != STATE_FETCHING))
		return failed(g, PEER_END_NO_HANDSHAKE,
			"wants a torrent that is not here");
	g->torrent = st->index;
	return true;
}

static uint64_t time_for(const struct candidate *candidate)
{
	uint64_t left_ms = candidate->waited_ms < GREETING_WAITED_MS
		? GREETING_WAITED_MS - candidate->waited_ms
		: 0;

	return left_ms < GREETING_MS ? left_ms : GREETING_MS;
}

static bool exchange(
	struct worker *w, const struct candidate *candidate, struct greeting *g)
{
	const struct session_context *s = w->session;
	uint64_t deadline = clock_ms() + time_for(candidate);
	uint8_t bytes[HANDSHAKE_SIZE];
	struct handshake theirs;
	size_t have = 0;

	if (candidate->torrent >= 0) {
		g->torrent = candidate->torrent;
		if (!send_handshake(w, g, &s->torrents[g->torrent].m->info_hash,
			    deadline))
			return false;
	}
	if (!read_upto(w, g, bytes, &have, HANDSHAKE_UP_TO_HASH, deadline))
		return false;
	if (!handshake_read((struct span){bytes, have}, &theirs))
		return failed(g, PEER_END_NO_HANDSHAKE, "malformed handshake");
	if (candidate->torrent < 0) {
		if (!find_open_torrent(w, &theirs.info_hash, g, deadline))
			return false;
		if (!send_handshake(w, g, &theirs.info_hash, deadline))
			return false;
	} else if (!info_hash_equal(&theirs.info_hash,
			   &s->torrents[g->torrent].m->info_hash)) {
		return failed(g, PEER_END_NO_HANDSHAKE,
			"answers for another torrent");
	}
	if (!read_upto(w, g, bytes, &have, HANDSHAKE_SIZE, deadline))
		return false;
	if (!handshake_read((struct span){bytes, have}, &g->theirs))
		return failed(g, PEER_END_NO_HANDSHAKE, "malformed handshake");
	return true;
}

static bool dial(
	struct worker *w, const struct candidate *candidate, struct greeting *g)
{
	while ((g->stream.socket = net_dial(&candidate->address,
			w->session->bind, GREETING_DIAL_MS,
			w->mailbox.wake_fd)) < 0) {
		if (errno != ECANCELED)
			return failed(
				g, PEER_END_UNREACHABLE, "cannot connect");
		unsigned letters = mailbox_peek(&w->mailbox);
		if (letters != 0)
			return told_to_end(g, letters);
		/* News for the peer before: not for us. */
		mailbox_calm(&w->mailbox);
	}
	return true;
}

/* Is this the connection with the peer that stays? */
static bool meet(struct worker *w, struct greeting *g, bool dialled)
{
	uint64_t deadline = clock_ms() + GREETING_UNDECIDED_MS;
	enum meeting meeting;

	do
		meeting = worker_pool_meet(
			w, g->torrent, g->theirs.peer_id, dialled);
	while (meeting == MEETING_UNDECIDED &&
		wait_for(w, g, WAIT_FOR_WAKE, deadline));
	return meeting == MEETING_STAYS ||
		failed(g, PEER_END_DUPLICATE, "connected already");
}

bool greet(
	struct worker *w, const struct candidate *candidate, struct greeting *g)
{
	bool dialled = candidate->socket < 0;

	*g = (struct greeting){.torrent = candidate->torrent, .reason = ""};
	g->stream.socket = candidate->socket;
	if (dialled && !dial(w, candidate, g))
		return false;

	bool ok = exchange(w, candidate, g);
	if (ok &&
		memcmp(g->theirs.peer_id, w->session->peer_id, PEER_ID_SIZE) ==
			0)
		ok = failed(g, PEER_END_OURSELVES, "it is ourselves");
	ok = ok && meet(w, g, dialled);
	if (!ok)
		stream_close(&g->stream);
	return ok;
}
