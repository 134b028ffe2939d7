#include <criterion/criterion.h>

#include "client/session/due_heap.h"

enum { ITEMS = 200 };

static struct due_item items[ITEMS];
static struct due_item *slots[ITEMS];

/* Numbers that jump about, the same in each run. */
static uint64_t scattered(uint64_t i) { return i * 7919 % 101; }

/* Take all out; each must be due no earlier than the one before. */
static size_t drained_in_order(struct due_heap *h)
{
	struct due_item last = {0};
	size_t count = 0;

	for (struct due_item *i; (i = due_heap_first(h)); count++) {
		cr_expect(i->due_ms > last.due_ms ||
			(i->due_ms == last.due_ms && i->order >= last.order));
		last = *i;
		due_heap_remove(h, i);
	}
	return count;
}

static struct due_heap filled(size_t count)
{
	struct due_heap h = {.items = slots};

	for (size_t i = 0; i < count; i++) {
		items[i] =
			(struct due_item){.due_ms = scattered(i), .order = i};
		due_heap_add(&h, &items[i]);
	}
	return h;
}

Test(due_heap, gives_the_earliest_and_of_equals_the_lower_order)
{
	static const size_t counts[] = {0, 1, 2, 3, 4, 7, 8, ITEMS};

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		struct due_heap h = filled(counts[i]);
		cr_expect_eq(drained_in_order(&h), counts[i]);
	}
}

Test(due_heap, any_item_can_be_moved)
{
	for (size_t i = 0; i < ITEMS; i++) {
		struct due_heap h = filled(ITEMS);

		items[i].due_ms = i % 2 ? 0 : UINT64_MAX;
		due_heap_moved(&h, &items[i]);
		cr_expect_eq(drained_in_order(&h), ITEMS);
	}
}

Test(due_heap, any_item_can_be_removed)
{
	for (size_t i = 0; i < ITEMS; i++) {
		struct due_heap h = filled(ITEMS);

		due_heap_remove(&h, &items[i]);
		cr_expect_eq(drained_in_order(&h), ITEMS - 1);
	}
}
