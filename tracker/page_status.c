#include "tracker/page_status.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/buffer.h"
#include "shared/text.h"
#include "tracker/counters.h"
#include "tracker/swarm_store.h"

/* Everything on it is a number or a text of ours: nothing that a client sent
 * is shown, so nothing needs escaping. */

static const char head[] =
	"<!DOCTYPE html>\n"
	"<html lang=\"en\">\n"
	"<head>\n"
	"<meta charset=\"utf-8\">\n"
	"<meta name=\"viewport\" content=\"width=device-width\">\n"
	"<noscript><meta http-equiv=\"refresh\" content=\"10\"></noscript>\n"
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
	"figure { margin: 1.5rem 0; }\n"
	"figcaption { color: var(--soft); font-size: .875rem; }\n"
	"svg { width: 100%; height: 8rem; border: 1px solid var(--line);"
	" border-radius: .5rem; }\n"
	"polyline { fill: none; stroke: #2a9d8f; stroke-width: 2;"
	" vector-effect: non-scaling-stroke; }\n"
	"</style>\n"
	"</head>\n"
	"<body>\n"
	"<h1>tbt-tracker</h1>\n"
	"<p>It tells BitTorrent peers about each other.</p>\n"
	"<dl>\n";

/* Asks /stats every other second and draws the last four minutes.  Without
 * JavaScript the chart stays hidden, and the page loads itself anew. */
static const char chart[] =
	"</dl>\n"
	"<figure id=\"chart\" hidden>\n"
	"<figcaption>Announces a second: <b id=\"rate\">0</b>,"
	" at most <b id=\"most\">0</b> in the last four minutes"
	"</figcaption>\n"
	"<svg viewBox=\"0 0 120 100\" preserveAspectRatio=\"none\""
	" role=\"img\" aria-label=\"announces a second\">"
	"<polyline id=\"line\" points=\"\"/></svg>\n"
	"</figure>\n"
	"<script>\n"
	"'use strict';\n"
	"const rates = [], el = id => document.getElementById(id);\n"
	"let last = null;\n"
	"function duration(s) {\n"
	"  for (const [unit, name, part, partName] of"
	" [[86400, 'd', 3600, 'h'], [3600, 'h', 60, 'min'],"
	" [60, 'min', 1, 's']])\n"
	"    if (s >= unit) return Math.floor(s / unit) + ' ' + name + ' '"
	" + String(Math.floor(s % unit / part)).padStart(2, '0')"
	" + ' ' + partName;\n"
	"  return s + ' s';\n"
	"}\n"
	"function size(bytes) {\n"
	"  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];\n"
	"  let unit = 0;\n"
	"  for (; bytes >= 1024 && unit < 4; unit++) bytes /= 1024;\n"
	"  return bytes.toFixed(unit ? 1 : 0) + ' ' + names[unit];\n"
	"}\n"
	"const how = {uptime: duration, memory: size};\n"
	"async function look() {\n"
	"  try {\n"
	"    const answer = await fetch('stats', {cache: 'no-store'});\n"
	"    const stats = await answer.json(), now = performance.now();\n"
	"    for (const key in stats) {\n"
	"      const shown = el('n-' + key);\n"
	"      if (shown) shown.textContent = key in how"
	" ? how[key](stats[key]) : stats[key] ?? 'not known';\n"
	"    }\n"
	"    if (last) draw((stats.announces - last.announces)"
	" * 1000 / (now - last.now));\n"
	"    last = {announces: stats.announces, now};\n"
	"  } catch (e) { last = null; }\n"
	"}\n"
	"function draw(rate) {\n"
	"  rates.push(Math.max(0, rate));\n"
	"  if (rates.length > 121) rates.shift();\n"
	"  const most = Math.max(...rates), shift = 121 - rates.length;\n"
	"  el('rate').textContent = Math.round(rates[rates.length - 1]);\n"
	"  el('most').textContent = Math.round(most);\n"
	"  el('line').setAttribute('points', rates.map((r, i) =>"
	" (i + shift) + ',' + (97 - 94 * r / (most || 1))).join(' '));\n"
	"  el('chart').hidden = false;\n"
	"}\n"
	"look();\n"
	"setInterval(look, 2000);\n"
	"</script>\n";

static const char tail[] =
	"<p>Version " TBT_VERSION ". The same as <a href=\"stats\">JSON</a>"
	" and for <a href=\"metrics\">Prometheus</a>.</p>\n"
	"</body>\n"
	"</html>\n";

static void append(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

/* `key` is its name in /stats, by which the script finds it; NULL: it never
 * changes. */
static void write_text(struct buffer *out, const char *name, const char *key,
	const char *value)
{
	append(out, "<div><dt>");
	append(out, name);
	append(out, "</dt><dd");
	if (key) {
		append(out, " id=\"n-");
		append(out, key);
		append(out, "\"");
	}
	append(out, ">");
	append(out, value);
	append(out, "</dd></div>\n");
}

static void write_number(
	struct buffer *out, const char *name, const char *key, uint64_t number)
{
	char value[24];

	if (number == SWARM_UNKNOWN)
		snprintf(value, sizeof(value), "not known");
	else
		snprintf(value, sizeof(value), "%" PRIu64, number);
	write_text(out, name, key, value);
}

void page_status_write(const struct tracker_figures *f, struct buffer *out)
{
	char duration[TEXT_UNIT_SIZE], size[TEXT_UNIT_SIZE];

	append(out, head);
	write_number(out, "Torrents", "swarms", f->swarms);
	write_number(out, "Peers", "peers", tracker_figures_peers(f));
	write_number(out, "Seeds", "seeds", f->seeders);
	write_number(out, "Announces", "announces", f->announces);
	write_number(out, "Refused", "refused", f->refused);
	write_number(out, "Scrapes", "scrapes", f->scrapes);
	write_text(out, "Memory", "memory", text_size(f->memory_bytes, size));
	write_text(
		out, "Interval", NULL, text_duration(f->interval_s, duration));
	write_text(
		out, "Up for", "uptime", text_duration(f->uptime_s, duration));
	append(out, chart);
	append(out, tail);
}
