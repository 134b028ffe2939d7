#ifndef CLIENT_DISCOVERY_ANNOUNCER_H
#define CLIENT_DISCOVERY_ANNOUNCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/endpoint.h"

struct metainfo;

/* Keeps the trackers of one torrent told, in a thread of its own: `started`,
 * at intervals, `completed`, `stopped`; tiers in order, shuffled within, the
 * one that answers moves to the front of its tier (BEP 12); back-off on
 * failure (15 s, doubling to 1 h, and no more than 5 tries in the first 20 s
 * over all trackers).  Which tracker is due when is pure and tested with time
 * as a number (announce_schedule.h).  Each that is asked has a short-lived
 * thread, so that one that hangs holds up no other. */
struct announcer;

/* How an announce went. */
struct announcer_news {
	const char *url;
	enum announce_event event;
	const char *error; /* NULL: it went well, and the rest counts */
	size_t peers;      /* addresses that came */
	struct announce_counts counts;
};

struct announcer_options {
	const struct metainfo *m; /* outlives the announcer */
	uint8_t peer_id[PEER_ID_SIZE];
	uint16_t port; /* where we listen */
	uint32_t key;
	const struct endpoint *bind; /* NULL: any address */

	void *ctx;
	/* Fill in uploaded, downloaded, left, numwant; and peer.port, if it is
	 * another by now.  From the announcer's
	 * thread, as are all of these; none may block for long. */
	void (*fill)(void *ctx, struct announce *a);
	/* Addresses came; already checked with endpoint_dialable(), and
	 * loopback ones left out unless the tracker is on loopback too. */
	void (*peers)(void *ctx, const struct endpoint *peers, size_t count);
	/* An announce ended. */
	void (*report)(void *ctx, const struct announcer_news *news);
	/* What announcer_count asked for came. */
	void (*counts)(
		void *ctx, const char *url, const struct announce_counts *c);
};

/* NULL: out of memory or no thread; the calls below take that, too, and do
 * nothing.  A torrent without trackers has an announcer that does nothing. */
struct announcer *announcer_start(const struct announcer_options *o);

/* From now on one tracker at a time is used: the torrent is private (BEP 27;
 * announce_schedule.h). */
void announcer_one_at_a_time(struct announcer *a);

/* The download is complete: announce `completed` now (only if it was started
 * incomplete: the caller sees to that). */
void announcer_completed(struct announcer *a);

/* Whether the client has run out of peers, from now on: while it has, it
 * announces again when the tracker's min interval (60 s if it names none)
 * allows it, and to trackers that do not know it yet. */
void announcer_hungry(struct announcer *a, bool hungry);

/* What `fill` says of our port has changed: the tracker is told at the min
 * interval. */
void announcer_renew(struct announcer *a);

/* It is of interest how many peers there are: ask the tracker that answered
 * last (a scrape), if it can be asked that and has not said it in 5 minutes. */
void announcer_count(struct announcer *a);

/* Begin to end: cancel what is under way and not answered in a moment, send
 * `stopped` to the trackers that know us (each at most once), for at most
 * `timeout_ms` over all.  Returns at once, so that many torrents stop side by
 * side.  Only the first call counts.
 */
void announcer_stop(struct announcer *a, unsigned timeout_ms);

/* Join the thread (after announcer_stop) and free. */
void announcer_destroy(struct announcer *a);

#endif
