#include "client/session/session_torrent.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/discovery/peer_queue.h"
#include "client/session/events.h"
#include "client/session/keeper.h"
#include "client/session/metadata_task.h"
#include "client/session/session_context.h"
#include "client/session/web_seed_turns.h"
#include "client/storage/check.h"
#include "client/storage/finisher.h"
#include "client/storage/layout.h"
#include "client/storage/resume.h"
#include "client/storage/storage.h"
#include "client/torrent/block_pool.h"
#include "client/torrent/magnet.h"
#include "client/torrent/open_piece.h"
#include "client/torrent/torrent.h"
#include "shared/clock.h"
#include "shared/digest.h"
#include "shared/piece_check.h"

enum {
	/* Memory for pieces under way, in each torrent. */
	OPEN_PIECES_BUDGET = 64 * 1024 * 1024,
	REHASH_CHUNK = 256 * 1024,
	/* Content that changes all the time is not served. */
	MAX_REREADS = 3,
};

/* Which files: the user's word, else the link's. */
static bool choose_files(struct session_torrent *st, struct error *err)
{
	const struct selection_list *list = st->session->select;
	struct selection_list linked = {0};
	bool ok = true;

	if (st->mode != SESSION_LEECH)
		return true;
	if (st->magnet && st->magnet->select_only && (!list || !list->count)) {
		ok = selection_list_add_indices(
			&linked, st->magnet->select_only, err);
		list = &linked;
	}
	ok = ok &&
		(!list || selection_choose(list, st->m, &st->selection, err));
	selection_list_finish(&linked);
	return ok;
}

static bool open_content(struct session_torrent *st, const char *folder,
	const char *name, enum piece_order order, struct error *err)
{
	const struct metainfo *m = st->m;

	if (!choose_files(st, err))
		return false;
	st->torrent = torrent_create(
		m, st->session->blocks, order, OPEN_PIECES_BUDGET);
	if (!st->torrent || !torrent_select(st->torrent, &st->selection) ||
		!bitfield_init(&st->suspect, m->piece_count))
		return error_set(err, "%s: out of memory", m->name);
	return storage_open(m, folder, name,
		       st->mode == SESSION_LEECH ? STORAGE_LEECH : STORAGE_SEED,
		       &st->storage, err) &&
		(!st->selection.partial ||
			storage_select(st->storage, st->selection.files, err));
}

bool session_torrent_init(struct session_torrent *st,
	const struct session_context *session, int index,
	const struct metainfo *m, const char *folder, const char *name,
	enum session_mode mode, enum piece_order order, struct error *err)
{
	st->session = session;
	st->index = index;
	st->m = m;
	st->mode = mode;
	st->state = STATE_CHECKING;
	pthread_mutex_init(&st->lock, NULL);
	return open_content(st, folder, name, order, err);
}

/* What the link says, as far as a torrent file would say it. */
static bool read_link(struct session_torrent *st, const struct magnet *magnet)
{
	struct metainfo *m = &st->linked;

	info_hash_hex(&magnet->info_hash, st->hex);
	m->info_hash = magnet->info_hash;
	m->name = *magnet->name ? magnet->name : st->hex;
	m->trackers = calloc(magnet->tracker_count + 1, sizeof(*m->trackers));
	if (!m->trackers)
		return false;
	m->tracker_count = magnet->tracker_count;
	for (size_t i = 0; i < magnet->tracker_count; i++)
		m->trackers[i] = (struct metainfo_tracker){
			.tier = (unsigned)i, .url = magnet->trackers[i]};
	return true;
}

bool session_torrent_init_magnet(struct session_torrent *st,
	const struct session_context *session, int index,
	const struct magnet *magnet, const char *folder, enum piece_order order,
	struct error *err)
{
	st->session = session;
	st->index = index;
	st->mode = SESSION_LEECH;
	st->state = STATE_FETCHING;
	st->magnet = magnet;
	st->folder = folder;
	st->order = order;
	st->m = &st->linked;
	pthread_mutex_init(&st->lock, NULL);
	st->task = metadata_task_create(&magnet->info_hash);
	if (!st->task || !read_link(st, magnet))
		return error_set(err, "%s: out of memory", st->hex);
	return true;
}

