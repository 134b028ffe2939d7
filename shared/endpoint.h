#ifndef SHARED_ENDPOINT_H
#define SHARED_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "shared/span.h"

struct reader;
struct writer;

/* An IP address and a port, comparable with memcmp: IPv4 is kept mapped
 * (::ffff:a.b.c.d) and the port in host byte order. */
struct endpoint {
	uint8_t ip[16];
	uint16_t port;
};

enum {
	ENDPOINT_TEXT_SIZE = 56, /* "[ipv6]:port" and a NUL */
	ENDPOINT_V4_SIZE = 6,    /* compact forms (BEP 23, BEP 7) */
	ENDPOINT_V6_SIZE = 18,
};

bool endpoint_is_v4(const struct endpoint *e);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b);

/* The same host, as far as one can tell: who has one address of IPv6 has all of
 * its /64. */
bool endpoint_same_host(const struct endpoint *a, const struct endpoint *b);

bool endpoint_is_loopback(const struct endpoint *e);

/* An address that counts within a site only: RFC 1918, 3927, 6598; 4193. */
bool endpoint_is_private(const struct endpoint *e);

/* Whether a peer can be there at all: port not 0, address not unspecified,
 * multicast or broadcast. */
bool endpoint_dialable(const struct endpoint *e);

/* "1.2.3.4:80" or "[::1]:80"; the address only, or false.  No look-up. */
bool endpoint_parse(const char *text, struct endpoint *ret);

/* "HOST:PORT", where HOST is a name to be looked up (or anything else without a
 * colon): it is copied to `host` of `size` bytes.  False: not of that form, or
 * too long. */
bool endpoint_split_name(
	const char *text, char *host, size_t size, uint16_t *ret_port);

/* An address alone, "1.2.3.4", "::1" or "[::1]"; the port becomes 0. */
bool endpoint_parse_ip(const char *text, struct endpoint *ret);

/* The reverse of the two; each returns `ret`. */
const char *endpoint_print(
	const struct endpoint *e, char ret[ENDPOINT_TEXT_SIZE]);
const char *endpoint_print_ip(
	const struct endpoint *e, char ret[ENDPOINT_TEXT_SIZE]);

/* False for a family that is neither IPv4 nor IPv6. */
bool endpoint_from_sockaddr(const struct sockaddr *sa, struct endpoint *ret);

/* An AF_INET address for IPv4, AF_INET6 for the rest; returns its length. */
socklen_t endpoint_to_sockaddr(
	const struct endpoint *e, struct sockaddr_storage *ret);

/* The address as it is on the wire, 4 or 16 bytes, which lie in `e`; and back,
 * with port 0.  False: neither 4 nor 16 bytes. */
struct span endpoint_ip(const struct endpoint *e);
bool endpoint_from_ip(struct span ip, struct endpoint *ret);

/* Compact forms: 4 + 2 bytes, 16 + 2 bytes. */
struct endpoint endpoint_read_v4(struct reader *r);
struct endpoint endpoint_read_v6(struct reader *r);
void endpoint_write_v4(struct writer *w, const struct endpoint *e);
void endpoint_write_v6(struct writer *w, const struct endpoint *e);

#endif
