#include <criterion/criterion.h>
#include <string.h>

#include "client/session/stall.h"

Test(stall, the_reason_follows_from_the_counters)
{
	static const struct {
		struct stall_facts facts;
		const char *reason;
	} cases[] = {
		{{.sources = {.private = true}},
			"no peers are known: no tracker; private, so nobody "
			"else is asked"},
		{{.sources = {.trackers = 2, .tracker = ""}},
			"no peers are known: no tracker has answered yet; no "
			"DHT; no LSD"},
		{{.addresses = 3,
			 .sources = {.trackers = 1,
				 .tracker = "tracker a:1 gave 3 addresses",
				 .dht = true,
				 .lsd = true}},
			"none of the known peers can be reached (3 to be tried "
			"again): tracker a:1 gave 3 addresses; DHT: no node "
			"answers; LSD: nobody in the local network"},
		{{.dialling = true,
			 .sources = {.dht = true,
				 .dht_nodes = 34,
				 .dht_heard = 1,
				 .lsd = true,
				 .lsd_heard = 2,
				 .pex_heard = 7,
				 .web_seeds = 1,
				 .web_seed = "h: HTTP 404"}},
			"none of the known peers can be reached (0 to be tried "
			"again): no tracker; DHT: 34 nodes, 1 address; LSD: "
			"heard of peers 2 times; peers told of 7 addresses; "
			"web seed h: HTTP 404"},
		{{.sources = {.web_seeds = 2, .web_seed = ""}},
			"no peers are known: no tracker; no DHT; no LSD; web "
			"seeds: no answer yet"},
		{{.fetching = true},
			"no peers are known: no tracker; no DHT; "
			"no LSD"},
		{{.fetching = true, .connected = 1},
			"the peer that is connected does not give the "
			"metadata"},
		{{.fetching = true, .connected = 2},
			"none of the 2 peers connected gives the metadata"},
		{{.connected = 4, .missing = 17},
			"piece 17 has no copies among 4 peers"},
		{{.connected = 1}, "piece 0 has no copies among 1 peer"},
		{{.connected = 1, .sources = {.counts = {true, 0, UINT32_MAX}}},
			"piece 0 has no copies among 1 peer; the tracker "
			"counts 0 seeds, 4294967295 leeches with us"},
		{{.sources = {.trackers = 1,
			  .tracker = "tracker a:1 gave 0 addresses",
			  .counts = {true, 1, 1}}},
			"no peers are known: tracker a:1 gave 0 addresses and "
			"counts 1 seed, 1 leech with us; no DHT; no LSD"},
		{{.connected = 4, .offering = 2, .choking = 2},
			"all 2 peers that have what we lack choke us"},
		{{.connected = 4, .offering = 1, .choking = 1},
			"the 1 peer that has what we lack chokes us"},
		{{.connected = 4, .offering = 3, .choking = 1},
			"no answer to the requests made of 2 peers"},
		{{.connected = 3,
			 .offering = 3,
			 .choking = 1,
			 .limited = 2,
			 .limit = 1024},
			"the download limit of 1024 bytes a second is used up; "
			"2 peers wait for it"},
		{{.connected = 3, .offering = 1, .limited = 1, .limit = 1},
			"the download limit of 1 bytes a second is used up; "
			"1 peer waits for it"},
		{{.connected = 3,
			 .offering = 3,
			 .choking = 1,
			 .limited = 1,
			 .limit = 1024},
			"no answer to the requests made of 1 peer"},
		{{.limited_web_seeds = 1,
			 .limit = 9,
			 .sources = {.web_seeds = 1, .web_seed = ""}},
			"the download limit of 9 bytes a second is used up; 1 "
			"web seed waits for it"},
		{{.connected = 1,
			 .offering = 1,
			 .limited = 1,
			 .limited_web_seeds = 2,
			 .limit = 9},
			"the download limit of 9 bytes a second is used up; 1 "
			"peer and 2 web seeds wait for it"},
		{{.connected = 2,
			 .offering = 1,
			 .limited_web_seeds = 1,
			 .limit = 9},
			"no answer to the requests made of 1 peer"},
		{{.sources = {.banned = 2}},
			"no peers are known: no tracker; no DHT; no LSD; 2 "
			"banned for bad data"},
		{{.connected = 2,
			 .sources = {.web_seeds = 1,
				 .web_seed = "h: HTTP 404"}},
			"piece 0 has no copies among 2 peers; web seed h: HTTP "
			"404"},
		{{.fetching = true, .sources = {.web_seeds = 1}},
			"no peers are known: no tracker; no DHT; no LSD; web "
			"seeds wait for the metadata"},
		{{.fetching = true,
			 .connected = 2,
			 .sources = {.counts = {true, 1, 2}}},
			"none of the 2 peers connected gives the metadata; the "
			"tracker counts 1 seed, 2 leeches with us"},
	};
	char text[STALL_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(
			stall_reason(&cases[i].facts, text), cases[i].reason);
}

Test(stall, long_words_of_others_are_cut)
{
	char word[2 * STALL_TEXT_SIZE];
	char text[STALL_TEXT_SIZE];
	struct stall_facts facts = {
		.sources = {.trackers = 1, .tracker = word, .web_seed = ""}};

	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	stall_reason(&facts, text);
	cr_expect_str_eq(text, "no peers are known: ");
}

Test(stall, numbers_and_sources_are_no_news)
{
	static const struct {
		const char *a, *b;
		bool same;
	} cases[] = {
		{"", "", true},
		{"", "no peers are known: no tracker", false},
		{"no peers are known: DHT: no node answers",
			"no peers are known: DHT: 12 nodes, 0 addresses", true},
		{"piece 9 has no copies among 2 peers",
			"piece 10 has no copies among 12 peers", true},
		{"none of the known peers can be reached (3 to be tried again)"
		 ": no tracker",
			"none of the known peers can be reached (0 to be tried "
			"again): no tracker",
			true},
		{"all 2 peers that have what we lack choke us",
			"no answer to the requests made of 2 peers", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_eq(stall_same(cases[i].a, cases[i].b), cases[i].same,
			"%s", cases[i].b);
		cr_expect_eq(stall_same(cases[i].b, cases[i].a), cases[i].same,
			"%s", cases[i].b);
	}
}
