#include "client/session/due_heap.h"

#include <stdbool.h>

static bool before(const struct due_item *a, const struct due_item *b)
{
	if (a->due_ms != b->due_ms)
		return a->due_ms < b->due_ms;
	return a->order < b->order;
}

static void put(struct due_heap *h, struct due_item *item, size_t index)
{
	h->items[index] = item;
	item->index = index;
}

static void sift_up(struct due_heap *h, struct due_item *item)
{
	size_t at = item->index;

	while (at > 0 && before(item, h->items[(at - 1) / 2])) {
		put(h, h->items[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	put(h, item, at);
}

static void sift_down(struct due_heap *h, struct due_item *item)
{
	size_t at = item->index;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < h->count &&
			before(h->items[child + 1], h->items[child]))
			child++;
		if (child >= h->count || !before(h->items[child], item))
			break;
		put(h, h->items[child], at);
		at = child;
	}
	put(h, item, at);
}

void due_heap_add(struct due_heap *h, struct due_item *item)
{
	put(h, item, h->count++);
	sift_up(h, item);
}

void due_heap_remove(struct due_heap *h, struct due_item *item)
{
	struct due_item *last = h->items[--h->count];

	if (last == item)
		return;
	put(h, last, item->index);
	due_heap_moved(h, last);
}

void due_heap_moved(struct due_heap *h, struct due_item *item)
{
	sift_up(h, item);
	sift_down(h, item);
}

struct due_item *due_heap_first(const struct due_heap *h)
{
	return h->count > 0 ? h->items[0] : NULL;
}