void session_torrent_finish(struct session_torrent *st)
{
	storage_close(st->storage);
	torrent_destroy(st->torrent);
	selection_finish(&st->selection);
	bitfield_finish(&st->suspect);
	metadata_task_destroy(st->task);
	free(st->linked.trackers);
	metainfo_finish(&st->learnt);
	pthread_mutex_destroy(&st->lock);
	*st = (struct session_torrent){0};
}

/* ---- telling ---- */

void session_torrent_emit(struct session_torrent *st, struct event *event)
{
	event->torrent = &st->m->info_hash;
	event->name = st->m->name;
	events_emit(st->session->events, event);
}

void session_torrent_warn(struct session_torrent *st, const char *fmt, ...)
{
	struct error message;
	va_list args;

	va_start(args, fmt);
	vsnprintf(message.text, sizeof(message.text), fmt, args);
	va_end(args);
	session_torrent_emit(st,
		&(struct event){
			.kind = EVENT_WARNING, .text.message = message.text});
}

static void tell_coordinator(struct session_torrent *st,
	enum candidate_source source, const struct endpoint *address)
{
	struct candidate c = {
		.source = source,
		.torrent = st->index,
		.address = *address,
		.socket = -1,
	};

	/* Full or closed: its next tick will see the state, and a ban that is
	 * missed comes with the next bad piece. */
	(void)peer_queue_push(st->session->queue, &c);
}

void session_torrent_fail(struct session_torrent *st, const struct error *err)
{
	pthread_mutex_lock(&st->lock);
	bool first = st->state != STATE_FAILED;
	if (first) {
		st->error = *err;
		st->state = STATE_FAILED;
	}
	pthread_mutex_unlock(&st->lock);
	atomic_store(&st->stop_check, true);
	if (!first)
		return;
	session_torrent_emit(st,
		&(struct event){
			.kind = EVENT_ERROR, .text.message = err->text});
	tell_coordinator(st, FROM_KEEPER, &(struct endpoint){0});
}

/* ---- metadata by a magnet link ---- */

/* The metadata is here, by peers or a file: it is judged like any torrent, and
 * the torrent begins. */
static bool learn(struct session_torrent *st, struct span info)
{
	struct error why, err;

	if (!metainfo_parse_info(info, &st->learnt, &why)) {
		error_set(&err, "%s: %s", st->hex, why.text);
		session_torrent_fail(st, &err);
		return false;
	}
	st->m = &st->learnt;
	if (!open_content(st, st->folder, NULL, st->order, &err)) {
		session_torrent_fail(st, &err);
		return false;
	}
	return session_torrent_advance(st, STATE_FETCHING, STATE_CHECKING);
}

