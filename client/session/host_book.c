#define HASH_NONFATAL_OOM 1

#include "client/session/host_book.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>
#include <xxhash.h>

struct host {
	uint8_t ip[16];
	size_t holders;

	/* When all dials will have come back: now or earlier, none is missing;
	 * each one missing adds HOST_DIAL_MS. */
	uint64_t full_ms;

	uint64_t banned_until_ms; /* 0: not banned, and not in the list */
	unsigned liars;           /* since it is banned */
	struct host *prev, *next; /* in the list of bans */
	UT_hash_handle hh;
};

struct host_book {
	uint64_t seed;
	struct host *by_ip;
	struct host *bans; /* the oldest first; all last equally long */
	size_t ban_count;
};

struct host_book *host_book_create(uint64_t seed)
{
	struct host_book *b = calloc(1, sizeof(*b));

	if (b)
		b->seed = seed;
	return b;
}

void host_book_destroy(struct host_book *b)
{
	struct host *h, *next;

	if (!b)
		return;
	HASH_ITER(hh, b->by_ip, h, next)
	{
		HASH_DEL(b->by_ip, h);
		free(h);
	}
	free(b);
}

static unsigned hash_of(const struct host_book *b, const uint8_t *ip)
{
	uint64_t hash = XXH3_64bits_withSeed(ip, 16, b->seed);

	return (unsigned)(hash ^ hash >> 32);
}

static struct host *find(const struct host_book *b, const uint8_t *ip)
{
	struct host *h;

	HASH_FIND_BYHASHVALUE(hh, b->by_ip, ip, 16, hash_of(b, ip), h);
	return h;
}

static struct host *find_or_add(struct host_book *b, const uint8_t *ip)
{
	struct host *h = find(b, ip);

	if (h)
		return h;
	h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	memcpy(h->ip, ip, sizeof(h->ip));
	HASH_ADD_BYHASHVALUE(
		hh, b->by_ip, ip, sizeof(h->ip), hash_of(b, ip), h);
	if (!h->hh.tbl) { /* out of memory */
		free(h);
		return NULL;
	}
	return h;
}

static void free_if_unused(struct host_book *b, struct host *h)
{
	if (h->holders > 0 || h->banned_until_ms > 0)
		return;
	HASH_DEL(b->by_ip, h);
	free(h);
}

struct host *host_book_hold(struct host_book *b, const struct endpoint *e)
{
	struct host *h = find_or_add(b, e->ip);

	if (h)
		h->holders++;
	return h;
}

void host_book_release(struct host_book *b, struct host *h)
{
	h->holders--;
	free_if_unused(b, h);
}

uint64_t host_unbanned_ms(const struct host *h) { return h->banned_until_ms; }

uint64_t host_dialable_ms(const struct host *h)
{
	/* One dial must be there: all but one may be missing. */
	const uint64_t missing_ms = (HOST_DIALS - 1) * HOST_DIAL_MS;
	uint64_t dial_ms =
		h->full_ms > missing_ms ? h->full_ms - missing_ms : 0;

	return dial_ms > h->banned_until_ms ? dial_ms : h->banned_until_ms;
}

void host_charge(struct host *h, uint64_t now_ms)
{
	if (h->full_ms < now_ms)
		h->full_ms = now_ms;
	h->full_ms += HOST_DIAL_MS;
}

void host_refund(struct host *h)
{
	h->full_ms -= h->full_ms < HOST_DIAL_MS ? h->full_ms : HOST_DIAL_MS;
}

static void unban(struct host_book *b, struct host *h)
{
	DL_DELETE(b->bans, h);
	b->ban_count--;
	h->banned_until_ms = 0;
	h->liars = 0;
	free_if_unused(b, h);
}

static void unban_expired(struct host_book *b, uint64_t now_ms)
{
	while (b->bans && b->bans->banned_until_ms <= now_ms)
		unban(b, b->bans);
}

unsigned host_book_ban(
	struct host_book *b, const struct endpoint *e, uint64_t now_ms)
{
	unban_expired(b, now_ms);

	struct host *h = host_book_hold(b, e);
	if (!h)
		return 0;
	unsigned liars = h->liars + 1;
	if (h->banned_until_ms > 0)
		unban(b, h);
	else if (b->ban_count == HOST_BANS_MAX)
		unban(b, b->bans);
	h->banned_until_ms = now_ms + HOST_BAN_MS;
	h->liars = liars;
	DL_APPEND(b->bans, h);
	b->ban_count++;
	host_book_release(b, h);
	return liars;
}

bool host_book_banned(
	struct host_book *b, const struct endpoint *e, uint64_t now_ms)
{
	unban_expired(b, now_ms);

	const struct host *h = find(b, e->ip);
	return h && h->banned_until_ms > 0;
}
