#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/command_common.h"
#include "client/commands.h"
#include "client/storage/check.h"
#include "client/storage/layout.h"
#include "client/storage/storage.h"
#include "client/torrent/selection.h"
#include "client/ui/hash_line.h"
#include "shared/event_line.h"
#include "shared/metainfo.h"
#include "shared/options.h"
#include "shared/text.h"

struct verify_options {
	const char *file;   /* the content itself, or NULL */
	const char *folder; /* that holds it, or NULL */
	struct option_list select;
	uint64_t threads; /* 0: one a core */
	bool json;
	bool help;
};

enum { SHOWN_RANGES = 10, SHOWN_SIZE = 4 * 1024 };

/* Bytes of a file, merged; the first few are kept, the others counted. */
struct ranges {
	uint64_t at[SHOWN_RANGES][2]; /* first and last byte */
	size_t count;
	uint64_t next; /* the byte after the last range */
};

/* One check of one torrent. */
struct verify {
	const struct verify_options *options;
	const struct metainfo *m;
	struct selection selection;
	struct storage *storage;
	uint8_t *good;   /* a byte a piece */
	uint8_t *wanted; /* a byte a piece: to be looked at */
	uint8_t *lacks; /* a byte a piece: some file has not all of its bytes */
};

/* ---- What is wrong with a file ---- */

struct verdict {
	bool missing;
	uint64_t excess; /* bytes more than it should have */
	struct ranges damaged;
	struct ranges unproven; /* may be right, but share a piece with bytes
				 * that are missing from another file */
};

/* Ranges come in order. */
static void add_range(struct ranges *r, uint64_t begin, uint64_t end)
{
	if (r->count == 0 || begin != r->next) {
		if (r->count < SHOWN_RANGES)
			r->at[r->count][0] = begin;
		r->count++;
	}
	if (r->count <= SHOWN_RANGES)
		r->at[r->count - 1][1] = end - 1;
	r->next = end;
}

/* The bytes of file `f` in piece `index`, which holds some, as places in the
 * file. */
static void bytes_in_piece(const struct metainfo *m,
	const struct metainfo_file *f, uint32_t index, uint64_t *ret_begin,
	uint64_t *ret_end)
{
	uint64_t begin = (uint64_t)index * m->piece_length;
	uint64_t end = begin + metainfo_piece_size(m, index);
	uint64_t file_end = f->offset + f->length;

	*ret_begin = begin > f->offset ? begin - f->offset : 0;
	*ret_end = (end < file_end ? end : file_end) - f->offset;
}

static bool is_selected(const struct verify *v, size_t file)
{
	return metainfo_on_disk(&v->m->files[file]) &&
		(!v->selection.partial || v->selection.files[file]);
}

static void mark_lacking(struct verify *v, size_t file)
{
	const struct metainfo_file *f = &v->m->files[file];
	struct storage_stat st;
	uint32_t first, end;
	uint64_t from, to;

	storage_stat(v->storage, file, &st);
	layout_file_pieces(v->m, file, &first, &end);
	for (uint32_t i = first; i < end; i++) {
		bytes_in_piece(v->m, f, i, &from, &to);
		if (!st.exists || st.size < to)
			v->lacks[i] = 1;
	}
}

/* False: the file is not right. */
static bool judge_file(const struct verify *v, size_t file, struct verdict *ret)
{
	const struct metainfo_file *f = &v->m->files[file];
	struct storage_stat st;
	uint32_t first, end;
	uint64_t from, to;

	memset(ret, 0, sizeof(*ret));
	storage_stat(v->storage, file, &st);
	if (!st.exists) {
		ret->missing = true;
		return false;
	}
	if (st.size > f->length)
		ret->excess = st.size - f->length;

	layout_file_pieces(v->m, file, &first, &end);
	for (uint32_t i = first; i < end; i++) {
		if (v->good[i])
			continue;
		bytes_in_piece(v->m, f, i, &from, &to);
		bool excused = v->lacks[i] && st.size >= to;
		add_range(excused ? &ret->unproven : &ret->damaged, from, to);
	}
	return ret->excess == 0 && ret->damaged.count == 0 &&
		ret->unproven.count == 0;
}

