#ifndef TRACKER_MACHINE_H
#define TRACKER_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

#include "shared/error.h"

/* How much of the machine there is for the tracker. */

/* Peers that fit in a quarter of the memory: of the machine, or of the control
 * group that we are in. */
size_t machine_peers(void);

/* Bytes of memory that the control group `group`, and those above it up to
 * `root`, may have; SIZE_MAX: as many as there are. */
size_t machine_group_limit(const char *root, const char *group);

struct machine_needs {
	size_t fronts;    /* addresses to listen at, > 0 */
	unsigned threads; /* for HTTP, and for UDP, at each of them */
	bool with_redis;  /* to which each thread has a connection */
};

/* As many HTTP connections at each address as there are descriptors for, so
 * that accept() never runs out of them, and as fit in an eighth of the memory
 * (in bytes).  False: there are not enough for two a thread. */
bool machine_share(const struct machine_needs *needs, size_t descriptors,
	size_t memory, unsigned *ret, struct error *err);

/* The same of this machine.  `most` descriptors are wanted, and the process's
 * limit is raised to that if it may be. */
bool machine_connections(const struct machine_needs *needs, size_t most,
	unsigned *ret, struct error *err);

#endif
