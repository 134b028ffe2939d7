#include "tracker/page_metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shared/buffer.h"
#include "tracker/counters.h"
#include "tracker/swarm_store.h"

static void append(struct buffer *out, const char *text)
{
	buffer_append(out, text, strlen(text));
}

static void write_head(struct buffer *out, const char *name, const char *type,
	const char *help)
{
	const char *const parts[] = {
		"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		append(out, parts[i]);
}

/* `labels`: with braces, or "". */
static void write_sample(struct buffer *out, const char *name,
	const char *labels, uint64_t value)
{
	char number[24];

	snprintf(number, sizeof(number), " %" PRIu64 "\n", value);
	append(out, name);
	append(out, labels);
	append(out, number);
}

static void write_peers(const struct tracker_figures *f, struct buffer *out)
{
	const char *name = "tbt_tracker_peers";

	write_head(out, name, "gauge", "Peers by what they do.");
	write_sample(out, name, "{role=\"seeder\"}", f->seeders);
	write_sample(out, name, "{role=\"leecher\"}", f->leechers);
}

void page_metrics_write(const struct tracker_figures *f, struct buffer *out)
{
	const struct {
		const char *name;
		const char *type;
		const char *help;
		uint64_t value;
	} single[] = {
		{"tbt_tracker_swarms", "gauge", "Torrents that have peers.",
			f->swarms},
		{"tbt_tracker_announces_total", "counter",
			"Announces that were answered with peers.",
			f->announces},
		{"tbt_tracker_refused_total", "counter",
			"Announces that were answered with a failure.",
			f->refused},
		{"tbt_tracker_scrapes_total", "counter",
			"Scrapes that were answered.", f->scrapes},
		{"tbt_tracker_uptime_seconds", "gauge", "Time since the start.",
			f->uptime_s},
		{"tbt_tracker_memory_bytes", "gauge",
			"Memory of the process that is resident.",
			f->memory_bytes},
		{"tbt_tracker_interval_seconds", "gauge",
			"The announce interval that peers are told.",
			f->interval_s},
	};

	write_head(out, "tbt_tracker_info", "gauge", "The version, always 1.");
	write_sample(
		out, "tbt_tracker_info", "{version=\"" TBT_VERSION "\"}", 1);
	if (tracker_figures_peers(f) != SWARM_UNKNOWN)
		write_peers(f, out);
	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
		if (single[i].value == SWARM_UNKNOWN)
			continue;
		write_head(out, single[i].name, single[i].type, single[i].help);
		write_sample(out, single[i].name, "", single[i].value);
	}
}
