#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/discovery/dht_message.h"
#include "tests/unit/guarded.h"

#define ID "abcdefghij0123456789"
#define TARGET "mnopqrstuvwxyz123456"

static bool read_bytes(const void *in, size_t len, struct dht_message *ret)
{
	return dht_message_read(guarded_span(in, len), ret);
}

static struct dht_message read_good(const char *in)
{
	struct dht_message m;

	cr_assert(read_bytes(in, strlen(in), &m), "'%s'", in);
	return m;
}

static struct dht_id id_of(const char *text)
{
	struct dht_id id;

	memcpy(id.bytes, text, DHT_ID_SIZE);
	return id;
}

static struct span text_span(const char *text)
{
	return (struct span){(const uint8_t *)text, strlen(text)};
}

static struct endpoint address(const char *text)
{
	struct endpoint e;

	cr_assert(endpoint_parse(text, &e), "%s", text);
	return e;
}

static void expect_written(const struct dht_message *m, const char *wanted)
{
	uint8_t out[DHT_PACKET_SENT_MAX];
	size_t len = dht_message_write(m, out);

	cr_assert_eq(len, strlen(wanted), "%.*s", (int)len, (char *)out);
	cr_expect_eq(
		memcmp(out, wanted, len), 0, "%.*s", (int)len, (char *)out);
}

/* The examples of BEP 5. */
Test(dht_message, queries_of_bep_5_are_read_and_written)
{
	static const struct {
		const char *packet;
		enum dht_kind kind;
	} cases[] = {
		{"d1:ad2:id20:" ID "e1:q4:ping1:t2:aa1:y1:qe", DHT_PING},
		{"d1:ad2:id20:" ID "6:target20:" TARGET
		 "e1:q9:find_node1:t2:aa1:y1:qe",
			DHT_FIND_NODE},
		{"d1:ad2:id20:" ID "9:info_hash20:" TARGET
		 "e1:q9:get_peers1:t2:aa1:y1:qe",
			DHT_GET_PEERS},
		{"d1:ad2:id20:" ID "12:implied_porti1e9:info_hash20:" TARGET
		 "4:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa"
		 "1:y1:qe",
			DHT_ANNOUNCE_PEER},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct dht_message m = read_good(cases[i].packet);

		cr_expect_eq(m.kind, cases[i].kind);
		cr_expect_arr_eq(m.id.bytes, ID, DHT_ID_SIZE);
		cr_expect_eq(m.transaction.len, 2);
		if (m.kind != DHT_PING)
			cr_expect_arr_eq(m.target.bytes, TARGET, DHT_ID_SIZE);
		if (m.kind == DHT_ANNOUNCE_PEER) {
			cr_expect(m.implied_port);
			cr_expect_eq(m.port, 6881);
			cr_expect_eq(m.token.len, 8);
		}
		expect_written(&m, cases[i].packet);
	}
}

Test(dht_message, a_reply_goes_there_and_back)
{
	struct dht_message m = {
		.kind = DHT_REPLY,
		.transaction = text_span("xy"),
		.id = id_of(ID),
		.token = text_span("12345678"),
		.has_ip = true,
		.ip = address("1.2.3.4:5"),
		.node_count = 2,
		.nodes = {{id_of(TARGET), address("[2001:db8::1]:6881")},
			{id_of(ID), address("9.8.7.6:54321")}},
		.value_count = 2,
		.values = {address("7.7.7.7:7"), address("[2001:db8::2]:8")},
	};
	uint8_t out[DHT_PACKET_SENT_MAX];
	struct dht_message back;
	size_t len = dht_message_write(&m, out);

	cr_assert(len > 0 && read_bytes(out, len, &back));
	cr_expect_eq(back.kind, DHT_REPLY);
	cr_expect_eq(back.token.len, 8);
	cr_expect(back.has_ip && endpoint_equal(&back.ip, &m.ip));
	cr_assert_eq(back.node_count, 2);
	/* IPv4 comes first. */
	cr_expect(endpoint_equal(&back.nodes[0].address, &m.nodes[1].address));
	cr_expect(dht_id_equal(&back.nodes[0].id, &m.nodes[1].id));
	cr_expect(endpoint_equal(&back.nodes[1].address, &m.nodes[0].address));
	cr_assert_eq(back.value_count, 2);
	cr_expect(endpoint_equal(&back.values[0], &m.values[0]));
	cr_expect(endpoint_equal(&back.values[1], &m.values[1]));
}

