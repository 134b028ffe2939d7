#include "tests/unit/dht_network.h"

#define ID "abcdefghij0123456789"
#define HASH "mnopqrstuvwxyz123456"

enum { SECOND_MS = 1000, MINUTE_MS = 60 * 1000 };

static struct network net = {.now_ms = 1000000};

static const struct info_hash torrent = {HASH};

/* `count` nodes in networks of their own that enter by the first one. */
static void populate(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		char address[64];

		snprintf(address, sizeof(address), "%zu.%zu.9.7:6881",
			20 + i % 100, i);
		struct network_node *node = network_add(&net, address);
		if (i > 0)
			dht_entrance(node->dht, &net.nodes[0].address);
		network_run(&net, 100);
	}
	network_run(&net, 20 * SECOND_MS);
}

static bool found(const struct network_node *node, const char *peer)
{
	struct endpoint e = network_address(peer);

	for (size_t i = 0; i < node->found_count; i++) {
		if (endpoint_equal(&node->found[i], &e))
			return true;
	}
	return false;
}

/* ---- a node that the test plays ---- */

static void say(const struct network_node *from, const struct network_node *to,
	const void *bytes, size_t len)
{
	network_send(&net, &from->address, &to->address, bytes, len);
	network_run(&net, SECOND_MS / 2);
}

static void say_text(const struct network_node *from,
	const struct network_node *to, const char *text)
{
	say(from, to, text, strlen(text));
}

static struct dht_message last_heard(struct network_node *node)
{
	struct dht_message m;

	cr_assert(node->packet_len > 0);
	cr_assert(dht_message_read(
		(struct span){node->packet, node->packet_len}, &m));
	return m;
}

/* Asks get_peers and gives back the token. */
static struct span get_token(
	struct network_node *from, const struct network_node *to)
{
	say_text(from, to,
		"d1:ad2:id20:" ID "9:info_hash20:" HASH
		"e1:q9:get_peers2:roi1e1:t2:aa1:y1:qe");
	struct dht_message m = last_heard(from);
	cr_assert_eq(m.kind, DHT_REPLY);
	cr_assert_gt(m.token.len, 0);
	return m.token;
}

static void announce(struct network_node *from, const struct network_node *to,
	struct span token)
{
	uint8_t packet[DHT_PACKET_SENT_MAX];
	struct dht_message m = {
		.kind = DHT_ANNOUNCE_PEER,
		.transaction = {(const uint8_t *)"an", 2},
		.read_only = true,
		.port = 777,
		.token = token,
	};

	memcpy(m.id.bytes, ID, DHT_ID_SIZE);
	memcpy(m.target.bytes, HASH, DHT_ID_SIZE);
	size_t len = dht_message_write(&m, packet);
	say(from, to, packet, len);
}

/* ---- tests ---- */

Test(dht, in_a_network_of_200_a_search_finds_who_announced)
{
	net.loss = 5;
	populate(200);
	struct network_node *seed = &net.nodes[17], *leech = &net.nodes[150];

	cr_assert(dht_want(seed->dht, &torrent, 4242, false, net.now_ms));
	network_run(&net, 20 * SECOND_MS);
	cr_assert(dht_want(leech->dht, &torrent, 4243, true, net.now_ms));
	network_run(&net, 10 * SECOND_MS);

	char peer[ENDPOINT_TEXT_SIZE];
	struct endpoint e = seed->address;
	e.port = 4242;
	cr_expect(found(leech, endpoint_print(&e, peer)));
	/* Its tables are of use: many nodes, and not without bounds. */
	cr_expect_gt(dht_node_count(leech->dht), 12);
	cr_expect_lt(dht_node_count(leech->dht), 150);
	network_finish(&net);
}

Test(dht, a_search_costs_a_few_dozen_packets)
{
	populate(100);
	struct network_node *leech = &net.nodes[50];

	network_run(&net, MINUTE_MS);
	uint64_t before = leech->packets_out;
	cr_assert(dht_want(leech->dht, &torrent, 0, false, net.now_ms));
	network_run(&net, 10 * SECOND_MS);
	cr_expect_gt(leech->packets_out - before, 8);
	cr_expect_lt(leech->packets_out - before, 60);
	network_finish(&net);
}

