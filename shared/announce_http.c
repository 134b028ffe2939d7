#include "shared/announce_http.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/bencode.h"
#include "shared/reader.h"
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

/* --- The tracker answers: keys in sorted order, written straight out --- */

static void write_string(struct writer *w, const void *bytes, size_t len)
{
	writer_number(w, len);
	writer_text(w, ":");
	writer_bytes(w, bytes, len);
}

static void write_text(struct writer *w, const char *text)
{
	write_string(w, text, strlen(text));
}

/* `key` as it is in bencode, with its length. */
static void write_int(struct writer *w, const char *key, uint64_t number)
{
	writer_text(w, key);
	writer_text(w, "i");
	writer_number(w, number);
	writer_text(w, "e");
}

static void write_compact(
	struct writer *w, const struct announce_reply *reply, bool v4)
{
	size_t count = 0;

	for (size_t i = 0; i < reply->peer_count; i++)
		count += endpoint_is_v4(&reply->peers[i]) == v4;

	/* `peers` is there even if empty: clients look for it. */
	if (!v4 && count == 0)
		return;
	writer_text(w, v4 ? "5:peers" : "6:peers6");
	writer_number(w, count * (v4 ? ENDPOINT_V4_SIZE : ENDPOINT_V6_SIZE));
	writer_text(w, ":");
	for (size_t i = 0; i < reply->peer_count; i++) {
		const struct endpoint *e = &reply->peers[i];

		if (endpoint_is_v4(e) != v4)
			continue;
		if (v4)
			endpoint_write_v4(w, e);
		else
			endpoint_write_v6(w, e);
	}
}

static void write_dictionaries(
	struct writer *w, const struct announce_reply *reply)
{
	writer_text(w, "5:peersl");
	for (size_t i = 0; i < reply->peer_count; i++) {
		const struct endpoint *e = &reply->peers[i];
		char ip[ENDPOINT_TEXT_SIZE];

		writer_text(w, "d2:ip");
		write_text(w, endpoint_print_ip(e, ip));
		write_int(w, "4:port", e->port);
		writer_text(w, "e");
	}
	writer_text(w, "e");
}

void announce_http_write_reply(struct writer *w, const struct announce *a,
	const struct announce_reply *reply)
{
	bool v4 = endpoint_is_v4(&a->peer);

	write_int(w, "d8:complete", reply->seeders);
	write_int(w, "10:downloaded", reply->completed);
	writer_text(w, "11:external ip"); /* BEP 24 */
	write_string(w, a->peer.ip + (v4 ? 12 : 0), v4 ? 4 : 16);
	write_int(w, "10:incomplete", reply->leechers);
	write_int(w, "8:interval", reply->interval_s);
	if (reply->min_interval_s != 0)
		write_int(w, "12:min interval", reply->min_interval_s);
	if (a->compact) {
		write_compact(w, reply, true);
		write_compact(w, reply, false); /* BEP 7 */
	} else {
		write_dictionaries(w, reply);
	}
	if (reply->tracker_id_len > 0) {
		writer_text(w, "10:tracker id");
		write_string(w, reply->tracker_id, reply->tracker_id_len);
	}
	if (reply->warning[0] != '\0') {
		writer_text(w, "15:warning message");
		write_text(w, reply->warning);
	}
	writer_text(w, "e");
}

void announce_http_write_failure(
	struct writer *w, const char *reason, uint32_t retry_s)
{
	writer_text(w, "d14:failure reason");
	write_text(w, reason);
	if (retry_s != 0) /* BEP 31 counts in minutes */
		write_int(w, "8:retry in", retry_s / 60 + (retry_s % 60 != 0));
	writer_text(w, "e");
}

void announce_http_write_scrape(
	struct writer *w, const struct scrape_entry *entries, size_t count)
{
	writer_text(w, "d5:filesd");
	for (size_t i = 0; i < count; i++) {
		const struct scrape_entry *e = &entries[i];

		write_string(w, e->info_hash.bytes, INFO_HASH_SIZE);
		write_int(w, "d8:complete", e->seeders);
		write_int(w, "10:downloaded", e->completed);
		write_int(w, "10:incomplete", e->leechers);
		writer_text(w, "e");
	}
	writer_text(w, "ee");
}

