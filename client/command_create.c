#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/command_common.h"
#include "client/commands.h"
#include "client/torrent/make_torrent.h"
#include "client/torrent/source_files.h"
#include "client/ui/hash_line.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/metainfo.h"
#include "shared/options.h"
#include "shared/text.h"
#include "shared/write_all.h"

enum { SHOWN_SIZE = 256, MAX_THREADS = 256 };

struct create_options {
	struct option_list trackers;
	struct option_list web_seeds;
	const char *output;    /* NULL: NAME.torrent */
	const char *comment;   /* NULL: none */
	const char *source;    /* NULL: none */
	uint64_t piece_length; /* 0: chosen */
	uint64_t threads;      /* 0: one a core */
	bool private;
	bool no_date;
	bool force;
	bool help;
};

static void on_skipped(void *ctx, const char *path)
{
	char shown[SHOWN_SIZE];

	(void)ctx; /* all are told before the first progress */
	log_warning("%s: a symbolic link, left out",
		text_escape_str(path, shown, sizeof(shown)));
}

/* ---- the file ---- */

/* Give `temp` its name.  Without `force` a file of that name is kept, also one
 * that came meanwhile: link(2) never replaces. */
static bool move_into_place(const char *temp, const char *path, bool force)
{
	if (force)
		return rename(temp, path) == 0;
	if (link(temp, path) == 0)
		return unlink(temp) == 0;
	/* File systems without hard links (FAT): the check must do. */
	if (errno != EPERM && errno != EOPNOTSUPP && errno != ENOSYS)
		return false;
	if (access(path, F_OK) == 0) {
		errno = EEXIST;
		return false;
	}
	return rename(temp, path) == 0;
}

static bool refuse_existing(const char *shown, struct error *err)
{
	return error_set(
		err, "%s: exists already, and is kept without --force", shown);
}

/* Whole or not at all: a torrent cut short would be taken for a broken one. */
static bool save(
	const char *path, const struct buffer *b, bool force, struct error *err)
{
	char temp[PATH_MAX];
	char shown[SHOWN_SIZE];
	bool ok = false;

	text_escape_str(path, shown, sizeof(shown));
	int n = snprintf(
		temp, sizeof(temp), "%s.%ld.new", path, (long)getpid());
	if (n < 0 || (size_t)n >= sizeof(temp))
		return error_set(err, "%s: name too long", shown);
	int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return error_set_errno(err, "%s: cannot create", shown);
	if (!write_all(fd, b->bytes, b->len) || fsync(fd) != 0)
		error_set_errno(err, "%s: cannot write", shown);
	else if (move_into_place(temp, path, force))
		ok = true;
	else if (errno == EEXIST)
		refuse_existing(shown, err);
	else
		error_set_errno(err, "%s: cannot create", shown);
	close(fd);
	if (!ok)
		unlink(temp);
	return ok;
}

/* What --output says, or NAME.torrent in the current folder; to be freed. */
static char *output_path(
	const struct create_options *o, const char *source, struct error *err)
{
	char *path = NULL;

	if (o->output) {
		path = strdup(o->output);
	} else {
		char *name = source_files_name(source, err);
		if (!name)
			return NULL;
		if (asprintf(&path, "%s.torrent", name) < 0)
			path = NULL;
		free(name);
	}
	if (!path)
		error_set(err, "create: out of memory");
	return path;
}

/* Whether something can be created under this name, as far as it is known
 * before an hour of hashing. */
static bool check_output(const char *path, bool force, struct error *err)
{
	char folder[PATH_MAX];
	char shown[SHOWN_SIZE];
	struct stat st;

	text_escape_str(path, shown, sizeof(shown));
	if (lstat(path, &st) == 0) {
		if (!force)
			return refuse_existing(shown, err);
		if (!S_ISREG(st.st_mode))
			return error_set(
				err, "%s: not a file to replace", shown);
	}

	const char *slash = strrchr(path, '/');
	int n = slash ? snprintf(folder, sizeof(folder), "%.*s",
				(int)(slash - path) + 1, path)
		      : snprintf(folder, sizeof(folder), ".");
	if (n < 0 || (size_t)n >= sizeof(folder))
		return error_set(err, "%s: name too long", shown);
	if (faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) != 0)
		return error_set_errno(err, "%s: cannot create", shown);
	return true;
}

/* ---- the command ---- */

static bool check_urls(const struct option_list *urls, const char *option,
	bool udp_too, struct error *err)
{
	char shown[SHOWN_SIZE / 2];

	for (size_t i = 0; i < urls->count; i++) {
		if (!metainfo_url_usable(urls->items[i], udp_too))
			return error_set(err,
				"%s: wants a URL with %s, not "
				"'%s'",
				option,
				udp_too ? "http, https or udp"
					: "http or https",
				text_escape_str(
					urls->items[i], shown, sizeof(shown)));
	}
	return true;
}

static bool check_text(const char *text, const char *option, struct error *err)
{
	if (text &&
		!text_utf8_valid(
			(struct span){(const uint8_t *)text, strlen(text)}))
		return error_set(err, "%s: wants UTF-8", option);
	return true;
}

