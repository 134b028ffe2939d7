/* A list of --select, or of a link's `so`, whatever is in it, for a small
 * torrent whose names come from outside, too. */

#include <stdlib.h>
#include <string.h>

#include "client/torrent/selection.h"
#include "shared/metainfo.h"
#include "tests/fuzz/fuzz.h"

static struct metainfo_file files[] = {
	{.path = "a/b.txt", .length = 10000},
	{.path = "c", .offset = 10000},
	{.path = "pad", .offset = 10000, .length = 30000, .pad = true},
	{.path = "d/e/f", .offset = 40000, .length = 50000},
};

static void choose(const struct selection_list *list, const char *name)
{
	enum { COUNT = sizeof(files) / sizeof(files[0]) };
	struct metainfo m = {
		.name = name,
		.length = 90000,
		.piece_length = 16384,
		.piece_count = 6,
		.file_count = COUNT,
		.files = files,
	};
	struct selection s;
	struct error err;
	uint64_t bytes = 0;

	files[1].path = name;
	if (!selection_choose(list, &m, &s, &err))
		return;
	for (uint32_t p = 0; p < m.piece_count; p++)
		bytes += selection_piece_bytes(&s, &m, p);
	require(bytes == (s.partial ? s.length : m.length));
	selection_finish(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct selection_list list = {0};
	struct error err;

	memcpy(text, data, size);
	text[size] = '\0';
	/* "LIST\nNAME" */
	char *name = strchr(text, '\n');
	if (name)
		*name++ = '\0';
	if (selection_list_add(&list, text, &err))
		choose(&list, name ? name : "c");
	selection_list_finish(&list);
	if (selection_list_add_indices(&list, text, &err))
		choose(&list, "c");
	selection_list_finish(&list);
	free(text);
	return 0;
}
