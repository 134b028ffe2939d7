#ifndef TESTS_SWARM_STORE_CASES_H
#define TESTS_SWARM_STORE_CASES_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/announce.h"
#include "tracker/swarm_store.h"

/* What every kind of store does alike.  Who includes this says what the suite
 * is called (STORE), and how to open an empty store that keeps peers for an
 * hour by the caller's clock, and to close it. */
static struct swarm_store *open_store(void);
static void close_store(struct swarm_store *store);

static struct announce peer_of(unsigned swarm, const char *address)
{
	struct announce a = {.left = 1, .numwant = 200};

	memcpy(a.info_hash.bytes, &swarm, sizeof(swarm));
	cr_assert(endpoint_parse(address, &a.peer), "%s", address);
	return a;
}

/* The n-th peer of many, every third over IPv6. */
static struct announce nth(unsigned swarm, unsigned n)
{
	struct announce a =
		peer_of(swarm, n % 3 ? "10.0.0.0:1" : "[2001:db8::]:1");

	a.peer.ip[13] = (uint8_t)(n >> 16);
	a.peer.ip[14] = (uint8_t)(n >> 8);
	a.peer.ip[15] = (uint8_t)n;
	return a;
}

/* Whether to ask once more a store that is out of reach for a moment, since the
 * machine is busy: announces and scrapes may be repeated. */
static bool again(unsigned *tries)
{
	enum { TRIES = 100, PAUSE_US = 100 * 1000 };

	if (++*tries >= TRIES)
		return false;
	usleep(PAUSE_US);
	return true;
}

static struct swarm_reply tell(
	struct swarm_store *store, const struct announce *a, uint64_t now_s)
{
	struct swarm_reply reply;
	struct error err = {""};
	unsigned tries = 0;
	bool ok;

	memset(&reply, 0xff, sizeof(reply));
	do
		ok = swarm_store_announce(store, a, now_s, &reply, &err);
	while (!ok && again(&tries));
	cr_assert(ok, "%s", err.text);
	return reply;
}

static struct swarm_counts ask(struct swarm_store *store, unsigned swarm)
{
	struct announce a = peer_of(swarm, "1.1.1.1:1");
	struct swarm_counts counts;
	struct error err = {""};
	unsigned tries = 0;
	bool ok;

	do
		ok = swarm_store_scrape(store, &a.info_hash, 1, &counts, &err);
	while (!ok && again(&tries));
	cr_assert(ok, "%s", err.text);
	return counts;
}

static void expire(struct swarm_store *store, uint64_t before_s)
{
	struct error err;

	cr_assert(swarm_store_expire(store, before_s, &err));
}

static bool names(const struct swarm_reply *reply, const struct endpoint *e)
{
	for (size_t i = 0; i < reply->peer_count; i++) {
		if (endpoint_equal(&reply->peers[i], e))
			return true;
	}
	return false;
}

Test(STORE, a_peer_is_told_of_others_and_never_of_itself)
{
	struct swarm_store *store = open_store();
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct announce b = peer_of(1, "[2001:db8::1]:1");
	struct announce other_swarm = peer_of(2, "1.1.1.1:1");

	cr_expect_eq(tell(store, &a, 0).peer_count, 0);
	cr_expect_eq(tell(store, &a, 1).peer_count, 0); /* one entry */
	cr_expect_eq(tell(store, &other_swarm, 1).peer_count, 0);

	struct swarm_reply reply = tell(store, &b, 1);
	cr_expect_eq(reply.peer_count, 1);
	cr_expect(names(&reply, &a.peer));
	cr_expect_eq(reply.counts.leechers, 2);
	reply = tell(store, &a, 1);
	cr_expect_eq(reply.peer_count, 1);
	cr_expect(names(&reply, &b.peer));

	/* The same address with another port is somebody else. */
	struct announce c = peer_of(1, "1.1.1.1:2");
	reply = tell(store, &c, 1);
	cr_expect_eq(reply.peer_count, 2);
	cr_expect(names(&reply, &a.peer));
	close_store(store);
}