static bool check_options(const struct create_options *o,
	const struct option_list *arguments, struct error *err)
{
	if (arguments->count == 0)
		return error_set(err,
			"create: no file or folder given, see "
			"--help");
	if (arguments->count > 1)
		return error_set(err,
			"create: wants one file or folder, not "
			"%zu",
			arguments->count);
	if ((o->piece_length & (o->piece_length - 1)) != 0)
		return error_set(err, "--piece-length: wants a power of two");
	return check_urls(&o->trackers, "--announce", true, err) &&
		check_urls(&o->web_seeds, "--web-seed", false, err) &&
		check_text(o->comment, "--comment", err) &&
		check_text(o->source, "--source", err);
}

static void print_result(const char *path, const struct metainfo *m)
{
	char hex[INFO_HASH_HEX_SIZE];
	char shown[SHOWN_SIZE];
	char length[TEXT_UNIT_SIZE];
	char piece[TEXT_UNIT_SIZE];

	info_hash_hex(&m->info_hash, hex);
	printf("%s: %s in %zu file%s, %" PRIu32
	       " piece%s of %s, info hash %s\n",
		text_escape_str(path, shown, sizeof(shown)),
		text_size(m->length, length), m->file_count,
		m->file_count == 1 ? "" : "s", m->piece_count,
		m->piece_count == 1 ? "" : "s",
		text_size(m->piece_length, piece), hex);
}

/* What was made goes through the door by which all torrents come in: what we
 * could not read ourselves is not written. */
static bool save_checked(
	const char *path, bool force, const struct buffer *b, struct error *err)
{
	char shown[SHOWN_SIZE / 2];
	struct metainfo m;
	struct error why;

	if (!metainfo_parse((struct span){b->bytes, b->len}, &m, &why))
		return error_set(err, "%s: makes no torrent: %s",
			text_escape_str(path, shown, sizeof(shown)), why.text);
	bool ok = save(path, b, force, err);
	if (ok)
		print_result(path, &m);
	metainfo_finish(&m);
	return ok;
}

static bool make_and_save(const struct create_options *o, const char *source,
	const char *path, struct error *err)
{
	struct hash_line line;
	struct buffer b;
	struct make_torrent what = {
		.path = source,
		.output = path,
		.trackers = o->trackers.items,
		.tracker_count = o->trackers.count,
		.web_seeds = o->web_seeds.items,
		.web_seed_count = o->web_seeds.count,
		.comment = o->comment,
		.source = o->source,
		.private = o->private,
		.created_s = o->no_date ? 0 : (int64_t)clock_wall(),
		.piece_length = (uint32_t)o->piece_length,
		.threads = (unsigned)o->threads,
		.progress = hash_line_progress(),
		.skipped = on_skipped,
		.ctx = &line,
	};

	buffer_init(&b, METAINFO_MAX_SIZE + METAINFO_MAX_HASHES);
	hash_line_init(&line, source);
	bool ok = make_torrent(&what, &b, err);
	hash_line_wipe(&line);
	ok = ok && save_checked(path, o->force, &b, err);
	buffer_finish(&b);
	return ok;
}

static int create(const void *options, const struct option_list *arguments)
{
	const struct create_options *o = options;
	struct error err;

	if (!check_options(o, arguments, &err))
		return command_fail(2, &err);

	const char *source = arguments->items[0];
	char *path = output_path(o, source, &err);
	bool ok = path && check_output(path, o->force, &err) &&
		make_and_save(o, source, path, &err);
	free(path);
	return ok ? command_finish_output() : command_fail(1, &err);
}

int command_create(int argc, char **argv)
{
	struct create_options o = {0};
	/* clang-format off */
	const struct option table[] = {
		{'a', "announce", OPTION_LIST, &o.trackers, "URL",
			"a tracker (repeatable, each is a tier of its own)",
			0, 0},
		{'o', "output", OPTION_TEXT, &o.output, "FILE",
			"the .torrent to write (NAME.torrent here)", 0, 0},
		{0, "force", OPTION_FLAG, &o.force, NULL,
			"replace an existing file", 0, 0},
		{0, "piece-length", OPTION_SIZE, &o.piece_length, "SIZE",
			"a power of two from 16K to 512M\n"
			"(for about 1,000 to 2,000 pieces)",
			METAINFO_MIN_PIECE_LENGTH, METAINFO_MAX_PIECE_LENGTH},
		{0, "private", OPTION_FLAG, &o.private, NULL,
			"peers come from the trackers only", 0, 0},
		{0, "comment", OPTION_TEXT, &o.comment, "TEXT",
			"a comment for people", 0, 0},
		{0, "source", OPTION_TEXT, &o.source, "TEXT",
			"a tracker's tag; changes the info hash", 0, 0},
		{0, "web-seed", OPTION_LIST, &o.web_seeds, "URL",
			"the content on a web server (repeatable)", 0, 0},
		{0, "no-date", OPTION_FLAG, &o.no_date, NULL,
			"leave the date out: the same input then gives\n"
			"the same bytes", 0, 0},
		{0, "threads", OPTION_NUMBER, &o.threads, "N",
			"threads to hash with (one a core)", 1, MAX_THREADS},
		{'h', "help", OPTION_FLAG, &o.help, NULL,
			"print this and exit", 0, 0},
		{0},
	};
	/* clang-format on */
	const struct command_form form = {
		.usage = "usage: tbt-client create PATH [options]\n"
			 "\n"
			 "Make a .torrent of a file or folder.\n"
			 "\n"
			 "options (and their defaults):",
		.table = table,
		.help = &o.help,
		.run = create,
		.options = &o,
	};

	return command_run(&form, argc, argv);
}
