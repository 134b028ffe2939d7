#ifndef CLIENT_STORAGE_FINISHER_H
#define CLIENT_STORAGE_FINISHER_H

#include <stdint.h>

#include "shared/error.h"

struct metainfo;
struct storage;

/* What is done with a full piece: hash it, write it if it is right, tell
 * whoever handed it in.  A few threads with a bounded queue, so that a worker
 * can go on receiving meanwhile; when all are busy the worker does it itself,
 * which keeps memory bounded and is parallel anyway with many peers.  Two that
 * wait are hashed side by side (piece_check).
 *
 * Threads: push from any. */
struct finisher;

enum finisher_result {
	FINISHER_GOOD,  /* right, and written */
	FINISHER_BAD,   /* does not match its hash; not written */
	FINISHER_ERROR, /* right, but could not be written */
};

struct finisher_job {
	const struct metainfo *m;
	struct storage *storage;
	uint32_t index;         /* of the piece */
	uint8_t *const *blocks; /* its bytes, block_size each but the last */
	uint32_t block_size;
	/* Called once, on the thread that did it; `err` with ERROR only. */
	void (*done)(void *ctx, void *piece, enum finisher_result result,
		const struct error *err);
	void *ctx;
	void *piece;
};

/* NULL: out of memory or no threads.  0 threads: pushers do all. */
struct finisher *finisher_create(unsigned threads);

/* Does what is still queued, then ends the threads.  NULL is allowed. */
void finisher_destroy(struct finisher *f);

void finisher_push(struct finisher *f, const struct finisher_job *job);

#endif