Test(dht, two_nodes_alone_find_each_other)
{
	struct network_node *a = network_add(&net, "127.0.0.1:1001");
	struct network_node *b = network_add(&net, "127.0.0.1:1002");

	dht_entrance(a->dht, &b->address);
	dht_entrance(b->dht, &a->address);
	dht_want(a->dht, &torrent, 5001, false, net.now_ms);
	dht_want(b->dht, &torrent, 5002, true, net.now_ms);
	network_run(&net, 5 * SECOND_MS);
	/* What is announced to us and wanted by us is found, too. */
	cr_expect(found(b, "127.0.0.1:5001"));
	network_finish(&net);
}

Test(dht, an_entrance_that_comes_late_is_found)
{
	struct network_node *a = network_add(&net, "127.0.0.1:1001");
	struct network_node *b =
		network_place(&net, network_address("127.0.0.1:1002"));

	dht_entrance(a->dht, &b->address);
	network_run(&net, 20 * SECOND_MS);
	cr_expect_eq(dht_node_count(a->dht), 0);
	cr_expect_geq(b->packets_in, 3);
	cr_expect_leq(b->packets_in, 6); /* ever more slowly */
	network_switch_on(&net, b, false);
	network_run(&net, MINUTE_MS);
	cr_expect_eq(dht_node_count(a->dht), 1);
	cr_expect_eq(dht_node_count(b->dht), 1); /* it was asked, and asks */
	network_finish(&net);
}

Test(dht, ipv6_has_a_network_of_its_own)
{
	struct network_node *a = network_add(&net, "[::1]:1001");
	struct network_node *b = network_add(&net, "[::1]:1002");

	dht_entrance(b->dht, &a->address);
	dht_want(a->dht, &torrent, 5001, false, net.now_ms);
	dht_want(b->dht, &torrent, 5002, true, net.now_ms);
	network_run(&net, 15 * SECOND_MS);
	cr_expect(found(b, "[::1]:5001"));
	network_finish(&net);
}

Test(dht, a_hungry_torrent_is_searched_for_again_soon)
{
	struct network_node *a = network_add(&net, "127.0.0.1:1001");
	struct network_node *b = network_add(&net, "127.0.0.1:1002");

	dht_entrance(b->dht, &a->address);
	dht_want(b->dht, &torrent, 5002, false, net.now_ms);
	network_run(&net, 10 * SECOND_MS);
	uint64_t before = b->packets_out;
	network_run(&net, 10 * MINUTE_MS);
	cr_expect_leq(b->packets_out - before, 1); /* nothing to do */
	dht_want(b->dht, &torrent, 5002, true, net.now_ms);
	before = b->packets_out;
	network_run(&net, MINUTE_MS);
	/* At 0, 5, 15, 35 s: a question and an announce each. */
	cr_expect_eq(b->packets_out - before, 8);
	network_finish(&net);
}

Test(dht, an_announce_is_repeated_every_15_to_20_minutes)
{
	struct network_node *a = network_add(&net, "127.0.0.1:1001");
	struct network_node *b = network_add(&net, "127.0.0.1:1002");

	dht_entrance(b->dht, &a->address);
	dht_want(b->dht, &torrent, 5002, false, net.now_ms);
	network_run(&net, 4 * 60 * (uint64_t)MINUTE_MS);
	/* So somebody who comes after hours finds it. */
	struct network_node *c = network_add(&net, "127.0.0.1:1003");
	dht_entrance(c->dht, &a->address);
	dht_want(c->dht, &torrent, 0, true, net.now_ms);
	network_run(&net, 5 * SECOND_MS);
	cr_expect(found(c, "127.0.0.1:5002"));
	cr_expect_lt(b->packets_out, 500);
	network_finish(&net);
}