/* The resume file of a run before this one. */
static bool learn_from_file(struct session_torrent *st)
{
	struct resume saved;
	void *memory = NULL;
	struct error ignored; /* it is told of when the content is checked */
	struct info_hash hash;
	bool ok = false;

	int dir = open(st->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return false; /* made when it is needed */
	if (resume_load(dir, &st->linked.info_hash, &saved, &memory,
		    &ignored) == RESUME_LOADED &&
		saved.info.len > 0) {
		digest_sha1(saved.info.at, saved.info.len, hash.bytes);
		ok = info_hash_equal(&hash, &st->linked.info_hash) &&
			learn(st, saved.info);
	}
	free(memory);
	close(dir);
	return ok;
}

bool session_torrent_fetch(struct session_torrent *st, bool known)
{
	struct span info;

	if (known)
		return learn_from_file(st);
	return metadata_task_wait(st->task, &info) && learn(st, info);
}

/* ---- what is there ---- */

/* Whether a file still looks as the resume file remembers it. */
static bool unchanged_file(
	const struct storage_stat *then, const struct storage_stat *now)
{
	if (!now->exists || !then->exists)
		return now->exists == then->exists;
	return now->size == then->size && now->mtime_ns == then->mtime_ns;
}

/* Believe the resume file where nothing has changed: such pieces are had, or
 * not had, as it says.  All others are to be hashed. */
static void believe(struct session_torrent *st, const struct resume *saved,
	uint8_t *wanted, uint8_t *good)
{
	const struct metainfo *m = st->m;

	for (uint32_t i = 0; i < m->piece_count; i++) {
		good[i] = saved->have[i / 8] >> (7 - i % 8) & 1;
		wanted[i] = 0;
	}
	for (size_t f = 0; f < m->file_count; f++) {
		struct storage_stat now;
		uint32_t first, end;

		if (m->files[f].length == 0 || m->files[f].pad ||
			m->files[f].symlink)
			continue;
		storage_stat(st->storage, f, &now);
		bool same = unchanged_file(&saved->files[f], &now);
		if (same && now.exists)
			continue;
		layout_file_pieces(m, f, &first, &end);
		for (uint32_t i = first; i < end; i++) {
			good[i] = 0; /* unless in the parts file */
			wanted[i] |= !same;
		}
	}
	storage_mark_parts(st->storage, wanted);
	for (uint32_t i = 0; i < m->piece_count; i++)
		good[i] &= !wanted[i];
}

static void load_resume(
	struct session_torrent *st, uint8_t *wanted, uint8_t *good)
{
	struct resume saved;
	void *memory = NULL;
	struct error err;

	switch (resume_load(storage_folder_fd(st->storage), &st->m->info_hash,
		&saved, &memory, &err)) {
	case RESUME_NONE:
		break;
	case RESUME_UNUSABLE:
		session_torrent_warn(
			st, "%s; checking the content instead", err.text);
		break;
	case RESUME_LOADED:
		if (saved.piece_count != st->m->piece_count ||
			saved.file_count != st->m->file_count)
			break;
		believe(st, &saved, wanted, good);
		st->downloaded_before = saved.downloaded;
		st->uploaded_before = saved.uploaded;
		break;
	}
	free(memory);
}

static void on_check_progress(void *ctx, uint64_t done, uint64_t total)
{
	session_torrent_emit(ctx,
		&(struct event){.kind = EVENT_CHECKING,
			.checking = {.done = done, .total = total}});
}

static bool hash_content(
	struct session_torrent *st, const uint8_t *wanted, uint8_t *good)
{
	uint8_t *found = calloc(st->m->piece_count, 1);
	struct error err;
	struct check check = {
		.m = st->m,
		.storage = st->storage,
		.wanted = wanted,
		.progress = on_check_progress,
		.ctx = st,
		.stop = &st->stop_check,
		.holes_may_be_good = st->mode != SESSION_LEECH,
	};

	if (!found)
		error_set(&err, "%s: out of memory", st->m->name);
	bool ok = found && check_run(&check, found, &err);
	if (!ok)
		session_torrent_fail(st, &err);
	for (uint32_t i = 0; ok && i < st->m->piece_count; i++)
		good[i] |= found[i];
	free(found);
	return ok;
}

/* A seed lacks something: say what, by the first file concerned. */
static void fail_incomplete(
	struct session_torrent *st, const uint8_t *good, uint32_t have)
{
	const struct metainfo *m = st->m;
	uint32_t piece = 0;
	struct error err;

	while (good[piece])
		piece++;
	struct layout_walk walk =
		layout_walk(m, (uint64_t)piece * m->piece_length,
			metainfo_piece_size(m, piece));
	struct layout_part part = {.file = LAYOUT_NO_FILE};
	while (part.file == LAYOUT_NO_FILE && layout_next(&walk, &part))
		;
	const char *file =
		part.file == LAYOUT_NO_FILE ? "" : m->files[part.file].path;
	error_set(&err,
		"%s: %u of %u pieces are missing or damaged, first in %s "
		"(--partial seeds what is there)",
		storage_root_path(st->storage), m->piece_count - have,
		m->piece_count, file);
	session_torrent_fail(st, &err);
}

void session_torrent_tell_checked(struct session_torrent *st)
{
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_CHECKED,
			.checked = {.have = torrent_have_count(st->torrent),
				.pieces = torrent_wanted_count(st->torrent)}});
}

