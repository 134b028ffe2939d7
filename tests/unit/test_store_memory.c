#include "tracker/store_memory.h"

#define STORE store_memory
#include "tests/unit/swarm_store_cases.h"

/* Peers that are kept for so long are forgotten to the second. */
enum { KEEP_S = 30 };

static struct swarm_store *open_store(void)
{
	return store_memory_create(100000, KEEP_S);
}

static void close_store(struct swarm_store *store)
{
	swarm_store_destroy(store);
}

static struct swarm_totals sum(struct swarm_store *store)
{
	struct swarm_totals totals;
	struct error err;

	cr_assert(swarm_store_totals(store, &totals, &err));
	return totals;
}

Test(store_memory, an_empty_swarm_takes_no_memory)
{
	struct swarm_store *store = store_memory_create(100, KEEP_S);
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct announce b = peer_of(2, "1.1.1.1:1");

	tell(store, &a, 0);
	tell(store, &b, 5);
	cr_expect_eq(sum(store).swarms, 2);
	a.event = ANNOUNCE_STOPPED;
	tell(store, &a, 1);
	cr_expect_eq(sum(store).swarms, 1);
	expire(store, 6);
	cr_expect_eq(sum(store).swarms, 0);
	cr_expect_eq(sum(store).leechers, 0);
	tell(store, &a, 6); /* stopping what never was makes nothing */
	cr_expect_eq(sum(store).swarms, 0);
	swarm_store_destroy(store);
}

Test(store_memory, expiry_finds_all_old_ones_in_large_and_in_many_swarms)
{
	enum { LARGE = 20000, MANY = 20000 };
	struct swarm_store *store = store_memory_create(100000, KEEP_S);

	for (unsigned n = 0; n < LARGE; n++) {
		struct announce a = nth(n % 2, n);
		a.numwant = 0;
		a.left = n % 5;
		tell(store, &a, n % 7 ? 10 : 20);
	}
	for (unsigned n = 0; n < MANY; n++) {
		struct announce a = nth(100 + n, 1);
		tell(store, &a, n % 7 ? 10 : 20);
	}
	cr_expect_eq(sum(store).swarms, MANY + 2);
	expire(store, 20);

	struct swarm_totals left = sum(store);
	cr_expect_eq(
		left.seeders + left.leechers, (LARGE + 6) / 7 + (MANY + 6) / 7);
	cr_expect_eq(left.swarms, (MANY + 6) / 7 + 2);
	for (unsigned n = 0; n < LARGE; n += 7) {
		struct announce a = nth(n % 2, n);
		a.event = ANNOUNCE_STOPPED;
		tell(store, &a, 20);
	}
	cr_expect_eq(sum(store).swarms, (MANY + 6) / 7);
	expire(store, 21);
	cr_expect_eq(sum(store).swarms, 0);
	swarm_store_destroy(store);
}

Test(store_memory, a_full_store_refuses_new_swarms_and_goes_on_with_known_ones)
{
	struct swarm_store *store = store_memory_create(2, 3600);
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct announce b = peer_of(1, "1.1.1.2:1");
	struct announce c = peer_of(1, "1.1.1.3:1");
	struct announce other = peer_of(2, "1.1.1.1:1");
	struct swarm_reply reply;
	struct error err = {""};

	tell(store, &a, 0);
	tell(store, &b, 0);
	cr_expect_not(swarm_store_announce(store, &other, 0, &reply, &err));
	cr_expect_str_eq(err.text, "the tracker is full");
	cr_expect_eq(tell(store, &c, 0).peer_count, 2); /* but it is not kept */
	cr_expect_eq(ask(store, 1).leechers, 2);
	cr_expect_eq(sum(store).swarms, 1);
	cr_expect_eq(tell(store, &a, 1).peer_count, 1);

	a.event = ANNOUNCE_STOPPED;
	tell(store, &a, 0);
	cr_expect_eq(tell(store, &other, 0).counts.leechers, 1);
	swarm_store_destroy(store);
}

Test(store_memory, peers_go_at_most_a_32nd_of_their_time_too_late)
{
	enum { KEEP = 3600, LATE = KEEP / 32 + 1 };

	for (uint64_t seen = 10000; seen < 10000 + 2 * LATE; seen++) {
		struct swarm_store *store = store_memory_create(100, KEEP);
		struct announce a = peer_of(1, "1.1.1.1:1");

		tell(store, &a, seen);
		expire(store, seen);
		cr_expect_eq(
			ask(store, 1).leechers, 1, "seen %zu", (size_t)seen);
		expire(store, seen + LATE);
		cr_expect_eq(
			ask(store, 1).leechers, 0, "seen %zu", (size_t)seen);
		swarm_store_destroy(store);
	}
}
