#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/numbered_peers.h"
#include "tracker/peer_array.h"
#include "tracker/peer_choice.h"

static struct peer_place add(
	struct peer_array *p, const struct peer_family *family, uint32_t n)
{
	struct endpoint e = nth(family, n);
	struct peer_state state = {.seen = 0};
	struct peer_place place;

	cr_assert(peer_array_add(p, family, &e, &state, &place));
	return place;
}

static void choose(const struct peer_array *p, const struct peer_family *family,
	const struct peer_place *without, uint32_t wanted, uint64_t *dice,
	struct endpoint *ret)
{
	struct peer_places places = peer_places_of(ret, wanted, dice);

	peer_choice_put(p, family, without, wanted, dice, &places);
}

Test(peer_choice, each_place_is_filled_and_each_may_be_the_first)
{
	for (uint32_t count = 1; count <= PEER_CHOICE_MAX; count++) {
		struct peer_array p = {.count = 0};
		uint32_t first[PEER_CHOICE_MAX] = {0};
		uint64_t dice = count;

		for (uint32_t n = 0; n < count; n++)
			add(&p, &families[1], n);
		for (uint32_t round = 0; round < 20 * count; round++) {
			struct endpoint peers[PEER_CHOICE_MAX];
			bool seen[PEER_CHOICE_MAX] = {false};

			memset(peers, 0xff, sizeof(peers));
			choose(&p, &families[1], NULL, count, &dice, peers);
			for (uint32_t i = 0; i < count; i++) {
				uint32_t n = number_of(&peers[i]);

				cr_assert(n < count && !seen[n], "%u", count);
				seen[n] = true;
			}
			first[number_of(&peers[0])]++;
		}
		for (uint32_t n = 0; n < count; n++)
			cr_expect(first[n] > 0 && first[n] < 60,
				"%u of %u: %u times", n, count, first[n]);
		peer_array_finish(&p);
	}
}

/* In arrays of one chunk, of some, and of many. */
Test(peer_choice, every_peer_is_as_likely_to_be_chosen)
{
	enum { MOST = 4000 };
	static const struct {
		uint32_t there;
		uint32_t wanted;
	} cases[] = {
		{3, 1},
		{51, 49},
		{52, 50},
		{90, 7},
		{90, 50},
		{700, 50},
		{1500, 50},
		{MOST, 50},
		{MOST, 200},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t there = cases[i].there, wanted = cases[i].wanted;
		struct peer_array p = {.count = 0};
		uint32_t chosen[MOST] = {0};
		uint32_t rounds = 600 * (there - 1) / wanted; /* 600 for each */
		struct endpoint self = nth(&families[0], there / 3);
		struct peer_place place;
		uint64_t dice = 7;

		for (uint32_t n = 0; n < there; n++)
			add(&p, &families[0], n);
		cr_assert(peer_array_find(&p, &families[0], &self, &place));
		for (uint32_t k = 0; k < rounds; k++) {
			struct endpoint peers[PEER_CHOICE_MAX];

			choose(&p, &families[0], &place, wanted, &dice, peers);
			for (size_t j = 0; j < wanted; j++)
				chosen[number_of(&peers[j])]++;
		}
		for (uint32_t n = 0; n < there; n++) {
			if (n == there / 3)
				cr_expect_eq(chosen[n], 0);
			else
				cr_expect(chosen[n] > 450 && chosen[n] < 750,
					"%u of %u: %u", n, there, chosen[n]);
		}
		peer_array_finish(&p);
	}
}

Test(peer_choice, no_peer_is_chosen_twice)
{
	struct peer_array p = {.count = 0};
	struct peer_place last = {0};
	uint64_t dice = 1;

	for (uint32_t n = 0; n < 5000; n++) {
		struct endpoint peers[PEER_CHOICE_MAX];
		bool seen[5001] = {false};
		bool alone = n % 2 == 0;
		uint32_t others = alone || n == 0 ? n : n - 1;
		uint32_t wanted =
			others < PEER_CHOICE_MAX ? others : PEER_CHOICE_MAX;

		memset(peers, 0xff, sizeof(peers));
		if (wanted > 0)
			choose(&p, &families[1], alone ? NULL : &last, wanted,
				&dice, peers);
		for (uint32_t i = 0; i < wanted; i++) {
			uint32_t number = number_of(&peers[i]);

			cr_assert(number < n - !alone && !seen[number]);
			seen[number] = true;
		}
		last = add(&p, &families[1], n);
	}
	peer_array_finish(&p);
}
