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
	"<link rel=\"icon\" href=\"data:,\">\n"
	"<style>\n"
	":root { color-scheme: light dark; --ground: #f3f5f8; --card: #fff;"
	" --line: #dde3ea; --ink: #17212e; --soft: #5d6b7e; --go: #0b8574;"
	" --wait: #d9822b; }\n"
	"@media (prefers-color-scheme: dark) { :root { --ground: #10151c;"
	" --card: #18202a; --line: #2b3644; --ink: #e8edf3; --soft: #93a1b3;"
	" --go: #3cc9b2; --wait: #f0a35c; } }\n"
	"* { box-sizing: border-box; }\n"
	"body { margin: 0; background: var(--ground); color: var(--ink);"
	" font: 16px/1.45 system-ui, sans-serif; font-variant-numeric:"
	" tabular-nums; }\n"
	"main { max-width: 60rem; margin: 0 auto; padding: clamp(1rem, 4vw,"
	" 2.5rem); }\n"
	"header { display: flex; flex-wrap: wrap; gap: .25rem 1rem;"
	" align-items: center; margin-bottom: 1.25rem; }\n"
	"h1 { font-size: 1.5rem; margin: 0; letter-spacing: -.01em; }\n"
	"header p { margin: 0; color: var(--soft); flex: 1 1 auto; }\n"
	"#state { padding: .15rem .8rem; border-radius: 1rem; border: 1px"
	" solid; color: var(--go); font-size: .875rem; }\n"
	"#state::before { content: \"\\25cf  \"; }\n"
	"#state.bad { color: var(--wait); }\n"
	".card { background: var(--card); border: 1px solid var(--line);"
	" border-radius: .75rem; padding: 1rem 1.25rem; }\n"
	".soft, dt, footer { color: var(--soft); font-size: .875rem; }\n"
	"figure { margin: 0 0 1rem; }\n"
	"figcaption { display: flex; flex-wrap: wrap; gap: 0 .75rem;"
	" align-items: baseline; margin-bottom: .5rem; }\n"
	"#rate { font-size: 2.25rem; font-weight: 600; line-height: 1.1; }\n"
	".plot { position: relative; }\n"
	".plot span { position: absolute; left: 0; padding-right: .4rem;"
	" font-size: .75rem; color: var(--soft); background: var(--card);"
	" transform: translateY(-50%); }\n"
	"svg { display: block; width: 100%; height: clamp(7rem, 22vw, 11rem);"
	" }\n"
	"svg * { vector-effect: non-scaling-stroke; }\n"
	".grid { stroke: var(--line); }\n"
	"#line { fill: none; stroke: var(--go); stroke-width: 2;"
	" stroke-linejoin: round; }\n"
	"#area { fill: var(--go); opacity: .14; }\n"
	".time { display: flex; justify-content: space-between; font-size:"
	" .75rem; color: var(--soft); padding-top: .25rem; }\n"
	"dl { display: grid; gap: 1rem; margin: 0;"
	" grid-template-columns: 1fr 1fr; }\n"
	"@media (min-width: 40rem) {"
	" dl { grid-template-columns: 1fr 1fr 1fr; } }\n"
	"dd { margin: 0; }\n"
	".big { font-size: clamp(1.125rem, 5vw, 1.625rem); font-weight: 600;"
	" line-height: 1.3; overflow-wrap: anywhere; }\n"
	".wide { grid-column: 1 / -1; }\n"
	".bar { display: flex; height: .5rem; margin: .5rem 0; border-radius:"
	" .25rem; overflow: hidden; background: var(--line); }\n"
	".bar i { background: var(--go); transition: width .4s; }\n"
	"footer { margin-top: 1.25rem; }\n"
	"a { color: var(--go); }\n"
	"</style>\n"
	"</head>\n"
	"<body>\n"
	"<main>\n"
	"<header><h1>tbt-tracker</h1>\n"
	"<p>tells BitTorrent peers about each other</p>\n"
	"<span id=\"state\" role=\"status\">serving</span></header>\n";

