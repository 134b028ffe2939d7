#include "client/session/choker.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* A world of peers that take what they are given and give what they are meant
 * to.  Who is unchoked shares `line` bytes a second with the others, each up to
 * what it can take. */

enum { MOST = 1000, STEP_MS = 500, KIB = 1024 };

struct world {
	struct choker *choker;
	unsigned count;
	uint64_t line;
	uint64_t now_ms, uploaded;
	struct choker_peer peers[MOST];
	uint64_t gives[MOST], takes[MOST]; /* bytes a second; takes 0: all */
	bool was[MOST];                    /* unchoked, at the step before */
	uint64_t choked_ms[MOST];          /* it was, last; 0: never */
	uint64_t turns[MOST];              /* times that it was unchoked */
};

static struct world *world(unsigned count, uint64_t limit, uint64_t line)
{
	struct world *w = calloc(1, sizeof(*w));

	cr_assert(w);
	w->choker = choker_create(count, limit, 42);
	cr_assert(w->choker);
	w->count = count;
	w->line = line;
	w->now_ms = 1000 * 1000;
	return w;
}

static void finish(struct world *w)
{
	choker_destroy(w->choker);
	free(w);
}

static void come(struct world *w, unsigned i, bool interested)
{
	w->peers[i] = (struct choker_peer){
		.since_ms = w->now_ms, .interested = interested};
	w->was[i] = false;
}

static bool is_served(const struct world *w, unsigned i)
{
	return w->peers[i].interested && choker_grants(w->choker, i);
}

static unsigned served(const struct world *w)
{
	unsigned count = 0;

	for (unsigned i = 0; i < w->count; i++)
		count += is_served(w, i);
	return count;
}

static void look(struct world *w)
{
	choker_look(w->choker, w->peers, w->uploaded, w->now_ms);
	for (unsigned i = 0; i < w->count; i++) {
		bool is = choker_grants(w->choker, i);
		if (w->was[i] && !is) {
			/* Flapping is bounded. */
			cr_expect(w->choked_ms[i] == 0 ||
				w->now_ms - w->choked_ms[i] >= CHOKER_ROUND_MS);
			w->choked_ms[i] = w->now_ms;
		}
		w->turns[i] += is && !w->was[i];
		w->was[i] = is;
		if (!is)
			w->peers[i].asks = false;
	}
}

/* What goes out in one step: shared evenly, but who takes less leaves it. */
static void upload(struct world *w)
{
	uint64_t left = w->line * STEP_MS / 1000;
	uint64_t got[MOST] = {0};
	unsigned hungry = served(w);

	while (hungry > 0 && left >= hungry) {
		uint64_t share = left / hungry;

		hungry = 0;
		for (unsigned i = 0; i < w->count; i++) {
			uint64_t most = w->takes[i] * STEP_MS / 1000 - got[i];
			uint64_t n = share;

			if (!is_served(w, i) || (w->takes[i] > 0 && most == 0))
				continue;
			if (w->takes[i] > 0 && n > most)
				n = most;
			hungry += w->takes[i] == 0 || n < most;
			got[i] += n;
			left -= n;
		}
	}
	for (unsigned i = 0; i < w->count; i++) {
		w->peers[i].took += got[i];
		w->uploaded += got[i];
		w->peers[i].asks = is_served(w, i);
	}
}

static void run(struct world *w, uint64_t ms)
{
	for (uint64_t end = w->now_ms + ms; w->now_ms < end;) {
		upload(w);
		for (unsigned i = 0; i < w->count; i++)
			w->peers[i].gave += w->gives[i] * STEP_MS / 1000;
		w->now_ms += STEP_MS;
		look(w);
	}
}

static uint64_t took(const struct world *w, unsigned from, unsigned to)
{
	uint64_t sum = 0;

	for (unsigned i = from; i < to; i++)
		sum += w->peers[i].took;
	return sum;
}

/* ---- free slots ---- */

Test(choker, a_free_slot_is_given_at_once_and_before_it_is_wanted)
{
	struct world *w = world(3, 0, 0);

	come(w, 0, true);
	look(w);
	cr_expect(choker_grants(w->choker, 0));

	come(w, 1, false);
	look(w);
	cr_expect(choker_grants(w->choker, 1));
	cr_expect_not(choker_grants(w->choker, 2), "nobody is there");
	finish(w);
}

