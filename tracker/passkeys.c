#include "tracker/passkeys.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shared/random_bytes.h"
#include "tracker/siphash.h"

/* 128 bits, so that no two keys ever have the same one. */
struct fingerprint {
	uint64_t halves[2];
};

/* Sorted, to be searched by halves. */
struct fingerprints {
	struct fingerprint *items;
	size_t count;
	size_t capacity;
};

struct passkeys {
	/* Set once, by create. */
	const char *path;
	uint8_t secrets[2][SIPHASH_KEY_SIZE];

	pthread_rwlock_t lock;
	struct fingerprints known; /* guarded by `lock` */
};

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct fingerprint));
}

static struct fingerprint fingerprint_of(
	const struct passkeys *keys, struct span key)
{
	return (struct fingerprint){{
		siphash(keys->secrets[0], key.at, key.len),
		siphash(keys->secrets[1], key.at, key.len),
	}};
}

/* --- The file --- */

static bool is_key_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		(c >= '0' && c <= '9') || (c != '\0' && strchr("-._~", c));
}

static struct span without_blanks(struct span s)
{
	while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && memchr(" \t\r", s.at[s.len - 1], 3))
		s.len--;
	return s;
}

bool passkey_of_line(struct span line, struct span *ret)
{
	struct span s = without_blanks(line);
	struct span key = {s.at, 0};

	while (key.len < s.len && is_key_letter(key.at[key.len]))
		key.len++;

	struct span behind = {s.at + key.len, s.len - key.len};
	struct span comment = without_blanks(behind);
	bool apart = key.len == 0 || comment.len < behind.len;
	if (key.len > PASSKEY_MAX_SIZE ||
		(behind.len > 0 && (!apart || comment.at[0] != '#')))
		return false;
	*ret = key;
	return true;
}

static bool add(struct fingerprints *list, const struct fingerprint *f,
	const char **why)
{
	if (list->count == PASSKEYS_MAX_COUNT) {
		*why = "too many keys";
		return false;
	}
	if (list->count == list->capacity) {
		size_t capacity = 2 * list->capacity + 64;
		struct fingerprint *items =
			reallocarray(list->items, capacity, sizeof(*items));

		if (!items) {
			*why = "out of memory";
			return false;
		}
		list->items = items;
		list->capacity = capacity;
	}
	list->items[list->count++] = *f;
	return true;
}

static bool add_line(const struct passkeys *keys, struct fingerprints *list,
	const char *line, bool last, const char **why)
{
	size_t len = strlen(line);
	struct span key;

	if (len > 0 && line[len - 1] == '\n') {
		len--;
	} else if (!last) {
		*why = "too long, or not text";
		return false;
	}
	if (!passkey_of_line((struct span){(const uint8_t *)line, len}, &key)) {
		*why = "wants one key of up to 64 letters, digits, '-', '.', "
		       "'_' and '~'";
		return false;
	}
	if (key.len == 0)
		return true;

	struct fingerprint f = fingerprint_of(keys, key);
	return add(list, &f, why);
}

static FILE *open_file(const char *path)
{
	/* Not to wait for whoever may write to a FIFO. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

	if (fd >= 0 && !file)
		close(fd);
	return file;
}

static bool read_file(const struct passkeys *keys, struct fingerprints *ret,
	struct error *err)
{
	char line[PASSKEYS_MAX_LINE + 2]; /* its end, and a NUL */
	struct fingerprints list = {.count = 0};
	FILE *file = open_file(keys->path);
	const char *why = "";
	bool ok = false;

	if (!file)
		return error_set_errno(err, "%s: cannot open", keys->path);
	for (size_t number = 1; fgets(line, sizeof(line), file); number++) {
		if (!add_line(keys, &list, line, feof(file), &why)) {
			error_set(err, "%s: line %zu: %s", keys->path, number,
				why);
			goto out;
		}
	}
	if (ferror(file)) {
		error_set_errno(err, "%s: cannot read", keys->path);
		goto out;
	}
	if (list.count == 0) {
		error_set(err, "%s: there is no key in it", keys->path);
		goto out;
	}
	qsort(list.items, list.count, sizeof(*list.items), compare);
	*ret = list;
	ok = true;

out:
	explicit_bzero(line, sizeof(line));
	fclose(file);
	if (!ok)
		free(list.items);
	return ok;
}

/* --- Use --- */

struct passkeys *passkeys_create(const char *path, struct error *err)
{
	struct passkeys *keys = calloc(1, sizeof(*keys));
	pthread_rwlockattr_t attributes;

	if (!keys) {
		error_set(err, "%s: out of memory", path);
		return NULL;
	}
	keys->path = path;
	random_bytes(keys->secrets, sizeof(keys->secrets));
	/* Readers without a pause must not keep reload waiting for ever. */
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(
		&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&keys->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	if (!passkeys_reload(keys, err)) {
		passkeys_destroy(keys);
		return NULL;
	}
	return keys;
}

bool passkeys_allow(struct passkeys *keys, struct span key)
{
	if (key.len == 0 || key.len > PASSKEY_MAX_SIZE)
		return false;

	struct fingerprint f = fingerprint_of(keys, key);
	pthread_rwlock_rdlock(&keys->lock);
	bool found = bsearch(
		&f, keys->known.items, keys->known.count, sizeof(f), compare);
	pthread_rwlock_unlock(&keys->lock);
	return found;
}

bool passkeys_reload(struct passkeys *keys, struct error *err)
{
	struct fingerprints fresh;

	if (!read_file(keys, &fresh, err))
		return false;
	pthread_rwlock_wrlock(&keys->lock);
	struct fingerprints old = keys->known;
	keys->known = fresh;
	pthread_rwlock_unlock(&keys->lock);
	free(old.items);
	return true;
}

void passkeys_destroy(struct passkeys *keys)
{
	if (!keys)
		return;
	pthread_rwlock_destroy(&keys->lock);
	free(keys->known.items);
	free(keys);
}

struct span passkey_of_path(struct span path, const char *page)
{
	size_t page_len = strlen(page);
	struct span none = {NULL, 0};

	if (path.len <= page_len || path.at[page_len] != '/' ||
		memcmp(path.at, page, page_len) != 0)
		return none;

	struct span key = {path.at + page_len + 1, path.len - page_len - 1};
	const uint8_t *end = key.len > 0 ? memchr(key.at, '?', key.len) : NULL;
	if (end)
		key.len = (size_t)(end - key.at);
	return key;
}
