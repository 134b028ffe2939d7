#include "client/session/web_seed.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/discovery/web_seed_url.h"
#include "client/session/block_run.h"
#include "client/session/events.h"
#include "client/session/rate_limit.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
#include "client/session/web_seed_turns.h"
#include "client/session/web_transfer.h"
#include "client/storage/layout.h"
#include "client/torrent/block_pool.h"
#include "client/torrent/torrent.h"
#include "shared/clock.h"
#include "shared/metainfo.h"

enum {
	MAX_AT_ONCE = 4, /* web seeds in use, of each torrent */

	/* Blocks that are reserved at once: as many as come in some seconds, so
	 * that requests are long and yet a slow server keeps little from
	 * others. */
	FIRST_BATCH = 16,
	MAX_BATCH = 1024,
	MAX_TOGETHER = 2048, /* half of the memory for open pieces */
	MIN_BATCH = 4,
	QUICK_MS = 1000,
	SLOW_MS = 4000,
	/* Blocks that have not come after so long are let go. */
	MAX_TURN_MS = 60 * 1000,

	/* Files in a row that it does not have: it is none. */
	MAX_LACKS = 10,

	NAP_MS = 1000, /* the torrent's state is looked at so often */

	/* For libcurl and TLS, and the URL. */
	STACK_SIZE = 512 * 1024,
	HOST_SIZE = 128,
};

/* A thread, and the web seed that it uses. */
struct web_seed {
	/* Set before the thread starts. */
	struct web_seeds *all;
	int wake_fd;
	pthread_t thread;

	/* The thread's own. */
	struct web_transfer *transfer;
	size_t place;    /* in the torrent's list */
	const char *url; /* there */
	char host[HOST_SIZE];
	bool connected; /* it has given something, and that was told */
	size_t batch;
	size_t file;    /* that was asked for last */
	unsigned lacks; /* files in a row that it does not have */
	bool told_lack; /* of one of them */

	struct torrent_peer peer;
	struct block_id blocks[MAX_BATCH]; /* peer.pick.asked: those left */
	uint8_t *memory;                   /* of the first of them, ... */
	uint32_t filled;                   /* ... and its bytes so far */
	bool needless;    /* all that is left has come from others, or may */
	size_t reserved;  /* so many were, ... */
	uint64_t turn_ms; /* ... and then */
	bool walking;
	struct layout_walk walk; /* along the first run of them, if walking */
	bool has_part;
	struct layout_part part; /* the next one to be fetched, if there is */
	uint64_t may_pass_over;  /* bytes, of a server without ranges */

	struct error why; /* the last request failed */
};

struct web_seeds {
	/* Set before the threads start. */
	struct session_torrent *st;
	const char *const *urls;

	size_t max_batch; /* of each */

	atomic_bool stopping;
	pthread_mutex_t lock;
	struct web_seed_turns turns; /* guarded by `lock`: of the URLs */
	size_t count;                /* threads */
	struct web_seed seeds[MAX_AT_ONCE];
};

/* ---- whether and for how long ---- */

static bool goes_on(const struct web_seed *w)
{
	const struct session_torrent *st = w->all->st;

	return !atomic_load(&w->all->stopping) && st->state == STATE_LEECHING &&
		!torrent_complete(st->torrent);
}

/* May the request under way go on? */
static bool of_use(void *ctx)
{
	struct web_seed *w = ctx;
	size_t places[MAX_BATCH];
	size_t left = w->peer.pick.asked_count;

	if (left > 0 &&
		torrent_prune(w->all->st->torrent, &w->peer, SIZE_MAX, places,
			MAX_BATCH) == left)
		w->needless = true;
	return !w->needless && goes_on(w) && !torrent_peer_corrupt(&w->peer);
}

/* Returns whether somebody has woken us. */
static bool drain(const struct web_seed *w)
{
	uint64_t ignored;

	return read(w->wake_fd, &ignored, sizeof(ignored)) > 0;
}

static void nap(const struct web_seed *w, uint64_t timeout_ms)
{
	struct pollfd wake = {.fd = w->wake_fd, .events = POLLIN};

	(void)poll(&wake, 1, timeout_ms < NAP_MS ? (int)timeout_ms : NAP_MS);
	(void)drain(w);
}

