/* Writers, readers, and two that sync and look after the files share one
 * storage of more files than may be open at once: what is written is what is
 * read.  Once with all files, and once with every other one, so that half of
 * the bytes are in the parts file.  Run it under the thread sanitizer: meson
 * setup -Db_sanitize=thread. */

#include "client/storage/storage.h"

#include <ftw.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/metainfo.h"

enum {
	FILES = 3 * STORAGE_MAX_OPEN,
	FILE_SIZE = 1000,
	BLOCK = 700, /* so that it crosses file borders */
	WRITERS = 3,
	READERS = 3,
	ROUNDS = 3,
	LENGTH = FILES * FILE_SIZE,
	BLOCKS = LENGTH / BLOCK,
};

static struct storage *storage;
static bool partial; /* only every other file is selected */
static atomic_bool written[BLOCKS];
static atomic_uint writers_left;
static atomic_uint mistakes;

static void mistake(const char *what, const struct error *err)
{
	fprintf(stderr, "%s: %s\n", what, err->text);
	mistakes++;
}

static void fill(unsigned block, uint8_t *ret)
{
	for (unsigned i = 0; i < BLOCK; i++)
		ret[i] = (uint8_t)(block * 7 + i);
}

static bool selected(unsigned file) { return !partial || file % 2 == 0; }

/* Blocks, which are pieces here, without a byte of a selected file are not
 * written. */
static bool wanted(unsigned block)
{
	return selected(block * BLOCK / FILE_SIZE) ||
		selected((block * BLOCK + BLOCK - 1) / FILE_SIZE);
}

/* Each writes blocks of its own, as finishers do. */
static void *writer(void *number)
{
	uint8_t bytes[BLOCK];
	struct error err;

	for (unsigned round = 0; round < ROUNDS; round++) {
		for (unsigned b = *(unsigned *)number; b < BLOCKS;
			b += WRITERS) {
			if (!wanted(b))
				continue;
			fill(b, bytes);
			struct iovec iov[] = {
				{bytes, 100}, {bytes + 100, BLOCK - 100}};
			if (!storage_write(
				    storage, (uint64_t)b * BLOCK, iov, 2, &err))
				mistake("write", &err);
			written[b] = true;
		}
	}
	writers_left--;
	return NULL;
}

static void *reader(void *number)
{
	uint8_t bytes[BLOCK], right[BLOCK];
	struct error err;
	unsigned b = *(unsigned *)number;

	do {
		b = (b + 31) % BLOCKS;
		bool there = written[b];
		enum storage_result r = storage_read(
			storage, (uint64_t)b * BLOCK, bytes, BLOCK, &err);
		if (!there)
			continue;
		fill(b, right);
		if (r != STORAGE_OK)
			mistake("read", &err);
		else if (memcmp(bytes, right, BLOCK) != 0)
			mistake("read", &(struct error){"wrong bytes"});
	} while (writers_left > 0);
	return NULL;
}

static void *keeper(void *unused)
{
	struct error err;
	size_t file;
	uint64_t data;

	(void)unused;
	do {
		if (!storage_sync(storage, &err))
			mistake("sync", &err);
		if (!storage_still_there(storage, &err))
			mistake("still there", &err);
		storage_remember(storage);
		(void)storage_unchanged(storage, 0, LENGTH, &file);
		(void)storage_next_data(storage, 0, LENGTH, &data);
	} while (writers_left > 0);
	return NULL;
}

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void work_together(void)
{
	pthread_t threads[WRITERS + READERS + 2];
	unsigned numbers[WRITERS + READERS];
	size_t n = 0;

	writers_left = WRITERS;
	for (unsigned i = 0; i < BLOCKS; i++)
		written[i] = false;
	for (unsigned i = 0; i < WRITERS + READERS; i++) {
		numbers[i] = i % WRITERS;
		pthread_create(&threads[n++], NULL,
			i < WRITERS ? writer : reader, &numbers[i]);
	}
	pthread_create(&threads[n++], NULL, keeper, NULL);
	pthread_create(&threads[n++], NULL, keeper, NULL);
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static void run(const struct metainfo *m)
{
	static uint8_t which[FILES];
	char folder[] = "/tmp/tbt-threads-XXXXXX";
	struct error err;

	for (unsigned i = 0; i < FILES; i++)
		which[i] = selected(i);
	if (!mkdtemp(folder) ||
		!storage_open(m, folder, NULL, STORAGE_LEECH, &storage, &err) ||
		(partial && !storage_select(storage, which, &err))) {
		mistake("open", &err);
		return;
	}
	work_together();
	if (!storage_complete(storage, &err))
		mistake("complete", &err);
	storage_close(storage);
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
	static struct metainfo_file files[FILES];
	static char names[FILES][16];
	struct metainfo m = {
		.name = "root",
		.multi_file = true,
		.length = LENGTH,
		.piece_length = BLOCK,
		.piece_count = BLOCKS,
		.file_count = FILES,
		.files = files,
	};

	for (unsigned i = 0; i < FILES; i++) {
		snprintf(names[i], sizeof(names[i]), "%u/%u", i % 5, i);
		files[i] = (struct metainfo_file){.offset = i * FILE_SIZE,
			.length = FILE_SIZE,
			.path = names[i]};
	}
	run(&m);
	partial = true;
	run(&m);
	return mistakes > 0;
}