Test(choker, who_goes_leaves_its_slot_at_once)
{
	struct world *w = world(20, 100 * KIB, 100 * KIB);

	for (unsigned i = 0; i < 20; i++)
		come(w, i, true);
	run(w, 15 * 1000);
	cr_assert_eq(served(w), CHOKER_LEAST_SLOTS);
	for (unsigned i = 0; i < 20; i++) {
		if (!is_served(w, i))
			continue;
		w->peers[i].since_ms = 0;
		w->peers[i].interested = false;
		break;
	}
	look(w);
	cr_expect_eq(served(w), CHOKER_LEAST_SLOTS);
	finish(w);
}

Test(choker, another_peer_in_the_place_of_one_inherits_nothing)
{
	struct world *w = world(1, 0, 1000 * KIB);

	come(w, 0, true);
	run(w, 30 * 1000);
	cr_assert(choker_grants(w->choker, 0));
	w->now_ms += 1;
	come(w, 0, false);
	w->peers[0].since_ms -= CHOKER_IDLE_MS; /* no newcomer either */
	look(w);
	cr_expect_not(choker_grants(w->choker, 0));
	finish(w);
}

Test(choker, a_slot_that_is_not_used_is_given_to_another)
{
	struct world *w = world(CHOKER_LEAST_UNLIMITED + 1, 0, 100 * KIB);
	unsigned last = CHOKER_LEAST_UNLIMITED;

	/* All interested, unchoked, and they ask for nothing. */
	for (unsigned i = 0; i < last; i++)
		come(w, i, true);
	look(w);
	cr_assert_eq(served(w), last);
	come(w, last, true);
	look(w);
	cr_expect_not(is_served(w, last));
	w->now_ms += CHOKER_IDLE_MS;
	look(w);
	cr_expect(is_served(w, last));
	finish(w);
}

Test(choker, a_crowd_that_asks_for_nothing_holds_up_nobody_for_long)
{
	enum { CROWD = 64 };
	struct world *w = world(CROWD + 1, 0, 100 * KIB);
	uint64_t turns = CROWD / CHOKER_LEAST_UNLIMITED;

	for (unsigned i = 0; i < CROWD; i++)
		come(w, i, true);
	look(w);
	come(w, CROWD, true);
	uint64_t start_ms = w->now_ms;
	while (!is_served(w, CROWD) && w->now_ms < start_ms + 60 * 1000) {
		w->now_ms += STEP_MS;
		look(w);
	}
	cr_expect_leq(w->now_ms - start_ms, turns * CHOKER_BEGIN_MS);
	finish(w);
}

Test(choker, nobody_is_choked_while_nobody_waits)
{
	struct world *w = world(CHOKER_LEAST_UNLIMITED, 0, 10 * KIB);

	for (unsigned i = 0; i < w->count; i++)
		come(w, i, true);
	run(w, 120 * 1000);
	for (unsigned i = 0; i < w->count; i++)
		cr_expect_eq(w->turns[i], 1);

	/* Nor for losing interest for a while. */
	w->peers[0].interested = false;
	run(w, 60 * 1000);
	cr_expect_eq(w->turns[0], 1);
	finish(w);
}

/* ---- how many ---- */

Test(choker, slots_follow_the_limit_and_the_rate)
{
	static const struct {
		uint64_t limit, line;
		unsigned slots; /* after a minute in which 200 want one */
	} cases[] = {
		{16 * KIB, 16 * KIB, CHOKER_LEAST_SLOTS},
		{100 * KIB, 100 * KIB, CHOKER_LEAST_SLOTS},
		{1024 * KIB, 1024 * KIB, CHOKER_LEAST_SLOTS},
		{10 * 1024 * KIB, 10 * 1024 * KIB, 40},
		{1024 * 1024 * KIB, 1024 * 1024 * KIB, 200},
		{0, 1024 * KIB, 16},
		{0, 1024 * 1024 * KIB, 200},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = world(200, cases[i].limit, cases[i].line);

		for (unsigned p = 0; p < w->count; p++)
			come(w, p, true);
		run(w, 60 * 1000);
		cr_expect_eq(served(w), cases[i].slots, "case %zu: %u", i,
			served(w));
		finish(w);
	}
}

Test(choker, a_fast_line_opens_slots_within_a_second)
{
	struct world *w = world(100, 0, 100 * 1024 * KIB);

	for (unsigned p = 0; p < w->count; p++)
		come(w, p, true);
	run(w, 1000);
	cr_expect_eq(served(w), 100);
	finish(w);
}

