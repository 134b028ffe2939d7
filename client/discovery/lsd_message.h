#ifndef CLIENT_DISCOVERY_LSD_MESSAGE_H
#define CLIENT_DISCOVERY_LSD_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/info_hash.h"
#include "shared/span.h"

struct writer;

/* What peers of one network tell each other by multicast: that they are in a
 * swarm, and on which port (BEP 14).  Packet <-> struct; pure. */

enum {
	LSD_PORT = 6771,
	LSD_PACKET_MAX = 1400, /* what we send: fits everywhere unbroken */
	LSD_READ_MAX = 1500,   /* what we read */
	LSD_TOLD_MAX = 24,     /* torrents in a message of ours, so it fits */
	LSD_TORRENTS_MAX = 32, /* and of others'; more do not fit in 1500 */
	LSD_COOKIE_SIZE = 33,  /* with a NUL; longer ones are nobody's */
};

struct lsd_message {
	uint16_t port;                /* of the sender, for BitTorrent; not 0 */
	char cookie[LSD_COOKIE_SIZE]; /* "": none */
	size_t count;                 /* at least one */
	struct info_hash torrents[LSD_TORRENTS_MAX];
};

/* The group that messages of a family go to, with LSD_PORT. */
struct endpoint lsd_group(bool v4);

/* False: not such a message, or one without a port or a torrent of 20 bytes.
 * Headers that are not known are passed over. */
bool lsd_message_read(struct span packet, struct lsd_message *ret);

/* At most LSD_TOLD_MAX torrents; LSD_PACKET_MAX bytes are enough. */
void lsd_message_write(struct writer *w, const struct lsd_message *m, bool v4);

#endif