Test(dht, what_is_forgotten_is_not_searched_for)
{
	struct network_node *a = network_add(&net, "127.0.0.1:1001");
	struct network_node *b =
		network_place(&net, network_address("127.0.0.1:1002"));

	/* b is in a's table, and then silent. */
	dht_try_node(a->dht, &b->address);
	network_run(&net, SECOND_MS);
	struct dht_message m = last_heard(b);
	cr_assert_eq(m.kind, DHT_PING);
	m.kind = DHT_REPLY;
	memcpy(m.id.bytes, ID, DHT_ID_SIZE);
	uint8_t packet[DHT_PACKET_SENT_MAX];
	size_t len = dht_message_write(&m, packet);
	say(b, a, packet, len);
	cr_assert_eq(dht_node_count(a->dht), 1);
	network_run(&net, 20 * SECOND_MS);
	size_t before = b->packets_in;
	dht_want(a->dht, &torrent, 1, true, net.now_ms);
	dht_forget(a->dht, &torrent);
	network_run(&net, MINUTE_MS);
	cr_expect_eq(b->packets_in, before);
	network_finish(&net);
}

Test(dht, an_announce_needs_the_token_of_its_address)
{
	struct network_node *node = network_add(&net, "9.9.9.9:6881");
	struct network_node *one =
		network_place(&net, network_address("8.8.8.8:1"));
	struct network_node *two =
		network_place(&net, network_address("7.7.7.7:1"));
	struct network_node *also_one =
		network_place(&net, network_address("8.8.8.8:2"));
	uint8_t token[DHT_TOKEN_MAX];
	struct span t = get_token(one, node);

	memcpy(token, t.at, t.len);
	t.at = token;
	announce(two, node, t);
	cr_expect_eq(last_heard(two).kind, DHT_ERROR);
	announce(two, node, (struct span){0});
	cr_expect_eq(last_heard(two).kind, DHT_ERROR);
	cr_expect_eq(last_heard(two).code, 203);
	announce(one, node, t);
	cr_expect_eq(last_heard(one).kind, DHT_REPLY);
	/* By its IP alone, as BEP 5 has it. */
	announce(also_one, node, t);
	cr_expect_eq(last_heard(also_one).kind, DHT_REPLY);

	(void)get_token(two, node);
	struct dht_message m = last_heard(two);
	cr_assert_eq(m.value_count, 1);
	struct endpoint peer = network_address("8.8.8.8:777");
	cr_expect(endpoint_equal(&m.values[0], &peer));
	network_finish(&net);
}

Test(dht, a_token_is_good_for_5_minutes_and_not_for_11)
{
	struct network_node *node = network_add(&net, "9.9.9.9:6881");
	struct network_node *one =
		network_place(&net, network_address("8.8.8.8:1"));
	uint8_t token[DHT_TOKEN_MAX];
	struct span t = get_token(one, node);

	memcpy(token, t.at, t.len);
	t.at = token;
	network_run(&net, 5 * MINUTE_MS);
	announce(one, node, t);
	cr_expect_eq(last_heard(one).kind, DHT_REPLY);
	network_run(&net, 6 * MINUTE_MS);
	announce(one, node, t);
	cr_expect_eq(last_heard(one).kind, DHT_ERROR);
	network_finish(&net);
}

Test(dht, each_query_gets_its_answer)
{
	struct network_node *node = network_add(&net, "9.9.9.9:6881");
	struct network_node *one =
		network_place(&net, network_address("8.8.8.8:1"));

	say_text(one, node, "d1:ad2:id20:" ID "e1:q4:ping2:roi1e1:t1:x1:y1:qe");
	struct dht_message m = last_heard(one);
	cr_expect_eq(m.kind, DHT_REPLY);
	cr_expect_eq(m.transaction.len, 1);

	say_text(one, node,
		"d1:ad2:id20:" ID "6:target20:" HASH
		"e1:q9:find_node2:roi1e1:t1:y1:y1:qe");
	m = last_heard(one);
	cr_expect_eq(m.kind, DHT_REPLY);
	cr_expect(m.has_ip && endpoint_equal(&m.ip, &one->address));
	say_text(one, node, "d1:ad2:id20:" ID "e1:q4:vote2:roi1e1:t1:x1:y1:qe");
	m = last_heard(one);
	cr_expect_eq(m.kind, DHT_ERROR);
	cr_expect_eq(m.code, 204);
	network_finish(&net);
}

