#include "tracker/swarm_choice.h"

#include "shared/announce.h"
#include "shared/dice.h"
#include "tracker/peer_choice.h"
#include "tracker/swarm_store.h"
#include "tracker/swarm_table.h"

/* Of which kinds peers are to be chosen. */
struct kinds {
	int first;
	int end;
	bool one_family; /* that of the peer that asks */
};

/* How many there are of each kind, without the peer that asks. */
struct choice {
	uint32_t counts[FAMILIES][KINDS];
	uint32_t total;
};

static struct choice choice_of(const struct swarm *w, struct kinds kinds,
	const struct swarm_spot *self)
{
	struct choice c = {.total = 0};

	for (int f = 0; f < FAMILIES; f++) {
		if (kinds.one_family && f != self->family)
			continue;
		for (int k = kinds.first; k < kinds.end; k++)
			c.counts[f][k] = w->peers[f][k].count;
	}
	if (self->known && c.counts[self->family][self->kind] > 0)
		c.counts[self->family][self->kind]--;
	for (int f = 0; f < FAMILIES; f++)
		c.total += c.counts[f][LEECHERS] + c.counts[f][SEEDERS];
	return c;
}

/* How many of each kind are to be among `wanted` of them: of each its share,
 * and by chance one more, so that all peers are as likely.  (All in a row, each
 * `from->total` / `wanted`-th is taken, beginning anywhere.) */
static struct choice draw_kinds(
	const struct choice *from, uint32_t wanted, uint64_t *dice)
{
	struct choice drawn = {.total = wanted};
	uint64_t end = dice_below(dice, from->total);
	uint32_t before = 0;

	for (int f = 0; f < FAMILIES; f++) {
		for (int k = 0; k < KINDS; k++) {
			if (from->counts[f][k] == 0)
				continue;
			end += (uint64_t)from->counts[f][k] * wanted;
			uint32_t upto = (uint32_t)(end / from->total);
			drawn.counts[f][k] = upto - before;
			before = upto;
		}
	}
	return drawn;
}

/* Add up to `wanted` peers of those kinds to the reply. */
static void add_peers(struct swarm_table *t, struct swarm_shard *s,
	const struct swarm *w, struct kinds kinds,
	const struct swarm_spot *self, uint32_t wanted, struct swarm_reply *ret)
{
	struct choice c = choice_of(w, kinds, self);
	struct peer_places places;

	if (wanted > c.total)
		wanted = c.total;
	if (wanted == 0)
		return;
	c = draw_kinds(&c, wanted, &s->dice);
	places = peer_places_of(ret->peers + ret->peer_count, wanted, &s->dice);
	for (int f = 0; f < FAMILIES; f++) {
		for (int k = 0; k < KINDS; k++) {
			bool here = self->known && self->family == f &&
				self->kind == k;

			if (c.counts[f][k] == 0)
				continue;
			peer_choice_put(&w->peers[f][k], &t->families[f],
				here ? &self->place : NULL, c.counts[f][k],
				&s->dice, &places);
		}
	}
	ret->peer_count += wanted;
}

void swarm_choice_put(struct swarm_table *t, struct swarm_shard *s,
	const struct swarm *w, const struct announce *a,
	const struct swarm_spot *self, struct swarm_reply *ret)
{
	const struct kinds all = {LEECHERS, KINDS, a->one_family};
	const struct kinds leechers = {LEECHERS, SEEDERS, a->one_family};
	const struct kinds seeders = {SEEDERS, KINDS, a->one_family};
	_Static_assert((int)SWARM_MAX_PEERS <= (int)PEER_CHOICE_MAX,
		"all of one kind are chosen at once");
	uint32_t wanted =
		a->numwant < SWARM_MAX_PEERS ? a->numwant : SWARM_MAX_PEERS;

	if (a->left > 0) {
		add_peers(t, s, w, all, self, wanted, ret);
		return;
	}
	add_peers(t, s, w, leechers, self, wanted, ret);
	if (a->numwant_named)
		add_peers(t, s, w, seeders, self,
			wanted - (uint32_t)ret->peer_count, ret);
}
