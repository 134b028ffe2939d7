#include "shared/announce_http_reply.h"

#include <stdio.h>
#include <string.h>

#include "shared/bencode.h"
#include "shared/reader.h"
#include "shared/text.h"

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
	struct span ip = endpoint_ip(&a->peer);

	write_int(w, "d8:complete", reply->seeders);
	write_int(w, "10:downloaded", reply->completed);
	writer_text(w, "11:external ip"); /* BEP 24 */
	write_string(w, ip.at, ip.len);
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
