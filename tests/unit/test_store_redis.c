#include "tracker/store_redis.h"

#define STORE store_redis
#include "tests/unit/swarm_store_cases.h"

#include "tests/unit/redis_server.h"

/* Each test is a process of its own: one server each. */
static struct redis_server server;

static struct swarm_store *open_another(void)
{
	const struct store_redis_options o = {
		.url = &server.url, .keep_s = 3600, .callers_time = true};
	struct error err;
	struct swarm_store *store = store_redis_create(&o, &err);

	cr_assert(store, "%s", err.text);
	return store;
}

static void remove_server(void) { redis_server_remove(&server); }

static struct swarm_store *open_store(void)
{
	if (server.pid == 0) {
		server = redis_server_make();
		atexit(remove_server);
	}
	redis_server_number(&server, REDIS_WORDS("FLUSHALL"));
	return open_another();
}

static void close_store(struct swarm_store *store)
{
	swarm_store_destroy(store);
}

static const char key_of_1[] = "tbt:{0100000000000000000000000000000000000000}";

Test(store_redis, several_stores_see_each_others_peers)
{
	struct swarm_store *one = open_store();
	struct swarm_store *other = open_another();
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct announce b = peer_of(1, "1.1.1.2:1");

	tell(one, &a, 0);
	struct swarm_reply reply = tell(other, &b, 0);
	cr_expect(names(&reply, &a.peer));
	a.event = ANNOUNCE_STOPPED;
	tell(other, &a, 0);
	cr_expect_eq(ask(one, 1).leechers, 1);
	swarm_store_destroy(other);
	close_store(one);
}

/* The machine of one tracker has just been started, others are up for long: its
 * clock begins at 0, and its peers are heard of on Redis's clock. */
Test(store_redis, who_was_last_heard_of_before_the_machine_started_is_due_to_go)
{
	enum { HOUR_S = 3600 };
	struct swarm_store *kept = open_store();
	const struct store_redis_options o = {
		.url = &server.url, .keep_s = HOUR_S};
	struct error err;
	struct swarm_store *store = store_redis_create(&o, &err);
	struct announce old = peer_of(1, "1.1.1.1:1");
	struct announce young = peer_of(1, "1.1.1.2:1");
	uint64_t now_s = 100;

	cr_assert(store, "%s", err.text);
	tell(store, &old, now_s - 2 * HOUR_S);
	tell(store, &young, now_s - HOUR_S / 2);
	cr_expect_eq(ask(store, 1).leechers, 2);
	expire(store, now_s - HOUR_S);
	cr_expect_eq(ask(store, 1).leechers, 1);
	now_s += HOUR_S;
	expire(store, now_s - HOUR_S);
	cr_expect_eq(ask(store, 1).leechers, 0);
	swarm_store_destroy(store);
	close_store(kept);
}

/* How often Redis has looked at a range of peers. */
static unsigned ranges_looked_at(void)
{
	redisReply *reply =
		redis_server_try(&server, REDIS_WORDS("INFO", "commandstats"));
	unsigned calls = 0;

	cr_assert(reply && reply->str);
	const char *at = strstr(reply->str, "cmdstat_zrange:calls=");
	if (at)
		cr_assert_eq(sscanf(at, "cmdstat_zrange:calls=%u", &calls), 1);
	redis_reply_free(reply);
	return calls;
}

/* Some of all, and when there are too few of the family among these, as many
 * as may be looked at. */
Test(store_redis, of_a_rare_family_peers_are_drawn_twice_at_most)
{
	enum { THERE = 5000, RARE = 100, RANGES = 20 }; /* of one drawing */
	struct swarm_store *store = open_store();
	struct announce a;

	for (unsigned n = 0; n < THERE; n++) {
		a = nth(1, n % RARE ? 3 * n + 1 : 3 * n);
		tell(store, &a, n);
	}
	a = nth(1, 0);
	a.numwant = 50;
	a.numwant_named = a.one_family = true;
	for (int i = 0; i < 10; i++) {
		unsigned before = ranges_looked_at();

		cr_expect_gt(tell(store, &a, THERE).peer_count, 0);
		unsigned count = ranges_looked_at() - before;
		cr_expect_leq(count, 2 * RANGES, "%u", count);
	}
	close_store(store);
}

