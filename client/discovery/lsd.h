#ifndef CLIENT_DISCOVERY_LSD_H
#define CLIENT_DISCOVERY_LSD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/discovery/lsd_message.h"

/* Local service discovery (BEP 14), as a machine: which torrents are to be told
 * when, and what is to be believed of what others tell.  No socket, no clock,
 * no dice in it.
 *
 * A torrent is told when it is new, a minute later in case that was lost, then
 * every 5 minutes; and soon, if a peer that we did not know tells of it.  There
 * is never more than one message a minute (the BEP's limit), so a message has
 * all torrents that are due or nearly so, as many as fit.
 *
 * Belongs to one thread at a time. */
struct lsd;

enum {
	LSD_GAP_MS = 60 * 1000,
	LSD_INTERVAL_MS = 5 * 60 * 1000,
	LSD_COLLECT_MS = 200,     /* what starts together is told together */
	LSD_ANSWER_MS = 1000,     /* to a newcomer, ... */
	LSD_SPREAD_MS = 4 * 1000, /* ... and by dice up to so much later */
	/* Messages looked at: in a burst, then so many a second. */
	LSD_HEARD_BURST = 100,
	LSD_HEARD_PER_S = 10,
};

/* For at most `torrents`; `dice` is random: the cookie by which we know our own
 * messages.  NULL: out of memory. */
struct lsd *lsd_create(size_t torrents, uint64_t dice);
void lsd_destroy(struct lsd *l);

/* Tell of a torrent from now on.  False: too many. */
bool lsd_want(struct lsd *l, const struct info_hash *torrent, uint64_t now_ms);
void lsd_forget(struct lsd *l, const struct info_hash *torrent);

/* The network is another one than it was: all is told anew. */
void lsd_network_changed(struct lsd *l, uint64_t now_ms);

/* The message to send now, but for its port: false, and when to ask again
 * (UINT64_MAX: when something is wanted). */
bool lsd_next(struct lsd *l, uint64_t now_ms, struct lsd_message *ret,
	uint64_t *ret_due_ms);

/* A message came from `from` (its port is of no account): the torrents of ours
 * that it tells of, in `ret`; returns how many.  None: of our own messages, and
 * of too many. */
size_t lsd_heard(struct lsd *l, const struct endpoint *from,
	const struct lsd_message *m, uint64_t now_ms,
	struct info_hash ret[LSD_TORRENTS_MAX]);

/* A network that we are in: our address there, and how many bits of it are the
 * network's. */
struct lsd_link {
	struct endpoint address;
	unsigned prefix; /* of 128; IPv4 counts from 96 */
};

/* May a message be from there: from one of these networks, or from private
 * addresses (others of our site)?  An IPv6 link-local address may not: it
 * cannot be dialled without naming the interface. */
bool lsd_is_near(const struct endpoint *from, const struct lsd_link *links,
	size_t count);

#endif
