#ifndef CLIENT_SESSION_EVENTS_H
#define CLIENT_SESSION_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/endpoint.h"
#include "shared/info_hash.h"

/* What happened, told to any number of listeners: the terminal display, the
 * JSON lines, later the RPC.  The kinds are those of tbt-client(1).
 *
 * Threads: emit from any; a listener is called on the emitter's thread, one
 * call at a time over all (so it needs no lock of its own), must be quick, and
 * must not emit.  Everything an event points to lives only for the call; texts
 * from outside are unescaped. */

enum event_kind {
	EVENT_LISTENING,
	EVENT_METADATA,
	EVENT_CHECKING, /* how far a check of the content is */
	EVENT_CHECKED,
	EVENT_PROGRESS, /* every second, for each torrent */
	EVENT_PEER,
	EVENT_PIECE,
	EVENT_ANNOUNCE,
	EVENT_COMPLETE,
	EVENT_STOPPED,
	EVENT_ERROR, /* this torrent has ended with a failure */
	EVENT_WARNING,
	EVENT_MAPPED,  /* a router hands connections on to our port */
	EVENT_STALLED, /* nothing has come for a while, and why */
};

enum event_peer_state { PEER_CONNECTED, PEER_CLOSED, PEER_BANNED };

enum { PROGRESS_MAP_CELLS = 128 };

struct event {
	enum event_kind kind;
	const struct info_hash *torrent; /* NULL: about none in particular */
	const char *name;                /* of the torrent; NULL as above */
	union {
		struct {
			uint16_t port;
		} listening;
		struct {
			uint16_t port;
			struct endpoint external; /* address 0: not known */
			const char *how;          /* "UPnP" */
		} mapped;
		struct {
			uint32_t pieces;
			uint32_t piece_length;
			uint64_t length;
			size_t files;
			size_t files_on_disk; /* without pad files */
			/* One byte a file: wanted; NULL: all are. */
			const uint8_t *selected;
			size_t selected_files;
			uint64_t selected_length;
		} metadata;
		struct {
			uint64_t done; /* bytes */
			uint64_t total;
		} checking;
		struct {
			uint32_t have;
			uint32_t pieces;
		} checked;
		struct {
			uint64_t done;  /* verified bytes of what is wanted */
			uint64_t total; /* 0: metadata is still to come */
			uint64_t down;  /* bytes a second, lately */
			uint64_t up;
			uint64_t downloaded; /* payload bytes of this run */
			uint64_t uploaded;
			unsigned peers; /* connected */
			unsigned seeds; /* of these, complete */
			bool seeding;   /* complete itself */
			int64_t eta_s;  /* -1: cannot be said */
			/* Share of each stretch of the torrent that is there,
			 * 0..255; pieces spread over PROGRESS_MAP_CELLS. */
			const uint8_t *map;
			uint32_t pieces;
		} progress;
		struct {
			struct endpoint address;
			enum event_peer_state state;
			const char *client; /* "" if not known */
			const char *reason; /* "" if connected */
		} peer;
		struct {
			uint32_t index;
			bool failed;             /* its hash did not match */
			struct endpoint address; /* of a peer that gave it */
		} piece;
		struct {
			const char *url;
			enum announce_event sent;
			size_t peers;
			struct announce_counts counts;
			const char *error; /* NULL: it went well */
		} announce;
		struct {
			uint64_t bytes;
			double seconds;
			/* Bytes a second over all, rounded up: 0 if nothing
			 * was downloaded in this run. */
			uint64_t down;
		} complete;
		struct {
			uint64_t downloaded;
			uint64_t uploaded;
			uint64_t done;
			uint64_t total;
		} stopped;
		struct {
			const char *reason;
			struct announce_counts counts; /* by a tracker */
		} stalled;
		struct {
			const char *message; /* "WHAT: WHY" */
		} text;                      /* ERROR, WARNING */
	};
};

typedef void event_listener(void *ctx, const struct event *event);

struct events;

struct events *events_create(void);
void events_destroy(struct events *e);

/* At the start only, before other threads; at most EVENTS_MAX_LISTENERS. */
enum { EVENTS_MAX_LISTENERS = 4 };
void events_listen(struct events *e, event_listener *listener, void *ctx);

void events_emit(struct events *e, const struct event *event);

#endif
