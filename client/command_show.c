#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/command_common.h"
#include "client/commands.h"
#include "client/torrent/magnet.h"
#include "shared/metainfo.h"
#include "shared/options.h"
#include "shared/text.h"

/* ---- what both forms say of both kinds ---- */

/* The link to a torrent; to be freed.  NULL: out of memory. */
static char *link_text(const struct magnet *magnet)
{
	struct buffer b;

	buffer_init(&b, SIZE_MAX);
	magnet_write(magnet, &b);
	buffer_append(&b, "", 1);
	if (b.failed) {
		buffer_finish(&b);
		return NULL;
	}
	return (char *)b.bytes;
}

/* The magnet of a torrent, which points into it; `urls` holds its trackers. */
static struct magnet magnet_of(
	const struct metainfo *m, const char *urls[METAINFO_MAX_TRACKERS])
{
	for (size_t i = 0; i < m->tracker_count; i++)
		urls[i] = m->trackers[i].url;
	return (struct magnet){
		.info_hash = m->info_hash,
		.name = m->name,
		.length = m->length,
		.tracker_count = m->tracker_count,
		.trackers = urls,
		.web_seed_count = m->web_seed_count,
		.web_seeds = m->web_seeds,
	};
}

/* ---- for people ---- */

/* There was no memory for some of the text: asked once, at the end. */
static bool incomplete;

/* Text of any length from outside. */
static void print_escaped(const char *text)
{
	size_t size = 4 * strlen(text) + 1;
	char *escaped = malloc(size);

	if (escaped)
		fputs(text_escape_str(text, escaped, size), stdout);
	else
		incomplete = true;
	free(escaped);
}

static void print_line(const char *label, const char *text)
{
	printf("%-14s", label);
	print_escaped(text);
	putchar('\n');
}

static void print_optional(const char *label, const char *text)
{
	if (*text)
		print_line(label, text);
}

static void print_list(
	const char *label, const char *const *items, size_t count)
{
	for (size_t i = 0; i < count; i++)
		print_line(i == 0 ? label : "", items[i]);
}

static void print_hash(const struct info_hash *hash)
{
	char hex[INFO_HASH_HEX_SIZE];

	info_hash_hex(hash, hex);
	print_line("info hash", hex);
}

static void print_size(uint64_t length)
{
	char size[TEXT_UNIT_SIZE];

	printf("%-14s%s (%" PRIu64 " bytes)\n", "size", text_size(length, size),
		length);
}