Test(dht_message, an_error_has_a_code_and_no_words)
{
	struct dht_message m = {
		.kind = DHT_ERROR, .transaction = text_span("a"), .code = 203};

	expect_written(&m, "d1:eli203e0:e1:t1:a1:y1:ee");
	m = read_good("d1:eli204e14:Method Unknowne1:t2:aa1:y1:ee");
	cr_expect_eq(m.kind, DHT_ERROR);
	cr_expect_eq(m.code, 204);
	m = read_good("d1:ei1e1:t2:aa1:y1:ee"); /* seen: no list */
	cr_expect_eq(m.kind, DHT_ERROR);
}

Test(dht_message, read_only_and_want_are_understood)
{
	struct dht_message m = read_good("d1:ad2:id20:" ID "6:target20:" TARGET
					 "4:wantl2:n42:n62:n9i3eee1:q9:find_"
					 "node2:roi1e1:t2:aa1:y1:qe");

	cr_expect(m.read_only && m.want_v4 && m.want_v6);
	m = read_good(
		"d1:ad2:id20:" ID "4:want2:n6e1:q4:ping2:roi0e1:t2:aa1:y1:qe");
	cr_expect_not(m.read_only || m.want_v4 || m.want_v6);
}

Test(dht_message, another_query_is_told_by_its_kind)
{
	struct dht_message m =
		read_good("d1:ad2:id20:" ID "e1:q4:vote1:t2:aa1:y1:qe");

	cr_expect_eq(m.kind, DHT_UNKNOWN_QUERY);
}

Test(dht_message, what_lacks_something_is_refused)
{
	static const char *const cases[] = {
		"",
		"d",
		"de",
		"le",
		"d1:y1:qe",
		"d1:t2:aa1:y1:qe",
		"d1:q4:ping1:t2:aa1:y1:qe",
		"d1:a0:1:q4:ping1:t2:aa1:y1:qe",
		"d1:ade1:q4:ping1:t2:aa1:y1:qe",
		"d1:ad2:id19:abcdefghij012345678e1:q4:ping1:t2:aa1:y1:qe",
		"d1:ad2:id21:" ID "xe1:q4:ping1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "e1:qi1e1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "e1:q4:ping1:ti1e1:y1:qe",
		"d1:ad2:id20:" ID "e1:q4:ping1:t2:aa1:y1:xe",
		"d1:ad2:id20:" ID "e1:q4:ping1:y1:qe",
		"d1:ad2:id20:" ID "e1:q4:ping1:t2:aae",
		"d1:ad2:id20:" ID "e1:q4:ping1:t2:aa1:y1:qeX",
		"d1:ad2:id20:" ID "e1:q9:find_node1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "e1:q9:get_peers1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "9:info_hash3:abce1:q9:get_peers1:t2:aa1:y1:"
		"qe",
		"d1:ad2:id20:" ID "9:info_hash20:" TARGET
		"e1:q13:announce_peer1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "9:info_hash20:" TARGET
		"4:porti0ee1:q13:announce_peer1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "9:info_hash20:" TARGET
		"4:porti65536ee1:q13:announce_peer1:t2:aa1:y1:qe",
		"d1:ad2:id20:" ID "9:info_hash20:" TARGET
		"4:porti-1ee1:q13:announce_peer1:t2:aa1:y1:qe",
		"d1:t2:aa1:y1:re",
		"d1:rde1:t2:aa1:y1:re",
		"d1:r2:id1:t2:aa1:y1:re",
		/* a transaction that is too long to be echoed */
		"d1:ad2:id20:" ID "e1:q4:ping"
		"1:t33:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1:y1:qe",
		/* a key twice */
		"d1:ad2:id20:" ID "2:id20:" ID "e1:q4:ping1:t2:aa1:y1:qe",
	};
	struct dht_message m;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_not(read_bytes(cases[i], strlen(cases[i]), &m),
			"'%s'", cases[i]);
}

Test(dht_message, an_announce_may_do_with_the_implied_port)
{
	struct dht_message m = read_good(
		"d1:ad2:id20:" ID "12:implied_porti1e9:info_hash20:" TARGET
		"5:token1:xe1:q13:announce_peer1:t0:1:"
		"y1:qe");

	cr_expect(m.implied_port);
	cr_expect_eq(m.port, 0);
	cr_expect_eq(m.transaction.len, 0);
}

