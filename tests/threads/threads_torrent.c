/* Workers with peers of every kind (whole, partial, choking, leaving, lying)
 * fetch one torrent through real finishers into a real folder, sleeping
 * as real workers do: it completes, the bytes are right, the liar is named and
 * nobody else.  A wake-up that is lost shows as a worker that slept its time
 * out.  Run it under the thread sanitizer: meson setup -Db_sanitize=thread. */

#include "client/torrent/torrent.h"

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/storage/finisher.h"
#include "client/storage/storage.h"
#include "client/torrent/block_pool.h"
#include "client/torrent/open_piece.h"
#include "shared/digest.h"
#include "shared/metainfo.h"

enum {
	BLOCKS = 4,
	PIECE = BLOCKS * BLOCK_SIZE,
	PIECES = 150,
	LENGTH = (PIECES - 1) * PIECE + BLOCK_SIZE + 1,
	WORKERS = 8,
	LIAR = 3, /* number of the worker */
	FINISHERS = 2,
	MAX_ASKED = 24,
	BUDGET = 12 * PIECE,
	LONG_MS = 20 * 1000,
};

static uint8_t content[LENGTH];
static uint8_t hashes[PIECES * SHA1_SIZE];
static struct metainfo m;
static struct block_pool *pool;
static struct torrent *torrent;
static struct storage *storage;
static struct finisher *finisher;
static atomic_uint mistakes, slept_out;

struct worker {
	struct torrent_peer peer;
	struct block_id asked[MAX_ASKED];
	unsigned number;
	uint32_t dice;
	size_t news_at;
};

static void mistake(const char *what)
{
	fprintf(stderr, "%s\n", what);
	mistakes++;
}

static uint32_t roll(struct worker *w, uint32_t below)
{
	w->dice = w->dice * 1664525 + 1013904223;
	return (w->dice >> 16) % below;
}

/* ---- full pieces ---- */

static void on_done(void *ctx, void *arg, enum finisher_result result,
	const struct error *err)
{
	struct endpoint guilty[OPEN_PIECE_GIVERS];

	(void)ctx;
	if (result == FINISHER_ERROR) {
		mistake(err->text);
		torrent_abandon_piece(torrent, arg);
		return;
	}
	size_t count = torrent_finish_piece(torrent, arg,
		result == FINISHER_GOOD, guilty, OPEN_PIECE_GIVERS);
	for (size_t i = 0; i < count; i++) {
		if (guilty[i].ip[15] != LIAR)
			mistake("an honest peer was named");
	}
}

static void push(struct open_piece *piece)
{
	finisher_push(finisher,
		&(struct finisher_job){.m = &m,
			.storage = storage,
			.index = piece->index,
			.blocks = piece->blocks,
			.block_size = BLOCK_SIZE,
			.done = on_done,
			.piece = piece});
}

/* ---- one worker ---- */

static void join(struct worker *w)
{
	w->peer.pick.address.ip[15] = (uint8_t)w->number;
	w->peer.pick.asked = w->asked;
	w->peer.pick.asked_count = 0;
	if (!bitfield_init(&w->peer.pick.has, PIECES))
		abort();
	torrent_join(torrent, &w->peer);
	/* The first two have everything, the others two of three pieces. */
	for (uint32_t i = 0; i < PIECES; i++) {
		if (w->number < 2 || roll(w, 3) > 0)
			bitfield_set(&w->peer.pick.has, i);
	}
	torrent_peer_has_many(torrent, &w->peer, true);
}

static void leave(struct worker *w)
{
	torrent_leave(torrent, &w->peer);
	bitfield_finish(&w->peer.pick.has);
}

static void remove_asked(struct worker *w, size_t place)
{
	w->peer.pick.asked_count--;
	memmove(w->asked + place, w->asked + place + 1,
		(w->peer.pick.asked_count - place) * sizeof(w->asked[0]));
}

static void release_all(struct worker *w)
{
	size_t count = w->peer.pick.asked_count;

	w->peer.pick.asked_count = 0;
	torrent_release(torrent, &w->peer, w->asked, count, true);
}

static void prune(struct worker *w)
{
	size_t places[MAX_ASKED];
	size_t count =
		torrent_prune(torrent, &w->peer, MAX_ASKED, places, MAX_ASKED);

	while (count-- > 0) {
		torrent_release(
			torrent, &w->peer, &w->asked[places[count]], 1, false);
		remove_asked(w, places[count]);
	}
}

static void fill(struct worker *w, const struct block_id *b, uint8_t *ret)
{
	size_t at = (size_t)b->piece * PIECE + (size_t)b->index * BLOCK_SIZE;
	size_t len = LENGTH - at < BLOCK_SIZE ? LENGTH - at : BLOCK_SIZE;

	memcpy(ret, content + at, len);
	if (w->number == LIAR && roll(w, 6) == 0)
		ret[len - 1] ^= 1;
}

