#ifndef TESTS_UNIT_STORAGE_LAB_H
#define TESTS_UNIT_STORAGE_LAB_H

#include <criterion/criterion.h>

#include "client/storage/storage.h"
#include "tests/unit/temp_folder.h"
#include "tests/unit/torrent_maker.h"

/* Torrents whose files are kept in the folder `out`, and writing them. */

enum { PIECE = 16 * 1024 };

static const struct made_file tree[] = {
	{.path = "one", .length = 1},
	{.path = "sub/empty"},
	{.path = "sub/two", .length = 3 * PIECE - 1},
	{.path = "pad", .length = 100, .pad = true},
	{.path = "deep/er/three", .length = 1000},
	{.path = "hollow/place/empty"},
	{0},
};

static const struct made_file single[] = {{.path = "", .length = 100}, {0}};

static inline struct storage *opened(
	const struct metainfo *m, const char *name, enum storage_mode mode)
{
	struct storage *s = NULL;
	struct error err;

	cr_assert(storage_open(m, "out", name, mode, &s, &err), "%s", err.text);
	return s;
}

static inline bool write_range(struct storage *s, const uint8_t *content,
	uint64_t offset, size_t len, struct error *err)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	memcpy(copy, content + offset, len);
	/* in three uneven segments, one of them empty */
	struct iovec iov[] = {
		{copy, len / 3},
		{copy + len / 3, 0},
		{copy + len / 3, len - len / 3},
	};
	bool ok = storage_write(s, offset, iov, 3, err);
	free(copy);
	return ok;
}

static inline void write_all_of(struct storage *s, const struct made_torrent *t)
{
	struct error err;

	cr_assert(write_range(s, t->content, 0, t->m.length, &err), "%s",
		err.text);
}

#endif
