#include "client/session/session_torrent.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/discovery/peer_queue.h"
#include "client/session/events.h"
#include "client/session/inventory.h"
#include "client/session/keeper.h"
#include "client/session/metadata_task.h"
#include "client/session/session_context.h"
#include "client/session/web_seed_turns.h"
#include "client/storage/finisher.h"
#include "client/storage/resume.h"
#include "client/storage/storage.h"
#include "client/torrent/block_pool.h"
#include "client/torrent/magnet.h"
#include "client/torrent/open_piece.h"
#include "client/torrent/torrent.h"
#include "shared/clock.h"
#include "shared/digest.h"

enum {
	/* Memory for pieces under way in all torrents; with little room on
	 * the disk less, but not for that. */
	OPEN_PIECES_BUDGET = 64 * 1024 * 1024,
	LEAST_BUDGET = 2 * 1024 * 1024,
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
		!serving_set_pieces(&st->serving, m->piece_count))
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
	serving_init(&st->serving);
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
	serving_init(&st->serving);
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
	serving_finish(&st->serving);
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

void session_torrent_say(struct session_torrent *st,
	enum session_torrent_word word, const char *fmt, ...)
{
	char text[SESSION_TORRENT_WORD_SIZE];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	pthread_mutex_lock(&st->lock);
	memcpy(st->words[word], text, sizeof(text));
	pthread_mutex_unlock(&st->lock);
}

void session_torrent_said(struct session_torrent *st,
	enum session_torrent_word word, char ret[SESSION_TORRENT_WORD_SIZE])
{
	pthread_mutex_lock(&st->lock);
	memcpy(ret, st->words[word], SESSION_TORRENT_WORD_SIZE);
	pthread_mutex_unlock(&st->lock);
}

void session_torrent_keep_counts(
	struct session_torrent *st, const struct announce_counts *counts)
{
	pthread_mutex_lock(&st->lock);
	st->counts = *counts;
	pthread_mutex_unlock(&st->lock);
}

struct announce_counts session_torrent_counts(struct session_torrent *st)
{
	pthread_mutex_lock(&st->lock);
	struct announce_counts counts = st->counts;
	pthread_mutex_unlock(&st->lock);
	return counts;
}

void session_torrent_hear_of(struct session_torrent *st,
	enum candidate_source source, const struct endpoint *peers,
	size_t count)
{
	struct candidate c = {
		.source = source, .torrent = st->index, .socket = -1};

	for (size_t i = 0; i < count; i++) {
		c.address = peers[i];
		if (!peer_queue_push(st->session->queue, &c))
			return;
	}
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
	tell_coordinator(st, FROM_KEEPER, &(struct endpoint){0});
	return metadata_task_wait(st->task, &info) && learn(st, info);
}

/* ---- completion ---- */

/* Bytes a second, rounded up: 0 says that nothing has come. */
static uint64_t speed(uint64_t bytes, uint64_t ms)
{
	return ms > 0 ? (bytes * 1000 + ms - 1) / ms : bytes;
}

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
				.down = speed(st->downloaded,
					now - st->started_ms)}});
	return true;
}

/* We may be the last who has the metadata of a magnet link: to go on seeding it
 * after a stop takes no peer that gives it. */
static bool sync_content(struct session_torrent *st)
{
	struct error err;

	if (st->magnet && st->session->seed_after)
		return inventory_save(st, true);
	if (!storage_sync(st->storage, &err)) {
		session_torrent_fail(st, &err);
		return false;
	}
	resume_remove(storage_folder_fd(st->storage), &st->m->info_hash);
	return true;
}

bool session_torrent_settle(struct session_torrent *st)
{
	if (!sync_content(st))
		return false;
	block_pool_trim(st->session->blocks);
	storage_unlock(st->storage);
	storage_remember(st->storage);
	serving_watch(&st->serving);
	st->settled = true;
	return true;
}

/* ---- room on the disk ---- */

/* What is under way should fit on the disk: that it is full shows only when a
 * piece is written, and all that was fetched besides is lost then. */
static void set_budget(struct session_torrent *st, int64_t room)
{
	torrent_set_budget(st->torrent,
		room < LEAST_BUDGET                 ? LEAST_BUDGET
			: room < OPEN_PIECES_BUDGET ? (uint64_t)room
						    : OPEN_PIECES_BUDGET);
}

void session_torrent_look_at_room(struct session_torrent *st)
{
	int64_t room = storage_room(st->storage);

	st->room = room;
	set_budget(st, room);
}

/* Until the disk is asked again. */
static void take_room(struct session_torrent *st, uint32_t bytes)
{
	int64_t room = atomic_fetch_sub(&st->room, bytes) - bytes;

	if (room < OPEN_PIECES_BUDGET)
		set_budget(st, room);
}

void session_torrent_leave_nothing(struct session_torrent *st)
{
	storage_drop_parts(st->storage);
	resume_remove(storage_folder_fd(st->storage), &st->m->info_hash);
}

/* ---- full pieces ---- */

static void ban(struct session_torrent *st, const struct endpoint *guilty)
{
	size_t place;

	if (web_seed_place_of(guilty, &place))
		atomic_fetch_or(&st->banned_web_seeds, 1U << place);
	/* First: who hears of it may come again at once. */
	tell_coordinator(st, FROM_JUDGE, guilty);
	session_torrent_emit(st,
		&(struct event){.kind = EVENT_PEER,
			.peer = {.address = *guilty,
				.state = PEER_BANNED,
				.client = "",
				.reason = "sent bad data"}});
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
	if (result == FINISHER_BAD && torrent_tainted(st->torrent, piece)) {
		torrent_abandon_piece(st->torrent, piece);
		return;
	}
	if (result == FINISHER_GOOD)
		take_room(st, piece->size);
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