Test(STORE, a_seeder_that_names_no_number_is_told_of_leechers_only)
{
	struct swarm_store *store = open_store();
	struct announce seeder = peer_of(1, "1.1.1.1:1");
	struct announce seeder6 = peer_of(1, "[::5]:1");
	struct announce leecher = peer_of(1, "1.1.1.3:1");

	seeder.left = seeder6.left = 0;
	tell(store, &seeder, 0);
	cr_expect_eq(tell(store, &seeder6, 0).peer_count, 0);
	cr_expect_eq(tell(store, &leecher, 0).peer_count, 2);

	struct swarm_reply reply = tell(store, &seeder, 0);
	cr_expect_eq(reply.peer_count, 1);
	cr_expect(names(&reply, &leecher.peer));
	cr_expect_eq(reply.counts.seeders, 2);
	cr_expect_eq(reply.counts.leechers, 1);
	close_store(store);
}

Test(STORE, a_seeder_that_names_a_number_is_told_of_seeders_behind_leechers)
{
	enum { SEEDERS_THERE = 40, LEECHERS_THERE = 20 };
	static const struct {
		uint32_t numwant;
		size_t leechers;
		size_t seeders;
	} cases[] = {
		{0, 0, 0},
		{1, 1, 0},
		{20, 20, 0},
		{21, 20, 1},
		{58, 20, 38},
		{59, 20, 39},
		{60, 20, 39},
		{UINT32_MAX, 20, 39},
	};
	struct swarm_store *store = open_store();
	struct announce a;

	for (unsigned n = 0; n < SEEDERS_THERE + LEECHERS_THERE; n++) {
		a = nth(1, n);
		a.left = n >= SEEDERS_THERE;
		tell(store, &a, 0);
	}
	a = nth(1, 0);
	a.left = 0;
	a.numwant_named = true;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		a.numwant = cases[i].numwant;
		struct swarm_reply reply = tell(store, &a, 0);

		cr_assert_eq(reply.peer_count,
			cases[i].leechers + cases[i].seeders, "%u",
			cases[i].numwant);
		for (size_t k = 0; k < reply.peer_count; k++) {
			cr_expect_eq(reply.peers[k].ip[15] >= SEEDERS_THERE,
				k < cases[i].leechers);
			cr_expect_neq(reply.peers[k].ip[15], 0); /* itself */
			for (size_t j = 0; j < k; j++)
				cr_expect_not(endpoint_equal(
					&reply.peers[k], &reply.peers[j]));
		}
	}
	close_store(store);
}

Test(STORE, a_completed_download_counts_once_for_each_peer)
{
	struct swarm_store *store = open_store();
	struct announce a = peer_of(1, "1.1.1.1:1");

	tell(store, &a, 0);
	a.event = ANNOUNCE_COMPLETED;
	cr_expect_eq(
		tell(store, &a, 1).counts.completed, 0); /* not with left */
	a.left = 0;
	cr_expect_eq(tell(store, &a, 1).counts.completed, 1);
	cr_expect_eq(tell(store, &a, 2).counts.completed, 1);
	a.event = ANNOUNCE_NONE;
	tell(store, &a, 3);
	a.event = ANNOUNCE_COMPLETED;
	cr_expect_eq(tell(store, &a, 4).counts.completed, 1);

	/* Who comes complete has downloaded nothing here. */
	struct announce b = peer_of(1, "1.1.1.2:1");
	b.left = 0;
	b.event = ANNOUNCE_STARTED;
	cr_expect_eq(tell(store, &b, 5).counts.completed, 1);
	cr_expect_eq(ask(store, 1).completed, 1);
	cr_expect_eq(ask(store, 1).seeders, 2);
	close_store(store);
}

Test(STORE, a_stopped_peer_is_gone)
{
	struct swarm_store *store = open_store();
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct announce b = peer_of(1, "1.1.1.2:1");

	tell(store, &a, 0);
	tell(store, &b, 0);
	a.event = ANNOUNCE_STOPPED;
	struct swarm_reply reply = tell(store, &a, 1);
	cr_expect_eq(reply.peer_count, 0);
	cr_expect_eq(reply.counts.leechers, 1);
	cr_expect_eq(
		tell(store, &a, 1).counts.leechers, 1); /* again: no harm */
	cr_expect_eq(tell(store, &b, 1).peer_count, 0);
	b.event = ANNOUNCE_STOPPED;
	tell(store, &b, 1);
	cr_expect_eq(ask(store, 1).leechers, 0);

	/* Stopping what never was makes nothing. */
	a = peer_of(9, "1.1.1.1:1");
	a.event = ANNOUNCE_STOPPED;
	cr_expect_eq(tell(store, &a, 1).counts.leechers, 0);
	close_store(store);
}