static void wait_until(const struct web_seed *w, uint64_t at_ms)
{
	for (uint64_t now = clock_ms(); now < at_ms && goes_on(w);
		now = clock_ms())
		nap(w, at_ms - now);
}

/* There was nothing to ask for: until there is news of the torrent. */
static void wait_for_news(struct web_seed *w)
{
	struct torrent *t = w->all->st->torrent;

	(void)torrent_prune(
		t, &w->peer, SIZE_MAX, NULL, 0); /* a letter that is read */
	torrent_sleeping(&w->peer, true);
	if (!torrent_peer_has_letters(&w->peer) && goes_on(w))
		nap(w, NAP_MS);
	torrent_sleeping(&w->peer, false);
}

/* ---- telling ---- */

static void tell(
	struct web_seed *w, enum event_peer_state state, const char *reason)
{
	session_torrent_emit(w->all->st,
		&(struct event){.kind = EVENT_PEER,
			.peer = {.address = w->peer.pick.address,
				.state = state,
				.client = w->host,
				.reason = reason}});
}

static void warn(const struct web_seed *w, const char *then)
{
	struct session_torrent *st = w->all->st;

	session_torrent_say(
		st, WORD_OF_WEB_SEED, "%.50s: %.100s", w->host, w->why.text);
	session_torrent_warn(st, "%s: web seed %s: %s%s", st->m->name, w->host,
		w->why.text, then);
}

/* ---- turns ---- */

static void did_well(struct web_seed *w)
{
	struct web_seeds *all = w->all;

	w->lacks = 0;
	pthread_mutex_lock(&all->lock);
	web_seed_turns_good(&all->turns, w->place);
	pthread_mutex_unlock(&all->lock);
}

/* It failed: others have their turn first. */
static void give_way(struct web_seed *w)
{
	struct web_seeds *all = w->all;
	uint64_t asked_ms =
		w->transfer ? web_transfer_retry_ms(w->transfer) : 0;

	pthread_mutex_lock(&all->lock);
	bool first = web_seed_turns_later(
		&all->turns, w->place, clock_ms(), asked_ms);
	pthread_mutex_unlock(&all->lock);
	/* One warning for a row of failures. */
	if (first)
		warn(w, "");
}

/* It is none. */
static void give_up(struct web_seed *w)
{
	struct web_seeds *all = w->all;

	pthread_mutex_lock(&all->lock);
	web_seed_turns_over(&all->turns, w->place);
	pthread_mutex_unlock(&all->lock);
}

/* ---- blocks are reserved, for one turn ---- */

static void adapt_batch(struct web_seed *w, size_t fetched, uint64_t took_ms)
{
	if (took_ms < QUICK_MS && fetched == w->batch &&
		w->batch < w->all->max_batch)
		w->batch *= 2;
	else if (took_ms > SLOW_MS && w->batch > MIN_BATCH)
		w->batch /= 2;
}

/* Towards the end fewer and fewer, since what one has reserved the others will
 * ask for too when nothing else is left. */
static size_t batch_now(const struct web_seed *w)
{
	const struct session_torrent *st = w->all->st;
	uint64_t left = torrent_wanted_bytes(st->torrent) -
		torrent_have_bytes(st->torrent);
	uint64_t share = left / BLOCK_SIZE / MAX_AT_ONCE;
	uint64_t rate = rate_limit_rate(st->session->download_limit);

	if (share < FIRST_BATCH)
		share = FIRST_BATCH;
	/* A second's worth: the rest would wait in sockets, ours and its. */
	if (rate > 0 && share > rate / BLOCK_SIZE)
		share = rate / BLOCK_SIZE > 0 ? rate / BLOCK_SIZE : 1;
	return share < w->batch ? (size_t)share : w->batch;
}

/* Reserve some blocks.  False: there are none for now. */
static bool begin_turn(struct web_seed *w)
{
	struct picker_peer *pick = &w->peer.pick;
	size_t count = torrent_reserve(
		w->all->st->torrent, &w->peer, w->blocks, batch_now(w));

	block_run_sort(w->blocks, count);
	pick->asked = w->blocks;
	pick->asked_count = count;
	w->reserved = count;
	w->turn_ms = clock_ms();
	w->needless = false;
	w->filled = 0;
	w->walking = w->has_part = false;
	return count > 0;
}

