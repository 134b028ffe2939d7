#ifndef TRACKER_SWARM_PART_H
#define TRACKER_SWARM_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/endpoint.h"
#include "shared/info_hash.h"

/* Some peers of one swarm, on their way between a store and its state file. */
enum { SWARM_PART_PEERS = 512 };

struct swarm_part_peer {
	struct endpoint address;
	uint32_t age_s; /* since it was heard of */
	bool seeder;
	bool completed; /* it has said so, and was counted */
};

struct swarm_part {
	struct info_hash info_hash;
	uint32_t completed; /* of the whole swarm */
	size_t peer_count;
	struct swarm_part_peer peers[SWARM_PART_PEERS];
};

/* Where a walk through all swarms is; zeroed: at its start.  Not to be looked
 * into. */
struct store_walk {
	size_t shard;
	size_t bucket;
	bool midway; /* in this swarm, at this chunk and slot of this kind */
	struct info_hash swarm;
	uint32_t kind;
	uint32_t chunk;
	uint32_t slot;
};

#endif