Test(STORE, as_many_peers_come_as_were_asked_for_and_none_twice)
{
	static const struct {
		unsigned there;
		uint32_t numwant;
		size_t given;
	} cases[] = {
		{1, 0, 0},
		{1, 200, 0},
		{2, 200, 1},
		{2, 1, 1},
		{200, 200, 199},
		{201, 200, 200},
		{202, 200, 200},
		{1000, 0, 0},
		{1000, 1, 1},
		{1000, 50, 50},
		{1000, UINT32_MAX, 200},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct swarm_store *store = open_store();
		struct announce a;

		for (unsigned n = 0; n < cases[i].there; n++) {
			a = nth(1, n);
			a.numwant = cases[i].numwant;
			struct swarm_reply reply = tell(store, &a, 0);
			cr_expect_not(names(&reply, &a.peer));
		}
		a = nth(1, 0);
		a.numwant = cases[i].numwant;
		struct swarm_reply reply = tell(store, &a, 0);
		cr_expect_eq(reply.peer_count, cases[i].given, "%u of %u",
			cases[i].numwant, cases[i].there);
		cr_expect_not(names(&reply, &a.peer));
		for (size_t k = 0; k < reply.peer_count; k++) {
			for (size_t j = 0; j < k; j++)
				cr_expect_not(endpoint_equal(
					&reply.peers[k], &reply.peers[j]));
		}
		close_store(store);
	}
}

Test(STORE, who_has_use_for_one_family_gets_as_many_of_it)
{
	enum { THERE = 1000 };
	static const struct {
		unsigned asker; /* over IPv6 if it goes by 3 */
		uint32_t numwant;
		size_t given;
	} cases[] = {
		{0, 1, 1},
		{0, 80, 80},
		{0, 200, 200},
		{1, 50, 50},
		{1, 200, 200},
		{2, 200, 200},
	};
	struct swarm_store *store = open_store();

	for (unsigned n = 0; n < THERE; n++) {
		struct announce a = nth(1, n);

		a.left = n % 2;
		tell(store, &a, 0);
	}
	for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
		size_t at = i / 2;
		struct announce a = nth(1, cases[at].asker);

		a.left = i % 2;
		a.numwant = cases[at].numwant;
		a.numwant_named = a.one_family = true;
		struct swarm_reply reply = tell(store, &a, 0);
		cr_expect_eq(reply.peer_count, cases[at].given, "%u: %zu of %u",
			cases[at].asker, reply.peer_count, cases[at].numwant);
		cr_expect_eq(reply.counts.leechers + reply.counts.seeders,
			THERE, "counts are of all");
		cr_expect_not(names(&reply, &a.peer));
		for (size_t k = 0; k < reply.peer_count; k++)
			cr_expect_eq(endpoint_is_v4(&reply.peers[k]),
				endpoint_is_v4(&a.peer));
	}

	/* A seeder gets the seeders of its family when leechers end. */
	struct announce a = nth(1, 0);
	a.left = 0;
	a.one_family = a.numwant_named = true;
	for (unsigned n = 1; n < THERE; n++) {
		struct announce gone = nth(1, n);

		gone.event = ANNOUNCE_STOPPED;
		if (n >= 12)
			tell(store, &gone, 0);
	}
	cr_expect_eq(tell(store, &a, 0).peer_count, 3); /* 3, 6, 9 */
	close_store(store);
}

Test(STORE, the_peers_of_one_family_are_as_likely_each)
{
	enum { PEERS = 300, ROUNDS = 4000, WANTED = 10 };
	struct swarm_store *store = open_store();
	unsigned chosen[PEERS] = {0};
	struct announce asker = nth(1, 0);

	for (unsigned n = 0; n < PEERS; n++) {
		struct announce a = nth(1, n);
		tell(store, &a, 0);
	}
	asker.numwant = WANTED;
	asker.one_family = true;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct swarm_reply reply = tell(store, &asker, 0);

		for (unsigned k = 0; k < WANTED; k++)
			chosen[reply.peers[k].ip[14] << 8 |
				reply.peers[k].ip[15]]++;
	}
	/* About 404; those that are neighbours come together more often, so the
	 * borders are wide. */
	for (unsigned n = 3; n < PEERS; n += 3)
		cr_expect(chosen[n] > 280 && chosen[n] < 540,
			"peer %u: %u times", n, chosen[n]);
	close_store(store);
}

