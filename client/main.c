#include <stdio.h>
#include <string.h>

#include "client/command_common.h"
#include "client/commands.h"
#include "shared/error.h"
#include "shared/log.h"
#include "shared/standard_files.h"
#include "shared/text.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name */
	const char *arguments;
	const char *help;
} commands[] = {
	{"leech", command_leech, "TORRENT|MAGNET...",
		"download, then become a seeder"},
	{"seed", command_seed, "TORRENT...",
		"share content that is already here"},
	{"create", command_create, "PATH",
		"make a .torrent of a file or folder"},
	{"show", command_show, "TORRENT|MAGNET", "print what it says"},
	{"verify", command_verify, "TORRENT",
		"check content on disk against it"},
};

enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

static void print_help(void)
{
	puts("usage: tbt-client COMMAND ... [options]\n");
	for (size_t i = 0; i < COMMANDS; i++)
		printf("  %-8s%-20s%s\n", commands[i].name,
			commands[i].arguments, commands[i].help);
	puts("\n"
	     "  -h, --help     print this and exit; after a command, its "
	     "options\n"
	     "  -V, --version  print the version and exit");
}

/* "leech, seed, create, show, verify" */
static void list_commands(char *ret, size_t size)
{
	size_t len = 0;

	ret[0] = '\0';
	for (size_t i = 0; i < COMMANDS && len < size; i++)
		len += (size_t)snprintf(ret + len, size - len, "%s%s",
			i > 0 ? ", " : "", commands[i].name);
}

static int bad_usage(const char *word)
{
	char names[128];
	char shown[64];
	struct error err;

	list_commands(names, sizeof(names));
	if (!word)
		error_set(&err, "no command given: wants one of %s", names);
	else
		error_set(&err, "%s: no such %s, wants one of %s",
			text_escape_str(word, shown, sizeof(shown)),
			word[0] == '-' ? "option" : "command", names);
	return command_fail(2, &err);
}

static bool is_either(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int main(int argc, char **argv)
{
	standard_files_hold();
	log_init("tbt-client", LOG_NORMAL);
	if (argc < 2)
		return bad_usage(NULL);
	if (is_either(argv[1], "-h", "--help")) {
		print_help();
		return command_finish_output();
	}
	if (is_either(argv[1], "-V", "--version")) {
		puts("tbt-client " TBT_VERSION);
		return command_finish_output();
	}
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	return bad_usage(argv[1]);
}
