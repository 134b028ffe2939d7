#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/torrent/make_torrent.h"
#include "shared/metainfo.h"
#include "shared/piece_check.h"

/* Each test has a process and so a current folder of its own. */
static void enter_folder(void)
{
	static char dir[] = "/tmp/tbt-make-XXXXXX";

	cr_assert(mkdtemp(dir));
	cr_assert_eq(chdir(dir), 0);
}

static void leave_folder(void)
{
	char here[64], command[128];

	cr_assert(getcwd(here, sizeof(here)));
	cr_assert(strncmp(here, "/tmp/tbt-make-", 14) == 0);
	snprintf(command, sizeof(command), "rm -rf '%s'", here);
	cr_expect_eq(system(command), 0);
}

TestSuite(make_torrent, .init = enter_folder, .fini = leave_folder);

/* The byte at a place in a file of the tests. */
static uint8_t byte_at(uint64_t i) { return (uint8_t)(i * 7 + i / 251); }

static void write_file(const char *path, size_t len)
{
	FILE *f = fopen(path, "wb");

	cr_assert(f, "%s", path);
	for (size_t i = 0; i < len; i++)
		putc(byte_at(i), f);
	cr_assert_eq(fclose(f), 0);
}

static bool make(const struct make_torrent *what, struct metainfo *ret,
	struct error *err)
{
	struct buffer b;

	buffer_init(&b, METAINFO_MAX_SIZE);
	bool ok = make_torrent(what, &b, err);
	if (ok)
		cr_assert(
			metainfo_parse((struct span){b.bytes, b.len}, ret, err),
			"%s", err->text);
	buffer_finish(&b);
	return ok;
}

static struct metainfo made(const struct make_torrent *what)
{
	struct metainfo m;
	struct error err;

	cr_assert(make(what, &m, &err), "%s", err.text);
	return m;
}

static void read_range(
	const struct metainfo *m, uint64_t from, uint8_t *to, size_t len)
{
	for (size_t i = 0; i < m->file_count; i++) {
		const struct metainfo_file *f = &m->files[i];
		for (uint64_t k = 0; k < f->length; k++) {
			uint64_t at = f->offset + k;
			if (at >= from && at - from < len)
				to[at - from] = byte_at(k);
		}
	}
}

/* All files are made by write_file(), so what they hold is known. */
static void check_pieces(const struct metainfo *m)
{
	struct piece_check *c = piece_check_create();
	uint8_t *piece = malloc(m->piece_length);

	for (uint32_t i = 0; i < m->piece_count; i++) {
		size_t len = metainfo_piece_size(m, i);
		read_range(m, (uint64_t)i * m->piece_length, piece, len);
		piece_check_begin(c, m, i);
		piece_check_update(c, piece, len);
		cr_expect(piece_check_end(c), "piece %u", i);
	}
	free(piece);
	piece_check_destroy(c);
}

Test(make_torrent, file_is_hashed_right_at_the_borders_of_pieces)
{
	static const size_t sizes[] = {
		1, 16383, 16384, 16385, 32768, 262143, 262144, 262145, 300001};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (unsigned threads = 0; threads <= 3; threads++) {
			write_file("file", sizes[i]);
			struct metainfo m = made(&(struct make_torrent){
				.path = "file",
				.piece_length = 16384,
				.threads = threads,
			});
			cr_expect_str_eq(m.name, "file");
			cr_expect_not(m.multi_file);
			cr_expect_eq(m.length, sizes[i]);
			check_pieces(&m);
			metainfo_finish(&m);
		}
	}
}

Test(make_torrent, piece_longer_than_a_reading_is_hashed_right)
{
	write_file("file", 5000000);
	struct metainfo m = made(&(struct make_torrent){
		.path = "file", .piece_length = 2 * 1024 * 1024});
	cr_expect_eq(m.piece_count, 3);
	check_pieces(&m);
	metainfo_finish(&m);
}

