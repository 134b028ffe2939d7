#define HASH_NONFATAL_OOM 1

#include "client/session/peer_shelf.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>
#include <xxhash.h>

#include "client/session/host_book.h"

enum { FIRST_SLOTS = 16 };

void peer_shelf_init(
	struct peer_shelf *s, struct host_book *hosts, uint64_t seed)
{
	*s = (struct peer_shelf){.hosts = hosts, .seed = seed};
}

void peer_shelf_finish(struct peer_shelf *s)
{
	struct peer_entry *e, *next;

	HASH_ITER(hh, s->by_address, e, next)
	{
		HASH_DEL(s->by_address, e);
		host_book_release(s->hosts, e->host);
		free(e);
	}
	free(s->slots);
}

static struct peer_entry *entry_of(struct due_item *due)
{
	return (struct peer_entry *)(void *)due;
}

_Static_assert(sizeof(struct endpoint) == 18, "is hashed: no padding");

static unsigned hash_of(const struct peer_shelf *s, const struct endpoint *e)
{
	uint64_t hash = XXH3_64bits_withSeed(e, sizeof(*e), s->seed);

	return (unsigned)(hash ^ hash >> 32);
}

struct peer_entry *peer_shelf_find(
	const struct peer_shelf *s, const struct endpoint *address)
{
	struct peer_entry *e;

	HASH_FIND_BYHASHVALUE(hh, s->by_address, address, sizeof(*address),
		hash_of(s, address), e);
	return e;
}

struct peer_entry *peer_shelf_next(
	const struct peer_shelf *s, const struct peer_entry *e)
{
	return e ? e->hh.next : s->by_address;
}

static bool is_evictable(const struct peer_entry *e)
{
	return e->rank == RANK_NEEDY || e->rank == RANK_TRIED;
}

static struct peer_entry **evictable_list(
	struct peer_shelf *s, const struct peer_entry *e)
{
	return &s->evictable[e->failures < PEER_SHELF_FAILURES
			? e->failures
			: PEER_SHELF_FAILURES];
}

void peer_shelf_put_down(struct peer_shelf *s, struct peer_entry *e)
{
	due_heap_add(&s->heaps[e->rank], &e->due);
	if (is_evictable(e)) {
		struct peer_entry **list = evictable_list(s, e);
		DL_APPEND(*list, e);
	}
}

void peer_shelf_pick_up(struct peer_shelf *s, struct peer_entry *e)
{
	due_heap_remove(&s->heaps[e->rank], &e->due);
	if (is_evictable(e)) {
		struct peer_entry **list = evictable_list(s, e);
		DL_DELETE(*list, e);
	}
}

struct peer_entry *peer_shelf_first(
	const struct peer_shelf *s, enum peer_rank rank)
{
	struct due_item *first = due_heap_first(&s->heaps[rank]);

	return first ? entry_of(first) : NULL;
}

void peer_shelf_put_off(
	struct peer_shelf *s, struct peer_entry *e, uint64_t due_ms)
{
	e->due.due_ms = due_ms;
	due_heap_moved(&s->heaps[e->rank], &e->due);
}

/* The longest-failing one makes room; false: nobody can. */
static bool evict(struct peer_shelf *s)
{
	for (size_t i = PEER_SHELF_FAILURES + 1; i-- > 0;) {
		struct peer_entry *e = s->evictable[i];

		if (!e)
			continue;
		peer_shelf_pick_up(s, e);
		HASH_DEL(s->by_address, e);
		host_book_release(s->hosts, e->host);
		free(e);
		s->count--;
		return true;
	}
	return false;
}

/* Room in the heaps for one more entry.  A torrent may have thousands of
 * addresses, but most of many torrents have few. */
static bool grow(struct peer_shelf *s)
{
	if (s->count < s->capacity)
		return true;

	size_t capacity = s->capacity == 0 ? FIRST_SLOTS : 2 * s->capacity;
	struct due_item **slots = calloc(RANKS * capacity, sizeof(*slots));
	if (!slots)
		return false;
	for (size_t rank = 0; rank < RANKS; rank++) {
		struct due_heap *heap = &s->heaps[rank];
		struct due_item **items = slots + rank * capacity;

		if (heap->count > 0)
			memcpy(items, heap->items,
				heap->count * sizeof(*items));
		heap->items = items;
	}
	free(s->slots);
	s->slots = slots;
	s->capacity = capacity;
	return true;
}

struct peer_entry *peer_shelf_add(struct peer_shelf *s,
	const struct endpoint *address, enum peer_rank rank, size_t most)
{
	if ((s->count >= most && !evict(s)) || !grow(s))
		return NULL;

	struct peer_entry *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->address = *address;
	e->rank = rank;
	e->due.order = s->order++;
	e->host = host_book_hold(s->hosts, address);
	if (!e->host)
		goto fail;
	HASH_ADD_BYHASHVALUE(hh, s->by_address, address, sizeof(e->address),
		hash_of(s, address), e);
	if (!e->hh.tbl) /* out of memory */
		goto fail;
	s->count++;
	return e;

fail:
	if (e->host)
		host_book_release(s->hosts, e->host);
	free(e);
	return NULL;
}
