#include "client/session/metadata_task.h"

#include <pthread.h>
#include <stdlib.h>

#include "client/discovery/peer_queue.h"
#include "client/peer/extension.h"
#include "client/peer/intake.h"
#include "client/peer/metadata_talk.h"
#include "client/session/events.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "client/session/talk_end.h"
#include "client/torrent/torrent.h"
#include "shared/buffer.h"
#include "shared/clock.h"
#include "shared/metainfo.h"

enum {
	READ_SIZE = 16 * 1024,
	/* The longest message that is kept is a bitfield of the most pieces. */
	LINE_MAX_SIZE = WIRE_PREFIX_SIZE + METAINFO_MAX_PIECES / 8 + READ_SIZE,
	/* What is kept for the conversation after this: a bitfield of the most
	 * pieces, and the rest. */
	SAID_MAX_SIZE = METAINFO_MAX_PIECES / 8 + 32 * 1024,
	/* With more pieces here than this it is told by a bitfield, that is,
	 * over a new connection. */
	MAX_HAVES = 1000,
};

struct metadata_task {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* whole, or stopped */

	/* Guarded by `lock`.  The whole is hashed under it, for once: only
	 * those wait meanwhile who want nothing but that. */
	struct metadata_assembler *assembler;
	bool stopped;

	_Atomic uint64_t answers;
};

struct metadata_task *metadata_task_create(const struct info_hash *hash)
{
	struct metadata_task *task = calloc(1, sizeof(*task));

	if (!task)
		return NULL;
	task->assembler = metadata_assembler_create(hash);
	if (!task->assembler) {
		free(task);
		return NULL;
	}
	pthread_mutex_init(&task->lock, NULL);
	pthread_cond_init(&task->changed, NULL);
	return task;
}

void metadata_task_destroy(struct metadata_task *task)
{
	if (!task)
		return;
	metadata_assembler_destroy(task->assembler);
	pthread_cond_destroy(&task->changed);
	pthread_mutex_destroy(&task->lock);
	free(task);
}

uint64_t metadata_task_answers(const struct metadata_task *task)
{
	return task->answers;
}

bool metadata_task_wait(struct metadata_task *task, struct span *ret)
{
	struct span whole;

	pthread_mutex_lock(&task->lock);
	while ((whole = metadata_assembler_whole(task->assembler)).len == 0 &&
		!task->stopped)
		pthread_cond_wait(&task->changed, &task->lock);
	bool go = !task->stopped;
	pthread_mutex_unlock(&task->lock);
	if (go)
		*ret = whole;
	return go;
}

void metadata_task_stop(struct metadata_task *task)
{
	pthread_mutex_lock(&task->lock);
	task->stopped = true;
	pthread_cond_broadcast(&task->changed);
	pthread_mutex_unlock(&task->lock);
}

/* ---- one worker's talk ---- */

struct fetch {
	struct metadata_task *task;
	struct worker *worker;
	struct session_torrent *st;
	struct stream stream;
	bool fast;
	struct metadata_talk talk;
	struct buffer line;  /* came, and is still to be read */
	size_t skip;         /* bytes still to come of a long message */
	struct buffer *said; /* what the next conversation begins with */
};

/* Of use for a conversation about the content? */
static bool to_be_kept(const struct wire_message *message)
{
	return message->id != WIRE_KEEP_ALIVE &&
		(message->id != WIRE_EXTENDED ||
			message->extended_id == EXTENDED_HANDSHAKE_ID);
}

static enum metadata_talk_verdict broken(struct fetch *f, const char *reason)
{
	f->talk.reason = reason;
	return METADATA_TALK_PROTOCOL_ERROR;
}

static enum metadata_talk_verdict read_messages(struct fetch *f)
{
	enum metadata_talk_verdict verdict = METADATA_TALK_GOES_ON;
	size_t done = 0;

	pthread_mutex_lock(&f->task->lock);
	/* Read here, it is no older than what others left in the assembler. */
	uint64_t now = clock_ms();
	while (verdict == METADATA_TALK_GOES_ON && done < f->line.len) {
		struct span bytes = {f->line.bytes + done, f->line.len - done};
		struct wire_prefix prefix;
		struct wire_message message;

		if (f->skip > 0) {
			size_t here = f->skip < bytes.len ? f->skip : bytes.len;
			f->skip -= here;
			done += here;
			continue;
		}
		enum wire_judgement judgement =
			wire_read_prefix(bytes, 0, f->fast, &prefix);
		if (judgement == WIRE_OK && prefix.id == WIRE_EXTENDED &&
			prefix.size > INTAKE_MAX_EXTENDED) {
			f->skip = prefix.size;
			continue;
		}
		if (judgement == WIRE_MORE ||
			(judgement == WIRE_OK && prefix.size > bytes.len))
			break;
		bytes.len = judgement == WIRE_OK ? prefix.size : 0;
		if (judgement == WIRE_BROKEN ||
			!wire_read(&prefix, bytes, &message)) {
			verdict = broken(f, "malformed message");
			break;
		}
		verdict = metadata_talk_message(&f->talk, &message, now);
		if (to_be_kept(&message))
			buffer_append(f->said, bytes.at, bytes.len);
		done += prefix.size;
	}
	if (verdict == METADATA_TALK_DONE)
		pthread_cond_broadcast(&f->task->changed);
	pthread_mutex_unlock(&f->task->lock);
	buffer_drop(&f->line, done);
	return verdict;
}

