#include "tracker/address_counts.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "tracker/address_group.h"

struct address_counts {
	uint64_t seed;
	atomic_uint counts[ADDRESS_COUNTS];
};

struct address_counts *address_counts_create(uint64_t seed)
{
	struct address_counts *c = calloc(1, sizeof(*c));

	if (c)
		c->seed = seed;
	return c;
}

void address_counts_destroy(struct address_counts *c) { free(c); }

void address_counts_add(
	struct address_counts *c, const struct endpoint *e, int change)
{
	uint64_t place = address_group_hash(e, c->seed) % ADDRESS_COUNTS;

	/* Adding the largest number is taking 1 away. */
	atomic_fetch_add_explicit(
		&c->counts[place], (unsigned)change, memory_order_relaxed);
}

uint32_t address_counts_of(
	const struct address_counts *c, const struct endpoint *e)
{
	uint64_t place = address_group_hash(e, c->seed) % ADDRESS_COUNTS;

	return atomic_load_explicit(&c->counts[place], memory_order_relaxed);
}
