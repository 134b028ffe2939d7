#include "client/command_common.h"

#include <stdio.h>

#include "client/discovery/torrent_download.h"
#include "client/torrent/magnet.h"
#include "client/torrent/selection.h"
#include "client/ui/hide_keys.h"
#include "shared/metainfo.h"
#include "shared/options.h"
#include "shared/text.h"

int command_fail(int status, const struct error *err)
{
	/* Messages are put together of escaped parts; escaping once more
	 * changes nothing in these, and makes sure of a single line. */
	char line[4 * sizeof(err->text)];

	text_escape_str(err->text, line, sizeof(line));
	fprintf(stderr, "tbt-client: %s\n", line);
	return status;
}

static int print_help(const struct command_form *form)
{
	puts(form->usage);
	options_print_help(form->table);
	return command_finish_output();
}

int command_run(const struct command_form *form, int argc, char **argv)
{
	struct option_list arguments;
	struct error err;

	if (!options_parse(form->table, argc, argv, &arguments, &err))
		return command_fail(2, &err);
	int status = *form->help ? print_help(form)
				 : form->run(form->options, &arguments);
	options_free(form->table, &arguments);
	return status;
}

bool command_parse_select(const struct option_list *options,
	struct selection_list *ret, struct error *err)
{
	for (size_t i = 0; i < options->count; i++) {
		if (!selection_list_add(ret, options->items[i], err))
			return false;
	}
	return true;
}

const char *command_show_source(
	const char *source, char ret[COMMAND_SOURCE_SIZE])
{
	char open[COMMAND_SOURCE_SIZE];

	if (torrent_download_is_url(source) || magnet_looks_like(source))
		source = hide_keys_in_url(source, open, sizeof(open));
	return text_escape_str(source, ret, COMMAND_SOURCE_SIZE);
}

bool command_load_torrent(
	const char *path, struct metainfo *ret, struct error *err)
{
	char shown[COMMAND_SOURCE_SIZE];
	const char *why = torrent_download_is_url(path)
		? "only leech and seed fetch a torrent"
		: magnet_looks_like(path) ? "wants the torrent file"
					  : NULL;

	if (why)
		return error_set(
			err, "%s: %s", command_show_source(path, shown), why);
	return metainfo_load(path, ret, err);
}

int command_finish_output(void)
{
	struct error err;

	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	error_set_errno(&err, "standard output: cannot write");
	return command_fail(1, &err);
}
