#include "client/storage/file_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { NO_FD = -1 };

struct slot {
	int fd; /* NO_FD: free, or (pinned) reserved */
	bool writable;
	bool replaced; /* no longer found; closed with its last pin */
	unsigned pins;
	size_t file;
	uint64_t used; /* greater: more recently */
};

struct file_table {
	pthread_mutex_t lock;
	pthread_cond_t unpinned; /* with `lock`: some slot lost its last pin */

	size_t max; /* set once, by create */

	/* The rest is guarded by `lock`. */
	uint64_t uses;
	struct slot slots[];
};

struct file_table *file_table_create(size_t max)
{
	struct file_table *t =
		calloc(1, sizeof(*t) + max * sizeof(t->slots[0]));
	if (!t)
		return NULL;

	assert(max > 0);
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->unpinned, NULL);
	t->max = max;
	for (size_t i = 0; i < max; i++)
		t->slots[i].fd = NO_FD;
	return t;
}

void file_table_destroy(struct file_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->max; i++) {
		if (t->slots[i].fd != NO_FD)
			close(t->slots[i].fd);
	}
	pthread_cond_destroy(&t->unpinned);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static void pin_locked(struct file_table *t, size_t i, struct file_pin *ret)
{
	struct slot *s = &t->slots[i];

	s->pins++;
	*ret = (struct file_pin){.fd = s->fd, .file = s->file, .slot = i};
}

/* A slot's place is free from now on; returns the descriptor to close. */
static int vacate_locked(struct slot *s)
{
	int fd = s->fd;

	s->fd = NO_FD;
	s->replaced = false;
	return fd;
}

static bool find_locked(
	struct file_table *t, size_t file, bool writable, struct file_pin *ret)
{
	for (size_t i = 0; i < t->max; i++) {
		const struct slot *s = &t->slots[i];
		if (s->fd != NO_FD && s->file == file && !s->replaced &&
			(s->writable || !writable)) {
			pin_locked(t, i, ret);
			t->slots[i].used = ++t->uses;
			return true;
		}
	}
	return false;
}

bool file_table_find(
	struct file_table *t, size_t file, bool writable, struct file_pin *ret)
{
	pthread_mutex_lock(&t->lock);
	bool found = find_locked(t, file, writable, ret);
	pthread_mutex_unlock(&t->lock);
	return found;
}

/* A free place, else the least recently used one, else NULL. */
static struct slot *place_locked(struct file_table *t)
{
	struct slot *best = NULL;

	for (size_t i = 0; i < t->max; i++) {
		struct slot *s = &t->slots[i];
		if (s->pins > 0)
			continue;
		if (s->fd == NO_FD)
			return s;
		if (!best || s->used < best->used)
			best = s;
	}
	return best;
}

void file_table_reserve(struct file_table *t, struct file_pin *ret)
{
	struct slot *s;

	pthread_mutex_lock(&t->lock);
	while (!(s = place_locked(t)))
		pthread_cond_wait(&t->unpinned, &t->lock);
	int old = vacate_locked(s);
	pin_locked(t, (size_t)(s - t->slots), ret);
	pthread_mutex_unlock(&t->lock);

	if (old != NO_FD)
		close(old);
}

/* Returns a descriptor to close once the lock is gone, or NO_FD. */
static int unpin_locked(struct file_table *t, size_t i)
{
	struct slot *s = &t->slots[i];

	assert(s->pins > 0);
	if (--s->pins > 0)
		return NO_FD;
	pthread_cond_signal(&t->unpinned);
	return s->replaced ? vacate_locked(s) : NO_FD;
}

void file_table_release(struct file_table *t, const struct file_pin *pin)
{
	pthread_mutex_lock(&t->lock);
	int old = unpin_locked(t, pin->slot);
	pthread_mutex_unlock(&t->lock);

	if (old != NO_FD)
		close(old);
}

void file_table_cancel(struct file_table *t, const struct file_pin *pin)
{
	file_table_release(t, pin);
}

/* Let `file`'s read-only descriptor go, at once or with its last pin.  There
 * is at most one. */
static int replace_locked(struct file_table *t, size_t file)
{
	for (size_t i = 0; i < t->max; i++) {
		struct slot *s = &t->slots[i];
		if (s->fd == NO_FD || s->file != file || s->replaced)
			continue;
		if (s->pins == 0)
			return vacate_locked(s);
		s->replaced = true;
	}
	return NO_FD;
}

void file_table_publish(struct file_table *t, struct file_pin *pin, size_t file,
	int fd, bool writable)
{
	struct file_pin faster;
	int old;

	pthread_mutex_lock(&t->lock);
	if (find_locked(t, file, writable, &faster)) {
		(void)unpin_locked(t, pin->slot); /* it holds no descriptor */
		*pin = faster;
		old = fd;
	} else {
		struct slot *s = &t->slots[pin->slot];
		old = replace_locked(t, file);
		s->fd = pin->fd = fd;
		s->file = pin->file = file;
		s->writable = writable;
		s->used = ++t->uses;
	}
	pthread_mutex_unlock(&t->lock);

	if (old != NO_FD)
		close(old);
}

void file_table_close_unused(struct file_table *t)
{
	for (size_t i = 0; i < t->max; i++) {
		pthread_mutex_lock(&t->lock);
		int old = t->slots[i].pins == 0 ? vacate_locked(&t->slots[i])
						: NO_FD;
		pthread_mutex_unlock(&t->lock);
		if (old != NO_FD)
			close(old);
	}
}

bool file_table_at(struct file_table *t, size_t slot, struct file_pin *ret)
{
	pthread_mutex_lock(&t->lock);
	bool there = t->slots[slot].fd != NO_FD && !t->slots[slot].replaced;
	if (there)
		pin_locked(t, slot, ret);
	pthread_mutex_unlock(&t->lock);
	return there;
}

size_t file_table_max(const struct file_table *t) { return t->max; }