/* Hidden until the script has something to draw. */
static const char chart[] =
	"<figure id=\"chart\" class=\"card\" hidden>\n"
	"<figcaption><span id=\"rate\">0</span> announces a second <span"
	" class=\"soft\">at most <b id=\"most\">0</b> in the last four"
	" minutes</span></figcaption>\n"
	"<div class=\"plot\"><span style=\"top:3%\" id=\"top\"></span><span"
	" style=\"top:50%\" id=\"half\"></span>\n"
	"<svg viewBox=\"0 0 120 100\" preserveAspectRatio=\"none\""
	" role=\"img\" aria-label=\"announces a second\">\n"
	"<path class=\"grid\" d=\"M0 3H120M0 50H120M0 97H120\"/>\n"
	"<polygon id=\"area\" points=\"\"/><polyline id=\"line\""
	" points=\"\"/></svg></div>\n"
	"<div class=\"time\"><span>4 min ago</span><span>2 min"
	" ago</span><span>now</span></div>\n"
	"</figure>\n";

/* Asks /stats every other second and draws the last four minutes.  Without
 * JavaScript there is no chart, and the page loads itself anew. */
static const char script[] =
	"<script>\n"
	"'use strict';\n"
	"const rates = [], el = id => document.getElementById(id);\n"
	"const count = n => n === null ? 'not known' :"
	" n.toLocaleString('en-US');\n"
	"let last = null;\n"
	"function duration(s) {\n"
	"  for (const [unit, name, part, partName] of [[86400, 'd', 3600,"
	" 'h'], [3600, 'h', 60, 'min'], [60, 'min', 1, 's']])\n"
	"    if (s >= unit) return Math.floor(s / unit) + ' ' + name + ' ' +"
	" String(Math.floor(s % unit / part)).padStart(2, '0') + ' ' +"
	" partName;\n"
	"  return s + ' s';\n"
	"}\n"
	"function size(bytes) {\n"
	"  const names = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];\n"
	"  let unit = 0;\n"
	"  for (; bytes >= 1024 && unit < 4; unit++) bytes /= 1024;\n"
	"  return bytes.toFixed(unit ? 1 : 0) + ' ' + names[unit];\n"
	"}\n"
	"function tell(text, good) {\n"
	"  if (el('state').textContent !== text) el('state').textContent ="
	" text;\n"
	"  el('state').className = good ? '' : 'bad';\n"
	"}\n"
	"const how = {uptime: duration, memory: size};\n"
	"async function look() {\n"
	"  try {\n"
	"    const [answer, health] = await Promise.all(['stats',"
	" 'health'].map(page => fetch(page, {cache: 'no-store'})));\n"
	"    const stats = await answer.json(), now = performance.now();\n"
	"    for (const key in stats)\n"
	"      if (el('n-' + key)) el('n-' + key).textContent = (how[key] ||"
	" count)(stats[key]);\n"
	"    if (el('share')) el('share').style.width ="
	" stats.peers ? 100 * stats.seeds / stats.peers + '%' : 0;\n"
	"    if (last) draw(Math.max(0, stats.announces - last.announces) *"
	" 1000 / (now - last.now));\n" /* it began anew: 0 */
	"    last = {announces: stats.announces, now};\n"
	"    tell(health.ok ? 'serving' : await health.text(), health.ok);\n"
	"  } catch (e) {\n"
	"    last = null;\n"
	"    tell('does not answer', false);\n"
	"  }\n"
	"  setTimeout(look, 2000);\n"
	"}\n"
	"function round(most) {\n"
	"  const unit = 10 ** Math.floor(Math.log10(Math.max(most, 1)));\n"
	"  return [1, 2, 4, 6, 10].find(n => n * unit >= most) * unit;\n"
	"}\n"
	"const rough = n => count(n < 10 ? Math.round(10 * n) / 10 :"
	" Math.round(n));\n"
	"function draw(rate) {\n"
	"  rates.push(rate);\n"
	"  if (rates.length > 121) rates.shift();\n"
	"  const most = Math.max(...rates), top = Math.max(2, round(most)),"
	" first = 121 - rates.length;\n"
	"  const points = rates.map((r, i) => (i + first) + ',' + (97 - 94 *"
	" r / top).toFixed(2)).join(' ');\n"
	"  el('rate').textContent = rough(rate);\n"
	"  el('most').textContent = rough(most);\n"
	"  el('top').textContent = count(top);\n"
	"  el('half').textContent = count(top / 2);\n"
	"  el('line').setAttribute('points', points);\n"
	"  el('area').setAttribute('points', first + ',97 ' + points + '"
	" 120,97');\n"
	"  el('chart').hidden = false;\n"
	"}\n"
	"look();\n"
	"</script>\n";