/* ---- Telling it ---- */

static size_t shown_count(const struct ranges *r)
{
	return r->count < SHOWN_RANGES ? r->count : SHOWN_RANGES;
}

static void print_event(const struct verify *v, const char *event,
	const char *path, const struct verdict *verdict,
	const struct ranges *ranges)
{
	struct event_line e;

	event_line_begin(&e, event);
	event_line_hash(&e, "info_hash", &v->m->info_hash);
	event_line_text(&e, "path", path);
	if (ranges) {
		size_t shown = shown_count(ranges);
		event_line_ranges(&e, "ranges", ranges->at, shown);
		if (ranges->count > shown)
			event_line_number(
				&e, "more_ranges", ranges->count - shown);
	}
	if (verdict->excess > 0)
		event_line_number(&e, "excess", verdict->excess);
	event_line_print(&e, stdout);
}

static void print_events(
	const struct verify *v, const char *path, const struct verdict *verdict)
{
	if (verdict->missing)
		print_event(v, "missing", path, verdict, NULL);
	if (verdict->damaged.count > 0 || verdict->excess > 0)
		print_event(v, "damaged", path, verdict, &verdict->damaged);
	if (verdict->unproven.count > 0)
		print_event(v, "unproven", path, verdict, &verdict->unproven);
}

static void print_ranges(const struct ranges *r)
{
	size_t shown = shown_count(r);

	for (size_t i = 0; i < shown; i++)
		printf("%s%llu-%llu", i > 0 ? ", " : "bytes ",
			(unsigned long long)r->at[i][0],
			(unsigned long long)r->at[i][1]);
	if (r->count > shown)
		printf(" and %zu more", r->count - shown);
}

static void print_lines(const char *path, const struct verdict *verdict)
{
	char shown[SHOWN_SIZE];

	text_escape_str(path, shown, sizeof(shown));
	if (verdict->missing)
		printf("missing: %s\n", shown);
	if (verdict->damaged.count > 0) {
		printf("damaged: %s: ", shown);
		print_ranges(&verdict->damaged);
		putchar('\n');
	}
	if (verdict->excess > 0)
		printf("damaged: %s: %llu bytes too long\n", shown,
			(unsigned long long)verdict->excess);
	if (verdict->unproven.count > 0) {
		printf("unproven: %s: ", shown);
		print_ranges(&verdict->unproven);
		puts(", in one piece with missing bytes of another file");
	}
}

/* Whether everything is right. */
static bool report(struct verify *v)
{
	size_t files = 0, right = 0;
	uint32_t have = 0, pieces = 0;

	for (size_t i = 0; i < v->m->file_count; i++) {
		if (metainfo_on_disk(&v->m->files[i]))
			mark_lacking(v, i);
	}
	for (size_t i = 0; i < v->m->file_count; i++) {
		const char *path = v->m->files[i].path;
		struct verdict verdict;
		if (!is_selected(v, i))
			continue;
		files++;
		if (judge_file(v, i, &verdict))
			right++;
		else if (v->options->json)
			print_events(v, path, &verdict);
		else
			print_lines(path, &verdict);
	}
	for (uint32_t i = 0; i < v->m->piece_count; i++) {
		have += v->good[i];
		pieces += v->wanted[i];
	}

	if (v->options->json) {
		struct event_line e;
		event_line_begin(&e, "checked");
		event_line_hash(&e, "info_hash", &v->m->info_hash);
		event_line_number(&e, "have", have);
		event_line_number(&e, "pieces", pieces);
		event_line_number(&e, "files", files);
		event_line_number(&e, "files_right", right);
		event_line_print(&e, stdout);
	} else {
		printf("%zu of %zu files right, "
		       "%u of %u pieces missing or damaged\n",
			right, files, pieces - have, pieces);
	}
	return right == files && have == pieces;
}

