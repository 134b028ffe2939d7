#include "tracker/redis_redirect.h"

#include <string.h>

#include "shared/text.h"

/* CRC16 as XMODEM does it: polynomial 0x1021, from 0. */
static uint16_t crc16(struct span in)
{
	uint16_t crc = 0;

	for (size_t i = 0; i < in.len; i++) {
		crc = (uint16_t)(crc ^ in.at[i] << 8);
		for (int bit = 0; bit < 8; bit++) {
			bool carry = crc & 0x8000;

			crc = (uint16_t)(crc << 1);
			if (carry)
				crc ^= 0x1021;
		}
	}
	return crc;
}

unsigned redis_slot_of(struct span key)
{
	const uint8_t *open = memchr(key.at, '{', key.len);

	if (open) {
		const uint8_t *tag = open + 1;
		size_t left = key.len - (size_t)(tag - key.at);
		const uint8_t *close = memchr(tag, '}', left);

		if (close && close > tag)
			key = (struct span){tag, (size_t)(close - tag)};
	}
	return crc16(key) % REDIS_SLOTS;
}

/* The next word, up to a space; false: there is none, or no room for it. */
static bool next_word(struct span *in, char *ret, size_t size)
{
	const uint8_t *space = memchr(in->at, ' ', in->len);
	size_t len = space ? (size_t)(space - in->at) : in->len;

	if (len == 0 || len >= size || memchr(in->at, '\0', len))
		return false;
	memcpy(ret, in->at, len);
	ret[len] = '\0';
	in->at += space ? len + 1 : len;
	in->len -= space ? len + 1 : len;
	return true;
}

bool redis_redirect_parse(struct span error, struct redis_redirect *ret)
{
	struct redis_redirect r = {.ask = false};
	char word[sizeof(r.host) + 8];
	uint64_t slot, port;

	if (!next_word(&error, word, sizeof(word)))
		return false;
	r.ask = strcmp(word, "ASK") == 0;
	if (!r.ask && strcmp(word, "MOVED") != 0)
		return false;
	if (!next_word(&error, word, sizeof(word)) ||
		!text_parse_number(word, 0, REDIS_SLOTS - 1, &slot))
		return false;

	/* IPv6 comes without brackets: the port is behind the last colon. */
	if (!next_word(&error, word, sizeof(word)) || error.len > 0)
		return false;
	char *colon = strrchr(word, ':');
	if (!colon || !text_parse_number(colon + 1, 1, UINT16_MAX, &port) ||
		(size_t)(colon - word) >= sizeof(r.host))
		return false;
	memcpy(r.host, word, (size_t)(colon - word));
	/* A node that does not know its own name says so. */
	if (strcmp(r.host, "?") == 0)
		return false;
	r.slot = (unsigned)slot;
	r.port = (uint16_t)port;
	*ret = r;
	return true;
}
