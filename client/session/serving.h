#ifndef CLIENT_SESSION_SERVING_H
#define CLIENT_SESSION_SERVING_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/torrent/bitfield.h"

struct piece_check;
struct session_torrent;

/* Content read for others.  Once it is complete nobody has any business to
 * change it: files that look otherwise than when they were checked are hashed
 * again, piece by piece, before they are served (PROMISES P2).
 *
 * Threads: any, init and finish apart. */
struct serving {
	pthread_mutex_t lock;
	/* Guarded by `lock`. */
	bool watched;            /* look for changes */
	bool suspicious;         /* `suspect` is in use */
	struct bitfield suspect; /* to be hashed again before it is served */
};

/* In zeroed memory; its pieces are known only when there is metadata. */
void serving_init(struct serving *s);
bool serving_set_pieces(struct serving *s, uint32_t piece_count);
void serving_finish(struct serving *s);

/* The files are as storage_remember() saw them, and to stay so. */
void serving_watch(struct serving *s);

/* Read blocks to be served.  NOT_SERVED: the piece is on disk no longer what it
 * was (it is then not had any more), or was never had.  An I/O error makes the
 * torrent fail.  `check` is the calling worker's, made when first needed. */
enum serve_result { SERVED, NOT_SERVED };
enum serve_result serving_read(struct session_torrent *st, uint32_t piece,
	uint32_t begin, uint8_t *ret, size_t len, struct piece_check **check);

#endif
