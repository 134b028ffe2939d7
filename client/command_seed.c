#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command_common.h"
#include "client/commands.h"
#include "client/run_options.h"
#include "client/run_session.h"
#include "shared/text.h"

struct seed_options {
	struct run_options run;
	const char *file; /* NULL: the torrent's name in the current folder */
	bool partial;
};

/* Where the last element of a path without slashes at its end begins. */
static char *last_element(char *path)
{
	char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void drop_slashes(char *path)
{
	size_t len = strlen(path);

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
}

/* A path as a folder and a name in it, both to be freed. */
static bool split_path(
	const char *path, char **ret_folder, char **ret_name, struct error *err)
{
	char shown[256];
	char *whole = strdup(path);
	char *folder = NULL;

	if (!whole)
		return error_set(err, "--file: out of memory");
	drop_slashes(whole);

	/* `.` and `..` have a name too, only elsewhere. */
	char *name = last_element(whole);
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
		char *real = realpath(whole, NULL);
		if (!real) {
			error_set_errno(err, "%s: cannot open",
				text_escape_str(path, shown, sizeof(shown)));
			goto fail;
		}
		free(whole);
		whole = real;
		name = last_element(whole);
	}
	if (name[0] == '\0') {
		error_set(err, "--file: '%s' is not a file or folder to seed",
			text_escape_str(path, shown, sizeof(shown)));
		goto fail;
	}

	/* "/a" lies in "/", "a" in ".". */
	size_t len = (size_t)(name - whole);
	folder = len > 0 ? strndup(whole, len) : strdup(".");
	if (folder)
		drop_slashes(folder);
	memmove(whole, name, strlen(name) + 1);
	if (!folder) {
		error_set(err, "--file: out of memory");
		goto fail;
	}
	*ret_folder = folder;
	*ret_name = whole;
	return true;

fail:
	free(whole);
	return false;
}

static int seed(const void *options, const struct option_list *torrents)
{
	const struct seed_options *o = options;
	struct run run = {
		.options = &o->run,
		.torrents = torrents,
		.mode = o->partial ? SESSION_SEED_PARTIAL : SESSION_SEED,
		.folder = ".",
		.seed_after = true,
	};
	struct error err;
	char *folder = NULL;
	char *name = NULL;

	if (torrents->count == 0) {
		error_set(&err, "seed: no torrent given, see --help");
		return command_fail(2, &err);
	}
	if (o->file && torrents->count > 1) {
		error_set(&err, "--file: only for a single torrent");
		return command_fail(2, &err);
	}
	if (o->file) {
		if (!split_path(o->file, &folder, &name, &err))
			return command_fail(1, &err);
		run.folder = folder;
		run.name = name;
	}

	int status = run_session(&run);
	free(folder);
	free(name);
	return status;
}

int command_seed(int argc, char **argv)
{
	struct seed_options o = {0};

	run_options_init(&o.run);
	/* clang-format off */
	const struct option table[] = {
		{'f', "file", OPTION_TEXT, &o.file, "PATH",
			"the content: the file of a single-file torrent,\n"
			"the folder of a multi-file one\n"
			"(the torrent's name in the current folder)", 0, 0},
		{0, "partial", OPTION_FLAG, &o.partial, NULL,
			"share an incomplete copy too", 0, 0},
		OPTIONS_GO_ON(o.run.table),
	};
	/* clang-format on */
	const struct command_form form = {
		.usage = "usage: tbt-client seed TORRENT... [options]\n"
			 "\n"
			 "Share content that is already here; it is checked "
			 "first.\n"
			 "TORRENT is a file, or the URL of one.\n"
			 "\n"
			 "options (and their defaults):",
		.table = table,
		.help = &o.run.help,
		.run = seed,
		.options = &o,
	};

	return command_run(&form, argc, argv);
}
