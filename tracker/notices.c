#include "tracker/notices.h"

#include <stdio.h>

#include "shared/endpoint.h"
#include "shared/event_line.h"
#include "shared/log.h"
#include "shared/text.h"
#include "tracker/state_file.h"

void notice_error(bool json, const struct error *err)
{
	char text[4 * sizeof(err->text)];

	text_escape_str(err->text, text, sizeof(text));
	fprintf(stderr, "tbt-tracker: %s\n", text);
	if (json) {
		struct event_line e;

		event_line_begin(&e, "error");
		event_line_text(&e, "message", err->text);
		event_line_print(&e, stdout);
	}
}

void notice_listening(
	bool json, const char *protocol, const struct endpoint *bound)
{
	char text[ENDPOINT_TEXT_SIZE];

	if (!json) {
		printf("tbt-tracker: listening on %s://%s/announce\n", protocol,
			endpoint_print(bound, text));
		fflush(stdout);
		return;
	}

	struct event_line e;
	event_line_begin(&e, "listening");
	event_line_text(&e, "address", endpoint_print_ip(bound, text));
	event_line_number(&e, "port", bound->port);
	event_line_text(&e, "protocol", protocol);
	event_line_print(&e, stdout);
}

void notice_restored(bool json, const struct state_loaded *l)
{
	struct event_line e;

	if (l->peers + l->expired == 0)
		return;
	if (!json) {
		printf("tbt-tracker: %zu peers are known from before, %zu were "
		       "too long ago\n",
			l->peers, l->expired);
		fflush(stdout);
		return;
	}
	event_line_begin(&e, "restored");
	event_line_number(&e, "peers", l->peers);
	event_line_number(&e, "expired", l->expired);
	event_line_print(&e, stdout);
}

void notice_warning(const char *text)
{
	char shown[4 * sizeof(struct error)];

	log_warning("%s", text_escape_str(text, shown, sizeof(shown)));
}

static void print_warning(const char *text)
{
	struct event_line e;

	event_line_begin(&e, "warning");
	event_line_text(&e, "message", text);
	event_line_print(&e, stdout);
}

void notice_warnings_as_events(void) { log_on_warning(print_warning); }
