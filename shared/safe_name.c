#include "shared/safe_name.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shared/bencode.h"
#include "shared/text.h"

static struct span span_from(struct span s, size_t start)
{
	return (struct span){s.at + start, s.len - start};
}

/* C0, DEL and C1. */
static bool is_control(const uint8_t *at, size_t len)
{
	uint32_t c = text_code_point(at, len);

	return c < 0x20 || (c >= 0x7f && c < 0xa0);
}

/* Copy characters, mended, while they fit in `size` bytes.  Returns how many
 * bytes were written; `done` tells how many were read. */
static size_t mend(struct span in, char *ret, size_t size, size_t *done)
{
	size_t written = 0;
	size_t i = 0;

	while (i < in.len) {
		const uint8_t *at = in.at + i;
		size_t len = text_utf8_char(span_from(in, i));
		bool bad = len == 0 || is_control(at, len) || at[0] == '\\';
		size_t out = bad ? 1 : len;

		if (out > size - written)
			break;
		if (bad)
			ret[written] = '_';
		else
			memcpy(ret + written, at, len);
		written += out;
		i += len == 0 ? 1 : len;
	}
	*done = i;
	return written;
}

/* Where the extension begins: at the last dot, unless that is the first byte
 * or too far from the end to be meant as one. */
static size_t extension(struct span name)
{
	enum { LONGEST = 32 };

	for (size_t i = name.len; i-- > 1 && name.len - i <= LONGEST;) {
		if (name.at[i] == '.')
			return i;
	}
	return name.len;
}

static void cut(struct span name, char ret[SAFE_NAME_MAX + 1])
{
	struct span tail = span_from(name, extension(name));
	size_t done;

	size_t len = mend(name, ret, SAFE_NAME_MAX - tail.len, &done);
	len += mend(tail, ret + len, tail.len, &done);
	ret[len] = '\0';
}

bool safe_name_mend(
	struct span element, char ret[SAFE_NAME_MAX + 1], struct error *err)
{
	char shown[128];
	size_t done;

	if (element.len == 0)
		return error_set(err, "a name in it is empty");
	if (span_is(element, ".") || span_is(element, "..") ||
		memchr(element.at, '/', element.len) ||
		memchr(element.at, '\0', element.len))
		return error_set(err, "a name in it would lead elsewhere: '%s'",
			text_escape(element, shown, sizeof(shown)));

	size_t len = mend(element, ret, SAFE_NAME_MAX, &done);
	ret[len] = '\0';
	if (done < element.len)
		cut(element, ret);
	return true;
}

/* '/' before all else, so that what lies in a folder follows the folder's own
 * name at once.  Control characters are gone by now. */
static int path_rank(char c) { return c == '/' ? 1 : (unsigned char)c; }

static int path_compare(const void *a, const void *b)
{
	const char *x = *(const char *const *)a;
	const char *y = *(const char *const *)b;

	for (; *x && *x == *y; x++, y++)
		;
	return path_rank(*x) - path_rank(*y);
}

bool safe_name_paths_distinct(
	const char **paths, size_t count, struct error *err)
{
	char shown[128];

	qsort(paths, count, sizeof(*paths), path_compare);
	for (size_t i = 1; i < count; i++) {
		const char *path = paths[i - 1];
		size_t len = strlen(path);

		if (strncmp(path, paths[i], len) != 0)
			continue;
		if (paths[i][len] == '\0')
			return error_set(err,
				"two of its files are called "
				"'%s'",
				text_escape_str(path, shown, sizeof(shown)));
		if (paths[i][len] == '/')
			return error_set(err,
				"'%s' in it is both a file and "
				"a folder",
				text_escape_str(path, shown, sizeof(shown)));
	}
	return true;
}
