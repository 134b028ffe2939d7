#ifndef TRACKER_NUMBER_SET_H
#define TRACKER_NUMBER_SET_H

#include <stdbool.h>
#include <stdint.h>

/* A few numbers, at most 400 of them so that looking stays quick.  Zeroed
 * memory is an empty set. */
struct number_set {
	uint32_t slots[512]; /* number + 1, or 0 */
};

/* False: it was there. */
static inline bool number_set_add(struct number_set *set, uint32_t number)
{
	enum { MASK = sizeof(set->slots) / sizeof(set->slots[0]) - 1 };
	uint32_t slot = number * UINT32_C(2654435769) >> 23;

	for (; set->slots[slot] != 0; slot = (slot + 1) & MASK) {
		if (set->slots[slot] == number + 1)
			return false;
	}
	set->slots[slot] = number + 1;
	return true;
}

#endif
