#include "tracker/allow_list.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/log.h"
#include "shared/metainfo.h"
#include "shared/text.h"

/* Asked after each torrent of a folder. */
struct patience {
	bool (*go_on)(void *cls); /* NULL: yes */
	void *cls;
	bool ended;
};

/* Sorted, to be searched by halves. */
struct hashes {
	struct info_hash *items;
	size_t count;
	size_t capacity;
};

struct allow_list {
	/* Set once, by create. */
	const char *const *files;
	size_t file_count;
	const char *folder;
	bool any;

	pthread_rwlock_t lock;
	struct hashes hashes; /* guarded by `lock` */
};

/* When it fails, errno is why it could not be read or held, or 0: it is no good
 * torrent. */
static bool add_file(struct hashes *hashes, const char *path, struct error *err)
{
	struct metainfo m;

	if (!metainfo_load(path, &m, err))
		return false;
	struct info_hash hash = m.info_hash;
	metainfo_finish(&m);

	if (hashes->count == hashes->capacity) {
		size_t capacity = 2 * hashes->capacity + 16;
		struct info_hash *items =
			reallocarray(hashes->items, capacity, sizeof(*items));

		if (!items)
			return error_set(
				err, "%s: out of memory", path); /* ENOMEM */
		hashes->items = items;
		hashes->capacity = capacity;
	}
	hashes->items[hashes->count++] = hash;
	return true;
}

static bool is_torrent_name(const char *name)
{
	size_t len = strlen(name);
	size_t suffix = strlen(".torrent");

	return len > suffix && strcmp(name + len - suffix, ".torrent") == 0;
}

static bool has_ended(struct patience *p)
{
	p->ended = p->ended || (p->go_on && !p->go_on(p->cls));
	return p->ended;
}

/* Whether it says nothing about the torrent: the machine, or the disk, is in
 * trouble. */
static bool is_trouble(int error)
{
	return error == EMFILE || error == ENFILE || error == ENOMEM ||
		error == EIO || error == ESTALE || error == ETIMEDOUT;
}

/* One bad file must not stop a tracker of thousands: it is left out. */
static bool add_of_folder(struct hashes *hashes, const char *folder,
	const char *name, struct error *err)
{
	char path[4096], shown[sizeof(err->text)];

	int n = snprintf(path, sizeof(path), "%s/%s", folder, name);
	if (n < 0 || (size_t)n >= sizeof(path) || add_file(hashes, path, err))
		return true;
	if (is_trouble(errno))
		return false;
	log_warning("%s", text_escape_str(err->text, shown, sizeof(shown)));
	return true;
}

static bool add_folder(struct hashes *hashes, const char *folder,
	struct patience *patience, struct error *err)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry = NULL;
	bool ok = true;

	if (!dir)
		return error_set_errno(err, "%s: cannot read", folder);
	while (ok && !has_ended(patience)) {
		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			ok = errno == 0 ||
				error_set_errno(err, "%s: cannot read", folder);
			break;
		}
		if (is_torrent_name(entry->d_name))
			ok = add_of_folder(hashes, folder, entry->d_name, err);
	}
	closedir(dir);
	return ok;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, INFO_HASH_SIZE);
}

static bool read_all(const struct allow_list *list, struct patience *patience,
	struct hashes *ret, struct error *err)
{
	struct hashes hashes = {0};

	for (size_t i = 0; i < list->file_count; i++) {
		if (!add_file(&hashes, list->files[i], err))
			goto fail;
	}
	if (list->folder && !add_folder(&hashes, list->folder, patience, err))
		goto fail;
	if (hashes.count > 0)
		qsort(hashes.items, hashes.count, sizeof(*hashes.items),
			compare);
	*ret = hashes;
	return true;

fail:
	free(hashes.items);
	return false;
}

struct allow_list *allow_list_create(const char *const *files, size_t count,
	const char *folder, struct error *err)
{
	struct allow_list *list = calloc(1, sizeof(*list));
	pthread_rwlockattr_t attributes;

	if (!list) {
		error_set(err, "torrents: out of memory");
		return NULL;
	}
	list->files = files;
	list->file_count = count;
	list->folder = folder;
	list->any = count == 0 && !folder;
	/* Readers without a pause must not keep reload waiting for ever. */
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(
		&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&list->lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
	if (!allow_list_reload(list, NULL, NULL, err)) {
		allow_list_destroy(list);
		return NULL;
	}
	return list;
}

bool allow_list_allows(struct allow_list *list, const struct info_hash *hash)
{
	if (list->any)
		return true;
	pthread_rwlock_rdlock(&list->lock);
	bool found = list->hashes.count > 0 &&
		bsearch(hash, list->hashes.items, list->hashes.count,
			sizeof(*hash), compare);
	pthread_rwlock_unlock(&list->lock);
	return found;
}

bool allow_list_reload(struct allow_list *list, bool (*go_on)(void *cls),
	void *cls, struct error *err)
{
	struct patience patience = {.go_on = go_on, .cls = cls};
	struct hashes fresh;

	if (!read_all(list, &patience, &fresh, err))
		return false;
	if (patience.ended) {
		free(fresh.items);
		return true;
	}
	pthread_rwlock_wrlock(&list->lock);
	struct hashes old = list->hashes;
	list->hashes = fresh;
	pthread_rwlock_unlock(&list->lock);
	free(old.items);
	return true;
}

void allow_list_destroy(struct allow_list *list)
{
	if (!list)
		return;
	pthread_rwlock_destroy(&list->lock);
	free(list->hashes.items);
	free(list);
}