bool session_torrent_check(struct session_torrent *st)
{
	const struct metainfo *m = st->m;
	uint8_t *wanted = malloc(m->piece_count);
	uint8_t *good = calloc(m->piece_count, 1);
	bool ok = false;
	struct error err;

	if (!wanted || !good) {
		error_set(&err, "%s: out of memory", m->name);
		session_torrent_fail(st, &err);
		goto out;
	}
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_METADATA,
			.metadata = {.pieces = m->piece_count,
				.piece_length = m->piece_length,
				.length = m->length,
				.files = m->file_count,
				.selected = st->selection.files,
				.selected_files = st->selection.file_count,
				.selected_length = st->selection.length}});
	if (storage_parts_warning(st->storage)[0])
		session_torrent_warn(st, "%s; doing without it",
			storage_parts_warning(st->storage));

	memset(wanted, 1, m->piece_count);
	if (st->mode == SESSION_LEECH)
		load_resume(st, wanted, good);
	else
		storage_remember(st->storage); /* a change from now on counts */
	if (!hash_content(st, wanted, good))
		goto out;
	if (atomic_load(&st->stop_check))
		goto out;
	if (st->mode == SESSION_LEECH &&
		!storage_adopt_parts(st->storage, good, &err)) {
		session_torrent_fail(st, &err);
		goto out;
	}

	torrent_set_have(st->torrent, good);
	if (st->mode == SESSION_SEED && !torrent_complete(st->torrent)) {
		session_torrent_tell_checked(st);
		fail_incomplete(st, good, torrent_have_count(st->torrent));
		goto out;
	}
	st->watched = st->mode != SESSION_LEECH;
	st->settled = st->watched;
	st->started_ms = clock_ms();
	ok = true;

out:
	free(wanted);
	free(good);
	return ok;
}

/* ---- resume ---- */

static bool is_written(const struct session_torrent *st, size_t file)
{
	return !st->selection.partial || st->selection.files[file];
}

/* While pieces still come in, a file that is not complete is being written to:
 * its stat would be wrong in a moment, so it is left to be hashed. */
static void stat_files(struct session_torrent *st, const struct bitfield *have,
	bool at_rest, struct storage_stat *ret)
{
	for (size_t f = 0; f < st->m->file_count; f++) {
		uint32_t first, end;

		layout_file_pieces(st->m, f, &first, &end);
		if (at_rest || !is_written(st, f) ||
			bitfield_find(NULL, have, NULL, first, end) ==
				BITFIELD_NONE)
			storage_stat(st->storage, f, &ret[f]);
		else
			ret[f] = (struct storage_stat){.exists = true};
	}
}

bool session_torrent_save(struct session_torrent *st, bool at_rest)
{
	const struct metainfo *m = st->m;
	struct storage_stat *files = calloc(m->file_count, sizeof(*files));
	uint8_t *bits = malloc(bitfield_wire_size(m->piece_count));
	struct bitfield have = {0};
	struct error err;
	size_t log;
	bool ok = false;

	if (!files || !bits || !bitfield_init(&have, m->piece_count)) {
		error_set(&err, "%s: out of memory", m->name);
		goto out;
	}
	/* First what is had, then the sync, then the stats: so everything that
	 * is claimed is on disk, and what came later is not claimed. */
	atomic_store(&st->unsaved, false);
	torrent_have(st->torrent, &have, &log);
	if (!storage_sync(st->storage, &err))
		goto out;
	bitfield_to_wire(&have, bits);
	stat_files(st, &have, at_rest, files);
	struct resume state = {
		.info_hash = m->info_hash,
		.piece_count = m->piece_count,
		.have = bits,
		.file_count = m->file_count,
		.files = files,
		.downloaded = st->downloaded_before + st->downloaded,
		.uploaded = st->uploaded_before + st->uploaded,
	};
	if (st->magnet)
		state.info = m->info;
	ok = resume_save(storage_folder_fd(st->storage), &state, &err);

out:
	if (!ok)
		session_torrent_fail(st, &err);
	bitfield_finish(&have);
	free(bits);
	free(files);
	return ok;
}

/* ---- completion ---- */

bool session_torrent_complete(struct session_torrent *st)
{
	struct error err;

	if (!storage_complete(st->storage, &err)) {
		session_torrent_fail(st, &err);
		return false;
	}

	uint64_t now = clock_ms();
	double seconds = (double)(now - st->started_ms) / 1000;
	st->complete_ms = now;
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_COMPLETE,
			.complete = {.bytes = torrent_wanted_bytes(st->torrent),
				.seconds = seconds,
				.down = seconds > 0
					? (uint64_t)((double)st->downloaded /
						  seconds)
					: st->downloaded}});
	return true;
}

bool session_torrent_settle(struct session_torrent *st)
{
	struct error err;

	if (!storage_sync(st->storage, &err)) {
		session_torrent_fail(st, &err);
		return false;
	}
	block_pool_trim(st->session->blocks);
	resume_remove(storage_folder_fd(st->storage), &st->m->info_hash);
	storage_unlock(st->storage);
	storage_remember(st->storage);
	pthread_mutex_lock(&st->lock);
	st->watched = true;
	pthread_mutex_unlock(&st->lock);
	st->settled = true;
	return true;
}

