#include "tracker/page_stats.h"

#include <jansson.h>

#include "shared/buffer.h"
#include "tracker/counters.h"
#include "tracker/swarm_store.h"

static int append(const char *bytes, size_t len, void *out)
{
	return buffer_append(out, bytes, len) ? 0 : -1;
}

static json_t *number_or_null(uint64_t value)
{
	return value == SWARM_UNKNOWN ? json_null()
				      : json_integer((json_int_t)value);
}

void page_stats_write(const struct tracker_figures *f, struct buffer *out)
{
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{"uptime", f->uptime_s}, /* seconds, as the next */
		{"interval", f->interval_s},
		{"memory", f->memory_bytes},
		{"swarms", f->swarms},
		{"peers", tracker_figures_peers(f)},
		{"seeds", f->seeders},
		{"leechers", f->leechers},
		{"announces", f->announces},
		{"refused", f->refused},
		{"scrapes", f->scrapes},
	};
	json_t *stats = json_object();
	int failed =
		json_object_set_new(stats, "version", json_string(TBT_VERSION));

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		failed |= json_object_set_new(stats, numbers[i].key,
			number_or_null(numbers[i].value));
	if (failed || json_dump_callback(stats, append, out, JSON_INDENT(2)))
		out->failed = true;
	buffer_append(out, "\n", 1);
	json_decref(stats);
}
