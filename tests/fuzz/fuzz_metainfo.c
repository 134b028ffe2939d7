#include <string.h>

#include "shared/metainfo.h"
#include "shared/piece_check.h"
#include "shared/text.h"
#include "tests/fuzz/fuzz.h"

static void require_safe(const char *path)
{
	require(*path && *path != '/' && strlen(path) <= 4095);
	require(text_utf8_valid(
		(struct span){(const uint8_t *)path, strlen(path)}));
	while (*path) {
		size_t len = strcspn(path, "/");

		require(len > 0 && len <= 255);
		require(!(len == 1 && path[0] == '.'));
		require(!(len == 2 && path[0] == '.' && path[1] == '.'));
		for (size_t i = 0; i < len; i++)
			require((unsigned char)path[i] >= ' ' &&
				path[i] != 0x7f && path[i] != '\\');
		path += len;
		if (*path == '/')
			require(*++path);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct metainfo m, again;
	struct error err;

	if (!metainfo_parse((struct span){bytes, len}, &m, &err)) {
		require(!strpbrk(err.text, "\n\x1b"));
		return 0;
	}
	require_safe(m.name);
	uint64_t end = 0;
	for (size_t i = 0; i < m.file_count; i++) {
		require_safe(m.files[i].path);
		require(m.files[i].offset == end);
		end += m.files[i].length;
	}
	require(end == m.length && m.length > 0);
	uint64_t sum = 0;
	for (uint32_t i = 0; i < m.piece_count; i++)
		sum += metainfo_piece_size(&m, i);
	require(sum == m.length);
	require(m.tracker_count <= METAINFO_MAX_TRACKERS);
	for (size_t i = 0; i < m.tracker_count; i++)
		require(metainfo_url_usable(m.trackers[i].url, true));

	struct piece_check *c = piece_check_create();
	piece_check_begin(c, &m, m.piece_count - 1);
	piece_check_update(c, bytes, 1);
	piece_check_end(c);
	piece_check_destroy(c);

	require(metainfo_parse_info(m.info, &again, &err));
	require(info_hash_equal(&m.info_hash, &again.info_hash));
	metainfo_finish(&again);
	metainfo_finish(&m);
	return 0;
}
