#ifndef CLIENT_SESSION_SESSION_TORRENT_H
#define CLIENT_SESSION_SESSION_TORRENT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/peer_queue.h"
#include "client/session/serving.h"
#include "client/session/session.h"
#include "client/torrent/piece_order.h"
#include "client/torrent/selection.h"
#include "shared/announce.h"
#include "shared/error.h"
#include "shared/metainfo.h"

struct announcer;
struct event;
struct magnet;
struct metadata_task;
struct open_piece;
struct session_context;
struct storage;
struct torrent;
struct web_seeds;

/* One torrent of a session, with all that belongs to it: its content on disk,
 * its shared state, its trackers, and how far it is. */
enum session_torrent_state {
	STATE_CHECKING, /* not open to peers yet */
	STATE_FETCHING, /* the same: a magnet's metadata is to come first */
	STATE_LEECHING,
	STATE_SEEDING,
	STATE_DONE,   /* did its job, and seeded as long as it should */
	STATE_FAILED, /* `error` says why */
};

/* What was heard last of where its data might come from, for stall.h; "":
 * nothing yet. */
enum session_torrent_word {
	WORD_OF_TRACKER,  /* how the last announce went */
	WORD_OF_WEB_SEED, /* what was wrong with one */
	SESSION_TORRENT_WORDS
};
enum { SESSION_TORRENT_WORD_SIZE = 200 };

struct session_torrent {
	/* Set before the threads start. */
	const struct session_context *session;
	int index; /* in it */
	/* Of a magnet's torrent only what the link says, while FETCHING. */
	const struct metainfo *_Atomic m;
	enum session_mode mode;
	struct selection selection;
	struct storage *storage; /* NULL while FETCHING, as the next one */
	struct torrent *torrent;
	struct announcer *_Atomic announcer; /* from when peers are wanted on */
	const char *tracker_url; /* who answered last, NULL: it failed since;
				  * the announcer's thread's */
	struct web_seeds *web_seeds;       /* while it is leeched; NULL: none */
	atomic_uint limited_web_seeds;     /* the download limit makes so many
					    * wait */
	_Atomic uint32_t banned_web_seeds; /* bit N: at place N of its list */

	/* By a magnet link; else NULL and empty. */
	const struct magnet *magnet;
	struct metadata_task *task;
	const char *folder;
	enum piece_order order;
	char hex[INFO_HASH_HEX_SIZE]; /* its name if the link gives none */
	struct metainfo linked;       /* by the link: hash, name, trackers */
	struct metainfo learnt;       /* by the metadata */

	_Atomic enum session_torrent_state state;
	_Atomic uint64_t downloaded; /* payload bytes of this run */
	_Atomic uint64_t uploaded;
	uint64_t downloaded_before; /* of runs before, by the resume file */
	uint64_t uploaded_before;
	uint64_t started_ms;          /* when the check was over */
	_Atomic uint64_t complete_ms; /* 0: not yet */
	_Atomic int64_t room;         /* bytes that the disk can still take */
	_Atomic bool unsaved;         /* pieces came since the last save */
	_Atomic bool settled;         /* complete, and safe on disk */
	atomic_bool stop_check;

	struct serving serving;

	pthread_mutex_t lock;
	/* Guarded by `lock`. */
	struct error error;            /* why it failed */
	struct announce_counts counts; /* by the tracker that answered last */
	char words[SESSION_TORRENT_WORDS][SESSION_TORRENT_WORD_SIZE];
};

/* Opens the storage.  `st` is zeroed memory. */
bool session_torrent_init(struct session_torrent *st,
	const struct session_context *session, int index,
	const struct metainfo *m, const char *folder, const char *name,
	enum session_mode mode, enum piece_order order, struct error *err);

/* The same for a magnet link, which outlives it, as does `folder`.  The storage
 * is opened when the metadata is there. */
bool session_torrent_init_magnet(struct session_torrent *st,
	const struct session_context *session, int index,
	const struct magnet *magnet, const char *folder, enum piece_order order,
	struct error *err);

/* FETCHING: is the metadata in the resume file?  Else wait until peers have
 * given it.  Then it is opened, and CHECKING.  `known`: see first, and do not
 * wait.  False: not there, stopped, or failed. */
bool session_torrent_fetch(struct session_torrent *st, bool known);

/* Threads that use it have ended. */
void session_torrent_finish(struct session_torrent *st);

static inline bool session_torrent_open(const struct session_torrent *st)
{
	return st->state == STATE_LEECHING || st->state == STATE_SEEDING;
}

/* Go on from one state to another; false: it is not in `from` any more, since
 * it has failed meanwhile.  Any thread. */
static inline bool session_torrent_advance(struct session_torrent *st,
	enum session_torrent_state from, enum session_torrent_state to)
{
	return atomic_compare_exchange_strong(&st->state, &from, to);
}

/* It cannot go on: keep the first reason, tell the listeners.  Any thread. */
void session_torrent_fail(struct session_torrent *st, const struct error *err);

/* Ask the disk how much room it has.  Before peers are, and now and then. */
void session_torrent_look_at_room(struct session_torrent *st);

/* All pieces are had: make the rest of the files, tell `complete`.  Then
 * session_torrent_settle(): sync, drop the resume file (unless it has metadata
 * that the next run will want), watch for changes. */
bool session_torrent_complete(struct session_torrent *st);
bool session_torrent_settle(struct session_torrent *st);

/* It will not be gone on with: nothing but the content is left on disk. */
void session_torrent_leave_nothing(struct session_torrent *st);

/* Hand a full piece to a finisher: hashed, written, had; its givers judged, the
 * keeper told of the last one. */
void session_torrent_push_piece(
	struct session_torrent *st, struct open_piece *piece);

/* Somebody named peers of this torrent: the coordinator will see to them.  What
 * there is no room for is passed over: such peers come again, or others do. */
void session_torrent_hear_of(struct session_torrent *st,
	enum candidate_source source, const struct endpoint *peers,
	size_t count);

/* Tell the listeners about something of this torrent. */
void session_torrent_emit(struct session_torrent *st, struct event *event);
void session_torrent_warn(struct session_torrent *st, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* Any thread. */
void session_torrent_say(struct session_torrent *st,
	enum session_torrent_word word, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void session_torrent_said(struct session_torrent *st,
	enum session_torrent_word word, char ret[SESSION_TORRENT_WORD_SIZE]);

/* How many peers there are: keep it; what was kept. */
void session_torrent_keep_counts(
	struct session_torrent *st, const struct announce_counts *counts);
struct announce_counts session_torrent_counts(struct session_torrent *st);

#endif
