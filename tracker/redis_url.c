#include "tracker/redis_url.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shared/text.h"

/* As many databases as anybody has; Redis knows how many there are. */
enum { MAX_DB = 1000000 };

/* Cut a copy of `in` up to `end` (exclusive) into `ret`; false: no room. */
static bool copy(const char *in, const char *end, char *ret, size_t size)
{
	size_t len = (size_t)(end - in);

	if (len >= size)
		return false;
	memcpy(ret, in, len);
	ret[len] = '\0';
	return true;
}

static bool unescape(const char *in, const char *end, char *ret, size_t size)
{
	struct span escaped = {(const uint8_t *)in, (size_t)(end - in)};
	size_t len;

	if (!text_percent_decode(escaped, (uint8_t *)ret, size - 1, &len) ||
		memchr(ret, '\0', len))
		return false;
	ret[len] = '\0';
	return true;
}

/* What stands before the last '@' ahead of the path: then *at is moved behind
 * it. */
static bool parse_user(
	const char **at, struct redis_url *ret, struct error *err)
{
	const char *path = *at + strcspn(*at, "/?#");
	const char *end = memrchr(*at, '@', (size_t)(path - *at));

	if (!end)
		return true;
	const char *colon = memchr(*at, ':', (size_t)(end - *at));
	if (!colon)
		return error_set(err,
			"wants USER:PASSWORD or :PASSWORD "
			"before the @");
	if (!unescape(*at, colon, ret->user, sizeof(ret->user)))
		return error_set(err, "the user is no name");
	if (!unescape(colon + 1, end, ret->password, sizeof(ret->password)))
		return error_set(err,
			"the password is too long, or has a "
			"broken escape (%% is written %%25)");
	if (ret->password[0] == '\0')
		return error_set(err, "the password is empty");
	*at = end + 1;
	return true;
}

static bool parse_db(const char *text, struct redis_url *ret, struct error *err)
{
	uint64_t db;

	if (!text_parse_number(text, 0, MAX_DB, &db))
		return error_set(err, "the database is a number, such as 0");
	ret->db = (uint32_t)db;
	return true;
}

/* [HOST]:PORT/DB */
static bool parse_host(const char *at, struct redis_url *ret, struct error *err)
{
	const char *end = at + strcspn(at, "/?#:");
	bool bracket = *at == '[';
	uint64_t port = REDIS_DEFAULT_PORT;
	char number[8];

	if (bracket) {
		at++;
		end = strchr(at, ']');
		if (!end)
			return error_set(err, "the ] is missing");
	}
	if (end == at)
		return error_set(err, "there is no host");
	if (!copy(at, end, ret->host, sizeof(ret->host)))
		return error_set(err, "the host is too long");

	at = bracket ? end + 1 : end;
	if (*at == ':') {
		end = at + strcspn(at, "/?#");
		if (!copy(at + 1, end, number, sizeof(number)) ||
			!text_parse_number(number, 1, UINT16_MAX, &port))
			return error_set(err,
				"the port is no number from 1 "
				"to 65535");
		at = end;
	}
	ret->port = (uint16_t)port;
	if (*at == '\0' || strcmp(at, "/") == 0)
		return true;
	if (*at != '/')
		return error_set(err, "wants redis://HOST:PORT/DB");
	return parse_db(at + 1, ret, err);
}

/* /PATH?db=N */
static bool parse_path(const char *at, struct redis_url *ret, struct error *err)
{
	const char *end = at + strcspn(at, "?");

	if (*at != '/')
		return error_set(err, "wants the socket's path, from the root");
	if (!copy(at, end, ret->path, sizeof(ret->path)))
		return error_set(err, "the socket's path is too long");
	if (*end == '\0')
		return true;
	if (strncmp(end, "?db=", 4) != 0)
		return error_set(err, "after the path only ?db=N is known");
	return parse_db(end + 4, ret, err);
}

bool redis_url_parse(const char *text, struct redis_url *ret, struct error *err)
{
	static const struct {
		const char *scheme;
		bool unix_socket;
	} schemes[] = {
		{"redis://", false},
		{"redis+unix://", true},
		{"redis+unix:", true},
		{"unix://", true},
		{"unix:", true},
	};
	struct redis_url url = {.port = 0};

	if (strncasecmp(text, "rediss:", 7) == 0)
		return error_set(err,
			"TLS is not spoken here; put a tunnel "
			"between, or use redis://");
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t len = strlen(schemes[i].scheme);

		if (strncasecmp(text, schemes[i].scheme, len) != 0)
			continue;
		const char *at = text + len;
		if (!parse_user(&at, &url, err) ||
			!(schemes[i].unix_socket ? parse_path(at, &url, err)
						 : parse_host(at, &url, err)))
			return false;
		*ret = url;
		return true;
	}
	return error_set(err, "wants memory:, redis://HOST:PORT or unix:/PATH");
}