static const char tail[] = "</main>\n"
			   "</body>\n"
			   "</html>\n";

static void append(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

/* With commas between the thousands, as the script does it. */
static const char *number_text(uint64_t number, char ret[32])
{
	char *at = ret + 31;
	unsigned digits = 0;

	if (number == SWARM_UNKNOWN)
		return "not known";
	*at = '\0';
	do {
		if (digits > 0 && digits % 3 == 0)
			*--at = ',';
		*--at = (char)('0' + number % 10);
		number /= 10;
		digits++;
	} while (number > 0);
	return at;
}

/* `key` is its name in /stats, by which the script finds it. */
static void write_value(struct buffer *out, const char *key, const char *value)
{
	const char *const parts[] = {
		"<span id=\"n-", key, "\">", value, "</span>"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		append(out, parts[i]);
}

static void write_card(struct buffer *out, const char *name, const char *key,
	const char *value)
{
	append(out, "<div class=\"card\"><dt>");
	append(out, name);
	append(out, "</dt>");
	append(out, "<dd class=\"big\">");
	write_value(out, key, value);
	append(out, "</dd></div>\n");
}

/* Peers, and as a bar how many of them are seeds. */
static void write_peers(struct buffer *out, const struct tracker_figures *f)
{
	uint64_t peers = tracker_figures_peers(f);
	char number[32], bar[80];

	append(out, "<div class=\"card wide\"><dt>Peers</dt>");
	append(out, "<dd><div class=\"big\">");
	write_value(out, "peers", number_text(peers, number));
	append(out, "</div>");
	if (peers != SWARM_UNKNOWN) {
		double share =
			peers > 0 ? (double)f->seeders / (double)peers : 0;

		snprintf(bar, sizeof(bar),
			"<div class=\"bar\"><i id=\"share\" "
			"style=\"width:%.0f%%\"></i></div>",
			100 * share);
		append(out, bar);
		append(out, "<span class=\"soft\">");
		write_value(out, "seeds", number_text(f->seeders, number));
		append(out, " seeds, ");
		write_value(out, "leechers", number_text(f->leechers, number));
		append(out, " leechers</span>");
	}
	append(out, "</dd></div>\n");
}

void page_status_write(const struct tracker_figures *f, struct buffer *out)
{
	const struct {
		const char *name;
		const char *key;
		uint64_t number;
	} numbers[] = {
		{"Torrents", "swarms", f->swarms},
		{"Announces", "announces", f->announces},
		{"Refused", "refused", f->refused},
		{"Scrapes", "scrapes", f->scrapes},
	};
	char text[TEXT_UNIT_SIZE], number[32];

	append(out, head);
	append(out, chart);
	append(out, "<dl>\n");
	write_peers(out, f);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		write_card(out, numbers[i].name, numbers[i].key,
			number_text(numbers[i].number, number));
	write_card(out, "Memory", "memory", text_size(f->memory_bytes, text));
	write_card(out, "Up for", "uptime", text_duration(f->uptime_s, text));
	snprintf(number, sizeof(number), "%" PRIu32, f->interval_s);
	append(out,
		"</dl>\n<footer>Version " TBT_VERSION
		". Peers announce themselves every ");
	append(out, number);
	append(out,
		" s. The same numbers as <a href=\"stats\">JSON</a> and for "
		"<a href=\"metrics\">Prometheus</a>.</footer>\n");
	append(out, script);
	append(out, tail);
}
