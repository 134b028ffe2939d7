#ifndef TESTS_UNIT_METAINFO_LAB_H
#define TESTS_UNIT_METAINFO_LAB_H

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "shared/metainfo.h"

/* Torrent files put together from parts.  Keys may come in any order in v1,
 * which keeps these short. */

#define HASH "aaaaaaaaaaaaaaaaaaaa"
#define LENGTH "6:lengthi5e"
#define NAME "4:name4:name"
#define PIECE_LENGTH "12:piece lengthi16384e"
#define PIECES "6:pieces20:" HASH
#define TAIL PIECE_LENGTH PIECES

#define ROOT(text) "d4:infod" LENGTH NAME TAIL "e" text "e"

static inline bool parse(
	const char *text, struct metainfo *ret, struct error *err)
{
	/* A copy on the heap, gone after the call. */
	size_t len = strlen(text);
	uint8_t *copy = malloc(len);

	memcpy(copy, text, len);
	bool ok = metainfo_parse((struct span){copy, len}, ret, err);
	free(copy);
	return ok;
}

/* Parse what must be right. */
static inline struct metainfo parsed(const char *text)
{
	struct metainfo m;
	struct error err = {0};

	cr_assert(parse(text, &m, &err), "%s: %s", text, err.text);
	return m;
}

#endif
