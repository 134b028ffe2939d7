#ifndef TRACKER_COUNTERS_H
#define TRACKER_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

/* What was done since the start, counted by any thread, only to be looked at.
 * Zeroed memory is a fresh set. */
struct counters {
	atomic_uint_fast64_t announces; /* answered with peers */
	atomic_uint_fast64_t refused;   /* announces answered with a failure */
	atomic_uint_fast64_t scrapes;
};

void counters_add(atomic_uint_fast64_t *counter);

/* All that the pages show, as of one moment; of the swarms and peers what a
 * store does not know is SWARM_UNKNOWN. */
struct tracker_figures {
	uint64_t swarms;
	uint64_t seeders;
	uint64_t leechers;
	uint64_t announces;
	uint64_t refused;
	uint64_t scrapes;
	uint64_t memory_bytes; /* of this process, resident */
	uint64_t uptime_s;
	uint32_t interval_s;
};

uint64_t tracker_figures_peers(const struct tracker_figures *f);

#endif
