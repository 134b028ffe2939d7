#include "client/session/web_seed_turns.h"

void web_seed_turns_init(struct web_seed_turns *t, size_t count)
{
	*t = (struct web_seed_turns){.count = count};
}

size_t web_seed_turns_take(
	struct web_seed_turns *t, uint64_t now_ms, uint64_t *ret_due_ms)
{
	size_t first = WEB_SEED_NOBODY;

	for (size_t i = 0; i < t->count; i++) {
		const struct web_seed_place *p = &t->places[i];

		if (!p->in_use && !p->over &&
			(first == WEB_SEED_NOBODY ||
				p->due_ms < t->places[first].due_ms))
			first = i;
	}
	if (first == WEB_SEED_NOBODY || t->places[first].due_ms > now_ms) {
		*ret_due_ms = first == WEB_SEED_NOBODY
			? UINT64_MAX
			: t->places[first].due_ms;
		return WEB_SEED_NOBODY;
	}
	t->places[first].in_use = true;
	return first;
}

void web_seed_turns_good(struct web_seed_turns *t, size_t place)
{
	t->places[place].back_off_ms = 0;
}

static uint64_t next_back_off(uint64_t before_ms)
{
	if (before_ms == 0)
		return WEB_SEED_BACK_OFF_MS;
	return before_ms < WEB_SEED_MAX_BACK_OFF_MS / 2
		? before_ms * 2
		: WEB_SEED_MAX_BACK_OFF_MS;
}

bool web_seed_turns_later(struct web_seed_turns *t, size_t place,
	uint64_t now_ms, uint64_t asked_ms)
{
	struct web_seed_place *p = &t->places[place];
	bool first = p->back_off_ms == 0;
	uint64_t wait_ms = next_back_off(p->back_off_ms);

	p->back_off_ms = wait_ms;
	if (asked_ms > WEB_SEED_MAX_BACK_OFF_MS)
		asked_ms = WEB_SEED_MAX_BACK_OFF_MS;
	if (asked_ms > wait_ms)
		wait_ms = asked_ms;
	p->due_ms = now_ms + wait_ms;
	p->in_use = false;
	return first;
}

void web_seed_turns_over(struct web_seed_turns *t, size_t place)
{
	t->places[place].in_use = false;
	t->places[place].over = true;
}

struct endpoint web_seed_place_address(size_t place)
{
	struct endpoint e = {.ip = {[0] = 0x01, [15] = (uint8_t)(place + 1)}};

	_Static_assert(METAINFO_MAX_WEB_SEEDS < UINT8_MAX, "one byte");
	return e;
}

bool web_seed_place_of(const struct endpoint *address, size_t *ret_place)
{
	for (size_t i = 0; i < METAINFO_MAX_WEB_SEEDS; i++) {
		struct endpoint e = web_seed_place_address(i);

		if (endpoint_equal(address, &e)) {
			*ret_place = i;
			return true;
		}
	}
	return false;
}
