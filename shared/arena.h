#ifndef SHARED_ARENA_H
#define SHARED_ARENA_H

#include <stddef.h>

struct arena_chunk;

/* Memory that lives and is freed as one: many small things are taken one after
 * the other from a few chunks, each larger than the one before.  Zeroed memory
 * is an empty arena.  One thread at a time. */
struct arena {
	struct arena_chunk *chunks; /* the arena's own */
};

/* `len` bytes, of no alignment: for bytes and texts.  NULL: out of memory. */
void *arena_take(struct arena *a, size_t len);

/* A copy with a NUL behind it; NULL: out of memory. */
const char *arena_keep(struct arena *a, const void *bytes, size_t len);

/* Free all that was taken. */
void arena_finish(struct arena *a);

#endif
