#include "client/peer/wanted.h"

static size_t place(const struct wanted *w, size_t i)
{
	return (w->head + i) % WANTED_MAX;
}

bool wanted_add(struct wanted *w, const struct block_ref *block)
{
	if (w->count == WANTED_MAX)
		return false;
	w->ring[place(w, w->count)] = *block;
	w->count++;
	return true;
}

size_t wanted_cancel(struct wanted *w, const struct block_ref *block)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->count; i++) {
		const struct block_ref *at = &w->ring[place(w, i)];
		if (!block_ref_equal(at, block))
			w->ring[place(w, kept++)] = *at;
	}
	size_t cancelled = w->count - kept;
	w->count = kept;
	return cancelled;
}

size_t wanted_take(
	struct wanted *w, struct block_ref *ret, size_t max, size_t max_bytes)
{
	size_t count = 0, bytes = 0;

	while (count < max && w->count > 0) {
		const struct block_ref *next = &w->ring[w->head];
		if (count > 0 && next->length > max_bytes - bytes)
			break;
		ret[count++] = *next;
		bytes += next->length;
		w->head = place(w, 1);
		w->count--;
		if (bytes >= max_bytes)
			break;
	}
	return count;
}

size_t wanted_bytes(const struct wanted *w, size_t max, size_t max_bytes)
{
	size_t bytes = 0;

	for (size_t i = 0; i < w->count && i < max; i++) {
		const struct block_ref *at = &w->ring[place(w, i)];
		if (i > 0 && at->length > max_bytes - bytes)
			break;
		bytes += at->length;
		if (bytes >= max_bytes)
			break;
	}
	return bytes;
}
