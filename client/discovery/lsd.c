#include "client/discovery/lsd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REMEMBERED = 64 };

struct wanted {
	struct info_hash torrent;
	uint64_t due_ms;
	bool told; /* before */
};

struct lsd {
	char cookie[LSD_COOKIE_SIZE];
	uint64_t spread_ms;
	uint64_t allowed_ms; /* when the next message may go out */
	unsigned rounds;

	/* Peers heard of lately, a ring: they are no newcomers. */
	size_t next_place;
	struct endpoint remembered[REMEMBERED];

	uint64_t full_us; /* when all of LSD_HEARD_BURST is there again */

	size_t count, capacity;
	struct wanted wanted[];
};

struct lsd *lsd_create(size_t torrents, uint64_t dice)
{
	struct lsd *l = calloc(1, sizeof(*l) + torrents * sizeof(l->wanted[0]));

	if (!l)
		return NULL;
	snprintf(l->cookie, sizeof(l->cookie), "%08x", (unsigned)dice);
	l->spread_ms = (dice >> 32) % LSD_SPREAD_MS;
	l->capacity = torrents;
	return l;
}

void lsd_destroy(struct lsd *l) { free(l); }

/* ---- what is wanted ---- */

static struct wanted *find(struct lsd *l, const struct info_hash *torrent)
{
	for (size_t i = 0; i < l->count; i++) {
		if (info_hash_equal(&l->wanted[i].torrent, torrent))
			return &l->wanted[i];
	}
	return NULL;
}

bool lsd_want(struct lsd *l, const struct info_hash *torrent, uint64_t now_ms)
{
	if (find(l, torrent))
		return true;
	if (l->count == l->capacity)
		return false;
	l->wanted[l->count++] = (struct wanted){
		.torrent = *torrent, .due_ms = now_ms + LSD_COLLECT_MS};
	return true;
}

void lsd_forget(struct lsd *l, const struct info_hash *torrent)
{
	struct wanted *w = find(l, torrent);

	if (w)
		*w = l->wanted[--l->count];
}

void lsd_network_changed(struct lsd *l, uint64_t now_ms)
{
	for (size_t i = 0; i < l->count; i++)
		l->wanted[i].due_ms = now_ms;
}

/* ---- what we tell ---- */

static int compare_due(const void *left, const void *right)
{
	const struct wanted *a = left, *b = right;

	return (a->due_ms > b->due_ms) - (a->due_ms < b->due_ms);
}

bool lsd_next(struct lsd *l, uint64_t now_ms, struct lsd_message *ret,
	uint64_t *ret_due_ms)
{
	*ret_due_ms = UINT64_MAX;
	if (l->count == 0)
		return false;
	qsort(l->wanted, l->count, sizeof(l->wanted[0]), compare_due);
	uint64_t due_ms = l->wanted[0].due_ms > l->allowed_ms
		? l->wanted[0].due_ms
		: l->allowed_ms;
	if (now_ms < due_ms) {
		*ret_due_ms = due_ms;
		return false;
	}

	/* Those that would be due before the next message may go out. */
	size_t count = 0;
	while (count < l->count && count < LSD_TOLD_MAX &&
		l->wanted[count].due_ms <= now_ms + LSD_GAP_MS)
		count++;
	*ret = (struct lsd_message){.count = count};
	memcpy(ret->cookie, l->cookie, sizeof(ret->cookie));
	for (size_t i = 0; i < count; i++) {
		struct wanted *w = &l->wanted[i];

		/* Older clients read the first of a message only, which shall
		 * not always be the same. */
		ret->torrents[(i + l->rounds) % count] = w->torrent;
		w->due_ms = now_ms + (w->told ? LSD_INTERVAL_MS : LSD_GAP_MS);
		w->told = true;
	}
	l->rounds++;
	l->allowed_ms = now_ms + LSD_GAP_MS;
	return true;
}

/* ---- what others tell ---- */

/* One more message: may it be looked at? */
static bool allowed(struct lsd *l, uint64_t now_ms)
{
	uint64_t now_us = now_ms * 1000;
	uint64_t full_us = (l->full_us > now_us ? l->full_us : now_us) +
		1000000 / LSD_HEARD_PER_S;

	if (full_us - now_us >
		(uint64_t)LSD_HEARD_BURST * 1000000 / LSD_HEARD_PER_S)
		return false;
	l->full_us = full_us;
	return true;
}

static bool is_newcomer(struct lsd *l, const struct endpoint *peer)
{
	for (size_t i = 0; i < REMEMBERED; i++) {
		if (endpoint_equal(&l->remembered[i], peer))
			return false;
	}
	l->remembered[l->next_place] = *peer;
	l->next_place = (l->next_place + 1) % REMEMBERED;
	return true;
}

size_t lsd_heard(struct lsd *l, const struct endpoint *from,
	const struct lsd_message *m, uint64_t now_ms,
	struct info_hash ret[LSD_TORRENTS_MAX])
{
	struct endpoint peer = *from;
	size_t count = 0;

	if (strcmp(m->cookie, l->cookie) == 0 || !allowed(l, now_ms))
		return 0;
	peer.port = m->port;
	for (size_t i = 0; i < m->count; i++) {
		if (find(l, &m->torrents[i]))
			ret[count++] = m->torrents[i];
	}
	if (count == 0 || !is_newcomer(l, &peer))
		return count;
	uint64_t answer_ms = now_ms + LSD_ANSWER_MS + l->spread_ms;
	for (size_t i = 0; i < count; i++) {
		struct wanted *w = find(l, &ret[i]);
		if (answer_ms < w->due_ms)
			w->due_ms = answer_ms;
	}
	return count;
}

/* ---- where from ---- */

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned count)
{
	unsigned whole = count / 8, rest = count % 8;

	return memcmp(a, b, whole) == 0 &&
		(rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

bool lsd_is_near(
	const struct endpoint *from, const struct lsd_link *links, size_t count)
{
	bool link_local = from->ip[0] == 0xfe && (from->ip[1] & 0xc0) == 0x80;

	if (link_local)
		return false;
	if (endpoint_is_private(from))
		return true;
	for (size_t i = 0; i < count; i++) {
		if (links[i].prefix <= 128 &&
			same_bits(
				from->ip, links[i].address.ip, links[i].prefix))
			return true;
	}
	return false;
}
