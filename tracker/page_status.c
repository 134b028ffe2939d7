#include "tracker/page_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/buffer.h"
#include "shared/text.h"
#include "tracker/counters.h"

/* Everything on it is a number or a text of ours: nothing that a client sent
 * is shown, so nothing needs escaping. */

static const char head[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\">\n"
	"<head>\n"
	"<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<meta http-equiv=\"refresh\" content=\"10\">\n"
	"<title>tbt-tracker</title>\n"
	"<style>\n"
	":root { color-scheme: light dark; --line: #8884; --soft: #888; }\n"
	"body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem;"
	" margin: 3rem auto; padding: 0 1rem; }\n"
	"h1 { font-weight: 600; margin-bottom: 0; }\n"
	"p { color: var(--soft); margin-top: .25rem; }\n"
	"dl { display: grid; gap: 1rem; padding: 0;"
	" grid-template-columns: repeat(auto-fill, minmax(12rem, 1fr)); }\n"
	"dl div { border: 1px solid var(--line); border-radius: .5rem;"
	" padding: .75rem 1rem; }\n"
	"dt { color: var(--soft); font-size: .875rem; }\n"
	"dd { margin: 0; font-size: 1.5rem;"
	" font-variant-numeric: tabular-nums; }\n"
	"</style>\n"
	"</head>\n"
	"<body>\n"
	"<h1>tbt-tracker</h1>\n"
	"<p>It tells BitTorrent peers about each other.</p>\n"
	"<dl>\n";

static const char tail[] =
	"</dl>\n"
	"<p>Version " TBT_VERSION ". The same as <a href=\"stats\">JSON</a>."
	"</p>\n"
	"</body>\n"
	"</html>\n";

static void append(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

static void write_text(struct buffer *out, const char *name, const char *value)
{
	append(out, "<div><dt>");
	append(out, name);
	append(out, "</dt><dd>");
	append(out, value);
	append(out, "</dd></div>\n");
}

static void write_number(struct buffer *out, const char *name, uint64_t number)
{
	char value[24];

	snprintf(value, sizeof(value), "%" PRIu64, number);
	write_text(out, name, value);
}

void page_status_write(const struct tracker_figures *f, struct buffer *out)
{
	char duration[TEXT_UNIT_SIZE];

	append(out, head);
	write_number(out, "Torrents", f->swarms);
	write_number(out, "Peers", f->seeders + f->leechers);
	write_number(out, "Seeds", f->seeders);
	write_number(out, "Announces", f->announces);
	write_number(out, "Refused", f->refused);
	write_number(out, "Scrapes", f->scrapes);
	write_text(out, "Interval", text_duration(f->interval_s, duration));
	write_text(out, "Up for", text_duration(f->uptime_s, duration));
	append(out, tail);
}