/* Those that have not come are for others. */
static void end_turn(struct web_seed *w, enum web_seed_answer answer)
{
	struct picker_peer *pick = &w->peer.pick;

	if (w->reserved == 0)
		return;
	if (pick->asked_count > 0) {
		torrent_release(w->all->st->torrent, &w->peer, pick->asked,
			pick->asked_count, answer != WEB_SEED_GOOD);
	} else {
		adapt_batch(w, w->reserved, clock_ms() - w->turn_ms);
		did_well(w);
	}
	pick->asked_count = 0;
	w->reserved = 0;
	w->walking = w->has_part = false;
}

/* Also of what was judged while it was not in use. */
static bool is_banned(const struct web_seed *w)
{
	return torrent_peer_corrupt(&w->peer) ||
		(w->all->st->banned_web_seeds & 1U << w->place) != 0;
}

/* ---- blocks ---- */

/* The first of the blocks is here as a whole. */
static void hand_in(struct web_seed *w)
{
	struct session_torrent *st = w->all->st;
	struct arrival arrival = {
		.block = w->peer.pick.asked[0],
		.memory = w->memory,
		.asked = true,
	};
	struct open_piece *full;

	w->peer.pick.asked++;
	w->peer.pick.asked_count--;
	size_t count =
		torrent_receive(st->torrent, &w->peer, &arrival, 1, &full);
	w->memory = arrival.memory;
	w->filled = 0;
	if (clock_ms() - w->turn_ms >= MAX_TURN_MS) {
		w->needless = true;
		w->batch = MIN_BATCH;
	}
	/* Last, since hashing may fall to this thread. */
	if (count > 0)
		session_torrent_push_piece(st, full);
}

/* Bytes of the content, the next ones; NULL: zeros.  False: no memory. */
static bool take_bytes(struct web_seed *w, const char *bytes, uint64_t len)
{
	const struct session_torrent *st = w->all->st;

	while (len > 0) {
		if (!w->memory &&
			block_pool_take(st->session->blocks, &w->memory, 1) ==
				0)
			return false;

		uint32_t size = block_run_size(st->m, &w->peer.pick.asked[0]);
		uint32_t part = size - w->filled;
		if (part > len)
			part = (uint32_t)len;
		if (bytes) {
			memcpy(w->memory + w->filled, bytes, part);
			bytes += part;
		} else {
			memset(w->memory + w->filled, 0, part);
		}
		w->filled += part;
		len -= part;
		if (w->filled == size)
			hand_in(w);
	}
	return true;
}

/* What comes in answer to a request. */
static bool take_answer(void *ctx, const char *bytes, size_t len)
{
	struct web_seed *w = ctx;

	if (!w->connected) {
		w->connected = true;
		tell(w, PEER_CONNECTED, "");
	}
	atomic_fetch_add(&w->all->st->downloaded, len);
	return take_bytes(w, bytes, len);
}

static enum web_seed_answer out_of_memory(struct web_seed *w)
{
	error_set(&w->why, "out of memory");
	return WEB_SEED_LATER;
}

/* Fetch a stretch of one file, or make it up if it is none. */
static enum web_seed_answer fetch_part(
	struct web_seed *w, const struct layout_part *part)
{
	const struct metainfo *m = w->all->st->m;
	char url[WEB_SEED_URL_SIZE];

	if (part->file == LAYOUT_NO_FILE)
		return take_bytes(w, NULL, part->len) ? WEB_SEED_GOOD
						      : out_of_memory(w);
	/* It has no piece of such a file, so this is not reached. */
	if (!web_seed_url(m, w->url, part->file, url)) {
		error_set(&w->why, "no URL for a file of that name");
		return WEB_SEED_NEVER;
	}
	w->file = part->file;
	struct web_seed_request request = {
		part->offset, part->len, m->files[part->file].length};
	return web_transfer_run(
		w->transfer, url, &request, &w->may_pass_over, &w->why);
}

/* Find the next stretch to be fetched.  False: all blocks that were reserved
 * are here. */
static bool find_part(struct web_seed *w)
{
	const struct picker_peer *pick = &w->peer.pick;
	const struct metainfo *m = w->all->st->m;

	while (!w->has_part && (w->walking || pick->asked_count > 0)) {
		if (!w->walking) {
			struct block_run run = block_run_first(
				m, pick->asked, pick->asked_count);
			w->walk = layout_walk(m, run.offset, run.len);
		}
		w->has_part = layout_next(&w->walk, &w->part);
		w->walking = w->has_part;
	}
	return w->has_part;
}

