#ifndef CLIENT_PEER_HANDSHAKE_H
#define CLIENT_PEER_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/announce.h"
#include "shared/info_hash.h"
#include "shared/span.h"

/* The first 68 bytes each way (BEP 3) and the reserved bits. */
enum {
	HANDSHAKE_SIZE = 68,
	HANDSHAKE_UP_TO_HASH = 48, /* bytes up to and with the info hash */
};

struct handshake {
	bool fast;     /* BEP 6 */
	bool extended; /* BEP 10 */
	bool dht;      /* BEP 5 */
	bool v2;       /* BEP 52: knows the v2 swarm too */
	struct info_hash info_hash;
	uint8_t peer_id[PEER_ID_SIZE];
};

void handshake_write(const struct handshake *h, uint8_t ret[HANDSHAKE_SIZE]);

/* Judge as many bytes as have come, so that a stranger is dropped at the first
 * wrong one: false when they cannot be the start of a handshake. */
bool handshake_plausible(struct span bytes);

/* From the first HANDSHAKE_UP_TO_HASH bytes (peer_id is then zero) or all
 * HANDSHAKE_SIZE.  False: not a handshake. */
bool handshake_read(struct span bytes, struct handshake *ret);

/* A fresh peer id, "-TB0100-" and 12 random characters (BEP 20). */
void handshake_make_peer_id(uint8_t ret[PEER_ID_SIZE]);

/* "tbt 0.1.0", "Transmission 3.00", "libtorrent 2.0.8", or the id escaped: who
 * a peer id says it is (BEP 20), for a person. */
enum { CLIENT_NAME_SIZE = 48 };
const char *handshake_client_name(
	const uint8_t peer_id[PEER_ID_SIZE], char ret[CLIENT_NAME_SIZE]);

#endif
