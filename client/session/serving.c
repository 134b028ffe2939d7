#include "client/session/serving.h"

#include <stdlib.h>

#include "client/session/session_torrent.h"
#include "client/storage/storage.h"
#include "client/torrent/torrent.h"
#include "shared/piece_check.h"

enum {
	REHASH_CHUNK = 256 * 1024,
	/* Content that changes all the time is not served. */
	MAX_REREADS = 3,
};

void serving_init(struct serving *s) { pthread_mutex_init(&s->lock, NULL); }

bool serving_set_pieces(struct serving *s, uint32_t piece_count)
{
	return bitfield_init(&s->suspect, piece_count);
}

void serving_finish(struct serving *s)
{
	bitfield_finish(&s->suspect);
	pthread_mutex_destroy(&s->lock);
}

void serving_watch(struct serving *s)
{
	pthread_mutex_lock(&s->lock);
	s->watched = true;
	pthread_mutex_unlock(&s->lock);
}

static bool is_suspect(struct serving *s, uint32_t piece)
{
	pthread_mutex_lock(&s->lock);
	bool suspect = s->suspicious && bitfield_has(&s->suspect, piece);
	pthread_mutex_unlock(&s->lock);
	return suspect;
}

/* Is the content under the range, which was just read, as it was checked?  When
 * any file has changed, all pieces are to be hashed once more before they are
 * served. */
static bool unchanged(struct session_torrent *st, uint64_t offset, size_t len)
{
	struct serving *s = &st->serving;
	char path[STORAGE_SHOWN_SIZE];
	size_t file;

	pthread_mutex_lock(&s->lock);
	bool watched = s->watched;
	pthread_mutex_unlock(&s->lock);
	if (!watched || storage_unchanged(st->storage, offset, len, &file))
		return true; /* or we are writing to it ourselves */

	pthread_mutex_lock(&s->lock);
	s->suspicious = true;
	bitfield_set_all(&s->suspect);
	pthread_mutex_unlock(&s->lock);
	/* After the marking: a change from here on is seen again. */
	storage_remember(st->storage);
	session_torrent_warn(st,
		"%s: %s changed while it is shared; checking again",
		storage_root_path(st->storage),
		storage_file_path(st->storage, file, path));
	return false;
}

static bool rehash(
	struct session_torrent *st, uint32_t piece, struct piece_check **check)
{
	uint64_t offset = (uint64_t)piece * st->m->piece_length;
	uint32_t size = metainfo_piece_size(st->m, piece);
	uint8_t *chunk = malloc(REHASH_CHUNK);
	struct error err;
	bool good = false;

	if (!*check)
		*check = piece_check_create();
	if (chunk && *check) {
		piece_check_begin(*check, st->m, piece);
		for (uint32_t done = 0; done < size;) {
			uint32_t len = size - done < REHASH_CHUNK
				? size - done
				: REHASH_CHUNK;
			if (storage_read(st->storage, offset + done, chunk, len,
				    &err) != STORAGE_OK)
				break;
			piece_check_update(*check, chunk, len);
			done += len;
		}
		good = piece_check_end(*check);
	}
	free(chunk);

	pthread_mutex_lock(&st->serving.lock);
	bitfield_clear(&st->serving.suspect, piece);
	pthread_mutex_unlock(&st->serving.lock);
	if (!good) {
		torrent_lose(st->torrent, piece);
		session_torrent_warn(st,
			"%s: piece %u is not what it was; it is not shared any "
			"more",
			storage_root_path(st->storage), piece);
	}
	return good;
}

enum serve_result serving_read(struct session_torrent *st, uint32_t piece,
	uint32_t begin, uint8_t *ret, size_t len, struct piece_check **check)
{
	uint64_t offset = (uint64_t)piece * st->m->piece_length + begin;
	struct error err;

	/* Read, then look whether it has changed meanwhile. */
	for (int tries = 0; tries < MAX_REREADS; tries++) {
		if (!torrent_has(st->torrent, piece) ||
			(is_suspect(&st->serving, piece) &&
				!rehash(st, piece, check)))
			return NOT_SERVED;
		if (storage_read(st->storage, offset, ret, len, &err) !=
			STORAGE_OK) {
			session_torrent_fail(st, &err);
			return NOT_SERVED;
		}
		if (unchanged(st, offset, len))
			return SERVED;
	}
	return NOT_SERVED;
}
