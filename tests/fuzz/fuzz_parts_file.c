/* A parts file, whatever is in it: it is read within its bounds, and what is
 * written to it afterwards is read back. */

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/storage/content_root.h"
#include "client/storage/parts_file.h"
#include "shared/metainfo.h"
#include "tests/fuzz/fuzz.h"

static struct metainfo_file files[] = {
	{.path = "a", .length = 20000},
	{.path = "b", .offset = 20000, .length = 5},
	{.path = "c", .offset = 20005, .length = 50000},
};

static struct metainfo torrent = {
	.name = "t",
	.multi_file = true,
	.length = 70005,
	.piece_length = 16384,
	.piece_count = 5,
	.file_count = sizeof(files) / sizeof(files[0]),
	.files = files,
};

static void look_through(struct parts_file *p, uint64_t size)
{
	uint64_t begin, end;
	uint32_t piece;

	for (size_t f = 0; f < torrent.file_count; f++) {
		for (unsigned n = 0; n < PARTS_STRETCHES; n++) {
			struct parts_place place;

			if (!parts_file_stretch(p, f, n, &begin, &end, &piece))
				continue;
			require(parts_file_find(p, f, begin, &place));
			require(place.len == end - begin);
			require(place.at + place.len <= size);
		}
	}
}

static void write_and_read(struct parts_file *p)
{
	struct parts_place made, found;
	struct error err;
	char back[5];

	require(parts_file_make(p, 1, 0, &made, &err));
	require(made.len == 5 &&
		pwrite(made.fd, "12345", 5, (off_t)made.at) == 5);
	require(parts_file_make(p, 0, 0, &found, &err));
	require(parts_file_find(p, 1, 0, &found) && found.at == made.at);
	require(pread(found.fd, back, 5, (off_t)found.at) == 5 &&
		memcmp(back, "12345", 5) == 0);
	parts_file_forget(p, 1, 0);
	require(!parts_file_find(p, 1, 0, &found));
}

static char folder[] = "/tmp/tbt-fuzz-XXXXXX";

static void remove_folder(void) { (void)rmdir(folder); }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool made;
	static struct content_root root = {
		.m = &torrent, .folder = folder, .fd = -1};
	static const char name[] =
		".0000000000000000000000000000000000000000.tbt-parts";
	struct error warning;

	if (!made) {
		require(mkdtemp(folder));
		root.folder_fd = open(folder, O_RDONLY | O_DIRECTORY);
		made = atexit(remove_folder) == 0;
	}
	int fd = openat(
		root.folder_fd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	/* The first bytes are right most times. */
	static const char magic[] = "tbt-parts 1\n";
	uint8_t head[sizeof(magic) - 1 + INFO_HASH_SIZE] = {0};
	memcpy(head, magic, sizeof(magic) - 1);
	size_t headed = size > 0 && data[0] != 0 ? sizeof(head) : 0;
	require(write(fd, head, headed) == (ssize_t)headed);
	require(write(fd, data, size) == (ssize_t)size);
	close(fd);

	struct parts_file *p = parts_file_open(&root, true, &warning);
	if (p)
		look_through(p, headed + size);
	else
		p = parts_file_create(&root);
	write_and_read(p);
	parts_file_remove(p);
	parts_file_close(p);
	require(faccessat(root.folder_fd, name, F_OK, 0) != 0);
	return 0;
}
