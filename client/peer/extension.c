#include "client/peer/extension.h"

#include "shared/bencode.h"
#include "shared/bencode_writer.h"
#include "shared/text.h"

/* What the kinds are called in `m`. */
static const char *const names[EXTENSION_KINDS] = {
	[EXTENSION_METADATA] = "ut_metadata",
	[EXTENSION_PEX] = "ut_pex",
	[EXTENSION_DONTHAVE] = "lt_donthave",
};

/* The kinds in the order of their names, as bencode wants its keys. */
static const enum extension_kind by_name[EXTENSION_KINDS] = {
	EXTENSION_DONTHAVE, EXTENSION_METADATA, EXTENSION_PEX};

static void write_number(
	struct bencode_writer *w, const char *key, uint32_t value)
{
	if (value == 0)
		return;
	bencode_write_key(w, key);
	bencode_write_int(w, value);
}

static bool is_unspecified(const struct endpoint *e)
{
	return endpoint_same_ip(e, &(struct endpoint){0});
}

static void write_ip(struct bencode_writer *w, const struct endpoint *e)
{
	struct span ip = endpoint_ip(e);

	if (is_unspecified(e))
		return;
	bencode_write_key(w, "yourip");
	bencode_write_string(w, ip.at, ip.len);
}

/* What is no address says nothing. */
static void read_ip(struct span dict, struct endpoint *said)
{
	struct span ip;

	if (bencode_find_string(dict, "yourip", &ip))
		(void)endpoint_from_ip(ip, said);
}

void extension_write_handshake(
	struct writer *w, const struct extended_handshake *h)
{
	struct buffer out;
	struct bencode_writer b;

	buffer_init(&out, writer_left(w));
	bencode_writer_init(&b, &out);
	bencode_dict_open(&b);
	bencode_write_key(&b, "m");
	bencode_dict_open(&b);
	for (size_t i = 0; i < EXTENSION_KINDS; i++)
		write_number(&b, names[by_name[i]], h->ids[by_name[i]]);
	bencode_dict_close(&b);
	write_number(&b, "metadata_size", h->metadata_size);
	write_number(&b, "p", h->port);
	write_number(&b, "reqq", h->reqq);
	write_number(&b, "upload_only", h->upload_only);
	if (h->client[0] != '\0') {
		bencode_write_key(&b, "v");
		bencode_write_text(&b, h->client);
	}
	write_ip(&b, &h->yourip);
	bencode_dict_close(&b);
	writer_buffer(w, &out);
}

/* A number within [1, max]. */
static bool find_number(
	struct span dict, const char *key, uint32_t max, uint32_t *ret)
{
	int64_t value;

	if (!bencode_find_int(dict, key, &value) || value < 1 || value > max)
		return false;
	*ret = (uint32_t)value;
	return true;
}

/* 0, or what cannot be, is how a kind is not spoken any more. */
static void read_ids(struct span m, uint8_t ids[EXTENSION_KINDS])
{
	struct span value;
	int64_t id;

	for (size_t i = 0; i < EXTENSION_KINDS; i++) {
		if (!bencode_find(m, names[i], &value))
			continue;
		bool good = bencode_as_int(value, &id) && id >= 1 &&
			id <= UINT8_MAX;
		ids[i] = good ? (uint8_t)id : 0;
	}
}

static uint32_t clamp_reqq(int64_t value)
{
	if (value < 1)
		return 1;
	return value > EXTENSION_MAX_REQQ ? EXTENSION_MAX_REQQ
					  : (uint32_t)value;
}

bool extension_read_handshake(
	struct span payload, struct extended_handshake *said)
{
	struct reader r = reader_of_span(payload);
	struct span dict, m, client;
	uint32_t port;
	int64_t number;

	if (bencode_peek(&r) != 'd' || !bencode_value(&r, &dict) ||
		!reader_done(&r))
		return false;

	if (bencode_find(dict, "m", &m))
		read_ids(m, said->ids);
	if (find_number(dict, "p", UINT16_MAX, &port))
		said->port = (uint16_t)port;
	if (bencode_find_int(dict, "reqq", &number))
		said->reqq = clamp_reqq(number);
	else if (said->reqq == 0)
		said->reqq = EXTENSION_DEFAULT_REQQ;
	(void)find_number(dict, "metadata_size", EXTENSION_MAX_METADATA_SIZE,
		&said->metadata_size);
	if (bencode_find_int(dict, "upload_only", &number))
		said->upload_only = number != 0;
	if (bencode_find_string(dict, "v", &client))
		text_utf8_repair(client, said->client, sizeof(said->client));
	read_ip(dict, &said->yourip);
	return true;
}
