#include "client/discovery/dht_id.h"

#include <string.h>

#include "shared/crc32c.h"

bool dht_id_equal(const struct dht_id *a, const struct dht_id *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int dht_id_compare(const struct dht_id *target, const struct dht_id *a,
	const struct dht_id *b)
{
	for (size_t i = 0; i < DHT_ID_SIZE; i++) {
		if (a->bytes[i] == b->bytes[i])
			continue;
		return (a->bytes[i] ^ target->bytes[i]) -
			(b->bytes[i] ^ target->bytes[i]);
	}
	return 0;
}

unsigned dht_id_common_bits(const struct dht_id *a, const struct dht_id *b)
{
	unsigned bits = 0;

	for (size_t i = 0; i < DHT_ID_SIZE; i++, bits += 8) {
		unsigned differs = a->bytes[i] ^ b->bytes[i];
		if (differs != 0)
			return bits + (unsigned)__builtin_clz(differs << 24);
	}
	return bits;
}

void dht_id_move(struct dht_id *id, const struct dht_id *near, unsigned bits)
{
	unsigned whole = bits / 8;

	memcpy(id->bytes, near->bytes, whole);
	if (whole == DHT_ID_SIZE)
		return;

	unsigned keep = 0xff00u >> bits % 8 & 0xff; /* bits of this byte */
	unsigned turn = 0x80u >> bits % 8;          /* the one that differs */
	unsigned from_near = keep | turn;
	id->bytes[whole] = (uint8_t)(((near->bytes[whole] ^ turn) & from_near) |
		(id->bytes[whole] & ~from_near));
}

/* ---- BEP 42 ---- */

bool dht_id_exempt(const struct endpoint *address)
{
	const uint8_t *ip = address->ip;

	if (endpoint_is_loopback(address))
		return true;
	if (!endpoint_is_v4(address))
		return (ip[0] & 0xfe) == 0xfc || /* fc00::/7 */
			(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
	ip += 12;
	return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
		(ip[0] == 192 && ip[1] == 168) ||
		(ip[0] == 169 && ip[1] == 254);
}

/* The first 21 bits, at the top of the number. */
static uint32_t prefix_for(const struct endpoint *address, uint8_t last_byte)
{
	static const uint8_t mask_v4[] = {0x03, 0x0f, 0x3f, 0xff};
	static const uint8_t mask_v6[] = {
		0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff};
	bool v4 = endpoint_is_v4(address);
	const uint8_t *ip = endpoint_ip(address).at;
	const uint8_t *mask = v4 ? mask_v4 : mask_v6;
	size_t len = v4 ? sizeof(mask_v4) : sizeof(mask_v6);
	uint8_t masked[sizeof(mask_v6)];

	for (size_t i = 0; i < len; i++)
		masked[i] = ip[i] & mask[i];
	masked[0] |= (uint8_t)((last_byte & 7) << 5);
	return crc32c(masked, len) & 0xfffff800;
}

bool dht_id_fits(const struct dht_id *id, const struct endpoint *address)
{
	if (dht_id_exempt(address))
		return true;

	uint32_t prefix = prefix_for(address, id->bytes[DHT_ID_SIZE - 1]);
	return id->bytes[0] == prefix >> 24 &&
		id->bytes[1] == (prefix >> 16 & 0xff) &&
		(id->bytes[2] & 0xf8) == (prefix >> 8 & 0xff);
}

void dht_id_bind(struct dht_id *id, const struct endpoint *address)
{
	uint32_t prefix = prefix_for(address, id->bytes[DHT_ID_SIZE - 1]);

	id->bytes[0] = (uint8_t)(prefix >> 24);
	id->bytes[1] = (uint8_t)(prefix >> 16);
	id->bytes[2] = (uint8_t)((prefix >> 8 & 0xf8) | (id->bytes[2] & 7));
}