Test(store_redis, a_swarm_is_one_key_that_goes_by_itself)
{
	struct swarm_store *store = open_store();
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct announce b = peer_of(1, "[::1]:1");
	struct swarm_totals totals;
	struct error err;

	tell(store, &a, 0);
	b.left = 0;
	b.event = ANNOUNCE_COMPLETED;
	tell(store, &b, 0);
	cr_expect_eq(redis_server_number(&server, REDIS_WORDS("DBSIZE")), 1);
	long long ttl =
		redis_server_number(&server, REDIS_WORDS("TTL", key_of_1));
	cr_expect(ttl > 3500 && ttl <= 3600, "%lld", ttl);
	cr_assert(swarm_store_totals(store, &totals, &err));
	cr_expect_eq(totals.swarms, 1);
	cr_expect_eq(totals.seeders, SWARM_UNKNOWN);

	a.event = b.event = ANNOUNCE_STOPPED;
	tell(store, &a, 0);
	tell(store, &b, 0);
	cr_expect_eq(redis_server_number(&server, REDIS_WORDS("DBSIZE")), 0);
	tell(store, &b, 0); /* stopping what never was makes nothing */
	cr_expect_eq(redis_server_number(&server, REDIS_WORDS("DBSIZE")), 0);
	close_store(store);
}

/* More are due to go than one announce removes: nobody sees them, though they
 * are still there, and in the end they are not. */
Test(store_redis, many_old_peers_are_skipped_and_go_in_steps)
{
	enum { OLD = 2500, YOUNG = 150 };
	struct swarm_store *store = open_store();
	struct announce a;

	for (unsigned n = 0; n < OLD + YOUNG; n++) {
		a = nth(1, n);
		a.numwant = 0;
		a.left = n % 2;
		tell(store, &a, n < OLD ? 10 : 20);
	}
	expire(store, 15);
	cr_expect_eq(ask(store, 1).leechers + ask(store, 1).seeders, YOUNG);
	for (unsigned left = OLD + YOUNG; left > YOUNG;
		left = left > 1000 + YOUNG ? left - 1000 : YOUNG) {
		cr_expect_eq(redis_server_number(
				     &server, REDIS_WORDS("ZCARD", key_of_1)),
			left);
		a = nth(1, OLD + left % 2);
		a.left = left % 2;
		a.numwant = 200;
		struct swarm_reply reply = tell(store, &a, 20);
		cr_expect_eq(
			reply.counts.seeders + reply.counts.leechers, YOUNG);
		cr_expect(reply.peer_count >= YOUNG / 2 - 1);
		for (size_t i = 0; i < reply.peer_count; i++) {
			const uint8_t *ip = reply.peers[i].ip;

			cr_expect(ip[14] * 256 + ip[15] >= OLD);
		}
	}
	cr_expect_eq(
		redis_server_number(&server, REDIS_WORDS("ZCARD", key_of_1)),
		YOUNG);
	close_store(store);
}

Test(store_redis, a_swarm_of_old_peers_only_begins_anew)
{
	struct swarm_store *store = open_store();
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct announce b = peer_of(1, "1.1.1.2:1");

	a.left = 0;
	a.event = ANNOUNCE_COMPLETED;
	cr_expect_eq(tell(store, &a, 10).counts.completed, 1);
	expire(store, 20);
	cr_expect_eq(ask(store, 1).completed, 0);
	struct swarm_counts counts = tell(store, &b, 20).counts;
	cr_expect_eq(counts.completed, 0);
	cr_expect_eq(counts.seeders, 0);
	cr_expect_eq(
		redis_server_number(&server, REDIS_WORDS("ZCARD", key_of_1)),
		1);
	close_store(store);
}

Test(store_redis, what_is_asked_for_is_given_from_large_swarms_too)
{
	enum { PEERS = 3000 };
	struct swarm_store *store = open_store();
	struct announce a;

	for (unsigned n = 0; n < PEERS; n++) {
		a = nth(1, n);
		a.numwant = 0;
		tell(store, &a, n / 10);
	}
	for (uint32_t want = 1; want <= 200; want += 13) {
		a.numwant = want;
		struct swarm_reply reply = tell(store, &a, PEERS / 10);
		cr_expect_eq(reply.peer_count, want);
		cr_expect_not(names(&reply, &a.peer));
		for (size_t k = 0; k < reply.peer_count; k++) {
			for (size_t j = 0; j < k; j++)
				cr_expect_not(endpoint_equal(
					&reply.peers[k], &reply.peers[j]));
		}
	}
	close_store(store);
}

static bool try_announce(struct swarm_store *store, struct error *err)
{
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct swarm_reply reply;

	return swarm_store_announce(store, &a, 0, &reply, err);
}

/* It must work again within ten seconds. */
static void expect_back(struct swarm_store *store)
{
	uint64_t until_ms = clock_ms() + 10000;
	struct error err;

	while (!try_announce(store, &err)) {
		cr_assert(clock_ms() < until_ms, "%s", err.text);
		poll(NULL, 0, 10);
	}
}

Test(store_redis, goes_on_when_redis_was_started_anew)
{
	struct swarm_store *store = open_store();
	struct error err = {""};

	cr_expect(try_announce(store, &err));
	cr_expect(swarm_store_healthy(store, &err));
	redis_server_kill(&server);
	cr_expect_not(try_announce(store, &err));
	cr_expect(strstr(err.text, "is away"), "%s", err.text);
	cr_expect_not(swarm_store_healthy(store, &err));
	redis_server_start(&server);
	expect_back(store);
	cr_expect_eq(ask(store, 1).leechers, 1);

	/* In no time: nobody may have noticed. */
	redis_server_kill(&server);
	redis_server_start(&server);
	expect_back(store);
	close_store(store);
}

