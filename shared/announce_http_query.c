#include "shared/announce_http_query.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "shared/bencode.h"
#include "shared/text.h"

/* --- The client asks --- */

static void write_escaped(struct writer *w, const void *bytes, size_t len)
{
	/* Three characters a byte; the longest is a tracker id. */
	char escaped[3 * 255 + 1];

	if (text_percent_encode(
		    (struct span){bytes, len}, escaped, sizeof(escaped)))
		writer_text(w, escaped);
	else
		w->bad = true;
}

/* The rest of a URL, to its fragment, and the start of our query. */
static void write_query_start(
	struct writer *w, const char *url, const struct info_hash *hash)
{
	size_t len = strcspn(url, "#");

	writer_bytes(w, url, len);
	if (!memchr(url, '?', len))
		writer_text(w, "?");
	else if (url[len - 1] != '?' && url[len - 1] != '&')
		writer_text(w, "&");
	writer_text(w, "info_hash=");
	write_escaped(w, hash->bytes, INFO_HASH_SIZE);
}

bool announce_http_url(const char *url, const struct announce *a,
	struct span tracker_id, struct writer *ret)
{
	write_query_start(ret, url, &a->info_hash);
	writer_text(ret, "&peer_id=");
	write_escaped(ret, a->peer_id, PEER_ID_SIZE);
	writer_format(ret,
		"&port=%u&uploaded=%" PRIu64 "&downloaded=%" PRIu64
		"&left=%" PRIu64 "&compact=%d",
		(unsigned)a->peer.port, a->uploaded, a->downloaded, a->left,
		a->compact);
	if (a->numwant_named)
		writer_format(ret, "&numwant=%" PRIu32, a->numwant);
	if (a->no_peer_id)
		writer_text(ret, "&no_peer_id=1");
	if (a->key != 0)
		writer_format(ret, "&key=%08" PRIx32, a->key);
	if (a->event != ANNOUNCE_NONE)
		writer_format(ret, "&event=%s", announce_event_name(a->event));
	else if (a->partial_seed)
		writer_text(ret, "&event=paused");
	if (tracker_id.len > 0) {
		writer_text(ret, "&trackerid=");
		write_escaped(ret, tracker_id.at, tracker_id.len);
	}
	return !ret->bad && writer_len(ret) <= ANNOUNCE_HTTP_MAX_URL;
}

bool announce_http_scrape_url(
	const char *url, const struct info_hash *hash, struct writer *ret)
{
	static const char word[] = "announce";
	const char *host = strstr(url, "://");
	const char *slash = host != NULL
		? memrchr(host + 3, '/', strcspn(host + 3, "#"))
		: NULL;

	if (slash == NULL || strncmp(slash + 1, word, strlen(word)) != 0)
		return false;
	writer_bytes(ret, url, (size_t)(slash + 1 - url));
	writer_text(ret, "scrape");
	write_query_start(ret, slash + 1 + strlen(word), hash);
	return !ret->bad && writer_len(ret) <= ANNOUNCE_HTTP_MAX_URL;
}

/* --- The tracker understands --- */

/* Cut the next "key=value" off the front of a query; false at its end. */
static bool next_pair(struct span *query, struct span *key, struct span *value)
{
	while (query->len > 0) {
		const uint8_t *end = memchr(query->at, '&', query->len);
		size_t len = end ? (size_t)(end - query->at) : query->len;
		struct span pair = {query->at, len};

		query->at += end ? len + 1 : len;
		query->len -= end ? len + 1 : len;
		if (pair.len == 0)
			continue;

		const uint8_t *equals = memchr(pair.at, '=', pair.len);
		key->at = pair.at;
		key->len = equals ? (size_t)(equals - pair.at) : pair.len;
		value->at = equals ? equals + 1 : pair.at + pair.len;
		value->len = equals ? pair.len - key->len - 1 : 0;
		return true;
	}
	return false;
}

/* Whether every '%' is followed by two digits, in unknown keys too. */
static bool escapes_whole(struct span query)
{
	for (size_t i = 0; i < query.len; i++) {
		if (query.at[i] != '%')
			continue;
		if (query.len - i < 3 || text_hex_value(query.at[i + 1]) < 0 ||
			text_hex_value(query.at[i + 2]) < 0)
			return false;
	}
	return true;
}

/* Exactly `size` bytes, unescaped. */
static bool take_bytes(struct span value, uint8_t *ret, size_t size)
{
	uint8_t bytes[INFO_HASH_SIZE];
	size_t len;

	if (!text_percent_decode(value, bytes, sizeof(bytes), &len) ||
		len != size)
		return false;
	memcpy(ret, bytes, size);
	return true;
}

/* A short value as text; "" for one too long or with a NUL in it, which is
 * none of those that mean something. */
static void take_text(struct span value, char ret[32])
{
	size_t len;
	bool ok = text_percent_decode(value, (uint8_t *)ret, 31, &len);

	if (!ok || memchr(ret, '\0', len))
		len = 0;
	ret[len] = '\0';
}

static bool take_number(struct span value, uint64_t max, uint64_t *ret)
{
	char text[32];

	take_text(value, text);
	return text_parse_number(text, 0, max, ret);
}

static bool take_info_hash(struct span value, struct announce *ret)
{
	return take_bytes(value, ret->info_hash.bytes, INFO_HASH_SIZE);
}

