#include "client/torrent/smart_ban.h"

#include <stdlib.h>
#include <string.h>

struct smart_ban {
	struct smart_ban_failure *oldest;
	struct smart_ban_failure **end; /* where the next one is hung */
	size_t blocks;                  /* remembered over all */

	size_t liar_count;
	struct endpoint liars[SMART_BAN_MAX_LIARS]; /* the oldest first */
};

struct smart_ban *smart_ban_create(void)
{
	struct smart_ban *s = calloc(1, sizeof(*s));

	if (s)
		s->end = &s->oldest;
	return s;
}

/* Unhang and free the failure at *at. */
static void forget(struct smart_ban *s, struct smart_ban_failure **at)
{
	struct smart_ban_failure *f = *at;

	*at = f->next;
	if (s->end == &f->next)
		s->end = at;
	s->blocks -= f->count;
	free(f);
}

void smart_ban_destroy(struct smart_ban *s)
{
	if (!s)
		return;
	while (s->oldest)
		forget(s, &s->oldest);
	free(s);
}

struct smart_ban_failure *smart_ban_failure_create(
	uint32_t index, uint32_t count)
{
	if (count > SMART_BAN_MAX_BLOCKS)
		return NULL;
	struct smart_ban_failure *f =
		calloc(1, sizeof(*f) + count * sizeof(f->blocks[0]));
	if (!f)
		return NULL;
	f->index = index;
	f->count = count;
	return f;
}

void smart_ban_failed(struct smart_ban *s, struct smart_ban_failure *f)
{
	while (s->blocks > SMART_BAN_MAX_BLOCKS - f->count)
		forget(s, &s->oldest);
	*s->end = f;
	s->end = &f->next;
	s->blocks += f->count;
}

bool smart_ban_remembers(const struct smart_ban *s, uint32_t index)
{
	for (const struct smart_ban_failure *f = s->oldest; f; f = f->next) {
		if (f->index == index)
			return true;
	}
	return false;
}

static size_t add_once(struct endpoint *list, size_t count, size_t max,
	const struct endpoint *who)
{
	for (size_t i = 0; i < count; i++) {
		if (endpoint_equal(&list[i], who))
			return count;
	}
	if (count < max)
		list[count++] = *who;
	return count;
}

size_t smart_ban_passed(struct smart_ban *s, uint32_t index,
	const uint64_t *fingerprints, uint32_t count, struct endpoint *ret,
	size_t max)
{
	struct smart_ban_failure **at = &s->oldest;
	size_t guilty = 0;

	while (*at) {
		struct smart_ban_failure *f = *at;
		if (f->index != index) {
			at = &f->next;
			continue;
		}
		for (uint32_t i = 0; i < f->count && i < count; i++) {
			const struct smart_ban_block *b = &f->blocks[i];
			if (b->known && b->fingerprint != fingerprints[i])
				guilty = add_once(ret, guilty, max, &b->giver);
		}
		forget(s, at);
	}
	return guilty;
}

static size_t find_liar(const struct smart_ban *s, const struct endpoint *who)
{
	size_t i = 0;

	while (i < s->liar_count && !endpoint_equal(&s->liars[i], who))
		i++;
	return i;
}

bool smart_ban_convicted(const struct smart_ban *s, const struct endpoint *who)
{
	return find_liar(s, who) < s->liar_count;
}

bool smart_ban_convict(struct smart_ban *s, const struct endpoint *who)
{
	if (smart_ban_convicted(s, who))
		return false;
	if (s->liar_count == SMART_BAN_MAX_LIARS)
		smart_ban_acquit(s, &s->liars[0]);
	s->liars[s->liar_count++] = *who;
	return true;
}

void smart_ban_acquit(struct smart_ban *s, const struct endpoint *who)
{
	size_t i = find_liar(s, who);

	if (i == s->liar_count)
		return;
	s->liar_count--;
	memmove(&s->liars[i], &s->liars[i + 1],
		(s->liar_count - i) * sizeof(s->liars[0]));
}
