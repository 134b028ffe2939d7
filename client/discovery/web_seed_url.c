#include "client/discovery/web_seed_url.h"

#include <string.h>
#include <strings.h>

#include "shared/text.h"

/* Append a path with all but its slashes escaped; returns its new end, or NULL
 * when it does not fit. */
static char *append_path(char *at, const char *end, const char *path)
{
	while (at) {
		size_t len = strcspn(path, "/");
		struct span element = {(const uint8_t *)path, len};

		if (!text_percent_encode(element, at, (size_t)(end - at)))
			return NULL;
		at += strlen(at);
		if (path[len] == '\0')
			return at;
		if (end - at < 2)
			return NULL;
		*at++ = '/';
		path += len + 1;
	}
	return NULL;
}

bool web_seed_url(const struct metainfo *m, const char *base, size_t file,
	char ret[WEB_SEED_URL_SIZE])
{
	const char *end = ret + WEB_SEED_URL_SIZE;
	size_t len = strlen(base);
	bool folder = len > 0 && base[len - 1] == '/';

	if (len > METAINFO_MAX_URL)
		return false;
	memcpy(ret, base, len + 1);
	if (!m->multi_file && !folder)
		return true;
	if (m->name_mended || m->files[file].mended)
		return false;

	char *at = ret + len;
	/* BEP 19 wants the slash; without it the URL is meant as a folder all
	 * the same. */
	if (!folder)
		*at++ = '/';
	at = append_path(at, end, m->name);
	if (at && m->multi_file) {
		*at++ = '/';
		at = append_path(at, end, m->files[file].path);
	}
	return at != NULL;
}

/* ---- what it answers ---- */

static struct span trim(struct span s)
{
	while (s.len > 0 && strchr(" \t\r\n", s.at[s.len - 1]))
		s.len--;
	while (s.len > 0 && strchr(" \t", s.at[0])) {
		s.at++;
		s.len--;
	}
	return s;
}

bool content_range_read(struct span value, struct content_range *ret)
{
	enum { FIRST, LAST, TOTAL };
	static const char stops[] = {'-', '/', '\0'};
	struct content_range r = {.total = UINT64_MAX};
	uint64_t *const fields[] = {&r.first, &r.last, &r.total};
	char text[80];

	value = trim(value);
	if (value.len >= sizeof(text) ||
		memchr(value.at, '\0', value.len) != NULL)
		return false;
	memcpy(text, value.at, value.len);
	text[value.len] = '\0';
	if (strncasecmp(text, "bytes ", 6) != 0)
		return false;

	char *at = text + 6;
	for (int i = FIRST; i <= TOTAL; i++) {
		char *stop = strchr(at, stops[i]);
		if (!stop)
			return false;
		*stop = '\0';
		if (i == TOTAL && strcmp(at, "*") == 0)
			break;
		if (!text_parse_number(at, 0, INT64_MAX, fields[i]))
			return false;
		at = stop + 1;
	}
	if (r.last < r.first || r.last >= r.total)
		return false;
	*ret = r;
	return true;
}

/* Too busy, a time-out, or its own trouble: it may pass. */
static bool may_pass(long status)
{
	return status == 408 || status == 425 || status == 429 || status >= 500;
}

enum web_seed_answer web_seed_judge(const struct web_seed_request *request,
	const struct web_seed_head *head, struct error *err)
{
	const struct content_range *range = &head->range;
	long status = head->status;

	if (status == 200) {
		if (head->len < 0 || (uint64_t)head->len == request->file_len)
			return WEB_SEED_WHOLE;
		error_set(err, "its file has another length");
		return WEB_SEED_LACKS;
	}
	if (status != 206) {
		error_set(err, "HTTP %ld", status);
		return may_pass(status) ? WEB_SEED_LATER : WEB_SEED_LACKS;
	}
	/* First, since the end of a file that has become shorter is the end of
	 * the range, too. */
	if (head->has_range && range->total != UINT64_MAX &&
		range->total != request->file_len) {
		error_set(err, "its file has another length");
		return WEB_SEED_LACKS;
	}
	if (!head->has_range || range->first != request->offset ||
		range->last - range->first != request->len - 1) {
		error_set(err, "it sends another range than was asked for");
		return WEB_SEED_NEVER;
	}
	return WEB_SEED_GOOD;
}
