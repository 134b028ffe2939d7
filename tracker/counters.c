#include "tracker/counters.h"

#include "tracker/swarm_store.h"

void counters_add(atomic_uint_fast64_t *counter)
{
	/* Nothing is ordered by a counter that is only displayed. */
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

uint64_t tracker_figures_peers(const struct tracker_figures *f)
{
	if (f->seeders == SWARM_UNKNOWN || f->leechers == SWARM_UNKNOWN)
		return SWARM_UNKNOWN;
	return f->seeders + f->leechers;
}
