#include "client/session/peer_priority.h"

#include <stddef.h>
#include <string.h>

#include "shared/crc32c.h"

enum {
	IP_SIZE = 16,
	/* Leading bytes that always count whole; of the others every second
	 * bit. */
	V4_WHOLE = 2,
	V6_WHOLE = 6,
	MASK = 0x55,
};

/* The smaller one first. */
static uint32_t of_pair(const uint8_t *a, const uint8_t *b, size_t len)
{
	uint8_t both[2 * IP_SIZE];
	bool swap = memcmp(a, b, len) > 0;

	memcpy(both, swap ? b : a, len);
	memcpy(both + len, swap ? a : b, len);
	return crc32c(both, 2 * len);
}

static uint32_t of_ports(uint16_t a, uint16_t b)
{
	uint8_t x[] = {(uint8_t)(a >> 8), (uint8_t)a};
	uint8_t y[] = {(uint8_t)(b >> 8), (uint8_t)b};

	return of_pair(x, y, sizeof(x));
}

uint32_t peer_priority(const struct endpoint *us, const struct endpoint *peer)
{
	size_t whole = endpoint_is_v4(us) ? V4_WHOLE : V6_WHOLE;
	size_t first = IP_SIZE - endpoint_ip(us).len;
	size_t differ = first;
	uint8_t x[IP_SIZE], y[IP_SIZE];

	memcpy(x, us->ip, IP_SIZE);
	memcpy(y, peer->ip, IP_SIZE);
	while (differ < IP_SIZE && x[differ] == y[differ])
		differ++;
	if (differ == IP_SIZE)
		return of_ports(us->port, peer->port);
	/* In one network it is the next byte that tells them apart. */
	if (whole < differ - first + 1)
		whole = differ - first + 1;
	for (size_t i = first + whole; i < IP_SIZE; i++) {
		x[i] &= MASK;
		y[i] &= MASK;
	}
	return of_pair(x + first, y + first, IP_SIZE - first);
}
