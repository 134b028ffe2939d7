#include <criterion/criterion.h>

#include "client/session/stall.h"

Test(stall, the_reason_follows_from_the_counters)
{
	static const struct {
		struct stall_facts facts;
		const char *reason;
	} cases[] = {
		{{.tracker = ""},
			"no peers are known: no tracker has been asked"},
		{{.tracker = "the tracker said: Connection refused"},
			"no peers are known: the tracker said: Connection "
			"refused"},
		{{.addresses = 3, .tracker = "the tracker gave 3 addresses"},
			"none of the known peers can be reached (3 to be tried "
			"again): the tracker gave 3 addresses"},
		{{.dialling = true, .tracker = "the tracker gave 1 addresses"},
			"none of the known peers can be reached (0 to be tried "
			"again): the tracker gave 1 addresses"},
		{{.connected = 4, .missing = 17, .tracker = ""},
			"piece 17 has no copies among 4 peers"},
		{{.connected = 1, .tracker = ""},
			"piece 0 has no copies among 1 peer"},
		{{.connected = 4, .offering = 2, .choking = 2, .tracker = ""},
			"all 2 peers that have what we lack choke us"},
		{{.connected = 4, .offering = 1, .choking = 1, .tracker = ""},
			"the 1 peer that has what we lack chokes us"},
		{{.connected = 4, .offering = 3, .choking = 1, .tracker = ""},
			"no answer to the requests made of 2 peers"},
		{{.connected = 3,
			 .offering = 3,
			 .choking = 1,
			 .limited = 2,
			 .limit = 1024,
			 .tracker = ""},
			"the download limit of 1024 bytes a second is used up; "
			"2 peers wait for it"},
		{{.connected = 3,
			 .offering = 1,
			 .limited = 1,
			 .limit = 1,
			 .tracker = ""},
			"the download limit of 1 bytes a second is used up; "
			"1 peer waits for it"},
		{{.connected = 3,
			 .offering = 3,
			 .choking = 1,
			 .limited = 1,
			 .limit = 1024,
			 .tracker = ""},
			"no answer to the requests made of 1 peer"},
	};
	char text[STALL_TEXT_SIZE];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_str_eq(
			stall_reason(&cases[i].facts, text), cases[i].reason);
}
