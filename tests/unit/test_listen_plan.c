#include <criterion/criterion.h>
#include <string.h>

#include "tracker/listen_plan.h"

Test(listen_plan, an_announce_url_says_where_to_listen)
{
	static const struct {
		const char *url;
		const char *first; /* NULL: refused */
	} cases[] = {
		{"http://127.0.0.1:6969/announce", "127.0.0.1:6969"},
		{"http://127.0.0.1:6969", "127.0.0.1:6969"},
		{"HTTP://127.0.0.1:1?x", "127.0.0.1:1"},
		{"http://127.0.0.1/announce", "127.0.0.1:80"},
		{"http://me:secret@127.0.0.1:5/announce", "127.0.0.1:5"},
		/* Not an address of this machine (RFC 5737), or a name. */
		{"http://192.0.2.1:7000/announce", "0.0.0.0:7000"},
		{"http://tracker.example:7000/announce", "0.0.0.0:7000"},
		{"http://127.0.0.1:0/announce", NULL},
		{"http://127.0.0.1:65536/announce", NULL},
		{"http://127.0.0.1:x/announce", NULL},
		{"http://127.0.0.1:/announce", NULL},
		{"https://127.0.0.1:6969/announce", NULL},
		{"udp://127.0.0.1:6969/announce", "127.0.0.1:6969"},
		{"UDP://[::1]:1", "[::1]:1"},
		{"ftp://127.0.0.1:6969/announce", NULL},
		{"", NULL},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct listen_plan plan = {0};
		struct error err = {""};
		char text[ENDPOINT_TEXT_SIZE];
		bool ok = listen_plan_of_url(cases[i].url, &plan, &err);

		cr_expect_eq(ok, cases[i].first != NULL, "%s", cases[i].url);
		if (ok && cases[i].first)
			cr_expect_str_eq(endpoint_print(&plan.at[0], text),
				cases[i].first, "%s", cases[i].url);
	}
}

Test(listen_plan, a_host_name_too_long_is_refused)
{
	char url[1000] = "http://";
	struct listen_plan plan;
	struct error err;

	memset(url + strlen(url), 'a', 900);
	cr_expect_not(listen_plan_of_url(url, &plan, &err));
}

Test(listen_plan, addresses_are_taken_as_they_are_told)
{
	static const char *const good[] = {"127.0.0.1:0", "[::1]:6969"};
	static const char *const bad[] = {"127.0.0.1:0", "6969"};
	static const char *many[LISTEN_PLAN_MAX + 1];
	struct listen_plan plan;
	struct error err = {""};

	cr_expect(listen_plan_of_options(good, 2, &plan, &err));
	cr_expect_eq(plan.count, 2);
	cr_expect_eq(plan.at[1].port, 6969);
	cr_expect_not(listen_plan_of_options(bad, 2, &plan, &err));
	cr_expect(strstr(err.text, "6969"), "%s", err.text);

	for (size_t i = 0; i < LISTEN_PLAN_MAX + 1; i++)
		many[i] = good[0];
	cr_expect(listen_plan_of_options(many, LISTEN_PLAN_MAX, &plan, &err));
	cr_expect_not(
		listen_plan_of_options(many, LISTEN_PLAN_MAX + 1, &plan, &err));
}
