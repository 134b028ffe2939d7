#include "client/ui/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_is_able(int fd)
{
	const char *term = getenv("TERM");

	return isatty(fd) && term && term[0] != '\0' &&
		strcmp(term, "dumb") != 0;
}

/* What setlocale() would go by; it itself would change how numbers look. */
static bool locale_is_utf8(void)
{
	static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *value = getenv(names[i]);

		if (value && value[0] != '\0')
			return strcasestr(value, "utf-8") ||
				strcasestr(value, "utf8");
	}
	return false;
}

/* https://no-color.org: set and not empty. */
static bool colour_wanted(void)
{
	const char *no = getenv("NO_COLOR");

	return !no || no[0] == '\0';
}

struct progress_look terminal_look(int fd, unsigned *ret_rows)
{
	struct winsize size;
	bool known = ioctl(fd, TIOCGWINSZ, &size) == 0;
	unsigned columns = known && size.ws_col > 0 ? size.ws_col : 80;

	*ret_rows = known && size.ws_row > 0 ? size.ws_row : 24;
	if (columns > PROGRESS_MAX_WIDTH)
		columns = PROGRESS_MAX_WIDTH;
	return (struct progress_look){
		/* The last column stays free, or some terminals begin a new
		 * line. */
		.width = columns - 1,
		.utf8 = locale_is_utf8(),
		.colour = colour_wanted(),
	};
}
