#ifndef CLIENT_SESSION_DUE_HEAP_H
#define CLIENT_SESSION_DUE_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Things in the order in which they fall due; of those due at the same time,
 * the lower `order` first.  A binary heap of pointers: add, remove and moved
 * are O(log n), the first is at hand.  Not locked. */
struct due_item {
	uint64_t due_ms;
	uint64_t order;
	size_t index; /* private */
};

struct due_heap {
	struct due_item **items; /* the owner's memory, enough for all */
	size_t count;
};

void due_heap_add(struct due_heap *h, struct due_item *item);
void due_heap_remove(struct due_heap *h, struct due_item *item);

/* `item`, which is in the heap, has a new `due_ms`. */
void due_heap_moved(struct due_heap *h, struct due_item *item);

/* The first of all, or NULL. */
struct due_item *due_heap_first(const struct due_heap *h);

#endif