/* Many slow peers: too few slots would leave the line unused. */
Test(choker, no_upload_is_lost_for_want_of_slots)
{
	static const uint64_t limits[] = {0, 600 * KIB};

	for (size_t i = 0; i < 2; i++) {
		struct world *w = world(30, limits[i], 10 * 1024 * KIB);

		if (limits[i] > 0)
			w->line = limits[i];
		for (unsigned p = 0; p < w->count; p++) {
			come(w, p, true);
			w->takes[p] = 20 * KIB;
		}
		run(w, 180 * 1000);
		uint64_t before = w->uploaded;
		run(w, 60 * 1000);
		cr_expect_geq(w->uploaded - before,
			UINT64_C(600) * KIB * 60 * 9 / 10, "limit %zu: %u", i,
			served(w));
		finish(w);
	}
}

Test(choker, slots_that_bring_nothing_are_taken_back)
{
	struct world *w = world(50, 0, 200 * KIB);

	for (unsigned p = 0; p < w->count; p++)
		come(w, p, true);
	run(w, 30 * 60 * 1000);
	cr_expect_leq(choker_slots(w->choker), CHOKER_LEAST_UNLIMITED * 5 / 4);
	finish(w);
}

/* ---- whom ---- */

Test(choker, who_gives_is_served_and_who_does_not_has_what_chance_leaves)
{
	struct world *w = world(20, 256 * KIB, 256 * KIB);

	/* Ten of each.  The first four give most. */
	for (unsigned i = 0; i < 20; i++) {
		come(w, i, true);
		w->gives[i] = i < 4 ? 100 * KIB : i < 10 ? 50 * KIB : 0;
	}
	run(w, 60 * 1000);
	uint64_t good = took(w, 0, 10), bad = took(w, 10, 20);
	run(w, 300 * 1000);
	good = took(w, 0, 10) - good;
	bad = took(w, 10, 20) - bad;
	cr_expect_gt(good, 3 * bad, "%lu %lu", good, bad);
	cr_expect_gt(took(w, 0, 4), 2 * took(w, 4, 10));
	finish(w);
}

/* A peer gives only while we serve it, as real ones do: with nothing but tit
 * for tat it would never be found. */
Test(choker, chance_finds_those_that_would_give)
{
	struct world *w = world(12, 256 * KIB, 256 * KIB);

	for (unsigned i = 0; i < 12; i++)
		come(w, i, true);
	for (int step = 0; step < 2 * 600; step++) {
		for (unsigned i = 0; i < 3; i++)
			w->gives[i] = is_served(w, i) ? 100 * KIB : 0;
		run(w, STEP_MS);
	}
	for (unsigned i = 0; i < 3; i++)
		cr_expect(is_served(w, i));
	cr_expect_gt(took(w, 0, 3), took(w, 3, 12));
	finish(w);
}

Test(choker, who_snubs_us_is_served_by_chance_only)
{
	struct world *w = world(12, 256 * KIB, 256 * KIB);

	for (unsigned i = 0; i < 12; i++) {
		come(w, i, true);
		w->gives[i] = 50 * KIB;
	}
	w->gives[0] = 100 * KIB;
	run(w, 60 * 1000);
	cr_assert(is_served(w, 0));
	w->peers[0].snubs = true;
	run(w, 10 * 1000);
	uint64_t before = w->peers[0].took;
	run(w, 300 * 1000);
	cr_expect_lt(w->peers[0].took - before, took(w, 1, 12) / 22);
	/* A seed is owed nothing. */
	for (unsigned i = 0; i < 12; i++)
		w->peers[i].we_seed = true;
	before = w->peers[0].took;
	uint64_t all = w->uploaded;
	run(w, 300 * 1000);
	cr_expect_gt(w->peers[0].took - before, (w->uploaded - all) / 24);
	finish(w);
}

