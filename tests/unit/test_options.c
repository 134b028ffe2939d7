#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>

#include "shared/options.h"

static bool json;
static bool quiet;
static const char *output;
static uint64_t port;
static uint64_t rate;
static double ratio;
static struct option_list peers;
static struct option_list arguments;
static struct error err;

static const struct option table[] = {
	{'j', "json", OPTION_FLAG, &json, NULL, "JSON lines", 0, 0},
	{'q', "quiet", OPTION_FLAG, &quiet, NULL, "less", 0, 0},
	{'o', "output", OPTION_TEXT, &output, "DIR", "folder\nmade if missing",
		0, 0},
	{'p', "port", OPTION_NUMBER, &port, "N", "port", 1, 65535},
	{0, "port-limit", OPTION_SIZE, &rate, "RATE", "limit", 0, 0},
	{0, "ratio", OPTION_DECIMAL, &ratio, "RATIO", "share", 0, 99},
	{0, "peer-with-a-rather-long-name", OPTION_LIST, &peers, "HOST:PORT",
		"peer", 0, 0},
	{0},
};

static bool parse(const char *a, const char *b, const char *c, const char *d)
{
	const char *words[] = {"tbt", a, b, c, d};
	static char *argv[5];
	int argc = 0;

	while (argc < 5 && words[argc]) {
		argv[argc] = strdup(words[argc]);
		argc++;
	}
	return options_parse(table, argc, argv, &arguments, &err);
}

Test(options, nothing_given_changes_nothing)
{
	port = 6881;
	cr_assert(parse(NULL, NULL, NULL, NULL));
	cr_expect_eq(port, 6881);
	cr_expect_eq(arguments.count, 0);
}

Test(options, forms_of_giving_a_value)
{
	static const struct {
		const char *words[3];
	} cases[] = {
		{{"--port", "80", NULL}},
		{{"--port=80", NULL, NULL}},
		{{"-p", "80", NULL}},
		{{"-p80", NULL, NULL}},
		{{"-qp80", NULL, NULL}},
		{{"-qp", "80", NULL}},
		{{"--", NULL, NULL}},
	};

	for (size_t i = 0; i + 1 < sizeof(cases) / sizeof(cases[0]); i++) {
		port = 0;
		cr_assert(
			parse(cases[i].words[0], cases[i].words[1], NULL, NULL),
			"%s", err.text);
		cr_expect_eq(port, 80, "case %zu", i);
	}
}

Test(options, each_kind_reaches_its_target)
{
	cr_assert(parse("--json", "-oout", "--port-limit=2K", "--ratio=1.5"));
	cr_expect(json);
	cr_expect_not(quiet);
	cr_expect_str_eq(output, "out");
	cr_expect_eq(rate, 2048);
	cr_expect_float_eq(ratio, 1.5, 1e-9);
}

Test(options, arguments_and_options_may_be_mixed)
{
	cr_assert(parse("a", "--json", "-", "b"));
	cr_assert_eq(arguments.count, 3);
	cr_expect_str_eq(arguments.items[0], "a");
	cr_expect_str_eq(arguments.items[1], "-");
	cr_expect_str_eq(arguments.items[2], "b");
	options_free(table, &arguments);
	cr_expect_eq(arguments.count, 0);
}

Test(options, two_dashes_end_the_options)
{
	cr_assert(parse("--", "--json", "-x", "--"));
	cr_expect_not(json);
	cr_expect_eq(arguments.count, 3);
	options_free(table, &arguments);
}

Test(options, lists_grow)
{
	cr_assert(parse("--peer", "a:1", "--peer=b:2", NULL));
	cr_assert_eq(peers.count, 2);
	cr_expect_str_eq(peers.items[0], "a:1");
	cr_expect_str_eq(peers.items[1], "b:2");
	options_free(table, &arguments);
	cr_expect_null(peers.items);
}

Test(options, an_unambiguous_beginning_is_enough)
{
	cr_expect(parse("--out", "x", NULL, NULL));
	cr_expect_str_eq(output, "x");
	/* A whole name wins over a longer one that begins so. */
	cr_expect(parse("--port", "5", NULL, NULL));
	cr_expect_eq(port, 5);
}