static bool take_peer_id(struct span value, struct announce *ret)
{
	return take_bytes(value, ret->peer_id, PEER_ID_SIZE);
}

static bool take_port(struct span value, struct announce *ret)
{
	uint64_t port;

	if (!take_number(value, 65535, &port) || port == 0)
		return false;
	ret->peer.port = (uint16_t)port;
	return true;
}

static bool take_uploaded(struct span value, struct announce *ret)
{
	return take_number(value, UINT64_MAX, &ret->uploaded);
}

static bool take_downloaded(struct span value, struct announce *ret)
{
	return take_number(value, UINT64_MAX, &ret->downloaded);
}

static bool take_left(struct span value, struct announce *ret)
{
	return take_number(value, UINT64_MAX, &ret->left);
}

/* Events we do not know, such as `paused` of BEP 21, are regular announces. */
static bool take_event(struct span value, struct announce *ret)
{
	static const enum announce_event events[] = {
		ANNOUNCE_COMPLETED, ANNOUNCE_STARTED, ANNOUNCE_STOPPED};
	char text[32];

	take_text(value, text);
	ret->event = ANNOUNCE_NONE;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (strcmp(text, announce_event_name(events[i])) == 0)
			ret->event = events[i];
	}
	return true;
}

/* What is no number leaves the choice to the tracker; -1 is the usual way to
 * say so. */
static bool take_numwant(struct span value, struct announce *ret)
{
	uint64_t number;

	ret->numwant_named = take_number(value, UINT64_MAX, &number);
	if (!ret->numwant_named)
		number = ANNOUNCE_DEFAULT_NUMWANT;
	ret->numwant = number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
	return true;
}

static bool take_compact(struct span value, struct announce *ret)
{
	ret->compact = span_is(value, "1");
	return true;
}

static bool take_no_peer_id(struct span value, struct announce *ret)
{
	ret->no_peer_id = span_is(value, "1");
	return true;
}

/* Other clients send all sorts of words here; only keys of our form are
 * kept. */
static bool take_key(struct span value, struct announce *ret)
{
	uint8_t bytes[4] = {0};
	char text[32];

	take_text(value, text);
	if (strlen(text) != 8 || !text_hex_decode(text, bytes, sizeof(bytes)))
		memset(bytes, 0, sizeof(bytes));
	ret->key = (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 |
		(uint32_t)bytes[2] << 8 | bytes[3];
	return true;
}

/* What a query may say; the required ones first. */
static const struct query_field {
	const char *key;
	bool (*take)(struct span value, struct announce *ret);
	const char *wanted; /* NULL: any value is fine */
} query_fields[] = {
	{"info_hash", take_info_hash, "20 bytes"},
	{"peer_id", take_peer_id, "20 bytes"},
	{"port", take_port, "a number from 1 to 65535"},
	{"uploaded", take_uploaded, "a number"},
	{"downloaded", take_downloaded, "a number"},
	{"left", take_left, "a number"},
	{"event", take_event, NULL},
	{"numwant", take_numwant, NULL},
	{"compact", take_compact, NULL},
	{"no_peer_id", take_no_peer_id, NULL},
	{"key", take_key, NULL},
};

enum {
	QUERY_FIELDS = sizeof(query_fields) / sizeof(query_fields[0]),
	QUERY_REQUIRED = 3,
};

bool announce_http_parse_query(
	struct span query, struct announce *ret, struct error *err)
{
	bool given[QUERY_FIELDS] = {false};
	struct span key, value;
	struct announce a = {
		.peer = ret->peer,
		.left = UINT64_MAX, /* who does not say it is no seeder */
		.numwant = ANNOUNCE_DEFAULT_NUMWANT,
	};

	if (!escapes_whole(query))
		return error_set(err, "broken %%-escape in the query");

	while (next_pair(&query, &key, &value)) {
		for (size_t i = 0; i < QUERY_FIELDS; i++) {
			const struct query_field *field = &query_fields[i];

			if (!span_is(key, field->key))
				continue;
			if (!field->take(value, &a))
				return error_set(err, "%s is not %s",
					field->key, field->wanted);
			given[i] = true;
		}
	}
	for (size_t i = 0; i < QUERY_REQUIRED; i++) {
		if (!given[i])
			return error_set(
				err, "%s is missing", query_fields[i].key);
	}
	*ret = a;
	return true;
}

static int compare_hashes(const void *a, const void *b)
{
	return memcmp(a, b, INFO_HASH_SIZE);
}

bool announce_http_parse_scrape(struct span query, struct info_hash *ret,
	size_t max, size_t *ret_count, struct error *err)
{
	struct span key, value;
	size_t count = 0, kept = 0;

	if (!escapes_whole(query))
		return error_set(err, "broken %%-escape in the query");
	while (count < max && next_pair(&query, &key, &value)) {
		if (!span_is(key, "info_hash"))
			continue;
		if (!take_bytes(value, ret[count].bytes, INFO_HASH_SIZE))
			return error_set(err, "info_hash is not 20 bytes");
		count++;
	}
	if (count == 0)
		return error_set(err, "info_hash is missing");

	/* They are to be keys of a dictionary. */
	qsort(ret, count, sizeof(ret[0]), compare_hashes);
	for (size_t i = 0; i < count; i++) {
		if (kept == 0 || !info_hash_equal(&ret[kept - 1], &ret[i]))
			ret[kept++] = ret[i];
	}
	*ret_count = kept;
	return true;
}
