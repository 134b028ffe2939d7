#include "client/session/inventory.h"

#include <stdlib.h>
#include <string.h>

#include "client/session/events.h"
#include "client/session/session_torrent.h"
#include "client/storage/check.h"
#include "client/storage/layout.h"
#include "client/storage/resume.h"
#include "client/storage/storage.h"
#include "client/torrent/torrent.h"
#include "shared/clock.h"

/* ---- finding out ---- */

/* Whether a file still looks as the resume file remembers it. */
static bool unchanged_file(
	const struct storage_stat *then, const struct storage_stat *now)
{
	if (!now->exists || !then->exists)
		return now->exists == then->exists;
	return now->size == then->size && now->mtime_ns == then->mtime_ns &&
		now->ctime_ns == then->ctime_ns;
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

		if (m->files[f].length == 0 || !metainfo_on_disk(&m->files[f]))
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
	const char *root = storage_root_path(st->storage);
	char file[STORAGE_SHOWN_SIZE] = "";
	uint32_t piece = 0;
	struct error err;

	if (have == 0) {
		error_set(&err,
			"%s: nothing of %s is there "
			"(--file says where the content is)",
			root, m->name);
		session_torrent_fail(st, &err);
		return;
	}
	while (good[piece])
		piece++;
	struct layout_walk walk =
		layout_walk(m, (uint64_t)piece * m->piece_length,
			metainfo_piece_size(m, piece));
	struct layout_part part = {.file = LAYOUT_NO_FILE};
	while (part.file == LAYOUT_NO_FILE && layout_next(&walk, &part))
		;
	if (part.file != LAYOUT_NO_FILE)
		storage_file_path(st->storage, part.file, file);
	error_set(&err,
		"%s: %u of %u pieces are missing or damaged, first in %s "
		"(--partial seeds what is there)",
		root, m->piece_count - have, m->piece_count, file);
	session_torrent_fail(st, &err);
}

void inventory_tell(struct session_torrent *st)
{
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_CHECKED,
			.checked = {.have = torrent_have_count(st->torrent),
				.pieces = torrent_wanted_count(st->torrent)}});
}

static size_t files_on_disk(const struct metainfo *m)
{
	size_t count = 0;

	for (size_t i = 0; i < m->file_count; i++)
		count += metainfo_on_disk(&m->files[i]);
	return count;
}

static void tell_metadata(struct session_torrent *st)
{
	const struct metainfo *m = st->m;

	session_torrent_emit(st,
		&(struct event){.kind = EVENT_METADATA,
			.metadata = {.pieces = m->piece_count,
				.piece_length = m->piece_length,
				.length = m->length,
				.files = m->file_count,
				.files_on_disk = files_on_disk(m),
				.selected = st->selection.files,
				.selected_files = st->selection.file_count,
				.selected_length = st->selection.length}});
}

bool inventory_take(struct session_torrent *st)
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
	tell_metadata(st);
	if (storage_parts_warning(st->storage)[0])
		session_torrent_warn(st, "%s; doing without it",
			storage_parts_warning(st->storage));

	memset(wanted, 1, m->piece_count);
	storage_remember(st->storage); /* a change from now on counts */
	if (st->mode == SESSION_LEECH)
		load_resume(st, wanted, good);
	if (!hash_content(st, wanted, good) || atomic_load(&st->stop_check))
		goto out;
	if (st->mode == SESSION_LEECH &&
		!storage_adopt_parts(st->storage, good, &err)) {
		session_torrent_fail(st, &err);
		goto out;
	}

	torrent_set_have(st->torrent, good);
	if (st->mode == SESSION_SEED && !torrent_complete(st->torrent)) {
		inventory_tell(st);
		fail_incomplete(st, good, torrent_have_count(st->torrent));
		goto out;
	}
	if (st->mode != SESSION_LEECH) {
		serving_watch(&st->serving);
		st->settled = true;
	}
	st->started_ms = clock_ms();
	ok = true;

out:
	free(wanted);
	free(good);
	return ok;
}

/* ---- writing down ---- */

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
			storage_stat_as_left(st->storage, f, &ret[f]);
		else
			ret[f] = (struct storage_stat){.exists = true};
	}
}

bool inventory_save(struct session_torrent *st, bool at_rest)
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
