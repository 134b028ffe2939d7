#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/numbered_peers.h"
#include "tracker/peer_array.h"

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