/* Fetch the blocks that were reserved, as far as that goes well. */
static enum web_seed_answer fetch(struct web_seed *w)
{
	enum web_seed_answer answer = WEB_SEED_GOOD;

	while (answer == WEB_SEED_GOOD && of_use(w) && find_part(w)) {
		w->has_part = false;
		answer = fetch_part(w, &w->part);
	}
	return answer;
}

/* A server without ranges goes on with the file that was asked for, and had
 * better not begin with it again: so here there is no hurry to give up. */
static bool next_of_file(void *ctx, uint64_t at, struct web_seed_request *ret)
{
	struct web_seed *w = ctx;

	if (!find_part(w)) {
		end_turn(w, WEB_SEED_GOOD);
		while (goes_on(w) && !is_banned(w) && !begin_turn(w))
			wait_for_news(w);
	}
	if (!find_part(w) || w->part.file != w->file || w->part.offset < at)
		return false;
	w->has_part = false;
	*ret = (struct web_seed_request){w->part.offset, w->part.len,
		w->all->st->m->files[w->file].length};
	return true;
}

/* ---- what it has ---- */

static void clear_file(struct web_seed *w, size_t file)
{
	struct bitfield *has = &w->peer.pick.has;
	uint32_t first, end;

	layout_file_pieces(w->all->st->m, file, &first, &end);
	for (uint32_t p = first; p < end; p++) {
		if (bitfield_has(has, p))
			bitfield_clear(has, p);
	}
}

/* Pieces of files that it cannot be asked for it does not have. */
static void fill_has(struct web_seed *w)
{
	const struct metainfo *m = w->all->st->m;
	char url[WEB_SEED_URL_SIZE];

	bitfield_set_all(&w->peer.pick.has);
	for (size_t i = 0; i < m->file_count; i++) {
		if (!m->files[i].pad && !web_seed_url(m, w->url, i, url))
			clear_file(w, i);
	}
}

/* It lacks the file that was asked for last, as mirrors do whose files changed
 * or are not all there.  False: then it is of no use at all. */
static bool do_without(struct web_seed *w)
{
	const struct session_torrent *st = w->all->st;
	char then[128];

	torrent_peer_has_many(st->torrent, &w->peer, false);
	clear_file(w, w->file);
	torrent_peer_has_many(st->torrent, &w->peer, true);
	if (w->peer.pick.has.set == 0 || ++w->lacks == MAX_LACKS)
		return false;
	if (!w->told_lack) {
		snprintf(then, sizeof(then), "; it is not asked for %.80s",
			st->m->files[w->file].path);
		warn(w, then);
	}
	w->told_lack = true;
	return true;
}

/* ---- one web seed, from start to end ---- */

/* Reserve some blocks and fetch them. */
static enum web_seed_answer take_turn(struct web_seed *w)
{
	if (!begin_turn(w)) {
		wait_for_news(w);
		return WEB_SEED_GOOD;
	}
	enum web_seed_answer answer = fetch(w);
	end_turn(w, answer);
	return answer;
}

/* Use it until it is not wanted, fails, or is found to be none.  Returns why,
 * for a person. */
static const char *converse(struct web_seed *w)
{
	while (goes_on(w)) {
		if (is_banned(w)) {
			give_up(w);
			error_set(&w->why, "it sent bad data");
			warn(w, "; it is not used any more");
			return "banned";
		}
		switch (take_turn(w)) {
		case WEB_SEED_GOOD:
		case WEB_SEED_WHOLE: /* web_transfer makes it GOOD */
			break;
		case WEB_SEED_LACKS:
			if (do_without(w))
				break;
			__attribute__((fallthrough));
		case WEB_SEED_NEVER:
			give_up(w);
			warn(w, "; it is not used any more");
			return w->why.text;
		case WEB_SEED_LATER:
			give_way(w);
			return w->why.text;
		}
	}
	return "stopped";
}

