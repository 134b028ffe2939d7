#include <criterion/criterion.h>
#include <string.h>

#include "tracker/peer_array.h"

static const struct peer_family families[] = {
	{.v6 = false, .seed = 1},
	{.v6 = true, .seed = 2},
};

static struct endpoint nth(const struct peer_family *family, uint32_t n)
{
	struct endpoint e = {.port = 1};

	if (!family->v6)
		e.ip[10] = e.ip[11] = 0xff;
	e.ip[13] = (uint8_t)(n >> 16);
	e.ip[14] = (uint8_t)(n >> 8);
	e.ip[15] = (uint8_t)n;
	return e;
}

static uint32_t number_of(const struct endpoint *e)
{
	return (uint32_t)e->ip[13] << 16 | (uint32_t)e->ip[14] << 8 | e->ip[15];
}

static bool there(const struct peer_array *p, const struct peer_family *family,
	uint32_t n, struct peer_place *ret)
{
	struct endpoint e = nth(family, n);

	return peer_array_find(p, family, &e, ret);
}

static void add(struct peer_array *p, const struct peer_family *family,
	uint32_t n, uint16_t seen)
{
	struct endpoint e = nth(family, n);
	struct peer_state state = {.seen = seen, .completed = n % 3 == 0};
	struct peer_place place, found;

	cr_assert(peer_array_add(p, family, &e, &state, &place));
	cr_assert(peer_array_find(p, family, &e, &found));
	cr_expect_eq(found.chunk, place.chunk);
	cr_expect_eq(found.slot, place.slot);
}

Test(peer_array, keeps_all_while_it_grows_and_shrinks)
{
	enum { PEERS = 5000 };

	for (size_t f = 0; f < 2; f++) {
		const struct peer_family *family = &families[f];
		struct peer_array p = {.count = 0};
		struct peer_place at;

		for (uint32_t n = 0; n < PEERS; n++)
			add(&p, family, n, n % PEER_MOMENTS);
		for (uint32_t n = 0; n < PEERS; n++) {
			cr_assert(there(&p, family, n, &at));
			struct peer_state state =
				peer_array_state(&p, family, &at);
			cr_expect_eq(state.seen, n % PEER_MOMENTS);
			cr_expect_eq(state.completed, n % 3 == 0);
		}
		for (uint32_t n = 0; n < PEERS; n++) {
			cr_assert(there(&p, family, n, &at));
			peer_array_remove(&p, family, &at);
			cr_expect_not(there(&p, family, n, &at));
			cr_expect_eq(p.count, PEERS - 1 - n);
			cr_expect(there(&p, family, PEERS - 1, &at) ==
				(n < PEERS - 1));
		}
		cr_expect_null(p.one, "it holds nothing any more");
	}
}

Test(peer_array, expires_by_moments_that_go_round)
{
	static const struct {
		uint16_t seen, before;
		bool gone;
	} cases[] = {
		{0, 0, false},
		{0, 1, true},
		{1, 0, false},
		{PEER_MOMENTS - 1, 0, true},
		{0, PEER_MOMENTS - 1, false},
		{0, PEER_MOMENTS / 2 - 1, true},
		{0, PEER_MOMENTS / 2, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct peer_array p = {.count = 0};

		add(&p, &families[0], 1, cases[i].seen);
		cr_expect_eq(
			peer_array_expire(&p, &families[0], 0, cases[i].before),
			cases[i].gone, "%zu", i);
		cr_expect_eq(p.count, !cases[i].gone, "%zu", i);
		peer_array_finish(&p);
	}
}

Test(peer_array, expiry_from_the_last_chunk_down_sees_all)
{
	enum { PEERS = 3000 };
	struct peer_array p = {.count = 0};

	for (uint32_t n = 0; n < PEERS; n++)
		add(&p, &families[0], n, n % 10 ? 5 : 6);
	uint32_t gone = 0;
	for (uint32_t chunk = p.chunk_count; chunk > 0;) {
		if (chunk > p.chunk_count)
			chunk = p.chunk_count;
		gone += peer_array_expire(&p, &families[0], --chunk, 6);
	}
	cr_expect_eq(gone, PEERS - PEERS / 10);
	for (uint32_t n = 0; n < PEERS; n++) {
		struct peer_place at;

		cr_expect_eq(there(&p, &families[0], n, &at), n % 10 == 0);
	}
	peer_array_finish(&p);
}

/* One by one in small arrays, by neighbours in large ones. */
Test(peer_array, every_peer_is_as_likely_to_be_chosen)
{
	enum { WANTED = 50, MOST = 1500 };
	static const uint32_t sizes[] = {51, 52, 90, 700, MOST};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct peer_array p = {.count = 0};
		uint32_t chosen[MOST] = {0};
		uint32_t rounds = sizes[i] * 12; /* 600 for each, or so */
		struct peer_place self;
		uint64_t dice = 7;

		for (uint32_t n = 0; n < sizes[i]; n++)
			add(&p, &families[0], n, 0);
		cr_assert(there(&p, &families[0], 3, &self));
		for (uint32_t k = 0; k < rounds; k++) {
			struct endpoint peers[WANTED];

			cr_assert_eq(peer_array_choose(&p, &families[0], &self,
					     WANTED, &dice, peers),
				WANTED);
			for (size_t j = 0; j < WANTED; j++)
				chosen[number_of(&peers[j])]++;
		}
		for (uint32_t n = 0; n < sizes[i]; n++) {
			if (n == 3)
				cr_expect_eq(chosen[n], 0);
			else
				cr_expect(chosen[n] > 450 && chosen[n] < 750,
					"%u of %u: %u", n, sizes[i], chosen[n]);
		}
		peer_array_finish(&p);
	}
}

Test(peer_array, no_peer_is_chosen_twice)
{
	struct peer_array p = {.count = 0};
	uint64_t dice = 1;

	for (uint32_t n = 0; n < 2000; n++) {
		struct endpoint peers[PEER_ARRAY_MAX_CHOICE];
		bool seen[2001] = {false};
		uint32_t wanted =
			n < PEER_ARRAY_MAX_CHOICE ? n : PEER_ARRAY_MAX_CHOICE;

		cr_assert_eq(peer_array_choose(&p, &families[1], NULL, wanted,
				     &dice, peers),
			wanted);
		for (uint32_t i = 0; i < wanted; i++) {
			cr_expect_not(seen[number_of(&peers[i])]);
			seen[number_of(&peers[i])] = true;
		}
		add(&p, &families[1], n, 0);
	}
	peer_array_finish(&p);
}
