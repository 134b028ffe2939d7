#include "client/ui/hide_keys.h"

#include <stdbool.h>
#include <string.h>

#include "shared/writer.h"

static const char word_characters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_%~+=";

/* Keys are long, or at least longer than "announce" and with digits. */
static bool looks_like_key(const char *word, size_t len)
{
	enum { LONG = 16, LONG_WITH_DIGITS = 8 };

	return len >= LONG ||
		(len >= LONG_WITH_DIGITS && strcspn(word, "0123456789") < len);
}

static void put_without_keys(struct writer *out, const char *text, size_t len)
{
	const char *end = text + len;

	while (text < end) {
		size_t word = strspn(text, word_characters);

		if (word > (size_t)(end - text))
			word = (size_t)(end - text);
		if (looks_like_key(text, word))
			writer_text(out, "...");
		else
			writer_bytes(out, text, word);
		text += word;
		if (text < end)
			writer_bytes(out, text++, 1);
	}
}

/* "a=1&b=2" becomes "a=...&b=...". */
static void put_without_values(struct writer *out, const char *query)
{
	while (*query != '\0') {
		size_t len = strcspn(query, "&;");
		size_t name = strcspn(query, "=&;");

		if (name < len) {
			writer_bytes(out, query, name + 1);
			writer_text(out, "...");
		} else {
			put_without_keys(out, query, len);
		}
		query += len;
		if (*query != '\0')
			writer_bytes(out, query++, 1);
	}
}

static void put_url(struct writer *out, const char *url)
{
	size_t scheme_len = strcspn(url, ":/?#");

	if (strncmp(url + scheme_len, "://", 3) == 0) {
		writer_bytes(out, url, scheme_len + 3);
		url += scheme_len + 3;
	}

	size_t host_len = strcspn(url, "/?#");
	const char *at = memrchr(url, '@', host_len);
	if (at) {
		writer_text(out, "...");
		host_len -= (size_t)(at - url);
		url = at;
	}
	writer_bytes(out, url, host_len);
	url += host_len;

	size_t path_len = strcspn(url, "?");
	put_without_keys(out, url, path_len);
	url += path_len;
	if (*url == '?') {
		writer_text(out, "?");
		put_without_values(out, url + 1);
	}
}

/* A place for a text of at most `size` - 1 bytes, and its end: what did not fit
 * is missing from the end. */
static struct writer text_begin(char *ret, size_t size)
{
	return writer_of(ret, size > 0 ? size - 1 : 0);
}

static const char *text_end(const struct writer *out, char *ret, size_t size)
{
	if (size > 0)
		ret[writer_len(out)] = '\0';
	return ret;
}

const char *hide_keys_in_url(const char *url, char *ret, size_t size)
{
	struct writer out = text_begin(ret, size);

	put_url(&out, url);
	return text_end(&out, ret, size);
}

const char *hide_keys_in_text(const char *text, char *ret, size_t size)
{
	struct writer out = text_begin(ret, size);

	put_without_keys(&out, text, strlen(text));
	return text_end(&out, ret, size);
}