Test(choker, rates_that_hardly_differ_are_no_reason_to_choke)
{
	struct world *w = world(12, 256 * KIB, 256 * KIB);

	for (unsigned i = 0; i < 12; i++) {
		come(w, i, true);
		w->gives[i] = 50 * KIB;
	}
	run(w, 60 * 1000);
	uint64_t before = 0, after = 0;
	for (unsigned i = 0; i < 12; i++)
		before += w->turns[i];
	for (uint64_t round = 0; round < 30; round++) {
		for (unsigned i = 0; i < 12; i++)
			w->gives[i] = (46 + (round * 7 + i * 3) % 9) * KIB;
		run(w, CHOKER_ROUND_MS);
	}
	for (unsigned i = 0; i < 12; i++)
		after += w->turns[i];
	/* Those by chance: one each 30 s, and a round late at times. */
	cr_expect_leq(after - before, 12);
	finish(w);
}

Test(choker, a_seed_gives_everybody_a_turn)
{
	struct world *w = world(40, 100 * KIB, 100 * KIB);
	uint64_t least = UINT64_MAX, most = 0;

	for (unsigned i = 0; i < 40; i++) {
		come(w, i, true);
		w->peers[i].we_seed = true;
	}
	/* 40 peers, 4 slots, turns of 30 s and up to a round more. */
	run(w, 400 * 1000);
	for (unsigned i = 0; i < 40; i++)
		cr_expect_gt(w->peers[i].took, 0, "%u", i);
	run(w, 3200 * 1000);
	for (unsigned i = 0; i < 40; i++) {
		uint64_t t = w->peers[i].took;
		least = t < least ? t : least;
		most = t > most ? t : most;
	}
	cr_expect_lt(most, 2 * least);
	finish(w);
}

Test(choker, newcomers_have_three_chances)
{
	unsigned newcomers = 0, others = 0;

	for (uint64_t seed = 1; seed <= 300; seed++) {
		struct world *w = world(40, 100 * KIB, 100 * KIB);

		choker_destroy(w->choker);
		w->choker = choker_create(40, 100 * KIB, seed * 7919);
		/* All slots but the one by chance are held by who gives. */
		for (unsigned i = 0; i < 20; i++) {
			come(w, i, true);
			w->gives[i] = i < 3 ? 100 * KIB : 0;
		}
		/* All were served once... */
		run(w, 900 * 1000);
		uint64_t before[40];
		memcpy(before, w->turns, sizeof(before));
		/* ...and as many come anew, in the middle between two deals. */
		for (unsigned i = 0; i < 40; i++) {
			if (i >= 20)
				come(w, i, true);
			else if (i >= 3 && !is_served(w, i))
				w->peers[i].interested = false;
		}
		look(w);
		for (unsigned i = 3; i < 20; i++)
			w->peers[i].interested = true;
		run(w, CHOKER_TURN_MS);
		for (unsigned i = 3; i < 20; i++)
			others += w->turns[i] > before[i];
		for (unsigned i = 20; i < 40; i++)
			newcomers += w->turns[i] > before[i];
		finish(w);
	}
	cr_expect_gt(newcomers, 2 * others, "%u %u", newcomers, others);
	cr_expect_lt(newcomers, 6 * others, "%u %u", newcomers, others);
}

/* A torrent that is leeched pays with its upload for what it gets; one that is
 * seeded beside it is not forgotten. */
Test(choker, torrents_share_the_slots)
{
	struct world *w = world(20, 256 * KIB, 256 * KIB);

	for (unsigned i = 0; i < 20; i++) {
		come(w, i, true);
		w->gives[i] = i < 10 ? 50 * KIB : 0;
		w->peers[i].we_seed = i >= 10;
	}
	run(w, 3600 * 1000);
	cr_expect_gt(took(w, 0, 10), 2 * took(w, 10, 20));
	for (unsigned i = 10; i < 20; i++)
		cr_expect_gt(w->peers[i].took, 0);
	finish(w);
}

Test(choker, a_flood_that_was_granted_slots_beforehand_is_cut_at_the_round)
{
	struct world *w = world(100, 100 * KIB, 100 * KIB);

	for (unsigned i = 0; i < 100; i++) {
		come(w, i, false);
		look(w);
		w->now_ms += CHOKER_IDLE_MS;
	}
	for (unsigned i = 0; i < 100; i++)
		w->peers[i].interested = true;
	run(w, CHOKER_ROUND_MS + STEP_MS);
	cr_expect_eq(served(w), CHOKER_LEAST_SLOTS);
	finish(w);
}

Test(choker, one_worker_is_enough)
{
	struct world *w = world(1, 1, 1);

	come(w, 0, true);
	run(w, 120 * 1000);
	cr_expect_eq(w->turns[0], 1);
	finish(w);
}
