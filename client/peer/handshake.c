#include "client/peer/handshake.h"

#include <stdio.h>
#include <string.h>

#include "shared/random_bytes.h"
#include "shared/reader.h"
#include "shared/text.h"
#include "shared/writer.h"

/* The length byte and the protocol's name (BEP 3). */
static const char protocol[] = "\x13"
			       "BitTorrent protocol";
enum { PROTOCOL_SIZE = sizeof(protocol) - 1, RESERVED_SIZE = 8 };

/* Bits of the reserved bytes: which byte, and which bit in it. */
enum {
	EXTENDED_BYTE = 5,
	EXTENDED_BIT = 0x10, /* BEP 10 */
	LAST_BYTE = 7,
	DHT_BIT = 0x01,  /* BEP 5 */
	FAST_BIT = 0x04, /* BEP 6 */
	V2_BIT = 0x10,   /* BEP 52 */
};

void handshake_write(const struct handshake *h, uint8_t ret[HANDSHAKE_SIZE])
{
	struct writer w = writer_of(ret, HANDSHAKE_SIZE);
	uint8_t reserved[RESERVED_SIZE] = {0};

	reserved[EXTENDED_BYTE] = h->extended ? EXTENDED_BIT : 0;
	reserved[LAST_BYTE] = (uint8_t)((h->dht ? DHT_BIT : 0) |
		(h->fast ? FAST_BIT : 0) | (h->v2 ? V2_BIT : 0));

	writer_bytes(&w, protocol, PROTOCOL_SIZE);
	writer_bytes(&w, reserved, RESERVED_SIZE);
	writer_bytes(&w, h->info_hash.bytes, INFO_HASH_SIZE);
	writer_bytes(&w, h->peer_id, PEER_ID_SIZE);
}

bool handshake_plausible(struct span bytes)
{
	size_t len = bytes.len < PROTOCOL_SIZE ? bytes.len : PROTOCOL_SIZE;

	return len == 0 || memcmp(bytes.at, protocol, len) == 0;
}

bool handshake_read(struct span bytes, struct handshake *ret)
{
	if (bytes.len != HANDSHAKE_UP_TO_HASH && bytes.len != HANDSHAKE_SIZE)
		return false;
	if (!handshake_plausible(bytes))
		return false;

	struct reader r = reader_of(bytes.at, bytes.len);
	(void)reader_take(&r, PROTOCOL_SIZE);
	const uint8_t *reserved = reader_take(&r, RESERVED_SIZE);
	const uint8_t *hash = reader_take(&r, INFO_HASH_SIZE);
	struct handshake h = {
		.fast = reserved[LAST_BYTE] & FAST_BIT,
		.extended = reserved[EXTENDED_BYTE] & EXTENDED_BIT,
		.dht = reserved[LAST_BYTE] & DHT_BIT,
		.v2 = reserved[LAST_BYTE] & V2_BIT,
	};
	memcpy(h.info_hash.bytes, hash, INFO_HASH_SIZE);
	if (reader_left(&r) > 0)
		memcpy(h.peer_id, reader_take(&r, PEER_ID_SIZE), PEER_ID_SIZE);
	*ret = h;
	return true;
}

void handshake_make_peer_id(uint8_t ret[PEER_ID_SIZE])
{
	/* 64 of them, so that six random bits choose one evenly. */
	static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				       "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
	static const char start[] = "-TB0100-";
	enum { START_SIZE = sizeof(start) - 1 };

	memcpy(ret, start, START_SIZE);
	random_bytes(ret + START_SIZE, PEER_ID_SIZE - START_SIZE);
	for (size_t i = START_SIZE; i < PEER_ID_SIZE; i++)
		ret[i] = (uint8_t)alphabet[ret[i] % 64];
}

/* The number that a character of a version stands for (BEP 20): digits, then
 * letters from 10 on; -1 for any other. */
static int version_number(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10;
	return -1;
}

/* "-XX1234-": the name for XX, or NULL when it is not such an id. */
static const char *azureus_name(const uint8_t *id)
{
	static const struct {
		char code[3];
		const char *name;
	} known[] = {
		{"7T", "aTorrent"},
		{"AZ", "Vuze"},
		{"BI", "BiglyBT"},
		{"BT", "BitTorrent"},
		{"DE", "Deluge"},
		{"FD", "Free Download Manager"},
		{"FG", "FlashGet"},
		{"JT", "JavaTorrent"},
		{"KT", "KTorrent"},
		{"LT", "libtorrent"},
		{"PI", "PicoTorrent"},
		{"TB", "tbt"},
		{"TL", "Tribler"},
		{"TR", "Transmission"},
		{"TX", "Tixati"},
		{"UM", "uTorrent Mac"},
		{"UT", "uTorrent"},
		{"UW", "uTorrent Web"},
		{"WD", "WebTorrent Desktop"},
		{"WW", "WebTorrent"},
		{"XL", "Xunlei"},
		{"lt", "libTorrent"},
		{"qB", "qBittorrent"},
	};

	if (id[0] != '-' || id[7] != '-')
		return NULL;
	for (size_t i = 3; i < 7; i++)
		if (version_number(id[i]) < 0)
			return NULL;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (memcmp(id + 1, known[i].code, 2) == 0)
			return known[i].name;
	return NULL;
}

/* aria2 has a form of its own, "A2-1-36-0-", then random bytes. */
static bool aria2_name(const uint8_t *id, char ret[CLIENT_NAME_SIZE])
{
	char text[PEER_ID_SIZE + 1] = {0};
	int end = 0;

	memcpy(text, id, PEER_ID_SIZE);
	sscanf(text, "A2-%*2[0-9]-%*2[0-9]-%*2[0-9]%n", &end);
	if (end == 0)
		return false;
	for (int i = 3; i < end; i++)
		if (text[i] == '-')
			text[i] = '.';
	snprintf(ret, CLIENT_NAME_SIZE, "aria2 %.*s", end - 3, text + 3);
	return true;
}

const char *handshake_client_name(
	const uint8_t peer_id[PEER_ID_SIZE], char ret[CLIENT_NAME_SIZE])
{
	const char *name = azureus_name(peer_id);
	int v[4];

	if (aria2_name(peer_id, ret))
		return ret;
	if (!name)
		return text_escape((struct span){peer_id, PEER_ID_SIZE}, ret,
			CLIENT_NAME_SIZE);

	for (size_t i = 0; i < 4; i++)
		v[i] = version_number(peer_id[3 + i]);
	/* Transmission had two-digit minor versions up to 3.00. */
	if (memcmp(peer_id, "-TR", 3) == 0 && v[0] < 4)
		snprintf(ret, CLIENT_NAME_SIZE, "%s %d.%d%d", name, v[0], v[1],
			v[2]);
	else if (v[3] != 0)
		snprintf(ret, CLIENT_NAME_SIZE, "%s %d.%d.%d.%d", name, v[0],
			v[1], v[2], v[3]);
	else
		snprintf(ret, CLIENT_NAME_SIZE, "%s %d.%d.%d", name, v[0], v[1],
			v[2]);
	return ret;
}
