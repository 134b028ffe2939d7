#include "client/storage/parts_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>

#include "client/storage/content_root.h"
#include "client/storage/storage.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/torrent_maker.h"

enum { PIECE = 16 * 1024 };

/* Pieces: 0 a; 1 a and b; 2 to 4 b; 5 b, small, tiny and c; 6, 7 c. */
enum { A, B, SMALL, TINY, C, FILES };
static const struct made_file tree[] = {
	[A] = {.path = "a", .length = PIECE + 100},
	[B] = {.path = "sub/b", .length = 4 * PIECE},
	[SMALL] = {.path = "sub/small", .length = 10},
	[TINY] = {.path = "tiny", .length = 1},
	[C] = {.path = "sub/deep/c", .length = 2 * PIECE},
	[FILES] = {0},
};

/* Each test is a process of its own. */
static struct temp_folder dir;
static struct made_torrent t;
static uint8_t selected[FILES];
static char name[128]; /* of the parts file */

static void begin(void)
{
	char hex[INFO_HASH_HEX_SIZE];

	dir = temp_folder_make();
	t = made_torrent_of("root", tree, PIECE, NULL);
	info_hash_hex(&t.m.info_hash, hex);
	snprintf(name, sizeof(name), "out/.%s.tbt-parts", hex);
}

static void end(void)
{
	made_torrent_finish(&t);
	temp_folder_remove(&dir);
}

static struct storage *leech(const char *files)
{
	struct storage *s = NULL;
	struct error err;

	for (size_t i = 0; i < FILES; i++)
		selected[i] = files[i] == '1';
	cr_assert(storage_open(&t.m, "out", NULL, STORAGE_LEECH, &s, &err),
		"%s", err.text);
	if (strchr(files, '0'))
		cr_assert(storage_select(s, selected, &err));
	return s;
}

static bool write_piece(struct storage *s, uint32_t piece, struct error *err)
{
	uint64_t offset = (uint64_t)piece * PIECE;
	uint32_t size = metainfo_piece_size(&t.m, piece);
	/* In two segments that do not end where files do. */
	struct iovec iov[] = {
		{t.content + offset, 77},
		{t.content + offset + 77, size - 77},
	};

	return storage_write(s, offset, iov, 2, err);
}

static void write_pieces(struct storage *s, uint32_t first, uint32_t last)
{
	struct error err;

	for (uint32_t i = first; i <= last; i++)
		cr_assert(write_piece(s, i, &err), "%s", err.text);
	cr_assert(storage_sync(s, &err), "%s", err.text);
}

/* '1' for each piece that is there and right. */
static const char *pieces_of(struct storage *s)
{
	static char text[64];
	uint8_t bytes[PIECE];
	struct error err;

	for (uint32_t i = 0; i < t.m.piece_count; i++) {
		uint32_t size = metainfo_piece_size(&t.m, i);
		enum storage_result r =
			storage_read(s, (uint64_t)i * PIECE, bytes, size, &err);
		cr_assert_neq(r, STORAGE_FAILED, "%s", err.text);
		text[i] = r == STORAGE_OK &&
				memcmp(bytes, t.content + i * PIECE, size) == 0
			? '1'
			: '0';
	}
	text[t.m.piece_count] = '\0';
	return text;
}

static void adopt(struct storage *s, const char *good)
{
	uint8_t bytes[64];
	struct error err;

	for (uint32_t i = 0; i < t.m.piece_count; i++)
		bytes[i] = good[i] == '1';
	cr_assert(storage_adopt_parts(s, bytes, &err), "%s", err.text);
}

static bool whole_file(size_t file)
{
	char path[64];

	snprintf(path, sizeof(path), "out/root/%s", t.m.files[file].path);
	return file_is(path, t.content + t.m.files[file].offset,
		t.m.files[file].length);
}

Test(parts_file, unselected_files_are_not_made_and_pieces_are_whole)
{
	struct error err;

	begin();
	struct storage *s = leech("00010"); /* tiny, in the midst of piece 5 */
	cr_expect_str_eq(storage_parts_warning(s), "");
	cr_expect_not(path_exists(name));
	write_pieces(s, 5, 5);
	cr_expect_str_eq(pieces_of(s), "00000100");
	cr_expect(storage_complete(s, &err), "%s", err.text);
	cr_expect(storage_still_there(s, &err), "%s", err.text);
	cr_expect(whole_file(TINY));
	cr_expect(path_exists(name));
	cr_expect_not(path_exists("out/root/a"));
	cr_expect_not(path_exists("out/root/sub"));
	storage_close(s);

	/* So it is the next time. */
	s = leech("00010");
	cr_expect_str_eq(pieces_of(s), "00000100");
	storage_unlock(s);
	storage_drop_parts(s);
	cr_expect_not(path_exists(name));
	storage_close(s);
	end();
}