static void print_date(int64_t created_s)
{
	time_t seconds = created_s;
	struct tm tm;
	char text[64];

	if (created_s == 0)
		return;
	/* The year of a hostile date need not fit. */
	if (!gmtime_r(&seconds, &tm) ||
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		snprintf(text, sizeof(text), "%" PRId64 " s after 1970",
			created_s);
	print_line("created", text);
}

static void print_trackers(const struct metainfo *m)
{
	for (size_t i = 0; i < m->tracker_count; i++) {
		char label[32] = "";
		if (i == 0 || m->trackers[i].tier != m->trackers[i - 1].tier)
			snprintf(label, sizeof(label), "tracker %u",
				m->trackers[i].tier + 1);
		print_line(label, m->trackers[i].url);
	}
}

/* The numbers are those that `leech --select` takes. */
static void print_files(const struct metainfo *m)
{
	char size[TEXT_UNIT_SIZE];

	puts("files");
	for (size_t i = 0; i < m->file_count; i++) {
		const struct metainfo_file *f = &m->files[i];
		if (f->pad)
			continue;
		printf("%6zu  %10s  ", i + 1, text_size(f->length, size));
		print_escaped(f->path);
		puts(f->symlink ? " (a symbolic link, not created)"
				: f->executable ? " (executable)"
						: "");
	}
}

static void print_link(const struct magnet *magnet)
{
	char *link = link_text(magnet);

	if (link)
		print_line("magnet", link);
	else
		incomplete = true;
	free(link);
}

static bool print_torrent(const struct metainfo *m)
{
	const char *urls[METAINFO_MAX_TRACKERS];
	struct magnet magnet = magnet_of(m, urls);
	char size[TEXT_UNIT_SIZE];

	print_line("name", m->name);
	print_hash(&m->info_hash);
	print_size(m->length);
	printf("%-14s%" PRIu32 " of %s\n", "pieces", m->piece_count,
		text_size(m->piece_length, size));
	print_line("private", m->private ? "yes" : "no");
	if (m->hybrid)
		print_line("version", "hybrid, used as v1");
	print_optional("comment", m->comment);
	print_optional("source", m->source);
	print_optional("created by", m->created_by);
	print_date(m->created_s);
	print_trackers(m);
	print_list("web seeds", m->web_seeds, m->web_seed_count);
	print_link(&magnet);
	print_files(m);
	return !incomplete;
}

static bool print_magnet(const struct magnet *m)
{
	print_optional("name", m->name);
	print_hash(&m->info_hash);
	if (m->length > 0)
		print_size(m->length);
	print_list("trackers", m->trackers, m->tracker_count);
	print_list("web seeds", m->web_seeds, m->web_seed_count);
	print_list("peers", m->peers, m->peer_count);
	if (m->select_only)
		print_line("select only", m->select_only);
	print_link(m);
	return !incomplete;
}

/* ---- JSON ---- */

/* Text in metainfo and magnets is valid UTF-8, or it would be refused here;
 * Jansson escapes the control characters. */
static bool add(json_t *list, json_t *item)
{
	return json_array_append_new(list, item) == 0;
}

/* Whole or not at all: NULL tells that there was no memory. */
static json_t *json_whole(json_t *json, bool ok)
{
	if (ok)
		return json;
	json_decref(json);
	return NULL;
}

static json_t *json_list(const char *const *items, size_t count)
{
	json_t *list = json_array();
	bool ok = true;

	for (size_t i = 0; i < count; i++)
		ok = ok && add(list, json_string(items[i]));
	return json_whole(list, ok);
}

static json_t *json_tiers(const struct metainfo *m)
{
	json_t *tiers = json_array();
	json_t *tier = NULL;
	bool ok = true;

	for (size_t i = 0; i < m->tracker_count; i++) {
		if (i == 0 || m->trackers[i].tier != m->trackers[i - 1].tier) {
			tier = json_array();
			ok = ok && add(tiers, tier);
		}
		ok = ok && add(tier, json_string(m->trackers[i].url));
	}
	return json_whole(tiers, ok);
}

static json_t *json_file(const struct metainfo_file *f)
{
	json_t *file = json_pack(
		"{s:s, s:I}", "path", f->path, "length", (json_int_t)f->length);
	const struct {
		const char *key;
		bool is;
	} rare[] = {
		{"pad", f->pad},
		{"symlink", f->symlink},
		{"executable", f->executable},
	};
	bool ok = true;

	/* Only where it is so. */
	for (size_t i = 0; i < sizeof(rare) / sizeof(rare[0]); i++) {
		if (rare[i].is)
			ok = ok &&
				json_object_set_new(
					file, rare[i].key, json_true()) == 0;
	}
	return json_whole(file, ok);
}

/* All of them, pad files too, so that each keeps its number. */
static json_t *json_files(const struct metainfo *m)
{
	json_t *files = json_array();
	bool ok = true;

	for (size_t i = 0; i < m->file_count; i++)
		ok = ok && add(files, json_file(&m->files[i]));
	return json_whole(files, ok);
}

static json_t *json_date(int64_t created_s)
{
	return created_s ? json_integer(created_s) : json_null();
}

static json_t *json_link(const struct magnet *magnet)
{
	char *link = link_text(magnet);
	json_t *text = link ? json_string(link) : NULL;

	free(link);
	return text;
}

/* Jansson escapes C0, and C1 where it is asked for ASCII, but not DEL. */
static int write_json(const char *text, size_t len, void *to)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == 0x7f)
			fputs("\\u007f", to);
		else
			putc(text[i], to);
	}
	return 0;
}

/* Takes the object; false: there was no memory to make it. */
static bool print_json(json_t *object)
{
	if (!object)
		return false;
	bool ok = json_dump_callback(object, write_json, stdout,
			  JSON_COMPACT | JSON_ENSURE_ASCII) == 0;
	putchar('\n');
	json_decref(object);
	return ok;
}

