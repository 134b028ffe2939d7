#ifndef CLIENT_SESSION_HOST_BOOK_H
#define CLIENT_SESSION_HOST_BOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/endpoint.h"

/* What the peer book knows of an IP as a whole, whatever the port: whether it
 * is banned, and whether it may be dialled yet.  Pure: time is an argument.
 * Belongs to the peer book, so it has no lock.
 *
 * We must not become a weapon against an address that many entries name: each
 * dial costs one of HOST_DIALS, which come back one at a time, or at once when
 * somebody was there.  So dead ports are tried slowly, and many honest peers
 * behind one address quickly. */
struct host_book;
struct host;

enum {
	HOST_DIALS = 10,     /* that may fail, or be under way, at once */
	HOST_DIAL_MS = 1500, /* until one comes back */
	HOST_BAN_MS = 3600 * 1000,
	HOST_BANS_MAX = 4096, /* the oldest ban makes room */
	/* Peers of one IP that lied: then nobody there is believed. */
	HOST_LIARS_MAX = 3,
};

/* NULL: out of memory. */
struct host_book *host_book_create(uint64_t seed);
void host_book_destroy(struct host_book *b);

/* The record for this address' IP, kept until it is released as often as it
 * was held.  NULL: out of memory. */
struct host *host_book_hold(struct host_book *b, const struct endpoint *e);
void host_book_release(struct host_book *b, struct host *h);

/* From when on it may be dialled; the first of it: not before a ban ends. */
uint64_t host_unbanned_ms(const struct host *h);
uint64_t host_dialable_ms(const struct host *h);

/* It is being dialled; somebody was there. */
void host_charge(struct host *h, uint64_t now_ms);
void host_refund(struct host *h);

/* A peer there lied: ban its IP for HOST_BAN_MS from now.  Returns how many did
 * so while the IP was banned, this one included; 0: out of memory, not banned.
 */
unsigned host_book_ban(
	struct host_book *b, const struct endpoint *e, uint64_t now_ms);
bool host_book_banned(
	struct host_book *b, const struct endpoint *e, uint64_t now_ms);

#endif