/* ---- The command ---- */

static int check_content(struct verify *v)
{
	struct error err;
	struct hash_line line;
	struct check check = {
		.m = v->m,
		.storage = v->storage,
		.threads = (unsigned)v->options->threads,
		.progress = hash_line_progress(),
		.ctx = &line,
		.holes_may_be_good = true,
	};

	uint32_t count = v->m->piece_count;

	v->good = calloc(3, count);
	if (!v->good) {
		error_set(&err, "verify: out of memory");
		return command_fail(1, &err);
	}
	v->lacks = v->good + count;
	v->wanted = v->lacks + count;
	for (uint32_t i = 0; i < count; i++)
		v->wanted[i] = !v->selection.partial ||
			!bitfield_has(&v->selection.unwanted, i);
	check.wanted = v->wanted;

	int status;
	hash_line_init(&line, v->m->name);
	bool checked = check_run(&check, v->good, &err);
	hash_line_wipe(&line);
	if (checked) {
		bool right = report(v);
		status = command_finish_output();
		if (!right)
			status = 1;
	} else {
		status = command_fail(1, &err);
	}
	free(v->good);
	return status;
}

static int verify(const struct verify_options *o,
	const struct selection_list *select, const char *torrent)
{
	struct metainfo m;
	struct verify v = {.options = o, .m = &m};
	struct error err;

	if (!command_load_torrent(torrent, &m, &err))
		return command_fail(1, &err);

	int status;
	if (!selection_choose(select, &m, &v.selection, &err))
		status = command_fail(2, &err);
	else if (storage_open(&m, o->folder ? o->folder : ".", o->file,
			 STORAGE_SEED, &v.storage, &err))
		status = check_content(&v);
	else
		status = command_fail(1, &err);
	storage_close(v.storage);
	selection_finish(&v.selection);
	metainfo_finish(&m);
	return status;
}

static int run(const void *options, const struct option_list *torrents)
{
	const struct verify_options *o = options;
	struct error err;

	if (torrents->count != 1) {
		error_set(&err, "verify: wants one torrent, see --help");
		return command_fail(2, &err);
	}
	if (o->file && o->folder) {
		error_set(&err, "verify: wants --file or --output, not both");
		return command_fail(2, &err);
	}

	struct selection_list select = {0};
	int status = command_parse_select(&o->select, &select, &err)
		? verify(o, &select, torrents->items[0])
		: command_fail(2, &err);
	selection_list_finish(&select);
	return status;
}

int command_verify(int argc, char **argv)
{
	struct verify_options o = {0};
	/* clang-format off */
	const struct option table[] = {
		{'f', "file", OPTION_TEXT, &o.file, "PATH",
			"the content: the file of a single-file torrent,\n"
			"the folder of a multi-file one\n"
			"(the torrent's name in the current folder)", 0, 0},
		{'o', "output", OPTION_TEXT, &o.folder, "DIR",
			"folder that holds the content (.)", 0, 0},
		{0, "select", OPTION_LIST, &o.select, "LIST",
			"files to check, as `leech --select` takes them\n"
			"(all; repeatable)", 0, 0},
		{0, "threads", OPTION_NUMBER, &o.threads, "N",
			"hash with so many threads (one a core)", 1, 64},
		{0, "json", OPTION_FLAG, &o.json, NULL,
			"one JSON object a line on stdout", 0, 0},
		{'h', "help", OPTION_FLAG, &o.help, NULL,
			"print this and exit", 0, 0},
		{0},
	};
	/* clang-format on */
	const struct command_form form = {
		.usage = "usage: tbt-client verify TORRENT [options]\n"
			 "\n"
			 "Check content on disk against a torrent; names each "
			 "missing or "
			 "damaged file.\n"
			 "\n"
			 "options (and their defaults):",
		.table = table,
		.help = &o.help,
		.run = run,
		.options = &o,
	};

	return command_run(&form, argc, argv);
}