Test(dht, answers_to_ping_are_no_longer_than_the_ping)
{
	static const char *const pings[] = {
		"d1:ad2:id20:" ID "e1:q4:ping2:roi1e1:t1:x1:y1:qe",
		"d1:ad2:id20:" ID "e1:q4:ping2:roi1e1:t0:1:y1:qe",
		"d1:ad2:id20:" ID "e1:q0:2:roi1e1:t0:1:y1:qe",
		"d1:ad2:id20:" ID "e1:q4:ping2:roi1e1:t4:abcd1:v4:LT001:y1:qe",
	};
	struct network_node *node = network_add(&net, "9.9.9.9:6881");
	struct network_node *one =
		network_place(&net, network_address("8.8.8.8:1"));

	for (size_t i = 0; i < sizeof(pings) / sizeof(pings[0]); i++) {
		one->packet_len = 0;
		say_text(one, node, pings[i]);
		cr_expect_gt(one->packet_len, 0, "%s", pings[i]);
		cr_expect_leq(
			one->packet_len, strlen(pings[i]), "%s", pings[i]);
	}
	network_finish(&net);
}

/* Whose address it says it has might be a victim. */
Test(dht, a_stranger_that_answers_nothing_gets_no_more_than_it_sent)
{
	static const char *const queries[] = {
		"d1:ad2:id20:" ID "e1:q4:ping1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "6:target20:" HASH
		"e1:q9:find_node1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "9:info_hash20:" HASH
		"e1:q9:get_peers1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "9:info_hash20:" HASH
		"e1:q9:get_peers2:roi1e1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "9:info_hash20:" HASH
		"4:porti1e5:token8:abcdefghe1:q13:announce_peer1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "e1:q0:1:t0:1:y1:qe",
	};
	size_t count = sizeof(queries) / sizeof(queries[0]);

	populate(40);
	cr_assert(
		dht_want(net.nodes[7].dht, &torrent, 4242, false, net.now_ms));
	network_run(&net, 20 * SECOND_MS);
	for (size_t i = 0; i < 40; i++) {
		char address[64];

		snprintf(address, sizeof(address), "8.8.%zu.8:1", i);
		struct network_node *victim =
			network_place(&net, network_address(address));
		size_t sent = 0;

		for (size_t k = 0; k < 30; k++) {
			const char *query = queries[(i + k * i) % count];

			sent += strlen(query);
			say_text(victim, &net.nodes[i], query);
			cr_assert_leq(victim->bytes_in, sent, "node %zu: %s", i,
				query);
		}
		cr_expect_gt(victim->bytes_in, 0);
	}
	network_finish(&net);
}

Test(dht, a_stranger_is_answered_in_full_once_it_has_answered_a_ping)
{
	populate(40);
	struct network_node *one =
		network_place(&net, network_address("8.8.8.8:1"));
	struct network_node *node = &net.nodes[5];
	static const char query[] = "d1:ad2:id20:" ID "6:target20:" HASH
				    "e1:q9:find_node1:t2:aa1:y1:qe";

	say_text(one, node, query);
	struct dht_message m = last_heard(one);
	cr_assert_eq(m.kind, DHT_PING);

	uint8_t pong[DHT_PACKET_SENT_MAX];
	struct dht_message reply = {
		.kind = DHT_REPLY, .transaction = m.transaction};
	memcpy(reply.id.bytes, ID, DHT_ID_SIZE);
	say(one, node, pong, dht_message_write(&reply, pong));
	m = last_heard(one);
	cr_assert_eq(m.kind, DHT_REPLY);
	cr_expect_geq(m.node_count, 7); /* not itself */

	/* And from then on at once. */
	say_text(one, node, query);
	m = last_heard(one);
	cr_expect_eq(m.kind, DHT_REPLY);
	cr_expect_geq(m.node_count, 7); /* not itself */
	network_finish(&net);
}

Test(dht, one_source_gets_so_many_answers_and_no_more)
{
	struct network_node *node = network_add(&net, "9.9.9.9:6881");
	struct network_node *one =
		network_place(&net, network_address("8.8.8.8:1"));
	struct network_node *two =
		network_place(&net, network_address("7.7.7.7:1"));
	static const char query[] = "d1:ad2:id20:" ID "9:info_hash20:" HASH
				    "e1:q9:get_peers2:roi1e1:t2:aa1:y1:qe";

	for (int i = 0; i < 1000; i++)
		network_send(&net, &one->address, &node->address, query,
			sizeof(query) - 1);
	network_run(&net, SECOND_MS);
	cr_expect_geq(one->packets_in, 20);
	cr_expect_leq(one->packets_in, 26);
	/* Others are not the worse for it. */
	(void)get_token(two, node);
	network_finish(&net);
}