Test(STORE, every_peer_is_as_likely_to_be_chosen)
{
	enum { PEERS = 40, ROUNDS = 4000, WANTED = 10 };
	struct swarm_store *store = open_store();
	unsigned chosen[PEERS] = {0}, first[PEERS] = {0};

	for (unsigned n = 0; n < PEERS; n++) {
		struct announce a = nth(1, n);
		a.left = n % 2;
		tell(store, &a, 0);
	}
	struct announce asker = nth(1, 0);
	asker.numwant = WANTED;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct swarm_reply reply = tell(store, &asker, 0);

		for (unsigned k = 0; k < WANTED; k++)
			chosen[reply.peers[k].ip[15]]++;
		first[reply.peers[0].ip[15]]++;
	}
	cr_expect_eq(chosen[0], 0);
	for (unsigned n = 1; n < PEERS; n++) {
		/* About 1026 and 103; six standard deviations to each side. */
		cr_expect(chosen[n] > 850 && chosen[n] < 1200,
			"peer %u: %u times", n, chosen[n]);
		cr_expect(first[n] > 40 && first[n] < 170,
			"peer %u: %u times first", n, first[n]);
	}
	close_store(store);
}

Test(STORE, a_reply_does_not_follow_from_the_one_before)
{
	enum { PEERS = 40, ROUNDS = 1000, WANTED = 30 };
	struct swarm_store *store = open_store();
	struct announce asker = nth(1, 0);
	unsigned repeated = 0;

	for (unsigned n = 0; n < PEERS; n++) {
		struct announce a = nth(1, n);
		tell(store, &a, 0);
	}
	asker.numwant = WANTED;
	struct swarm_reply last = tell(store, &asker, 0);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct swarm_reply reply = tell(store, &asker, 0);

		repeated += endpoint_equal(&reply.peers[0], &last.peers[1]);
		last = reply;
	}
	/* About 26. */
	cr_expect_lt(repeated, 80, "%u times", repeated);
	close_store(store);
}

Test(STORE, peers_expire_when_unheard_of_since_a_moment)
{
	struct swarm_store *store = open_store();
	struct announce early = peer_of(1, "1.1.1.1:1");
	struct announce late = peer_of(1, "[::7]:1");

	tell(store, &early, 100);
	tell(store, &late, 101);
	expire(store, 90);
	expire(store, 100);
	cr_expect_eq(ask(store, 1).leechers, 2);
	expire(store, 101);
	cr_expect_eq(ask(store, 1).leechers, 1);
	cr_expect_eq(tell(store, &late, 105).peer_count, 0);
	expire(store, 105); /* it has been heard of again */
	cr_expect_eq(ask(store, 1).leechers, 1);
	expire(store, 106);
	cr_expect_eq(ask(store, 1).leechers, 0);
	expire(store, UINT64_MAX); /* nothing to do */
	close_store(store);
}

/* --- A plain model: one flat list, everything by looking through it --- */

enum { MODEL_SWARMS = 3, MODEL_PEERS = 60 };

struct model_peer {
	bool there;
	bool seeder;
	bool completed;
	uint64_t seen_s;
};

struct model {
	struct model_peer peers[MODEL_SWARMS][MODEL_PEERS];
	uint32_t completed[MODEL_SWARMS];
};

static struct swarm_counts model_counts(const struct model *m, unsigned swarm)
{
	struct swarm_counts counts = {0};

	for (unsigned i = 0; i < MODEL_PEERS; i++) {
		const struct model_peer *p = &m->peers[swarm][i];

		counts.seeders += p->there && p->seeder;
		counts.leechers += p->there && !p->seeder;
	}
	counts.completed = m->completed[swarm];
	return counts;
}

