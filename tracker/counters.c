#include "tracker/counters.h"

void counters_add(atomic_uint_fast64_t *counter)
{
	/* Nothing is ordered by a counter that is only displayed. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}
