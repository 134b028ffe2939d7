#include <stdio.h>
#include <string.h>

#include "client/command_common.h"
#include "client/commands.h"
#include "client/run_options.h"
#include "client/run_session.h"
#include "client/torrent/selection.h"
#include "shared/text.h"

struct leech_options {
	struct run_options run;
	const char *output;
	const char *order;
	struct option_list select;
};

static bool parse_order(
	const char *text, enum session_order *ret, struct error *err)
{
	char shown[64];

	if (strcmp(text, "sequential") == 0)
		*ret = ORDER_SEQUENTIAL;
	else if (strcmp(text, "rarest") == 0)
		*ret = ORDER_RAREST;
	else
		return error_set(err,
			"--order: wants sequential or rarest, not '%s'",
			text_escape_str(text, shown, sizeof(shown)));
	return true;
}

static int leech(const void *options, const struct option_list *torrents)
{
	const struct leech_options *o = options;
	struct selection_list select = {0};
	struct run run = {
		.options = &o->run,
		.torrents = torrents,
		.mode = SESSION_LEECH,
		.folder = o->output,
		.select = &select,
		.seed_after = o->run.seed_time_min != 0,
	};
	struct error err;

	if (torrents->count == 0) {
		error_set(&err, "leech: no torrent given, see --help");
		return command_fail(2, &err);
	}
	if (!parse_order(o->order, &run.order, &err))
		return command_fail(2, &err);

	int status = command_parse_select(&o->select, &select, &err)
		? run_session(&run)
		: command_fail(2, &err);
	selection_list_finish(&select);
	return status;
}

int command_leech(int argc, char **argv)
{
	struct leech_options o = {.output = ".", .order = "sequential"};

	run_options_init(&o.run);
	/* clang-format off */
	const struct option table[] = {
		{'o', "output", OPTION_TEXT, &o.output, "DIR",
			"folder to download into, made if missing (.)", 0, 0},
		{0, "order", OPTION_TEXT, &o.order, "ORDER",
			"order in which pieces are requested:\n"
			"sequential or rarest (sequential)", 0, 0},
		{0, "select", OPTION_LIST, &o.select, "LIST",
			"files to download: numbers as `show` prints them,\n"
			"such as 1,3-5, or globs (all; repeatable)", 0, 0},
		OPTIONS_GO_ON(o.run.table),
	};
	/* clang-format on */
	const struct command_form form = {
		.usage = "usage: tbt-client leech TORRENT|MAGNET... [options]\n"
			 "\n"
			 "Download, then go on as a seeder until interrupted.\n"
			 "TORRENT is a file, or the URL of one.\n"
			 "\n"
			 "options (and their defaults):",
		.table = table,
		.help = &o.run.help,
		.run = leech,
		.options = &o,
	};

	return command_run(&form, argc, argv);
}