static void model_drop_empty(struct model *m)
{
	for (unsigned s = 0; s < MODEL_SWARMS; s++) {
		struct swarm_counts counts = model_counts(m, s);

		if (counts.seeders + counts.leechers == 0)
			m->completed[s] = 0;
	}
}

static void model_announce(struct model *m, unsigned swarm, unsigned n,
	const struct announce *a, uint64_t now_s)
{
	struct model_peer *p = &m->peers[swarm][n];

	if (a->event == ANNOUNCE_STOPPED) {
		*p = (struct model_peer){0};
		return;
	}
	p->there = true;
	p->seeder = a->left == 0;
	p->seen_s = now_s;
	if (a->event == ANNOUNCE_COMPLETED && p->seeder && !p->completed) {
		p->completed = true;
		m->completed[swarm]++;
	}
}

static void model_expire(struct model *m, uint64_t before_s)
{
	for (unsigned s = 0; s < MODEL_SWARMS; s++) {
		for (unsigned i = 0; i < MODEL_PEERS; i++) {
			if (m->peers[s][i].seen_s < before_s)
				m->peers[s][i] = (struct model_peer){0};
		}
	}
	model_drop_empty(m);
}

static void expect_counts(struct swarm_counts is, struct swarm_counts wanted)
{
	cr_assert_eq(is.seeders, wanted.seeders);
	cr_assert_eq(is.leechers, wanted.leechers);
	cr_assert_eq(is.completed, wanted.completed);
}

/* Each peer given is a right one, all are given when all were wanted, and a
 * seeder gets leechers first. */
static void expect_peers(const struct model *m, unsigned swarm, unsigned n,
	const struct announce *a, const struct swarm_reply *reply)
{
	size_t right = 0, leechers = 0, leechers_given = 0;

	for (unsigned i = 0; i < MODEL_PEERS; i++) {
		const struct model_peer *p = &m->peers[swarm][i];
		struct announce other = nth(swarm, i);
		bool fits = p->there && i != n &&
			(a->left > 0 || !p->seeder || a->numwant_named);

		fits = fits && a->event != ANNOUNCE_STOPPED &&
			(!a->one_family || (i % 3 == 0) == (n % 3 == 0));
		cr_assert(fits || !names(reply, &other.peer));
		right += fits;
		leechers += fits && !p->seeder;
		leechers_given += !p->seeder && names(reply, &other.peer);
	}
	cr_assert_eq(
		reply->peer_count, right < a->numwant ? right : a->numwant);
	if (a->left == 0)
		cr_assert_eq(leechers_given,
			leechers < a->numwant ? leechers : a->numwant);
}

Test(STORE, a_thousand_announce_sequences_end_as_in_a_plain_model)
{
	static const enum announce_event events[] = {ANNOUNCE_NONE,
		ANNOUNCE_NONE, ANNOUNCE_STARTED, ANNOUNCE_COMPLETED,
		ANNOUNCE_STOPPED};

	srand(1);
	for (unsigned sequence = 0; sequence < 1000; sequence++) {
		struct swarm_store *store = open_store();
		static struct model m;
		uint64_t now_s = 1000, expired_s = now_s;

		m = (struct model){0};
		for (unsigned i = 0; i < 150; i++) {
			unsigned swarm = (unsigned)rand() % MODEL_SWARMS;
			unsigned n =
				(unsigned)rand() % (sequence % MODEL_PEERS + 1);
			struct announce a = nth(swarm, n);

			a.event = events[rand() % 5];
			a.left = (uint64_t)(rand() % 2);
			a.numwant = (uint32_t)(rand() % 80);
			a.numwant_named = rand() % 2;
			a.one_family = rand() % 2;
			now_s += (uint64_t)(rand() % 3);
			struct swarm_reply reply = tell(store, &a, now_s);
			model_announce(&m, swarm, n, &a, now_s);
			expect_counts(reply.counts, model_counts(&m, swarm));
			expect_peers(&m, swarm, n, &a, &reply);
			model_drop_empty(&m);
			if (rand() % 20 == 0 || now_s - expired_s >= 20) {
				expired_s = now_s;
				expire(store, now_s - 30);
				model_expire(&m, now_s - 30);
			}
		}
		for (unsigned s = 0; s < MODEL_SWARMS; s++)
			expect_counts(ask(store, s), model_counts(&m, s));
		close_store(store);
	}
}

#endif