Test(dht, a_flood_from_everywhere_is_answered_within_bounds)
{
	struct network_node *node = network_add(&net, "9.9.9.9:6881");
	static const char query[] = "d1:ad2:id20:" ID "9:info_hash20:" HASH
				    "e1:q9:get_peers1:t2:aa1:y1:qe";

	uint64_t before = node->bytes_out;
	for (uint32_t i = 0; i < 20000; i++) {
		struct endpoint from = network_address("100.0.0.1:1");

		from.ip[13] = (uint8_t)(i >> 16);
		from.ip[14] = (uint8_t)(i >> 8);
		from.ip[15] = (uint8_t)i;
		network_send(
			&net, &from, &node->address, query, sizeof(query) - 1);
		if (i % 200 == 199)
			network_run(&net, 10);
	}
	network_run(&net, SECOND_MS);
	/* 2 s: a burst and the rate; and pings to some of them. */
	cr_expect_leq(node->bytes_out - before,
		128 * 1024 + 3 * 32 * 1024 + (120 + 3 * 60) * 100);
	network_finish(&net);
}

Test(dht, hostile_packets_change_nothing)
{
	struct network_node *node = network_add(&net, "9.9.9.9:6881");
	struct network_node *one =
		network_place(&net, network_address("8.8.8.8:1"));
	uint8_t packet[DHT_PACKET_SENT_MAX];

	/* Noise, and answers to nothing. */
	for (int i = 0; i < 2000; i++) {
		size_t len = network_dice() % sizeof(packet);
		network_random(packet, len);
		dht_packet(node->dht, &one->address, (struct span){packet, len},
			net.now_ms);
	}
	say_text(one, node,
		"d1:rd2:id20:" ID "5:nodes26:" ID "123456e1:t4:aaaa1:y1:re");
	say_text(one, node, "d1:eli201e1:xe1:t4:aaaa1:y1:ee");
	cr_expect_eq(dht_node_count(node->dht), 0);
	cr_expect_eq(one->packets_in, 0);
	/* From where nobody can be answered. */
	struct endpoint nowhere = network_address("8.8.8.8:0");
	static const char ping[] = "d1:ad2:id20:" ID "e1:q4:ping1:t1:x1:y1:qe";
	dht_packet(node->dht, &nowhere,
		(struct span){(const uint8_t *)ping, sizeof(ping) - 1},
		net.now_ms);
	cr_expect_eq(node->packets_out, 0);
	network_finish(&net);
}

/* Play a node that is asked get_peers, and answer with what is given. */
static void answer_with_values(struct network_node *player,
	struct network_node *node, const char *values)
{
	char packet[DHT_PACKET_MAX];
	struct dht_message m = last_heard(player);
	struct writer w = writer_of(packet, sizeof(packet));

	writer_text(&w, "d1:rd2:id20:" ID);
	writer_text(&w, values);
	writer_text(&w, "e1:t4:");
	writer_bytes(&w, m.transaction.at, m.transaction.len);
	writer_text(&w, "1:y1:re");
	say(player, node, packet, writer_len(&w));
}

