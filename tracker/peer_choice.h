#ifndef TRACKER_PEER_CHOICE_H
#define TRACKER_PEER_CHOICE_H

#include <stdint.h>

#include "shared/endpoint.h"

struct peer_array;
struct peer_family;
struct peer_place;

/* Which peers of a swarm somebody is told of.  Each is as likely as any other,
 * but those who lie side by side, since they came one after another, are often
 * chosen together: eight at a time, so that a reply of 50 is from seven places
 * of a swarm.  One by one would take three times as long. */

enum { PEER_CHOICE_MAX = 200 };

/* Where the chosen are put: each some places behind the one before, and round,
 * from anywhere on.  So neighbours are spread, and each peer is as likely to
 * be the first. */
struct peer_places {
	struct endpoint *at;
	uint32_t count;
	uint32_t next;
	uint32_t step; /* shares no divisor with `count`: each place once */
};

/* `count` places, all of which must be filled. */
struct peer_places peer_places_of(
	struct endpoint *at, uint32_t count, uint64_t *dice);

/* Put `wanted` (0 < it <= PEER_CHOICE_MAX) different peers there; `without` (or
 * NULL) is not among them, and there must be enough others. */
void peer_choice_put(const struct peer_array *p,
	const struct peer_family *family, const struct peer_place *without,
	uint32_t wanted, uint64_t *dice, struct peer_places *to);

#endif