Test(parts_file, nothing_is_made_where_no_piece_is_shared)
{
	begin();
	struct storage *s = leech("11111");
	write_pieces(s, 0, 7);
	adopt(s, "11111111");
	cr_expect_not(path_exists(name));
	storage_close(s);
	end();
}

Test(parts_file, more_files_get_what_the_parts_file_has_of_them)
{
	struct error err;

	begin();
	struct storage *s = leech("01000");
	write_pieces(s, 1, 5);
	storage_close(s);

	s = leech("01110");
	uint8_t marked[8] = {0};
	storage_mark_parts(s, marked);
	cr_expect_arr_eq(marked, ((uint8_t[]){0, 1, 0, 0, 0, 1, 0, 0}), 8);
	cr_expect_str_eq(pieces_of(s), "01111100");
	adopt(s, pieces_of(s));
	cr_expect_str_eq(pieces_of(s), "01111100");
	cr_expect(whole_file(SMALL));
	cr_expect(whole_file(TINY));
	cr_expect_not(path_exists("out/root/a"));
	cr_expect(path_exists(name), "a and c are still in it");
	storage_close(s);

	s = leech("11111");
	adopt(s, pieces_of(s));
	cr_expect_str_eq(pieces_of(s), "01111100");
	cr_expect_not(path_exists(name));
	write_pieces(s, 0, 0);
	write_pieces(s, 6, 7);
	cr_expect(storage_complete(s, &err));
	for (size_t i = 0; i < FILES; i++)
		cr_expect(whole_file(i), "%zu", i);
	storage_close(s);
	end();
}

