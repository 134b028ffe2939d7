/* What a torrent file says of where to have it: trackers, web seeds and nodes
 * of the DHT. */

#include <stdio.h>

#include "shared/buffer.h"
#include "tests/unit/metainfo_lab.h"

Test(metainfo_sources, trackers_come_in_tiers)
{
	/* The second tier has nothing to use and does not count. */
	struct metainfo m = parsed(ROOT("8:announce8:http://x13:announce-listl"
					"l8:http://a8:http://b8:http://ae"
					"l7:ftp://ci1ee"
					"i1e"
					"l9:udp://d:19:https://ee"
					"e"));

	cr_assert_eq(m.tracker_count, 4);
	cr_expect_str_eq(m.trackers[0].url, "http://a");
	cr_expect_str_eq(m.trackers[1].url, "http://b");
	cr_expect_eq(m.trackers[1].tier, 0);
	cr_expect_str_eq(m.trackers[2].url, "udp://d:1");
	cr_expect_eq(m.trackers[2].tier, 1);
	cr_expect_str_eq(m.trackers[3].url, "https://e");
	cr_expect_eq(m.trackers[3].tier, 1);
	metainfo_finish(&m);

	m = parsed(ROOT("8:announce8:http://x13:announce-listll1:xee"));
	cr_assert_eq(m.tracker_count, 1);
	cr_expect_str_eq(m.trackers[0].url, "http://x");
	metainfo_finish(&m);
}

Test(metainfo_sources, trackers_and_web_seeds_are_bounded)
{
	struct buffer b;
	struct metainfo m;
	struct error err;
	char text[64];

	buffer_init(&b, METAINFO_MAX_SIZE);
	buffer_append(&b, "d13:announce-listll", 19);
	for (unsigned i = 0; i < METAINFO_MAX_TRACKERS + 50; i++) {
		int n = snprintf(text, sizeof(text), "11:http://%04u", i);
		buffer_append(&b, text, (size_t)n);
	}
	buffer_append(&b, "ee8:url-listl", 13);
	for (unsigned i = 0; i < METAINFO_MAX_WEB_SEEDS + 5; i++) {
		int n = snprintf(text, sizeof(text), "11:http://%04u", i);
		buffer_append(&b, text, (size_t)n);
	}
	static const char rest[] = "e4:infod" LENGTH NAME TAIL "ee";
	buffer_append(&b, rest, sizeof(rest) - 1);
	cr_assert(metainfo_parse((struct span){b.bytes, b.len}, &m, &err), "%s",
		err.text);
	cr_expect_eq(m.tracker_count, METAINFO_MAX_TRACKERS);
	cr_expect_eq(m.web_seed_count, METAINFO_MAX_WEB_SEEDS);
	metainfo_finish(&m);
	buffer_finish(&b);
}

Test(metainfo_sources, web_seeds_are_one_url_or_a_list)
{
	struct metainfo m = parsed(ROOT("8:url-list8:http://x"));

	cr_assert_eq(m.web_seed_count, 1);
	cr_expect_str_eq(m.web_seeds[0], "http://x");
	metainfo_finish(&m);

	m = parsed(ROOT("8:url-listl8:http://x9:udp://y:18:http://ze"));
	cr_assert_eq(m.web_seed_count, 2);
	cr_expect_str_eq(m.web_seeds[1], "http://z");
	metainfo_finish(&m);

	m = parsed(ROOT("8:url-list16:http://x/a b c/ "));
	cr_assert_eq(m.web_seed_count, 1);
	cr_expect_str_eq(m.web_seeds[0], "http://x/a%20b%20c/%20");
	metainfo_finish(&m);

	m = parsed(ROOT("8:url-list0:"));
	cr_expect_eq(m.web_seed_count, 0);
	metainfo_finish(&m);
}

Test(metainfo_sources, nodes_of_the_dht_are_hosts_with_ports)
{
	struct metainfo m = parsed(ROOT("5:nodesl"
					"l9:127.0.0.1i6881ee"
					"l11:example.orgi65535ee"
					"l3:::1i1e4:moree"
					"l0:i6881ee"
					"l4:a\tbci6881ee"
					"l4:hosti0ee"
					"l4:hosti65536ee"
					"l4:host4:6881e"
					"l4:hoste"
					"le"
					"i7e"
					"e"));

	cr_assert_eq(m.node_count, 3);
	cr_expect_str_eq(m.nodes[0].host, "127.0.0.1");
	cr_expect_eq(m.nodes[0].port, 6881);
	cr_expect_str_eq(m.nodes[1].host, "example.org");
	cr_expect_eq(m.nodes[1].port, 65535);
	cr_expect_str_eq(m.nodes[2].host, "::1");
	metainfo_finish(&m);

	m = parsed(ROOT("5:nodesi1e"));
	cr_expect_eq(m.node_count, 0);
	metainfo_finish(&m);
	/* The root comes after info here, and before it below. */
	m = parsed("d4:infod" LENGTH NAME TAIL "7:privatei1ee"
		   "5:nodesll1:ai1eeee");
	cr_expect(m.private);
	cr_expect_eq(m.node_count, 0);
	metainfo_finish(&m);
	m = parsed(
		"d5:nodesll1:ai1eee4:infod" LENGTH NAME TAIL "7:privatei1eee");
	cr_expect_eq(m.node_count, 0);
	metainfo_finish(&m);
}