Test(store_redis, starts_while_redis_is_away)
{
	struct swarm_store *store = open_store();
	struct error err;

	swarm_store_destroy(store);
	redis_server_kill(&server);
	store = open_another();
	cr_expect_not(try_announce(store, &err));
	redis_server_start(&server);
	expect_back(store);
	close_store(store);
}

Test(store_redis, a_hanging_redis_holds_up_one_announce_only)
{
	struct swarm_store *store = open_store();
	struct error err;

	cr_expect(try_announce(store, &err));
	kill(server.pid, SIGSTOP);
	uint64_t start_ms = clock_ms();
	cr_expect_not(try_announce(store, &err));
	uint64_t first_ms = clock_ms() - start_ms;
	cr_expect(first_ms < 900, "%u ms", (unsigned)first_ms);

	start_ms = clock_ms();
	for (int i = 0; i < 1000; i++)
		cr_expect_not(try_announce(store, &err));
	uint64_t others_ms = clock_ms() - start_ms;
	cr_expect(others_ms < 200, "%u ms", (unsigned)others_ms);
	kill(server.pid, SIGCONT);
	expect_back(store);
	close_store(store);
}

Test(store_redis, scripts_that_were_forgotten_are_sent_again)
{
	struct swarm_store *store = open_store();
	struct error err;

	cr_expect(try_announce(store, &err));
	redis_server_number(&server, REDIS_WORDS("SCRIPT", "FLUSH"));
	cr_expect_eq(ask(store, 1).leechers, 1);
	redis_server_number(&server, REDIS_WORDS("SCRIPT", "FLUSH"));
	cr_expect(try_announce(store, &err), "%s", err.text);
	close_store(store);
}

Test(store_redis, what_redis_refuses_is_a_failure_and_passes)
{
	struct swarm_store *store = open_store();
	struct error err = {""};

	redis_server_number(&server, REDIS_WORDS("SET", key_of_1, "x"));
	cr_expect_not(try_announce(store, &err));
	cr_expect(strstr(err.text, "refuses"), "%s", err.text);
	cr_expect_not(swarm_store_healthy(store, &err));
	redis_server_number(&server, REDIS_WORDS("DEL", key_of_1));
	cr_expect(try_announce(store, &err));

	redis_server_number(
		&server, REDIS_WORDS("CONFIG", "SET", "maxmemory", "1"));
	cr_expect_not(try_announce(store, &err));
	cr_expect_str_eq(err.text, "the tracker is full");
	cr_expect_eq(ask(store, 1).leechers, 1);
	redis_server_number(
		&server, REDIS_WORDS("CONFIG", "SET", "maxmemory", "0"));
	cr_expect(try_announce(store, &err));

	redis_server_number(&server, REDIS_WORDS("REPLICAOF", "::1", "1"));
	cr_expect_not(try_announce(store, &err));
	redis_server_number(&server, REDIS_WORDS("REPLICAOF", "NO", "ONE"));
	expect_back(store);
	close_store(store);
}

Test(store_redis, foreign_members_of_a_swarm_are_no_peers)
{
	struct swarm_store *store = open_store();
	struct announce a = peer_of(1, "1.1.1.1:1");
	struct announce b = peer_of(1, "1.1.1.2:1");

	tell(store, &b, 5);
	redis_server_number(&server,
		REDIS_WORDS("ZADD", key_of_1, "12", "too long for a peer"));
	redis_server_number(&server, REDIS_WORDS("ZADD", key_of_1, "12", ""));
	struct swarm_reply reply = tell(store, &a, 5);
	cr_expect_eq(reply.peer_count, 1);
	cr_expect(names(&reply, &b.peer));
	close_store(store);
}

Test(store_redis, a_scrape_of_many_swarms_is_in_the_order_asked)
{
	enum { SWARMS = 300 };
	struct swarm_store *store = open_store();
	static struct info_hash hashes[SWARMS];
	static struct swarm_counts counts[SWARMS];
	struct error err;

	for (unsigned i = 0; i < SWARMS; i++) {
		struct announce a = peer_of(i, "1.1.1.1:1");

		hashes[i] = a.info_hash;
		for (unsigned k = 0; k < i % 4; k++) {
			a.peer.port++;
			tell(store, &a, 0);
		}
	}
	cr_assert(swarm_store_scrape(store, hashes, SWARMS, counts, &err));
	for (unsigned i = 0; i < SWARMS; i++)
		cr_expect_eq(counts[i].leechers, i % 4);
	close_store(store);
}
