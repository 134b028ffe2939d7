#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"
#include "shared/standard_files.h"
#include "shared/text.h"
#include "tracker/serve.h"

static const char help[] =
	"usage: tbt-tracker serve [options]\n"
	"\n"
	"  serve          run the tracker; serve --help lists its options\n"
	"\n"
	"  -h, --help     print this and exit\n"
	"  -V, --version  print the version and exit\n";

static bool is_either(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int print(const char *text)
{
	fputs(text, stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	enum { BAD_USAGE = 2 };
	char shown[64];

	standard_files_hold();
	log_init("tbt-tracker", LOG_NORMAL);
	if (argc < 2) {
		fputs("tbt-tracker: no command given: wants serve\n", stderr);
		return BAD_USAGE;
	}
	if (is_either(argv[1], "-h", "--help"))
		return print(help);
	if (is_either(argv[1], "-V", "--version"))
		return print("tbt-tracker " TBT_VERSION "\n");
	if (strcmp(argv[1], "serve") == 0)
		return serve(argc - 1, argv + 1);
	fprintf(stderr, "tbt-tracker: %s: no such %s, wants serve\n",
		text_escape_str(argv[1], shown, sizeof(shown)),
		argv[1][0] == '-' ? "option" : "command");
	return BAD_USAGE;
}