/* Read what is there.  False: closed. */
static bool receive(struct fetch *f)
{
	uint8_t bytes[READ_SIZE];
	struct iovec iov = {bytes, sizeof(bytes)};
	size_t len;

	switch (stream_receive(&f->stream, &iov, 1, &len)) {
	case STREAM_CLOSED:
		return false;
	case STREAM_BLOCKED:
		return true;
	case STREAM_MOVED:
		break;
	}
	return buffer_append(&f->line, bytes, len);
}

static bool send_out(struct fetch *f)
{
	struct iovec iov = {f->talk.out.bytes, f->talk.out.len};
	size_t len;

	if (f->talk.out.len == 0)
		return true;
	switch (stream_send(&f->stream, &iov, 1, &len)) {
	case STREAM_CLOSED:
		return false;
	case STREAM_BLOCKED:
		break;
	case STREAM_MOVED:
		buffer_drop(&f->talk.out, len);
		break;
	}
	return true;
}

static enum metadata_talk_verdict tick(struct fetch *f)
{
	session_torrent_hear_of(
		f->st, FROM_PEX, f->talk.heard.addresses, f->talk.heard.count);
	f->talk.heard.count = 0;
	pthread_mutex_lock(&f->task->lock);
	enum metadata_talk_verdict verdict =
		metadata_talk_tick(&f->talk, clock_ms());
	pthread_mutex_unlock(&f->task->lock);
	return verdict;
}

/* The metadata is there, but not yet a torrent to talk about. */
static void wait_until_open(struct fetch *f)
{
	while (f->st->state == STATE_FETCHING ||
		f->st->state == STATE_CHECKING) {
		if (mailbox_peek(&f->worker->mailbox) != 0)
			return;
		if (stream_wait(&f->stream, false, false,
			    f->worker->mailbox.wake_fd, METADATA_TALK_LOOK_MS)
				.woken)
			mailbox_calm(&f->worker->mailbox);
	}
}

/* Can the conversation about the content go on over this connection? */
static bool may_go_on(struct fetch *f)
{
	return session_torrent_open(f->st) &&
		mailbox_peek(&f->worker->mailbox) == 0 &&
		torrent_have_count(f->st->torrent) <= MAX_HAVES &&
		f->skip == 0 && send_out(f) && f->talk.out.len == 0 &&
		buffer_append(f->said, f->line.bytes, f->line.len);
}

static enum peer_end run(struct fetch *f)
{
	for (;;) {
		unsigned letters = mailbox_peek(&f->worker->mailbox);
		if (letters != 0) {
			struct talk_end end = talk_end_by(letters);

			f->talk.reason = end.reason;
			return end.ended;
		}
		enum metadata_talk_verdict verdict = read_messages(f);
		if (verdict == METADATA_TALK_GOES_ON)
			verdict = tick(f);
		if (f->talk.answered_ms != f->worker->useful_ms)
			atomic_fetch_add(&f->task->answers, 1);
		f->worker->useful_ms = f->talk.answered_ms;
		switch (verdict) {
		case METADATA_TALK_GOES_ON:
			break;
		case METADATA_TALK_PROTOCOL_ERROR:
			return PEER_END_PROTOCOL_ERROR;
		case METADATA_TALK_USELESS:
			return PEER_END_CLOSED;
		case METADATA_TALK_DONE:
			wait_until_open(f);
			return PEER_END_METADATA;
		}
		if (!send_out(f))
			break;
		struct stream_ready ready = stream_wait(&f->stream, true,
			f->talk.out.len > 0, f->worker->mailbox.wake_fd,
			METADATA_TALK_LOOK_MS);
		if (ready.woken)
			mailbox_calm(&f->worker->mailbox);
		if (ready.readable && !receive(f))
			break;
	}
	f->talk.reason = "closed";
	return PEER_END_CLOSED;
}

static void tell_peer(struct fetch *f, const struct candidate *candidate,
	const struct greeting *g, enum event_peer_state state,
	const char *reason)
{
	char name[CLIENT_NAME_SIZE];

	session_torrent_emit(f->st,
		&(struct event){.kind = EVENT_PEER,
			.peer = {.address = candidate->address,
				.state = state,
				.client = handshake_client_name(
					g->theirs.peer_id, name),
				.reason = reason}});
}

struct worker_result metadata_task_talk(struct metadata_task *task,
	struct worker *worker, const struct candidate *candidate,
	const struct greeting *g, struct buffer *ret_said)
{
	struct worker_result result = {.torrent = g->torrent};
	struct fetch f = {
		.task = task,
		.worker = worker,
		.st = &worker->session->torrents[g->torrent],
		.stream = g->stream,
		.fast = g->theirs.fast,
		.said = ret_said,
	};
	struct metadata_talk_start start = {
		.assembler = task->assembler,
		.from = candidate->address,
		.fast = g->theirs.fast,
		.extended = g->theirs.extended,
		.pex = worker->session->pex,
		.port = session_port_for(worker->session, &candidate->address),
	};

	buffer_init(&f.line, LINE_MAX_SIZE);
	buffer_init(ret_said, SAID_MAX_SIZE);
	metadata_talk_begin(&f.talk, &start, clock_ms());
	worker->useful_ms = f.talk.answered_ms;
	tell_peer(&f, candidate, g, PEER_CONNECTED, "");
	result.ended = run(&f);
	result.got_data = f.talk.gave;
	result.listen_port = f.talk.theirs.port;
	if (result.ended != PEER_END_METADATA || !may_go_on(&f)) {
		ret_said->failed = true;
		tell_peer(&f, candidate, g, PEER_CLOSED, f.talk.reason);
		stream_close(&f.stream);
	}
	pthread_mutex_lock(&task->lock);
	metadata_talk_end(&f.talk);
	pthread_mutex_unlock(&task->lock);
	buffer_finish(&f.line);
	return result;
}