Test(options, bad_usage_says_which_option_and_what_it_wants)
{
	static const struct {
		const char *words[2];
		const char *message;
	} cases[] = {
		{{"--frob"}, "--frob: no such option, see --help"},
		{{"--frob=1"}, "--frob: no such option, see --help"},
		{{"--=1"}, "--: no such option, see --help"},
		{{"-x"}, "-x: no such option, see --help"},
		{{""}, "an argument is empty"},
		{{"--", ""}, "an argument is empty"},
		{{"-\x1b"}, "-\\x1b: no such option, see --help"},
		{{"-q\xc3\xbc"}, "-\xc3\xbc: no such option, see --help"},
		{{"--po=1"}, "--po: could be --port or --port-limit"},
		{{"--json=1"}, "--json: takes no value"},
		{{"--port"}, "--port: needs a value: --port N"},
		{{"-p"}, "--port: needs a value: --port N"},
		{{"--port", "0"},
			"--port: wants a number from 1 to 65535, not '0'"},
		{{"--port", "65536"},
			"--port: wants a number from 1 to 65535, not '65536'"},
		{{"--port="}, "--port: wants a number from 1 to 65535, not ''"},
		{{"--port-limit", "2\n"},
			"--port-limit: wants a size such as "
			"512K or 2M, not '2\\x0a'"},
		{{"--ratio", "nan"},
			"--ratio: wants a number such as 1.5, not 'nan'"},
		{{"--ratio", "-1"},
			"--ratio: wants a number such as 1.5, not '-1'"},
		{{"--ratio", "1.2.3"},
			"--ratio: wants a number such as 1.5, not '1.2.3'"},
		{{"--ratio", "."},
			"--ratio: wants a number such as 1.5, not '.'"},
		{{"--ratio", "99.1"},
			"--ratio: wants a number such as 1.5, not '99.1'"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		cr_expect_not(parse(
			cases[i].words[0], cases[i].words[1], NULL, NULL));
		cr_expect_str_eq(err.text, cases[i].message);
	}
}

Test(options, a_failure_leaves_no_lists)
{
	cr_expect_not(parse("a", "--peer=b:1", "--frob", NULL));
	cr_expect_null(arguments.items);
	cr_expect_null(peers.items);
}

Test(options, help_is_aligned, .init = cr_redirect_stdout)
{
	options_print_help(table);
	fflush(stdout);
	cr_assert_stdout_eq_str(
		"  -j, --json             JSON lines\n"
		"  -q, --quiet            less\n"
		"  -o, --output DIR       folder\n"
		"                         made if missing\n"
		"  -p, --port N           port\n"
		"      --port-limit RATE  limit\n"
		"      --ratio RATIO      share\n"
		"      --peer-with-a-rather-long-name HOST:PORT\n"
		"                         peer\n");
}

/* `table` goes on with this one. */
static bool extra;
static struct option rest[] = {
	{'x', "extra", OPTION_FLAG, &extra, NULL, "more", 0, 0},
	{0, "peers-too", OPTION_LIST, &peers, "HOST:PORT", "peer", 0, 0},
	{0},
};
static struct option beginning[] = {
	{'j', "json", OPTION_FLAG, &json, NULL, "JSON lines", 0, 0},
	OPTIONS_GO_ON(rest),
};
static struct option nothing_of_its_own[] = {
	OPTIONS_GO_ON(beginning),
};

Test(options, a_table_goes_on_with_another)
{
	static char words[][12] = {"tbt", "-jx", "--peers-too", "a:1"};
	static char unknown[] = "--extra4";
	char *argv[] = {words[0], words[1], words[2], words[3]};

	cr_assert(options_parse(nothing_of_its_own, 4, argv, &arguments, &err));
	cr_expect(json);
	cr_expect(extra);
	cr_expect_eq(peers.count, 1);
	options_free(nothing_of_its_own, &arguments);
	cr_expect_null(peers.items);
	argv[1] = unknown;
	cr_expect_not(
		options_parse(nothing_of_its_own, 2, argv, &arguments, &err));
}

Test(options, help_of_a_table_that_goes_on, .init = cr_redirect_stdout)
{
	options_print_help(beginning);
	fflush(stdout);
	cr_assert_stdout_eq_str("  -j, --json                 JSON lines\n"
				"  -x, --extra                more\n"
				"      --peers-too HOST:PORT  peer\n");
}