/* --- The client understands --- */

static bool value_string(struct span value, struct span *ret)
{
	struct reader r = reader_of_span(value);

	return bencode_string(&r, ret);
}

/* A number of seconds or peers, clamped into 32 bits; 0 for something else. */
static uint32_t value_u32(struct span value)
{
	struct reader r = reader_of_span(value);
	int64_t number;

	if (!bencode_int(&r, &number) || number < 0)
		return 0;
	return number < UINT32_MAX ? (uint32_t)number : UINT32_MAX;
}

static void value_text(struct span value, char ret[ANNOUNCE_TEXT_SIZE])
{
	struct span text;

	if (value_string(value, &text))
		text_utf8_repair(text, ret, ANNOUNCE_TEXT_SIZE);
}

static void add_peer(struct announce_reply *reply, const struct endpoint *e)
{
	if (reply->peer_count < ANNOUNCE_REPLY_MAX_PEERS &&
		endpoint_dialable(e))
		reply->peers[reply->peer_count++] = *e;
}

/* {ip: text, port: number} of BEP 3. */
static bool peer_of_dictionary(struct span dict, struct endpoint *ret)
{
	struct span ip;
	int64_t port;
	char text[ENDPOINT_TEXT_SIZE];

	if (!bencode_find_string(dict, "ip", &ip) ||
		!bencode_find_int(dict, "port", &port))
		return false;
	if (ip.len >= sizeof(text) || memchr(ip.at, '\0', ip.len) || port < 1 ||
		port > 65535)
		return false;

	memcpy(text, ip.at, ip.len);
	text[ip.len] = '\0';
	if (!endpoint_parse_ip(text, ret))
		return false;
	ret->port = (uint16_t)port;
	return true;
}

static void add_peer_list(struct announce_reply *reply, struct span list)
{
	struct reader r = reader_of_span(list);
	struct span dict;
	struct endpoint e;

	bencode_list_begin(&r);
	while (reply->peer_count < ANNOUNCE_REPLY_MAX_PEERS &&
		bencode_list_next(&r, &dict)) {
		if (peer_of_dictionary(dict, &e))
			add_peer(reply, &e);
	}
}

/* A torn entry at the end is left out. */
static void add_compact(struct announce_reply *reply, struct span string,
	size_t entry_size, struct endpoint (*read)(struct reader *r))
{
	struct reader r = reader_of_span(string);

	while (reader_left(&r) >= entry_size) {
		struct endpoint e = read(&r);
		add_peer(reply, &e);
	}
}

static void read_peers(struct span value, struct announce_reply *ret)
{
	struct span string;

	if (value_string(value, &string))
		add_compact(ret, string, ENDPOINT_V4_SIZE, endpoint_read_v4);
	else
		add_peer_list(ret, value);
}

static void read_peers6(struct span value, struct announce_reply *ret)
{
	struct span string;

	if (value_string(value, &string))
		add_compact(ret, string, ENDPOINT_V6_SIZE, endpoint_read_v6);
}

static void read_interval(struct span value, struct announce_reply *ret)
{
	ret->interval_s = value_u32(value);
}

static void read_min_interval(struct span value, struct announce_reply *ret)
{
	ret->min_interval_s = value_u32(value);
}

static void read_complete(struct span value, struct announce_reply *ret)
{
	ret->counted = true;
	ret->seeders = value_u32(value);
}

static void read_incomplete(struct span value, struct announce_reply *ret)
{
	ret->counted = true;
	ret->leechers = value_u32(value);
}

static void read_downloaded(struct span value, struct announce_reply *ret)
{
	ret->completed = value_u32(value);
}