Test(make_torrent, folder_is_taken_in_the_order_of_bytes)
{
	/* Folder by folder: what is in `a` comes before `a-b` and `a.txt`. */
	static const char *const order[] = {
		"Z", "a/1", "a/b/c", "a/empty", "a-b", "a.txt", "b"};

	cr_assert_eq(mkdir("root", 0700), 0);
	cr_assert_eq(mkdir("root/a", 0700), 0);
	cr_assert_eq(mkdir("root/a/b", 0700), 0);
	cr_assert_eq(mkdir("root/no files", 0700), 0);
	write_file("root/b", 20000);
	write_file("root/a/b/c", 3);
	write_file("root/a/1", 70000);
	write_file("root/a/empty", 0);
	write_file("root/a-b", 1);
	write_file("root/a.txt", 16384);
	write_file("root/Z", 16384);
	struct metainfo m = made(&(struct make_torrent){
		.path = "root/", .piece_length = 32768, .threads = 2});
	cr_expect_str_eq(m.name, "root");
	cr_expect(m.multi_file);
	cr_assert_eq(m.file_count, sizeof(order) / sizeof(order[0]));
	for (size_t i = 0; i < m.file_count; i++)
		cr_expect_str_eq(m.files[i].path, order[i]);
	check_pieces(&m);
	metainfo_finish(&m);
}

Test(make_torrent, many_small_files_share_pieces)
{
	cr_assert_eq(mkdir("root", 0700), 0);
	for (unsigned i = 0; i < 500; i++) {
		char path[32];
		snprintf(path, sizeof(path), "root/%03u", i);
		write_file(path, i);
	}
	struct metainfo m =
		made(&(struct make_torrent){.path = "root", .threads = 3});
	cr_expect_eq(m.file_count, 500);
	cr_expect_eq(m.length, 500 * 499 / 2);
	check_pieces(&m);
	metainfo_finish(&m);
}

Test(make_torrent, everything_asked_for_is_written)
{
	static const char *const trackers[] = {"http://a/1", "udp://b:2"};
	static const char *const seeds[] = {"http://c/", "http://d/"};

	write_file("file", 5);
	struct metainfo m = made(&(struct make_torrent){
		.path = "./file",
		.trackers = trackers,
		.tracker_count = 2,
		.web_seeds = seeds,
		.web_seed_count = 2,
		.comment = "words",
		.source = "SRC",
		.private = true,
		.created_s = 1700000000,
	});
	cr_expect_str_eq(m.name, "file");
	cr_assert_eq(m.tracker_count, 2);
	cr_expect_str_eq(m.trackers[0].url, "http://a/1");
	cr_expect_eq(m.trackers[0].tier, 0);
	cr_expect_eq(m.trackers[1].tier, 1);
	cr_assert_eq(m.web_seed_count, 2);
	cr_expect_str_eq(m.web_seeds[1], "http://d/");
	cr_expect_str_eq(m.comment, "words");
	cr_expect_str_eq(m.source, "SRC");
	cr_expect_str_eq(m.created_by, "tbt/" TBT_VERSION);
	cr_expect(m.private);
	cr_expect_eq(m.created_s, 1700000000);
	metainfo_finish(&m);
}

Test(make_torrent, name_is_found_also_where_the_path_hides_it)
{
	cr_assert_eq(mkdir("root", 0700), 0);
	cr_assert_eq(mkdir("root/inner", 0700), 0);
	write_file("root/a", 1);
	write_file("root/inner/b", 1);
	static const char *const paths[] = {
		"root", "root/", "root//", "./root", "root/.", "root/inner/.."};

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct metainfo m =
			made(&(struct make_torrent){.path = paths[i]});
		cr_expect_str_eq(m.name, "root", "%s", paths[i]);
		metainfo_finish(&m);
	}
}

static void note(void *ctx, const char *path)
{
	strcat(ctx, path);
	strcat(ctx, " ");
}

