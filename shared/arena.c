#include "shared/arena.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CHUNK = 2 * 1024, MAX_CHUNK = 64 * 1024 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t size;
	size_t used;
	char bytes[];
};

void *arena_take(struct arena *a, size_t len)
{
	struct arena_chunk *c = a->chunks;

	if (!c || c->size - c->used < len) {
		size_t size = c ? 2 * c->size : FIRST_CHUNK;

		if (size > MAX_CHUNK)
			size = MAX_CHUNK;
		if (size < len)
			size = len;
		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		*c = (struct arena_chunk){.next = a->chunks, .size = size};
		a->chunks = c;
	}

	void *taken = c->bytes + c->used;
	c->used += len;
	return taken;
}

const char *arena_keep(struct arena *a, const void *bytes, size_t len)
{
	char *kept = arena_take(a, len + 1);

	if (kept) {
		memcpy(kept, bytes, len);
		kept[len] = '\0';
	}
	return kept;
}

void arena_finish(struct arena *a)
{
	struct arena_chunk *c = a->chunks;

	while (c) {
		struct arena_chunk *next = c->next;
		free(c);
		c = next;
	}
	a->chunks = NULL;
}
