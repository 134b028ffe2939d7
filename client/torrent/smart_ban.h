#ifndef CLIENT_TORRENT_SMART_BAN_H
#define CLIENT_TORRENT_SMART_BAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* Who lied?  When a piece that several peers gave does not match its hash, the
 * fingerprints of its blocks are kept with who gave them.  Once the piece has
 * come right, whoever gave a block that differs is guilty; nobody else is ever
 * named (PROMISES P10).  A giver is an IP and a port: behind one IP there may
 * be several, honest ones among them.  Pure; not locked. */
struct smart_ban;

enum {
	SMART_BAN_MAX_BLOCKS = 65536, /* remembered; the oldest piece goes */
	SMART_BAN_MAX_LIARS = 256,    /* and the oldest of these */
};

struct smart_ban_block {
	uint64_t fingerprint; /* keyed, so that nobody can make two alike */
	struct endpoint giver;
	bool known; /* whether `giver` is */
};

/* One failure of one piece. */
struct smart_ban_failure {
	struct smart_ban_failure *next; /* private */
	uint32_t index;
	uint32_t count;
	struct smart_ban_block blocks[];
};

struct smart_ban *smart_ban_create(void);
void smart_ban_destroy(struct smart_ban *s);

/* Piece `index` failed: fill in its `count` blocks, so far zeroed, then hand it
 * over.  NULL: out of memory, or too many of them. */
struct smart_ban_failure *smart_ban_failure_create(
	uint32_t index, uint32_t count);
void smart_ban_failed(struct smart_ban *s, struct smart_ban_failure *f);

/* Is anything remembered of the piece?  Else fingerprints need not be made. */
bool smart_ban_remembers(const struct smart_ban *s, uint32_t index);

/* It has come right, with these fingerprints: the guilty, each once, at most
 * `max`.  What was remembered of the piece is forgotten. */
size_t smart_ban_passed(struct smart_ban *s, uint32_t index,
	const uint64_t *fingerprints, uint32_t count, struct endpoint *ret,
	size_t max);

/* This peer lied.  False: that is known already. */
bool smart_ban_convict(struct smart_ban *s, const struct endpoint *who);
bool smart_ban_convicted(const struct smart_ban *s, const struct endpoint *who);

/* It has come back (so its ban is over): what it does now counts. */
void smart_ban_acquit(struct smart_ban *s, const struct endpoint *who);

#endif