Test(make_torrent, symlinks_in_a_folder_are_left_out_and_told)
{
	char skipped[200] = "";

	cr_assert_eq(mkdir("root", 0700), 0);
	cr_assert_eq(mkdir("root/d", 0700), 0);
	write_file("root/a", 1);
	write_file("root/d/a", 1);
	cr_assert_eq(symlink("a", "root/link"), 0);
	cr_assert_eq(symlink("/", "root/d/root"), 0);
	cr_assert_eq(symlink("nowhere", "root/d/dangling"), 0);
	struct metainfo m = made(&(struct make_torrent){
		.path = "root", .skipped = note, .ctx = skipped});
	cr_expect_eq(m.file_count, 2);
	cr_expect_str_eq(skipped, "d/dangling d/root link ");
	metainfo_finish(&m);

	/* One that was named on purpose is followed. */
	cr_assert_eq(symlink("root/a", "named"), 0);
	m = made(&(struct make_torrent){.path = "named"});
	cr_expect_str_eq(m.name, "named");
	metainfo_finish(&m);
}

static void refused(const char *path, const char *name, const char *why)
{
	struct metainfo m;
	struct error err = {0};

	cr_expect_not(make(&(struct make_torrent){.path = path}, &m, &err));
	cr_expect(strncmp(err.text, name, strlen(name)) == 0, "%s", err.text);
	cr_expect(strstr(err.text, why), "%s", err.text);
}

Test(make_torrent, what_cannot_be_shared_is_refused_by_name)
{
	refused("missing", "missing: ", "No such file");
	refused("/dev/null", "/dev/null: ", "neither a file nor a folder");
	write_file("empty", 0);
	refused("empty", "empty: ", "no bytes");
	cr_assert_eq(mkdir("root", 0700), 0);
	refused("root", "root: ", "no bytes");
	cr_assert_eq(mkfifo("fifo", 0600), 0);
	refused("fifo", "fifo: ", "neither");
	cr_assert_eq(mkfifo("root/fifo", 0600), 0);
	refused("root", "root/fifo: ", "neither");
	unlink("root/fifo");
	write_file("root/a\xff", 1);
	refused("root", "root/a\\xff: ", "not UTF-8");
	unlink("root/a\xff");
	write_file("root/a\nb", 1);
	refused("root/", "root/a\\x0ab: ", "control characters");
	unlink("root/a\nb");
	write_file("root/a\\b", 1);
	refused("root", "root/a\\b: ", "backslashes");
	unlink("root/a\\b");
	refused("/", "/: ", "no name");
}

static void keep_last(void *ctx, uint64_t done, uint64_t total)
{
	uint64_t *last = ctx;

	cr_expect(*last <= done && done <= total);
	*last = done;
}

Test(make_torrent, progress_ends_with_all_of_it)
{
	uint64_t last = 0;

	write_file("file", 100000);
	struct metainfo info = made(&(struct make_torrent){
		.path = "file", .progress = keep_last, .ctx = &last});
	cr_expect_eq(last, 100000);
	metainfo_finish(&info);
}

Test(make_torrent, too_many_pieces_are_refused_before_they_are_hashed)
{
	struct metainfo m;
	struct error err;
	int fd = open("sparse", O_CREAT | O_WRONLY, 0600);

	cr_assert_eq(ftruncate(fd, (off_t)1 << 40), 0);
	close(fd);
	cr_expect_not(make(
		&(struct make_torrent){.path = "sparse", .piece_length = 16384},
		&m, &err));
	cr_expect(strstr(err.text, "larger piece length"), "%s", err.text);
}

Test(make_torrent, piece_length_gives_one_to_two_thousand_pieces)
{
	static const struct {
		uint64_t total;
		uint32_t length;
	} cases[] = {
		{1, 16384},
		{2048 * 16384, 16384},
		{2048 * 16384 + 2047, 16384},
		{2048 * 16384 + 2048, 32768},
		{UINT64_C(1) << 30, 524288},
		{UINT64_C(4) << 30, 2097152},
		{UINT64_C(32) << 30, 16777216},
		{UINT64_C(1) << 40, 16777216},
		{INT64_MAX, 16777216},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_eq(make_torrent_piece_length(cases[i].total),
			cases[i].length, "case %zu", i);
}
