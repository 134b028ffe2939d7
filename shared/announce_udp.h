#ifndef SHARED_ANNOUNCE_UDP_H
#define SHARED_ANNOUNCE_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/error.h"
#include "shared/span.h"

struct reader;
struct writer;

/* Announces over UDP in both directions: the client builds what the tracker
 * parses, and reads what the tracker writes (BEP 15; peers in IPv6 by BEP 7;
 * the URL's path and query by BEP 41).
 *
 * A client first asks for a connection id, which shows that it is at the
 * address it claims, and puts that id in front of all it asks.  A transaction
 * id, chosen for each question, comes back in the answer.
 *
 * As with all writers, a packet that does not fit sets `bad`.  Packets may be
 * longer than what is understood of them: the BEP leaves room there. */

enum {
	/* The largest payload that goes through an Ethernet in one piece, and
	 * the largest by IPv6, whose header is longer. */
	ANNOUNCE_UDP_MAX_PACKET = 1472,
	ANNOUNCE_UDP_MAX_PACKET_V6 = 1452,

	ANNOUNCE_UDP_CONNECT_SIZE = 16,   /* question and answer */
	ANNOUNCE_UDP_ANNOUNCE_SIZE = 98,  /* without options */
	ANNOUNCE_UDP_MAX_URL_DATA = 1362, /* fit behind that, by BEP 41 */
	ANNOUNCE_UDP_REPLY_SIZE = 20,     /* without peers */
	ANNOUNCE_UDP_MAX_SCRAPE = 74,     /* hashes in a question (BEP 15) */
};

enum announce_udp_action {
	ANNOUNCE_UDP_CONNECT,
	ANNOUNCE_UDP_ANNOUNCE,
	ANNOUNCE_UDP_SCRAPE,
	ANNOUNCE_UDP_ERROR,
};

/* --- Client's side --- */

void announce_udp_write_connect(struct writer *w, uint32_t transaction);

/* `url_data`: path and query of the tracker's URL, possibly empty.  There is
 * no place for compact, no_peer_id and peer.ip of `a`. */
void announce_udp_write_announce(struct writer *w, uint64_t connection_id,
	uint32_t transaction, const struct announce *a, struct span url_data);

void announce_udp_write_scrape(struct writer *w, uint64_t connection_id,
	uint32_t transaction, const struct info_hash *hashes, size_t count);

/* These four read an answer.  False: `packet` is no such answer to
 * `transaction`, or torn; nothing is written then. */
bool announce_udp_parse_connected(
	struct span packet, uint32_t transaction, uint64_t *ret_connection_id);

/* `v4`: whether it came over IPv4, for that is what its peers then are.  Bad
 * peers are skipped one by one, a torn one at the end is left out. */
bool announce_udp_parse_reply(struct span packet, uint32_t transaction, bool v4,
	struct announce_reply *ret);

/* Fills in all but the info hashes of the `count` entries, in the order
 * asked. */
bool announce_udp_parse_scraped(struct span packet, uint32_t transaction,
	struct scrape_entry *ret, size_t count);

/* Never the empty text. */
bool announce_udp_parse_error(
	struct span packet, uint32_t transaction, char ret[ANNOUNCE_TEXT_SIZE]);

/* --- Tracker's side --- */

/* What every question begins with. */
struct announce_udp_head {
	uint64_t connection_id; /* of a `connect`: nothing, and checked */
	enum announce_udp_action action;
	uint32_t transaction;
};

/* The head of a packet; `r` then stands behind it.  False: not a question
 * (too short, a `connect` without BEP 15's magic number, an action that is
 * none). */
bool announce_udp_parse_head(struct reader *r, struct announce_udp_head *ret);

/* The rest of an announce but its options (BEP 41), at which `r` then stands.
 * `ret->peer.ip` is left untouched: the address in the packet is ignored.  An
 * event that is none counts as none, a negative numwant as the default.  False:
 * refused; `err` says why, fit for an error packet. */
bool announce_udp_parse_announce(
	struct reader *r, struct announce *ret, struct error *err);

/* The options behind an announce: path and query of the URL it is for, put
 * together (BEP 41; nothing when none says it).  Options of other kinds are
 * skipped.  `w`: its memory is ANNOUNCE_UDP_MAX_PACKET.  False: torn. */
bool announce_udp_parse_url_data(struct reader *r, struct writer *w);

/* The rest of a scrape: its info hashes, at most `max`; further ones are left
 * out.  False: refused, or none given. */
bool announce_udp_parse_scrape(struct reader *r, struct info_hash *ret,
	size_t max, size_t *ret_count, struct error *err);

void announce_udp_write_connected(
	struct writer *w, uint32_t transaction, uint64_t connection_id);

/* Of the reply's peers those in the family of `a->peer`, as many as fit. */
void announce_udp_write_reply(struct writer *w, uint32_t transaction,
	const struct announce *a, const struct announce_reply *reply);

/* The entries must be in the order asked, with zeros for what is unknown: only
 * their place says which swarm they are about. */
void announce_udp_write_scraped(struct writer *w, uint32_t transaction,
	const struct scrape_entry *entries, size_t count);

/* `reason` is cut to what fits. */
void announce_udp_write_error(
	struct writer *w, uint32_t transaction, const char *reason);

#endif
