#ifndef TRACKER_ADDRESS_COUNTS_H
#define TRACKER_ADDRESS_COUNTS_H

#include <stdint.h>

#include "shared/endpoint.h"

/* How many connections each address has open (for IPv6 each /64).  A table of
 * ADDRESS_COUNTS numbers, however many addresses there are; two of them may
 * share a number, so a count can be too high, but never too low.
 *
 * Threads: any may call add and of. */
struct address_counts;

enum { ADDRESS_COUNTS = 1 << 16 };

/* `seed` is random: anybody may choose addresses.  NULL: out of memory. */
struct address_counts *address_counts_create(uint64_t seed);

/* `change`: 1, or -1 for one that was added before. */
void address_counts_add(
	struct address_counts *c, const struct endpoint *e, int change);

uint32_t address_counts_of(
	const struct address_counts *c, const struct endpoint *e);

/* NULL is allowed. */
void address_counts_destroy(struct address_counts *c);

#endif
