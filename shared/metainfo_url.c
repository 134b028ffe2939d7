#include "shared/metainfo.h"

#include <string.h>
#include <strings.h>

#include "shared/text.h"

static bool all_in(const char *text, size_t len, const char *allowed)
{
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)text[i] < 0x80 && !strchr(allowed, text[i]))
			return false;
	}
	return true;
}

/* HOST, HOST:PORT or [IPv6]:PORT, without a user's name. */
static bool authority_usable(const char *at, size_t len, bool needs_port)
{
	static const char name_chars[] = "abcdefghijklmnopqrstuvwxyz"
					 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "0123456789.-_";
	static const char ipv6_chars[] = "0123456789abcdefABCDEF:.";
	const char *end = at + len;
	const char *port;
	bool host_ok;

	if (len > 0 && at[0] == '[') {
		const char *close = memchr(at, ']', len);
		if (!close)
			return false;
		host_ok = close > at + 2 &&
			all_in(at + 1, (size_t)(close - at - 1), ipv6_chars);
		port = close + 1;
	} else {
		port = memchr(at, ':', len);
		if (!port)
			port = end;
		host_ok = port > at &&
			all_in(at, (size_t)(port - at), name_chars);
	}
	if (!host_ok || port == end)
		return host_ok && !needs_port;

	char digits[8];
	size_t digits_len = (size_t)(end - port) - 1;
	uint64_t number;
	if (*port != ':' || digits_len >= sizeof(digits))
		return false;
	memcpy(digits, port + 1, digits_len);
	digits[digits_len] = '\0';
	return text_parse_number(digits, 1, UINT16_MAX, &number);
}

/* What is between the scheme, which is there, and the rest. */
static const char *authority_of(const char *url, size_t *ret_len)
{
	const char *authority = strstr(url, "://") + 3;

	*ret_len = strcspn(authority, "/?#");
	return authority;
}

static bool has_controls(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		/* U+0080 to U+009F are C2 80 to C2 9F. */
		if (c <= ' ' || c == 0x7f ||
			(c == 0xc2 && (unsigned char)text[1] < 0xa0))
			return true;
	}
	return false;
}

bool metainfo_url_usable(const char *url, bool udp_too)
{
	size_t len = strlen(url);
	bool udp = strncasecmp(url, "udp://", 6) == 0;

	if (len > METAINFO_MAX_URL || has_controls(url) ||
		!text_utf8_valid((struct span){(const uint8_t *)url, len}))
		return false;
	if (udp ? !udp_too
		: strncasecmp(url, "http://", 7) != 0 &&
				strncasecmp(url, "https://", 8) != 0)
		return false;

	size_t authority_len;
	const char *authority = authority_of(url, &authority_len);
	/* BEP 15 knows no port to fall back on. */
	return authority_usable(authority, authority_len, udp);
}

const char *metainfo_url_host(const char *url, char *ret, size_t size)
{
	size_t len;
	const char *host = authority_of(url, &len);

	if (len >= size)
		len = size - 1;
	memcpy(ret, host, len);
	ret[len] = '\0';
	return ret;
}
