#include "shared/endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "shared/reader.h"
#include "shared/text.h"
#include "shared/writer.h"

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};
static const uint8_t v6_loopback[16] = {[15] = 1};
static const uint8_t v6_unspecified[16];

/* The four bytes of an IPv4 address. */
static const uint8_t *v4_of(const struct endpoint *e) { return e->ip + 12; }

static void set_v4(struct endpoint *e, const void *four)
{
	memcpy(e->ip, v4_prefix, sizeof(v4_prefix));
	memcpy(e->ip + 12, four, 4);
}

bool endpoint_is_v4(const struct endpoint *e)
{
	return memcmp(e->ip, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b)
{
	return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

bool endpoint_same_host(const struct endpoint *a, const struct endpoint *b)
{
	bool v4 = endpoint_is_v4(a);

	return v4 == endpoint_is_v4(b) &&
		memcmp(a->ip, b->ip, v4 ? 16 : 8) == 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && endpoint_same_ip(a, b);
}

bool endpoint_is_loopback(const struct endpoint *e)
{
	if (endpoint_is_v4(e))
		return v4_of(e)[0] == 127;
	return memcmp(e->ip, v6_loopback, sizeof(e->ip)) == 0;
}

bool endpoint_is_private(const struct endpoint *e)
{
	const uint8_t *ip = v4_of(e);

	if (!endpoint_is_v4(e))
		return (e->ip[0] & 0xfe) == 0xfc;
	return ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
		(ip[0] == 192 && ip[1] == 168) ||
		(ip[0] == 169 && ip[1] == 254) ||
		(ip[0] == 100 && (ip[1] & 0xc0) == 64);
}

bool endpoint_dialable(const struct endpoint *e)
{
	if (e->port == 0)
		return false;
	if (endpoint_is_v4(e)) {
		const uint8_t *ip = v4_of(e);
		bool multicast = ip[0] >= 224 && ip[0] < 240;
		bool broadcast = memcmp(ip, "\xff\xff\xff\xff", 4) == 0;

		/* All of 0/8 means "this network" (RFC 1122). */
		return ip[0] != 0 && !multicast && !broadcast;
	}
	return e->ip[0] != 0xff &&
		memcmp(e->ip, v6_unspecified, sizeof(e->ip)) != 0;
}

/* `len` characters of text as an address. */
static bool parse_ip(const char *text, size_t len, struct endpoint *ret)
{
	char copy[INET6_ADDRSTRLEN];
	uint8_t ip[16];

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';

	*ret = (struct endpoint){0};
	if (inet_pton(AF_INET, copy, ip) == 1) {
		set_v4(ret, ip);
		return true;
	}
	if (inet_pton(AF_INET6, copy, ip) == 1) {
		memcpy(ret->ip, ip, sizeof(ret->ip));
		return true;
	}
	return false;
}

bool endpoint_split_name(
	const char *text, char *host, size_t size, uint16_t *ret_port)
{
	size_t len = strcspn(text, ":");
	uint64_t port;

	if (len == 0 || len >= size || text[len] == '\0' ||
		!text_parse_number(text + len + 1, 1, UINT16_MAX, &port))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	*ret_port = (uint16_t)port;
	return true;
}

bool endpoint_parse_ip(const char *text, struct endpoint *ret)
{
	struct endpoint e;
	size_t len = strlen(text);
	bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';

	if (bracketed) {
		text++;
		len -= 2;
	}
	if (!parse_ip(text, len, &e) || (bracketed && !memchr(text, ':', len)))
		return false;
	*ret = e;
	return true;
}

bool endpoint_parse(const char *text, struct endpoint *ret)
{
	const char *colon = strrchr(text, ':');
	struct endpoint e;
	uint64_t port;

	if (!colon || !text_parse_number(colon + 1, 0, 65535, &port))
		return false;

	size_t len = (size_t)(colon - text);
	bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	if (bracketed ? !parse_ip(text + 1, len - 2, &e)
		      : !parse_ip(text, len, &e))
		return false;

	/* "::1:80" could be an address as well: IPv6 wants its brackets, and
	 * IPv4 has none. */
	bool colons = memchr(text, ':', len) != NULL;
	if (bracketed != colons)
		return false;

	e.port = (uint16_t)port;
	*ret = e;
	return true;
}

const char *endpoint_print_ip(
	const struct endpoint *e, char ret[ENDPOINT_TEXT_SIZE])
{
	if (endpoint_is_v4(e))
		inet_ntop(AF_INET, v4_of(e), ret, ENDPOINT_TEXT_SIZE);
	else
		inet_ntop(AF_INET6, e->ip, ret, ENDPOINT_TEXT_SIZE);
	return ret;
}

const char *endpoint_print(
	const struct endpoint *e, char ret[ENDPOINT_TEXT_SIZE])
{
	char ip[ENDPOINT_TEXT_SIZE];
	const char *fmt = endpoint_is_v4(e) ? "%.46s:%u" : "[%.46s]:%u";

	snprintf(ret, ENDPOINT_TEXT_SIZE, fmt, endpoint_print_ip(e, ip),
		(unsigned)e->port);
	return ret;
}

/* The sockaddr kinds are copied, not cast: a caller's bytes may lie anywhere.
 */
bool endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *ret)
{
	if (sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		set_v4(ret, &in.sin_addr);
		ret->port = ntohs(in.sin_port);
		return true;
	}
	if (sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		memcpy(ret->ip, &in6.sin6_addr, sizeof(ret->ip));
		ret->port = ntohs(in6.sin6_port);
		return true;
	}
	return false;
}

socklen_t endpoint_to_sockaddr(
	const struct endpoint *e, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){0};
	if (endpoint_is_v4(e)) {
		struct sockaddr_in in = {
			.sin_family = AF_INET,
			.sin_port = htons(e->port),
		};

		memcpy(&in.sin_addr, v4_of(e), 4);
		memcpy(ret, &in, sizeof(in));
		return sizeof(in);
	}

	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(e->port),
	};
	memcpy(&in6.sin6_addr, e->ip, sizeof(e->ip));
	memcpy(ret, &in6, sizeof(in6));
	return sizeof(in6);
}