Test(parts_file, fewer_files_lose_nothing_and_are_not_touched)
{
	struct stat before, after;

	begin();
	struct storage *s = leech("11000");
	write_pieces(s, 0, 1);
	storage_close(s);
	cr_assert_eq(stat("out/root/sub/b", &before), 0);

	s = leech("10000");
	cr_expect_str_eq(pieces_of(s), "11000000");
	adopt(s, pieces_of(s));
	cr_expect_str_eq(pieces_of(s), "11000000");
	write_pieces(s, 1, 1); /* as if it had been lost */
	cr_assert_eq(stat("out/root/sub/b", &after), 0);
	cr_expect_eq(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
	cr_expect(path_exists(name));
	cr_expect_str_eq(pieces_of(s), "11000000");
	storage_close(s);
	end();
}

Test(parts_file, bad_pieces_do_not_get_into_files)
{
	begin();
	struct storage *s = leech("01000");
	write_pieces(s, 1, 5);
	storage_close(s);
	s = leech("11111");
	adopt(s, "00111000"); /* as the check found */
	cr_expect_not(path_exists(name));
	cr_expect_not(path_exists("out/root/a"));
	cr_expect_not(path_exists("out/root/tiny"));
	storage_close(s);
	end();
}

/* A run that ended with pieces 1 to 5 of b, and all around it. */
static void run_b(void)
{
	struct storage *s = leech("01000");

	write_pieces(s, 1, 5);
	storage_close(s);
}

static void put_symlink(void)
{
	cr_assert_eq(rename(name, "victim"), 0);
	cr_assert_eq(symlink("../victim", name), 0);
}

static void put_second_name(void) { cr_assert_eq(link(name, "victim"), 0); }

static void put_fifo(void)
{
	cr_assert_eq(unlink(name), 0);
	cr_assert_eq(mkfifo(name, 0644), 0);
}

static void put_nothing(void) { put_file(name, "", 0); }
static void put_other(void)
{
	put_file(name, "something else altogether......", 32);
}

Test(parts_file, what_is_of_no_use_is_replaced_and_not_written_through)
{
	static void (*const puts[])(void) = {
		put_symlink, put_second_name, put_fifo, put_nothing, put_other};

	for (size_t i = 0; i < sizeof(puts) / sizeof(puts[0]); i++) {
		struct stat victim, now;

		begin();
		run_b();
		puts[i]();
		bool has_victim = stat("victim", &victim) == 0;
		struct storage *s = leech("01000");
		cr_expect(storage_parts_warning(s)[0], "%zu", i);
		cr_expect_str_eq(pieces_of(s), "00111000", "%zu", i);
		adopt(s, "00111000");
		write_pieces(s, 1, 1);
		write_pieces(s, 5, 5);
		cr_expect_str_eq(pieces_of(s), "01111100", "%zu", i);
		cr_assert_eq(lstat(name, &now), 0);
		cr_expect(S_ISREG(now.st_mode));
		if (has_victim) {
			cr_assert_eq(stat("victim", &now), 0);
			cr_expect_eq(now.st_mtim.tv_nsec,
				victim.st_mtim.tv_nsec, "%zu", i);
		}
		storage_close(s);
		end();
	}
}

Test(parts_file, a_folder_in_its_place_is_an_error)
{
	struct error err = {""};

	begin();
	cr_assert_eq(mkdir("out", 0755), 0);
	cr_assert_eq(mkdir(name, 0755), 0);
	struct storage *s = leech("01000");
	cr_expect(storage_parts_warning(s)[0]);
	cr_expect_not(write_piece(s, 1, &err));
	cr_expect(strstr(err.text, "tbt-parts: cannot create"), "%s", err.text);
	storage_close(s);
	end();
}

Test(parts_file, one_that_is_cut_or_damaged_never_gives_wrong_pieces)
{
	struct stat whole;
	uint8_t bytes[4 * PIECE];

	begin();
	run_b();
	cr_assert_eq(stat(name, &whole), 0);
	int fd = open(name, O_RDONLY);
	cr_assert_eq(read(fd, bytes, sizeof(bytes)), whole.st_size);
	close(fd);

	/* Cut anywhere; and any byte of the first records changed. */
	for (off_t cut = 0; cut < whole.st_size; cut += cut < 300 ? 1 : 997) {
		put_file(name, bytes, (size_t)cut);
		struct storage *s = leech("01000");
		const char *pieces = pieces_of(s);
		cr_expect_eq(strncmp(pieces + 2, "111", 3), 0, "%ld", cut);
		cr_expect_eq(pieces[5], '0', "%ld", cut);
		storage_close(s);
	}
	for (size_t at = 0; at < 300; at++) {
		bytes[at] ^= 0x81;
		put_file(name, bytes, (size_t)whole.st_size);
		struct storage *s = leech("01000");
		cr_expect_eq(strncmp(pieces_of(s) + 2, "111", 3), 0, "%zu", at);
		write_pieces(s, 1, 1);
		write_pieces(s, 5, 5);
		cr_expect_str_eq(pieces_of(s), "01111100", "%zu", at);
		storage_close(s);
		bytes[at] ^= 0x81;
	}
	end();
}

Test(parts_file, one_that_vanishes_or_is_replaced_is_noticed)
{
	struct error err;

	begin();
	struct storage *s = leech("01000");
	cr_expect(storage_still_there(s, &err), "%s", err.text);
	write_pieces(s, 1, 1);
	cr_expect(storage_still_there(s, &err), "%s", err.text);
	cr_assert_eq(unlink(name), 0);
	cr_expect_not(storage_still_there(s, &err));
	cr_expect(strstr(err.text, "tbt-parts: vanished"), "%s", err.text);
	put_file(name, "x", 1);
	cr_expect_not(storage_still_there(s, &err));
	cr_expect(strstr(err.text, "tbt-parts: was replaced"), "%s", err.text);
	storage_unlock(s);
	storage_drop_parts(s);
	cr_expect(path_exists(name), "not ours");
	storage_close(s);
	end();
}

Test(parts_file, a_change_of_it_is_a_change_of_the_content)
{
	size_t file;

	begin();
	struct storage *s = leech("01000");
	write_pieces(s, 1, 5);
	storage_remember(s);
	cr_expect(storage_unchanged(s, PIECE, 5 * PIECE, &file));
	put_file(name, "x", 1);
	cr_expect_not(storage_unchanged(s, PIECE, PIECE, &file));
	cr_expect_eq(file, A);
	cr_expect(storage_unchanged(s, 2 * PIECE, 3 * PIECE, &file));
	storage_close(s);
	end();
}

Test(parts_file, a_seed_reads_it_where_files_are_missing)
{
	struct storage *s;
	struct error err;

	begin();
	run_b();
	cr_assert(storage_open(&t.m, "out", NULL, STORAGE_SEED, &s, &err));
	cr_expect_str_eq(pieces_of(s), "01111100");
	storage_close(s);

	/* What lies in their place counts more. */
	put_file("out/root/a", "wrong", 5);
	cr_assert(storage_open(&t.m, "out", NULL, STORAGE_SEED, &s, &err));
	cr_expect_str_eq(pieces_of(s), "00111100");
	storage_close(s);
	cr_expect(path_exists(name));
	end();
}

Test(parts_file, holes_are_told_from_what_is_in_it)
{
	uint64_t at;

	begin();
	struct storage *s = leech("00010");
	cr_expect_not(storage_next_data(s, 0, t.m.length, &at));
	write_pieces(s, 5, 5);
	cr_expect(storage_next_data(s, 0, t.m.length, &at));
	cr_expect_eq(at, 5 * PIECE, "%lu", at);
	cr_expect_not(storage_next_data(s, 6 * PIECE, t.m.length, &at));
	storage_close(s);
	end();
}

Test(parts_file, pieces_without_a_wanted_byte_have_no_place)
{
	struct error err;

	begin();
	struct storage *s = leech("10000");
	cr_expect_not(write_piece(s, 3, &err));
	cr_expect(strstr(err.text, "sub/b: is not selected"), "%s", err.text);
	storage_close(s);
	end();
}
