#include "client/discovery/lsd_message.h"

#include <string.h>
#include <strings.h>

#include "shared/text.h"
#include "shared/writer.h"

static const char *const group_text[] = {
	"[ff15::efc0:988f]:6771",
	"239.192.152.143:6771",
};

struct endpoint lsd_group(bool v4)
{
	struct endpoint e = {0};

	(void)endpoint_parse(group_text[v4], &e);
	return e;
}

/* ---- reading ---- */

/* The next line, without its end; false: there is none. */
static bool next_line(struct span *rest, struct span *ret)
{
	const uint8_t *end =
		rest->len > 0 ? memchr(rest->at, '\n', rest->len) : NULL;

	if (!end)
		return false;
	size_t len = (size_t)(end - rest->at);
	*ret = (struct span){rest->at, len};
	if (len > 0 && end[-1] == '\r')
		ret->len--;
	rest->at = end + 1;
	rest->len -= len + 1;
	return true;
}

static struct span trimmed(struct span s)
{
	while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static bool is_request(struct span line)
{
	static const char wanted[] = "BT-SEARCH * HTTP/1.";

	return line.len == strlen(wanted) + 1 &&
		memcmp(line.at, wanted, strlen(wanted)) == 0;
}

/* As a C string of at most `size` - 1 characters; "": it does not fit. */
static const char *text_of(struct span s, char *ret, size_t size)
{
	ret[0] = '\0';
	if (s.len < size && !memchr(s.at, '\0', s.len)) {
		memcpy(ret, s.at, s.len);
		ret[s.len] = '\0';
	}
	return ret;
}

static bool is_named(struct span name, const char *wanted)
{
	return name.len == strlen(wanted) &&
		strncasecmp((const char *)name.at, wanted, name.len) == 0;
}

/* False: it makes the whole message worthless. */
static bool take_header(
	struct span name, struct span value, struct lsd_message *m)
{
	char text[INFO_HASH_HEX_SIZE];
	uint64_t port;

	if (is_named(name, "Port")) {
		if (!text_parse_number(text_of(value, text, sizeof(text)), 1,
			    UINT16_MAX, &port))
			return false;
		m->port = (uint16_t)port;
	} else if (is_named(name, "Infohash")) {
		if (m->count < LSD_TORRENTS_MAX &&
			info_hash_from_hex(text_of(value, text, sizeof(text)),
				&m->torrents[m->count]))
			m->count++;
	} else if (is_named(name, "cookie")) {
		text_of(value, m->cookie, sizeof(m->cookie));
	}
	return true;
}

bool lsd_message_read(struct span packet, struct lsd_message *ret)
{
	struct lsd_message m = {0};
	struct span line;

	if (packet.len > LSD_READ_MAX || !next_line(&packet, &line) ||
		!is_request(line))
		return false;
	while (next_line(&packet, &line) && line.len > 0) {
		const uint8_t *colon = memchr(line.at, ':', line.len);
		if (!colon)
			return false;
		size_t name_len = (size_t)(colon - line.at);
		struct span name = {line.at, name_len};
		struct span value = {colon + 1, line.len - name_len - 1};

		if (!take_header(name, trimmed(value), &m))
			return false;
	}
	if (m.port == 0 || m.count == 0)
		return false;
	*ret = m;
	return true;
}

/* ---- writing ---- */

void lsd_message_write(struct writer *w, const struct lsd_message *m, bool v4)
{
	char hex[INFO_HASH_HEX_SIZE];

	writer_format(w,
		"BT-SEARCH * HTTP/1.1\r\n"
		"Host: %s\r\n"
		"Port: %u\r\n",
		group_text[v4], m->port);
	for (size_t i = 0; i < m->count && i < LSD_TOLD_MAX; i++) {
		info_hash_hex(&m->torrents[i], hex);
		writer_format(w, "Infohash: %s\r\n", hex);
	}
	if (m->cookie[0] != '\0')
		writer_format(w, "cookie: %s\r\n", m->cookie);
	writer_text(w, "\r\n\r\n");
}