static void use(struct web_seed *w, size_t place)
{
	struct session_torrent *st = w->all->st;
	const char *reason;

	w->place = place;
	w->url = w->all->urls[place];
	metainfo_url_host(w->url, w->host, sizeof(w->host));
	w->connected = false;
	w->batch = FIRST_BATCH;
	w->lacks = 0;
	w->told_lack = false;
	w->reserved = 0;
	w->may_pass_over = st->m->length;
	w->peer = (struct torrent_peer){.wake_fd = w->wake_fd};
	w->peer.pick.address = web_seed_place_address(place);
	w->transfer = web_transfer_create(&(struct web_transfer_options){
		.bind = st->session->bind,
		.limit = st->session->download_limit,
		.limited = &st->limited_web_seeds,
		.wake_fd = w->wake_fd,
		.ctx = w,
		.of_use = of_use,
		.take = take_answer,
		.next = next_of_file,
	});
	if (w->transfer &&
		bitfield_init(&w->peer.pick.has, st->m->piece_count)) {
		fill_has(w);
		torrent_join(st->torrent, &w->peer);
		torrent_peer_has_many(st->torrent, &w->peer, true);
		reason = converse(w);
		torrent_leave(st->torrent, &w->peer);
		if (w->connected)
			tell(w, PEER_CLOSED, reason);
	} else {
		(void)out_of_memory(w);
		give_way(w);
	}
	block_pool_give(st->session->blocks, &w->memory, 1);
	w->memory = NULL;
	bitfield_finish(&w->peer.pick.has);
	web_transfer_destroy(w->transfer);
}

/* Whose turn it is; WEB_SEED_NOBODY: nobody's before *ret_due_ms. */
static size_t take_place(struct web_seeds *all, uint64_t *ret_due_ms)
{
	pthread_mutex_lock(&all->lock);
	size_t place = web_seed_turns_take(&all->turns, clock_ms(), ret_due_ms);
	pthread_mutex_unlock(&all->lock);
	return place;
}

static void *run(void *ctx)
{
	struct web_seed *w = ctx;
	uint64_t due_ms;

	while (goes_on(w)) {
		size_t place = take_place(w->all, &due_ms);

		if (place != WEB_SEED_NOBODY)
			use(w, place);
		else if (due_ms == UINT64_MAX)
			break; /* the others have a thread each */
		else
			wait_until(w, due_ms);
	}
	return NULL;
}

/* ---- all of them ---- */

static bool start_thread(struct web_seed *w)
{
	pthread_attr_t attr;
	bool ok;

	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0)
		return false;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	ok = pthread_create(&w->thread, &attr, run, w) == 0;
	pthread_attr_destroy(&attr);
	if (!ok)
		close(w->wake_fd);
	return ok;
}

struct web_seeds *web_seeds_start(
	struct session_torrent *st, const char *const *urls, size_t count)
{
	size_t wanted = count < MAX_AT_ONCE ? count : MAX_AT_ONCE;

	if (count == 0)
		return NULL;
	struct web_seeds *all = calloc(1, sizeof(*all));
	if (all) {
		all->st = st;
		all->urls = urls;
		all->max_batch = MAX_TOGETHER / wanted < MAX_BATCH
			? MAX_TOGETHER / wanted
			: MAX_BATCH;
		pthread_mutex_init(&all->lock, NULL);
		web_seed_turns_init(&all->turns, count);
		for (; all->count < wanted; all->count++) {
			all->seeds[all->count].all = all;
			if (!start_thread(&all->seeds[all->count]))
				break;
		}
	}
	if (!all || all->count == 0) {
		session_torrent_warn(
			st, "%s: no thread for its web seeds", st->m->name);
		web_seeds_destroy(all);
		return NULL;
	}
	return all;
}

void web_seeds_stop(struct web_seeds *seeds)
{
	if (!seeds)
		return;
	atomic_store(&seeds->stopping, true);
	for (size_t i = 0; i < seeds->count; i++)
		(void)!write(seeds->seeds[i].wake_fd, &(uint64_t){1},
			sizeof(uint64_t));
}

void web_seeds_join(struct web_seeds *seeds)
{
	if (!seeds)
		return;
	for (size_t i = 0; i < seeds->count; i++)
		pthread_join(seeds->seeds[i].thread, NULL);
}

void web_seeds_destroy(struct web_seeds *seeds)
{
	if (!seeds)
		return;
	for (size_t i = 0; i < seeds->count; i++)
		close(seeds->seeds[i].wake_fd);
	pthread_mutex_destroy(&seeds->lock);
	free(seeds);
}