/* A few of the blocks that it was asked for come. */
static void receive(struct worker *w)
{
	struct arrival arrivals[4];
	struct open_piece *full[4];
	size_t count = 0;

	while (count < 4 && w->peer.pick.asked_count > 0) {
		struct arrival *a = &arrivals[count];

		if (block_pool_take(pool, &a->memory, 1) != 1)
			abort();
		a->block = w->asked[0];
		a->asked = true;
		fill(w, &a->block, a->memory);
		remove_asked(w, 0);
		count++;
	}
	size_t n = torrent_receive(torrent, &w->peer, arrivals, count, full);
	for (size_t i = 0; i < count; i++)
		block_pool_give(pool, &arrivals[i].memory, 1);
	for (size_t i = 0; i < n; i++)
		push(full[i]);
}

static void sleep_until_woken(struct worker *w)
{
	struct pollfd p = {.fd = w->peer.wake_fd, .events = POLLIN};
	uint64_t count;

	torrent_sleeping(&w->peer, true);
	if (!torrent_has_news(torrent, w->news_at) &&
		!torrent_peer_has_letters(&w->peer) &&
		poll(&p, 1, LONG_MS) == 0)
		slept_out++;
	torrent_sleeping(&w->peer, false);
	(void)!read(w->peer.wake_fd, &count, sizeof(count));
}

static void read_news(struct worker *w)
{
	uint32_t pieces[16];

	while (torrent_news(torrent, &w->news_at, pieces, 16) > 0)
		;
}

/* What peers do besides sending: choke, go and come back. */
static void whim(struct worker *w)
{
	switch (roll(w, 40)) {
	case 0:
		release_all(w);
		break;
	case 1:
		leave(w);
		join(w);
		break;
	default:
		break;
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;

	join(w);
	while (!torrent_complete(torrent)) {
		if (torrent_peer_corrupt(&w->peer)) {
			if (w->number != LIAR)
				mistake("an honest peer was marked");
			break;
		}
		read_news(w);
		prune(w);
		size_t asked = w->peer.pick.asked_count;
		w->peer.pick.asked_count += torrent_reserve(
			torrent, &w->peer, w->asked + asked, MAX_ASKED - asked);
		if (w->peer.pick.asked_count > 0)
			receive(w);
		else
			sleep_until_woken(w);
		whim(w);
	}
	leave(w);
	return NULL;
}

/* ---- all together ---- */

static void make_torrent(const char *folder)
{
	static struct metainfo_file file = {.length = LENGTH, .path = "c"};
	struct error err;
	uint32_t state = 1;

	for (size_t i = 0; i < LENGTH; i++) {
		state = state * 1664525 + 1013904223;
		content[i] = (uint8_t)(state >> 24);
	}
	m = (struct metainfo){.name = "c",
		.length = LENGTH,
		.piece_length = PIECE,
		.piece_count = PIECES,
		.file_count = 1,
		.files = &file,
		.piece_hashes = hashes};
	for (uint32_t i = 0; i < PIECES; i++)
		digest_sha1(content + (size_t)i * PIECE,
			metainfo_piece_size(&m, i), hashes + i * SHA1_SIZE);
	pool = block_pool_create();
	torrent = torrent_create(&m, pool, PIECE_ORDER_RAREST, BUDGET);
	finisher = finisher_create(FINISHERS);
	if (!storage_open(&m, folder, NULL, STORAGE_LEECH, &storage, &err)) {
		fprintf(stderr, "%s\n", err.text);
		exit(EXIT_FAILURE);
	}
}

static void check_file(void)
{
	uint8_t *found = malloc(LENGTH);
	struct error err;

	if (storage_read(storage, 0, found, LENGTH, &err) != STORAGE_OK ||
		memcmp(found, content, LENGTH) != 0)
		mistake("the file is not what it should be");
	if (torrent_have_bytes(torrent) != LENGTH)
		mistake("bytes are counted wrongly");
	free(found);
}

static int remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int main(void)
{
	char folder[] = "/tmp/tbt-threads-XXXXXX";
	static struct worker workers[WORKERS];
	pthread_t threads[WORKERS];

	if (!mkdtemp(folder))
		return EXIT_FAILURE;
	make_torrent(folder);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i].number = i;
		workers[i].dice = i + 1;
		workers[i].peer.wake_fd = eventfd(0, EFD_NONBLOCK);
		pthread_create(&threads[i], NULL, work, &workers[i]);
	}
	for (size_t i = 0; i < WORKERS; i++)
		pthread_join(threads[i], NULL);
	finisher_destroy(finisher);

	check_file();
	if (slept_out > 0)
		mistake("somebody was not woken");
	for (size_t i = 0; i < WORKERS; i++)
		close(workers[i].peer.wake_fd);
	storage_close(storage);
	torrent_destroy(torrent);
	block_pool_destroy(pool);
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return mistakes > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