static void read_failure(struct span value, struct announce_reply *ret)
{
	value_text(value, ret->failure);
	if (ret->failure[0] == '\0')
		snprintf(ret->failure, sizeof(ret->failure), "no reason given");
}

static void read_warning(struct span value, struct announce_reply *ret)
{
	value_text(value, ret->warning);
}

/* BEP 31: minutes, or `never`. */
static void read_retry(struct span value, struct announce_reply *ret)
{
	uint32_t minutes = value_u32(value);
	struct span text;

	ret->retry_s = minutes < UINT32_MAX / 60 ? minutes * 60 : UINT32_MAX;
	if (value_string(value, &text) && span_is(text, "never"))
		ret->retry_s = UINT32_MAX;
}

static void read_tracker_id(struct span value, struct announce_reply *ret)
{
	struct span id;

	if (!value_string(value, &id) || id.len > sizeof(ret->tracker_id))
		return;
	memcpy(ret->tracker_id, id.at, id.len);
	ret->tracker_id_len = (uint8_t)id.len;
}

static const struct reply_field {
	const char *key;
	void (*read)(struct span value, struct announce_reply *ret);
	bool telling; /* no answer of a tracker lacks all of these */
} reply_fields[] = {
	{"failure reason", read_failure, true},
	{"interval", read_interval, true},
	{"peers", read_peers, true},
	{"peers6", read_peers6, true},
	{"complete", read_complete, false},
	{"downloaded", read_downloaded, false},
	{"incomplete", read_incomplete, false},
	{"min interval", read_min_interval, false},
	{"retry in", read_retry, false},
	{"tracker id", read_tracker_id, false},
	{"warning message", read_warning, false},
};

bool announce_http_parse_reply(
	struct span body, struct announce_reply *ret, struct error *err)
{
	struct reader r = reader_of_span(body);
	struct announce_reply reply = {0};
	struct span dict, key, value;
	bool answer = false;

	/* What may follow the dictionary is of no interest. */
	if (bencode_peek(&r) != 'd' || !bencode_value(&r, &dict))
		return error_set(err, "not a tracker's answer");

	r = reader_of_span(dict);
	bencode_dict_begin(&r);
	while (bencode_dict_next(&r, &key, &value)) {
		for (size_t i = 0;
			i < sizeof(reply_fields) / sizeof(reply_fields[0]);
			i++) {
			if (!span_is(key, reply_fields[i].key))
				continue;
			reply_fields[i].read(value, &reply);
			answer |= reply_fields[i].telling;
		}
	}
	if (!answer)
		return error_set(err, "not a tracker's answer");
	*ret = reply;
	return true;
}

static bool find_torrent(
	struct span files, const struct info_hash *hash, struct span *ret)
{
	struct reader r = reader_of_span(files);
	struct span key;

	bencode_dict_begin(&r);
	while (bencode_dict_next(&r, &key, ret)) {
		if (key.len == INFO_HASH_SIZE &&
			memcmp(key.at, hash->bytes, INFO_HASH_SIZE) == 0)
			return true;
	}
	return false;
}

bool announce_http_parse_scraped(
	struct span body, struct scrape_entry *ret, struct error *err)
{
	static const char *const keys[] = {
		"complete", "incomplete", "downloaded"};
	struct reader r = reader_of_span(body);
	char failure[ANNOUNCE_TEXT_SIZE] = "";
	struct span dict, value, counts[3];

	if (bencode_peek(&r) != 'd' || !bencode_value(&r, &dict))
		return error_set(err, "not a tracker's answer");
	if (bencode_find(dict, "failure reason", &value))
		value_text(value, failure);
	if (failure[0] != '\0')
		return error_set(err, "%s", failure);
	if (!bencode_find(dict, "files", &value) ||
		!find_torrent(value, &ret->info_hash, &value) ||
		!bencode_fields(value, keys, 3, counts))
		return error_set(err, "the tracker does not count it");

	ret->seeders = value_u32(counts[0]);
	ret->leechers = value_u32(counts[1]);
	ret->completed = value_u32(counts[2]);
	return true;
}