/* ---- full pieces ---- */

static void ban(struct session_torrent *st, const struct endpoint *guilty)
{
	size_t place;

	if (web_seed_place_of(guilty, &place))
		atomic_fetch_or(&st->banned_web_seeds, 1U << place);
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_PEER,
			.peer = {.address = *guilty,
				.state = PEER_BANNED,
				.client = "",
				.reason = "sent bad data"}});
	tell_coordinator(st, FROM_JUDGE, guilty);
}

static void on_piece_done(void *ctx, void *arg, enum finisher_result result,
	const struct error *err)
{
	struct session_torrent *st = ctx;
	struct open_piece *piece = arg;
	struct endpoint guilty[OPEN_PIECE_GIVERS];
	struct event event = {
		.kind = EVENT_PIECE,
		.piece = {.index = piece->index,
			.failed = result == FINISHER_BAD},
	};

	if (result == FINISHER_ERROR) {
		torrent_abandon_piece(st->torrent, piece);
		session_torrent_fail(st, err);
		return;
	}
	if (piece->giver_count > 0)
		event.piece.address = piece->givers[0];
	size_t count = torrent_finish_piece(st->torrent, piece,
		result == FINISHER_GOOD, guilty, OPEN_PIECE_GIVERS);
	atomic_store(&st->unsaved, true);
	session_torrent_emit(st, &event);
	for (size_t i = 0; i < count; i++)
		ban(st, &guilty[i]);
	if (torrent_complete(st->torrent))
		keeper_poke(st->session->keeper);
}

void session_torrent_push_piece(
	struct session_torrent *st, struct open_piece *piece)
{
	finisher_push(st->session->finisher,
		&(struct finisher_job){
			.m = st->m,
			.storage = st->storage,
			.index = piece->index,
			.blocks = piece->blocks,
			.block_size = BLOCK_SIZE,
			.done = on_piece_done,
			.ctx = st,
			.piece = piece,
		});
}

/* ---- serving ---- */

static bool is_suspect(struct session_torrent *st, uint32_t piece)
{
	pthread_mutex_lock(&st->lock);
	bool suspect = st->suspicious && bitfield_has(&st->suspect, piece);
	pthread_mutex_unlock(&st->lock);
	return suspect;
}

/* Is the content under the range, which was just read, as it was checked?  When
 * any file has changed, all pieces are to be hashed once more before they are
 * served. */
static bool unchanged(struct session_torrent *st, uint64_t offset, size_t len)
{
	size_t file;

	pthread_mutex_lock(&st->lock);
	bool watched = st->watched;
	pthread_mutex_unlock(&st->lock);
	if (!watched || storage_unchanged(st->storage, offset, len, &file))
		return true; /* or we are writing to it ourselves */

	pthread_mutex_lock(&st->lock);
	st->suspicious = true;
	bitfield_set_all(&st->suspect);
	pthread_mutex_unlock(&st->lock);
	/* After the marking: a change from here on is seen again. */
	storage_remember(st->storage);
	session_torrent_warn(st,
		"%s: %s changed while it is shared; checking again",
		storage_root_path(st->storage), st->m->files[file].path);
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

	pthread_mutex_lock(&st->lock);
	bitfield_clear(&st->suspect, piece);
	pthread_mutex_unlock(&st->lock);
	if (!good) {
		torrent_lose(st->torrent, piece);
		session_torrent_warn(st,
			"%s: piece %u is not what it was; it is not shared any "
			"more",
			storage_root_path(st->storage), piece);
	}
	return good;
}

enum serve_result session_torrent_read(struct session_torrent *st,
	uint32_t piece, uint32_t begin, uint8_t *ret, size_t len,
	struct piece_check **check)
{
	uint64_t offset = (uint64_t)piece * st->m->piece_length + begin;
	struct error err;

	/* Read, then look whether it has changed meanwhile. */
	for (int tries = 0; tries < MAX_REREADS; tries++) {
		if (!torrent_has(st->torrent, piece) ||
			(is_suspect(st, piece) && !rehash(st, piece, check)))
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