static bool print_torrent_json(const struct metainfo *m)
{
	const char *urls[METAINFO_MAX_TRACKERS];
	struct magnet magnet = magnet_of(m, urls);
	char hex[INFO_HASH_HEX_SIZE];

	info_hash_hex(&m->info_hash, hex);
	return print_json(json_pack(
		"{s:s, s:s, s:I, s:I, s:I, s:b, s:b, s:b, s:o, s:o, s:o, "
		"s:s, s:s, s:s, s:o, s:o}",
		"name", m->name, "info_hash", hex, "length",
		(json_int_t)m->length, "piece_length",
		(json_int_t)m->piece_length, "pieces",
		(json_int_t)m->piece_count, "private", m->private, "hybrid",
		m->hybrid, "multi_file", m->multi_file, "files", json_files(m),
		"trackers", json_tiers(m), "web_seeds",
		json_list(m->web_seeds, m->web_seed_count), "comment",
		m->comment, "created_by", m->created_by, "source", m->source,
		"created", json_date(m->created_s), "magnet",
		json_link(&magnet)));
}

/* The same keys, null where the metadata has yet to be fetched. */
static bool print_magnet_json(const struct magnet *m)
{
	char hex[INFO_HASH_HEX_SIZE];
	json_t *tiers = json_array();
	bool ok = true;

	/* BEP 9 knows no tiers: each tracker is one, as in `create`. */
	for (size_t i = 0; i < m->tracker_count; i++)
		ok = ok && add(tiers, json_list(&m->trackers[i], 1));
	tiers = json_whole(tiers, ok);
	info_hash_hex(&m->info_hash, hex);
	return print_json(json_pack(
		"{s:o, s:s, s:o, s:n, s:n, s:n, s:n, s:o, s:o, s:o, s:s?, s:n, "
		"s:n, s:n, s:o}",
		"name", *m->name ? json_string(m->name) : json_null(),
		"info_hash", hex, "length",
		m->length ? json_integer((json_int_t)m->length) : json_null(),
		"piece_length", "pieces", "private", "files", "trackers", tiers,
		"web_seeds", json_list(m->web_seeds, m->web_seed_count),
		"peers", json_list(m->peers, m->peer_count), "select_only",
		m->select_only, "comment", "created_by", "created", "magnet",
		json_link(m)));
}

/* ---- the command ---- */

static int finish(bool printed)
{
	struct error err;

	if (printed)
		return command_finish_output();
	error_set(&err, "show: out of memory");
	return command_fail(1, &err);
}

static int show_magnet(const char *text, bool as_json)
{
	struct magnet m;
	struct error err;

	if (!magnet_parse(text, &m, &err))
		return command_fail(2, &err);
	bool ok = as_json ? print_magnet_json(&m) : print_magnet(&m);
	magnet_finish(&m);
	return finish(ok);
}

static int show_torrent(const char *path, bool as_json)
{
	struct metainfo m;
	struct error err;

	if (!command_load_torrent(path, &m, &err))
		return command_fail(1, &err);
	bool ok = as_json ? print_torrent_json(&m) : print_torrent(&m);
	metainfo_finish(&m);
	return finish(ok);
}

static int show(const void *options, const struct option_list *arguments)
{
	const bool *as_json = options;
	struct error err;

	if (arguments->count != 1) {
		error_set(&err,
			"show: wants one torrent or magnet link, see "
			"--help");
		return command_fail(2, &err);
	}
	const char *what = arguments->items[0];
	return magnet_looks_like(what) ? show_magnet(what, *as_json)
				       : show_torrent(what, *as_json);
}

int command_show(int argc, char **argv)
{
	bool as_json = false;
	bool help = false;
	const struct option table[] = {
		{0, "json", OPTION_FLAG, &as_json, NULL,
			"print one JSON object", 0, 0},
		{'h', "help", OPTION_FLAG, &help, NULL, "print this and exit",
			0, 0},
		{0},
	};
	const struct command_form form = {
		.usage = "usage: tbt-client show TORRENT|MAGNET [options]\n"
			 "\n"
			 "Print what a torrent or magnet link says.\n"
			 "\n"
			 "options:",
		.table = table,
		.help = &help,
		.run = show,
		.options = &as_json,
	};

	return command_run(&form, argc, argv);
}
