#include "tracker/trusted_proxies.h"

#include <stdio.h>
#include <string.h>

#include "shared/text.h"

enum { V4_PREFIX_BITS = 96, ALL_BITS = 128 };

/* "ADDRESS" or "ADDRESS/BITS". */
static bool parse_network(const char *text, struct network *ret)
{
	char address[ENDPOINT_TEXT_SIZE];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct endpoint e;
	uint64_t bits = ALL_BITS;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!endpoint_parse_ip(address, &e))
		return false;
	if (slash) {
		unsigned prefix = endpoint_is_v4(&e) ? V4_PREFIX_BITS : 0;

		if (!text_parse_number(slash + 1, 0, ALL_BITS - prefix, &bits))
			return false;
		bits += prefix;
	}
	memcpy(ret->ip, e.ip, sizeof(ret->ip));
	ret->bits = (unsigned)bits;
	return true;
}

bool trusted_proxies_of_options(const char *const *texts, size_t count,
	struct trusted_proxies *ret, struct error *err)
{
	struct trusted_proxies p = {.count = 0};

	if (count > TRUSTED_PROXIES_MAX)
		return error_set(err, "--trust-proxy: at most %d networks",
			TRUSTED_PROXIES_MAX);
	for (size_t i = 0; i < count; i++) {
		char shown[80];

		if (!parse_network(texts[i], &p.at[p.count++]))
			return error_set(err,
				"--trust-proxy: wants an address or a network "
				"like 10.0.0.0/8 or fd00::/8, not '%s'",
				text_escape_str(
					texts[i], shown, sizeof(shown)));
	}
	*ret = p;
	return true;
}

static bool is_in(const struct network *n, const uint8_t ip[16])
{
	unsigned whole = n->bits / 8;
	unsigned rest = n->bits % 8;
	unsigned mask = 0xff00U >> rest & 0xff; /* the first `rest` bits */

	return memcmp(n->ip, ip, whole) == 0 &&
		(rest == 0 || ((n->ip[whole] ^ ip[whole]) & mask) == 0);
}

bool trusted_proxies_has(
	const struct trusted_proxies *p, const struct endpoint *e)
{
	for (size_t i = 0; i < p->count; i++) {
		if (is_in(&p->at[i], e->ip))
			return true;
	}
	return false;
}

/* Cut the last entry, and the comma before it, off; `ret_more`: there was
 * one. */
static struct span take_last(struct span *list, bool *ret_more)
{
	size_t at = list->len;

	while (at > 0 && list->at[at - 1] != ',')
		at--;

	struct span entry = {list->at + at, list->len - at};
	*ret_more = at > 0;
	list->len = at > 0 ? at - 1 : 0;
	while (entry.len > 0 && memchr(" \t", entry.at[0], 2)) {
		entry.at++;
		entry.len--;
	}
	while (entry.len > 0 && memchr(" \t", entry.at[entry.len - 1], 2))
		entry.len--;
	return entry;
}

/* An address; some proxies add a port. */
static bool parse_entry(struct span entry, struct endpoint *ret)
{
	char text[ENDPOINT_TEXT_SIZE];

	if (entry.len >= sizeof(text) || memchr(entry.at, '\0', entry.len))
		return false;
	memcpy(text, entry.at, entry.len);
	text[entry.len] = '\0';
	return endpoint_parse_ip(text, ret) || endpoint_parse(text, ret);
}

bool trusted_proxies_client(const struct trusted_proxies *p, struct span header,
	struct endpoint *ret)
{
	struct endpoint e;
	bool more;

	if (header.len == 0 || header.len > FORWARDED_MAX_SIZE)
		return false;
	do {
		struct span entry = take_last(&header, &more);

		if (entry.len == 0 || !parse_entry(entry, &e))
			return false;
	} while (trusted_proxies_has(p, &e) && more);

	/* Nobody can be dialled there: what wrote that is broken. */
	e.port = 1;
	if (!endpoint_dialable(&e))
		return false;
	memcpy(ret->ip, e.ip, sizeof(ret->ip));
	return true;
}
