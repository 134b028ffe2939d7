#include "client/session/waiting_room.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shared/dice.h"

struct entry {
	struct candidate candidate;
	uint64_t since_ms;
	unsigned alike; /* of the same host, this one included */
	bool spoke;     /* it has sent something */
};

struct waiting_room {
	size_t capacity;
	size_t count;
	uint64_t dice;
	struct entry entries[]; /* in the order in which they came */
};

struct waiting_room *waiting_room_create(size_t capacity, uint64_t seed)
{
	struct waiting_room *r =
		calloc(1, sizeof(*r) + (capacity + 1) * sizeof(r->entries[0]));

	if (!r)
		return NULL;
	r->capacity = capacity;
	r->dice = seed;
	return r;
}

void waiting_room_destroy(struct waiting_room *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		close(r->entries[i].candidate.socket);
	free(r);
}

size_t waiting_room_count(const struct waiting_room *r) { return r->count; }

/* How many of the same host wait; changes what each of them knows of that. */
static unsigned recount(
	struct waiting_room *r, const struct endpoint *address, unsigned change)
{
	unsigned count = 0;

	for (size_t i = 0; i < r->count; i++) {
		struct entry *e = &r->entries[i];
		if (endpoint_same_host(&e->candidate.address, address)) {
			e->alike += change;
			count++;
		}
	}
	return count;
}

static void remove_entry(struct waiting_room *r, struct entry *e)
{
	struct endpoint address = e->candidate.address;
	struct entry *end = r->entries + --r->count;

	memmove(e, e + 1, (size_t)(end - e) * sizeof(*e));
	recount(r, &address, -1U);
}

static void turn_away(struct waiting_room *r, struct entry *e)
{
	close(e->candidate.socket);
	remove_entry(r, e);
}

/* > 0: it has sent something; 0: it has gone. */
static ssize_t peek(const struct entry *e)
{
	uint8_t byte;

	return recv(e->candidate.socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
}

static bool has_spoken(struct entry *e)
{
	e->spoke = e->spoke || peek(e) > 0;
	return e->spoke;
}

/* Of the host that waits most often, the one that has been silent for longest;
 * if all have spoken, the last one. */
static struct entry *one_too_many(struct waiting_room *r)
{
	unsigned most = 0;
	struct entry *last = NULL;

	for (size_t i = 0; i < r->count; i++) {
		if (r->entries[i].alike > most)
			most = r->entries[i].alike;
	}
	for (size_t i = 0; i < r->count; i++) {
		struct entry *e = &r->entries[i];
		if (e->alike < most)
			continue;
		if (!has_spoken(e))
			return e;
		last = e;
	}
	return last;
}

void waiting_room_add(
	struct waiting_room *r, const struct candidate *c, uint64_t now_ms)
{
	/* There is an entry more than the capacity. */
	unsigned alike = recount(r, &c->address, 1) + 1;

	r->entries[r->count++] = (struct entry){
		.candidate = *c, .since_ms = now_ms, .alike = alike};
	if (r->count > r->capacity)
		turn_away(r, one_too_many(r));
}

void waiting_room_tidy(struct waiting_room *r, uint64_t now_ms)
{
	for (size_t i = 0; i < r->count;) {
		struct entry *e = &r->entries[i];
		if (now_ms - e->since_ms >= WAITING_ROOM_MS || peek(e) == 0)
			turn_away(r, e);
		else
			i++;
	}
}

unsigned waiting_room_least_held(const struct waiting_room *r,
	unsigned (*held)(void *arg, const struct endpoint *address), void *arg)
{
	unsigned least = UINT_MAX;

	for (size_t i = 0; i < r->count; i++) {
		unsigned its = held(arg, &r->entries[i].candidate.address);
		if (its < least)
			least = its;
	}
	return least;
}

bool waiting_room_take(struct waiting_room *r,
	unsigned (*held)(void *arg, const struct endpoint *address), void *arg,
	uint64_t now_ms, struct candidate *ret)
{
	struct entry *next = NULL;
	unsigned least = UINT_MAX;

	if (r->count == 0)
		return false;
	size_t at = dice_below(&r->dice, (uint32_t)r->count);
	for (size_t i = 0; i < r->count; i++, at = (at + 1) % r->count) {
		struct entry *e = &r->entries[at];
		unsigned its = held(arg, &e->candidate.address);
		if (!next || its < least ||
			(its == least && !next->spoke && has_spoken(e))) {
			(void)has_spoken(e);
			next = e;
			least = its;
		}
	}
	*ret = next->candidate;
	ret->waited_ms = (unsigned)(now_ms - next->since_ms);
	remove_entry(r, next);
	return true;
}