Test(dht, nobody_but_loopback_names_loopback)
{
	static const struct {
		const char *player;
		bool believed;
	} cases[] = {{"8.8.8.8:1", false}, {"127.0.0.1:1", true}};

	for (size_t i = 0; i < 2; i++) {
		struct network_node *node = network_add(
			&net, i == 0 ? "9.9.9.9:6881" : "127.0.0.1:6881");
		struct network_node *player =
			network_place(&net, network_address(cases[i].player));
		struct network_node *victim =
			network_place(&net, network_address("127.0.0.1:4096"));

		dht_try_node(node->dht, &player->address);
		network_run(&net, SECOND_MS / 2);
		answer_with_values(player, node, ""); /* ping: it is there */
		cr_assert_eq(dht_node_count(node->dht), 1);
		answer_with_values(player, node, ""); /* find_node */
		dht_want(node->dht, &torrent, 0, false, net.now_ms);
		network_run(&net, SECOND_MS);
		cr_assert_eq(last_heard(player).kind, DHT_GET_PEERS);
		answer_with_values(player, node,
			"5:nodes26:xbcdefghij0123456789\x7f\x01\x01\x01"
			"\x10\x01"
			"5:token1:x6:valuesl6:\x7f\x01\x01\x01\x10\x01"
			"6:\x08\x08\x04\x04\x10\x01"
			"e");
		cr_expect(found(node, "8.8.4.4:4097"));
		cr_expect_eq(found(node, "127.1.1.1:4097"), cases[i].believed);
		cr_expect_eq(victim->packets_in, 0);
		network_finish(&net);
		net = (struct network){.now_ms = net.now_ms};
	}
}

Test(dht, a_read_only_node_asks_and_does_not_answer)
{
	struct network_node *a = network_add(&net, "127.0.0.1:1001");
	struct network_node *b =
		network_place(&net, network_address("127.0.0.1:1002"));

	network_switch_on(&net, b, true);
	dht_entrance(b->dht, &a->address);
	network_run(&net, 5 * SECOND_MS);
	cr_expect_eq(dht_node_count(b->dht), 1);
	cr_expect_eq(dht_node_count(a->dht), 0); /* it cannot be asked */
	network_finish(&net);
}

Test(dht, an_id_follows_the_address_that_others_see)
{
	/* Everybody sees the real address, so after a while the ids fit of
	 * all that have talked to enough others. */
	populate(40);
	network_run(&net, 2 * MINUTE_MS);
	struct network_node *one =
		network_place(&net, network_address("8.8.8.8:1"));
	size_t fit = 0;

	for (size_t i = 0; i < 40; i++) {
		say_text(one, &net.nodes[i],
			"d1:ad2:id20:" ID "e1:q4:ping2:roi1e1:t1:x1:y1:qe");
		struct dht_message m = last_heard(one);
		fit += dht_id_fits(&m.id, &net.nodes[i].address);
	}
	cr_expect_geq(fit, 30);
	network_finish(&net);
}

Test(dht, nodes_are_found_again_by_what_was_saved)
{
	populate(30);
	struct buffer state;

	buffer_init(&state, DHT_STATE_MAX);
	dht_save(net.nodes[5].dht, &state);
	cr_assert_not(state.failed);
	struct network_node *fresh = network_add(&net, "77.7.7.7:6881");
	cr_expect(dht_load(fresh->dht, (struct span){state.bytes, state.len}));
	network_run(&net, 5 * SECOND_MS);
	cr_expect_gt(dht_node_count(fresh->dht), 8);
	buffer_finish(&state);
	network_finish(&net);
}

Test(dht, a_damaged_state_is_refused_or_does_no_harm)
{
	static const struct {
		const char *state;
		bool taken;
	} cases[] = {
		{"", false},
		{"x", false},
		{"le", false},
		{"de", true},
		{"d5:nodesi1ee", true},
		{"d5:nodes7:1234567e", true},
		{"d5:nodes6:\x01\x01\x01\x01\x01\x01", false},
		{"d6:nodes63:123e", true},
	};
	struct network_node *node = network_add(&net, "77.7.7.7:6881");

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(
			dht_load(node->dht,
				(struct span){(const uint8_t *)cases[i].state,
					strlen(cases[i].state)}),
			cases[i].taken, "%s", cases[i].state);
	network_run(&net, 10 * SECOND_MS);
	cr_expect_eq(dht_node_count(node->dht), 0);
	network_finish(&net);
}

Test(dht, what_is_wanted_has_a_bound)
{
	struct network_node *node = network_add(&net, "77.7.7.7:6881");
	struct info_hash hash = {{0}};

	for (uint32_t i = 0; i <= DHT_WANTED_MAX; i++) {
		memcpy(hash.bytes, &i, sizeof(i));
		cr_assert_eq(dht_want(node->dht, &hash, 1, false, net.now_ms),
			i < DHT_WANTED_MAX);
	}
	network_finish(&net);
}
