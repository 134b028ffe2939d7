#ifndef CLIENT_PEER_METADATA_TALK_H
#define CLIENT_PEER_METADATA_TALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/peer/extension.h"
#include "client/peer/metadata_exchange.h"
#include "client/peer/pex.h"
#include "client/peer/wire.h"
#include "shared/buffer.h"
#include "shared/endpoint.h"

/* The talk with a peer while nothing is known of a torrent but its hash: it is
 * asked for the metadata (BEP 9) and nothing else.  It may tell of others (BEP
 * 11), who have the metadata if it has not; what it says of pieces is passed
 * by.  No socket and no clock.
 *
 * Belongs to one worker, who sees to it that the assembler is used by one
 * thread at a time. */

enum {
	METADATA_TALK_ASKED = 4, /* pieces under way */
	METADATA_TALK_MAX_OUT = 16 * 1024,
	METADATA_TALK_LOOK_MS = 500, /* between two ticks, at most */
	/* What gives nothing for so long is left for another peer. */
	METADATA_TALK_IDLE_MS = 30 * 1000,
	/* It has no metadata itself, or does not want to give it. */
	METADATA_TALK_REST_MS = 5 * 1000,
	/* Of several requests no answer has come for so long: some were lost on
	 * it.  A single one has METADATA_ANSWER_MS. */
	METADATA_TALK_LOST_MS = 3 * 1000,
};

enum metadata_talk_verdict {
	METADATA_TALK_GOES_ON,
	METADATA_TALK_PROTOCOL_ERROR,
	METADATA_TALK_USELESS, /* it has nothing, or gives nothing */
	METADATA_TALK_DONE,    /* the metadata is there */
};

struct metadata_talk {
	struct metadata_assembler *assembler;
	struct endpoint from;
	const char *reason; /* why the verdict, for a person */

	bool extended;
	bool pex;
	struct extended_handshake theirs;
	uint32_t size;          /* of the metadata, it says; 0: unknown */
	bool gave;              /* a piece that was taken */
	struct pex_heard heard; /* for the worker to take */

	size_t asked_count;
	uint32_t asked[METADATA_TALK_ASKED]; /* in the order asked */
	size_t window; /* so many at once; 1 when it lost some */

	struct buffer out;    /* messages to be sent */
	uint64_t answered_ms; /* when it last gave something, or began */
	uint64_t asked_ms;    /* when it was last asked, or answered */
	uint64_t refused_ms;  /* when it last refused; 0: never */
};

struct metadata_talk_start {
	struct metadata_assembler *assembler; /* outlives the talk */
	struct endpoint from;
	bool fast; /* both sides speak it */
	bool extended;
	bool pex;      /* listen to what it tells of others */
	uint16_t port; /* ours */
};

/* Handshakes have been exchanged: writes what follows. */
void metadata_talk_begin(struct metadata_talk *t,
	const struct metadata_talk_start *start, uint64_t now_ms);

/* Gives back what was asked for, and frees. */
void metadata_talk_end(struct metadata_talk *t);

/* A whole message came. */
enum metadata_talk_verdict metadata_talk_message(struct metadata_talk *t,
	const struct wire_message *message, uint64_t now_ms);

/* Ask for what can be asked for; call it every METADATA_TALK_LOOK_MS. */
enum metadata_talk_verdict metadata_talk_tick(
	struct metadata_talk *t, uint64_t now_ms);

#endif
