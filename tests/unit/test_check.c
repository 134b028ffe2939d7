#include "client/storage/check.h"

#include <criterion/criterion.h>

#include "client/storage/storage.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/torrent_maker.h"

enum { PIECE = 16 * 1024, PIECES = 41 };

/* 41 pieces, the last of one byte; file borders inside pieces. */
static const struct made_file files[] = {
	{.path = "a", .length = 10 * PIECE + 5},
	{.path = "empty"},
	{.path = "pad", .length = 2 * PIECE, .pad = true},
	{.path = "b", .length = 20 * PIECE - 5},
	{.path = "c/d", .length = 8 * PIECE + 1},
	{0},
};

static void put_content(const struct made_torrent *t)
{
	const struct metainfo *m = &t->m;

	mkdir("root", 0755);
	mkdir("root/c", 0755);
	cr_assert_eq(chdir("root"), 0);
	for (size_t i = 0; i < m->file_count; i++) {
		const struct metainfo_file *f = &m->files[i];
		if (!f->pad)
			put_file(f->path, t->content + f->offset, f->length);
	}
	cr_assert_eq(chdir(".."), 0);
}

static struct storage *opened(const struct metainfo *m, enum storage_mode mode)
{
	struct storage *s = NULL;
	struct error err;

	cr_assert(storage_open(m, ".", NULL, mode, &s, &err), "%s", err.text);
	return s;
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	uint8_t b;

	cr_assert_eq(pread(fd, &b, 1, at), 1);
	b ^= 1;
	cr_assert_eq(pwrite(fd, &b, 1, at), 1);
	close(fd);
}

Test(check, whole_content_is_good_whatever_the_number_of_threads)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", files, PIECE, NULL);
	struct storage *s = opened(&t.m, STORAGE_LEECH);
	uint8_t good[PIECES];
	struct error err;

	cr_assert_eq(t.m.piece_count, PIECES);
	put_content(&t);
	for (unsigned threads = 0; threads < 100; threads += 33) {
		struct check c = {.m = &t.m, .storage = s, .threads = threads};
		for (int holes = 0; holes < 2; holes++) {
			c.holes_may_be_good = holes;
			memset(good, 7, sizeof(good));
			cr_assert(check_run(&c, good, &err), "%s", err.text);
			for (size_t i = 0; i < PIECES; i++)
				cr_expect_eq(good[i], 1, "piece %zu", i);
		}
	}
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(check, exactly_the_damaged_pieces_are_bad)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", files, PIECE, NULL);
	struct storage *s = opened(&t.m, STORAGE_SEED);
	uint8_t good[PIECES];
	uint8_t wanted[PIECES];
	struct check c = {.m = &t.m,
		.storage = s,
		.wanted = wanted,
		.holes_may_be_good = true};
	struct error err;

	storage_close(s);
	put_content(&t);
	s = c.storage = opened(&t.m, STORAGE_SEED);
	memset(wanted, 1, sizeof(wanted));
	wanted[3] = 0;
	flip("root/a", 0);                                /* piece 0 */
	flip("root/a", 10 * PIECE + 4);                   /* 10, with pad */
	cr_assert_eq(truncate("root/c/d", 8 * PIECE), 0); /* 40 */
	cr_assert(check_run(&c, good, &err), "%s", err.text);
	for (size_t i = 0; i < PIECES; i++) {
		bool bad = i == 0 || i == 3 || i == 10 || i == 40;
		cr_expect_eq(good[i], !bad, "piece %zu", i);
	}
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(check, a_missing_file_is_no_failure_and_a_folder_in_its_place_is)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", files, PIECE, NULL);
	uint8_t good[PIECES];
	struct error err;

	put_content(&t);
	struct storage *s = opened(&t.m, STORAGE_LEECH);
	struct check c = {.m = &t.m, .storage = s};
	cr_assert_eq(unlink("root/b"), 0);
	cr_assert(check_run(&c, good, &err), "%s", err.text);
	for (size_t i = 0; i < PIECES; i++)
		cr_expect_eq(good[i], i < 12 || i >= 32, "piece %zu", i);

	cr_assert_eq(mkdir("root/b", 0755), 0);
	cr_expect_not(check_run(&c, good, &err));
	cr_expect_str_eq(err.text, "root/b: is not a regular file");
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

Test(check, zeros_in_a_hole_are_good_where_zeros_are_wanted)
{
	static const struct made_file one[] = {
		{.path = "", .length = 64 * PIECE - 5}, {0}};
	struct temp_folder dir = temp_folder_make();
	uint8_t *content = calloc(1, 64 * PIECE);
	content[40 * PIECE] = 1;
	struct made_torrent t = made_torrent_of("sparse", one, PIECE, content);
	uint8_t good[64];
	struct error err;

	put_file("sparse", "", 0);
	cr_assert_eq(truncate("sparse", 63 * PIECE), 0);
	struct storage *s = opened(&t.m, STORAGE_LEECH);
	struct check c = {.m = &t.m, .storage = s};
	for (int holes = 0; holes < 2; holes++) {
		c.holes_may_be_good = holes;
		cr_assert(check_run(&c, good, &err), "%s", err.text);
		for (size_t i = 0; i < 64; i++)
			cr_expect_eq(
				good[i], i != 40 && i != 63, "piece %zu", i);
	}
	cr_assert_eq(truncate("sparse", 64 * PIECE - 5), 0);

	struct iovec iov = {content + 40 * PIECE, PIECE};
	cr_assert(storage_write(s, 40 * PIECE, &iov, 1, &err));
	c.holes_may_be_good = false;
	cr_assert(check_run(&c, good, &err), "%s", err.text);
	cr_expect_eq(good[40], 1);
	cr_expect_eq(good[63], 1);
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

static void count_progress(void *ctx, uint64_t done, uint64_t total)
{
	uint64_t *last = ctx;

	cr_expect_geq(done, *last);
	cr_expect_leq(done, total);
	*last = done;
}

Test(check, progress_ends_at_all_and_stop_ends_the_check)
{
	struct temp_folder dir = temp_folder_make();
	struct made_torrent t = made_torrent_of("root", files, PIECE, NULL);
	struct storage *s = opened(&t.m, STORAGE_LEECH);
	atomic_bool stop = false;
	uint64_t last = 0;
	uint8_t good[PIECES];
	uint8_t wanted[PIECES] = {[5] = 1, [40] = 1};
	struct check c = {.m = &t.m,
		.storage = s,
		.wanted = wanted,
		.progress = count_progress,
		.ctx = &last,
		.stop = &stop};
	struct error err;

	put_content(&t);
	cr_assert(check_run(&c, good, &err));
	cr_expect_eq(last, PIECE + 1);

	stop = true;
	last = 0;
	cr_assert(check_run(&c, good, &err));
	for (size_t i = 0; i < PIECES; i++)
		cr_expect_eq(good[i], 0);
	storage_close(s);
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}