Test(dht_message, nodes_that_nobody_can_be_at_are_left_out)
{
	/* A whole one, port 0, address 0, and half a one. */
	static const char packet[] =
		"d1:rd2:id20:" ID "5:nodes91:" ID "\x01\x02\x03\x04\x1a\xe1" ID
		"\x01\x02\x03\x04\x00\x00" ID "\x00\x00\x00\x00\x1a\xe1"
		"half of one..e1:t2:aa1:y1:re";
	struct dht_message m;

	cr_assert(read_bytes(packet, sizeof(packet) - 1, &m));
	cr_assert_eq(m.node_count, 1);
	cr_expect_eq(m.nodes[0].address.port, 6881);
}

Test(dht_message, values_of_odd_forms_are_left_out)
{
	static const char packet[] = "d1:rd2:id20:" ID "6:values"
				     "l6:\x01\x02\x03\x04\x1a\xe1"
				     "5:12345i7ele6:\x01\x02\x03\x04\0\0"
				     "e5:token0:e1:t2:aa1:y1:re";
	static const char sorted[] = "d1:rd2:id20:" ID "5:token0:6:values"
				     "l6:\x01\x02\x03\x04\x1a\xe1"
				     "5:12345i7ele6:\x01\x02\x03\x04\0\0"
				     "ee1:t2:aa1:y1:re";
	struct dht_message m;

	cr_assert(read_bytes(packet, sizeof(packet) - 1, &m));
	cr_expect_eq(m.value_count, 1);
	cr_assert(read_bytes(sorted, sizeof(sorted) - 1, &m));
	cr_expect_eq(m.value_count, 1);
	cr_expect_eq(m.token.len, 0);
}

Test(dht_message, a_packet_is_read_up_to_its_bounds)
{
	char packet[DHT_PACKET_MAX];
	static const char start[] = "d1:rd2:id20:" ID "6:valuesl";
	static const char end[] = "ee1:t2:aa1:y1:re";
	size_t len = sizeof(start) - 1;
	struct dht_message m;

	memcpy(packet, start, len);
	for (int i = 0; i < 150; i++, len += 8)
		memcpy(packet + len, "6:\x01\x02\x03\x04\x1a\xe1", 8);
	memcpy(packet + len, end, sizeof(end));
	len += sizeof(end) - 1;
	cr_assert_leq(len, DHT_PACKET_MAX);
	cr_assert(read_bytes(packet, len, &m));
	cr_expect_eq(m.value_count, DHT_VALUES_MAX);
}

/* A ping of exactly `len` bytes, most of them in a key that means nothing. */
static bool read_padded_ping(size_t len)
{
	static const char start[] = "d1:ad2:id20:" ID "e1:q4:ping1:t2:aa"
				    "1:y1:q1:z";
	char packet[DHT_PACKET_MAX + 64];
	size_t padding = len - (sizeof(start) - 1) - strlen("1234:") - 1;
	struct dht_message m;
	int head = snprintf(packet, sizeof(packet), "%s%zu:", start, padding);

	memset(packet + head, 'x', padding);
	packet[(size_t)head + padding] = 'e';
	return read_bytes(packet, len, &m);
}

Test(dht_message, a_packet_has_a_largest_size)
{
	cr_expect(read_padded_ping(DHT_PACKET_MAX));
	cr_expect_not(read_padded_ping(DHT_PACKET_MAX + 1));
}

Test(dht_message, what_does_not_fit_is_not_written)
{
	struct dht_message m = {.kind = DHT_REPLY,
		.transaction = text_span("aa"),
		.node_count = DHT_NODES_MAX,
		.value_count = DHT_VALUES_MAX};
	uint8_t out[DHT_PACKET_SENT_MAX];

	for (size_t i = 0; i < DHT_NODES_MAX; i++)
		m.nodes[i].address = address("[2001:db8::1]:1");
	for (size_t i = 0; i < DHT_VALUES_MAX; i++)
		m.values[i] = address("1.2.3.4:1");
	cr_expect_eq(dht_message_write(&m, out), 0);
	m.node_count = 0;
	cr_expect_gt(dht_message_write(&m, out), 0);
}