struct span endpoint_ip(const struct endpoint *e)
{
	return endpoint_is_v4(e) ? (struct span){v4_of(e), 4}
				 : (struct span){e->ip, sizeof(e->ip)};
}

bool endpoint_from_ip(struct span ip, struct endpoint *ret)
{
	if (ip.len != 4 && ip.len != sizeof(ret->ip))
		return false;
	*ret = (struct endpoint){0};
	if (ip.len == 4)
		set_v4(ret, ip.at);
	else
		memcpy(ret->ip, ip.at, ip.len);
	return true;
}

struct endpoint endpoint_read_v4(struct reader *r)
{
	struct endpoint e = {0};
	const uint8_t *ip = reader_take(r, 4);

	if (ip)
		set_v4(&e, ip);
	e.port = reader_u16(r);
	return e;
}

struct endpoint endpoint_read_v6(struct reader *r)
{
	struct endpoint e = {0};
	const uint8_t *ip = reader_take(r, sizeof(e.ip));

	if (ip)
		memcpy(e.ip, ip, sizeof(e.ip));
	e.port = reader_u16(r);
	return e;
}

void endpoint_write_v4(struct writer *w, const struct endpoint *e)
{
	uint8_t compact[ENDPOINT_V4_SIZE];
	uint16_t port = htons(e->port);

	/* At once: a reply has many of them. */
	memcpy(compact, v4_of(e), 4);
	memcpy(compact + 4, &port, sizeof(port));
	writer_bytes(w, compact, sizeof(compact));
}

void endpoint_write_v6(struct writer *w, const struct endpoint *e)
{
	writer_bytes(w, e->ip, sizeof(e->ip));
	writer_u16(w, e->port);
}
