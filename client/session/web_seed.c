#include "client/session/web_seed.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/discovery/http_request.h"
#include "client/discovery/web_seed_url.h"
#include "client/session/block_run.h"
#include "client/session/events.h"
#include "client/session/rate_limit.h"
#include "client/session/session_context.h"
#include "client/session/session_torrent.h"
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
	MAX_BATCH = 256,
	MIN_BATCH = 4,
	QUICK_MS = 1000,
	SLOW_MS = 4000,

	/* Less than so much has come in so long: given up. */
	STALL_MS = 30 * 1000,
	STALL_BYTES = 4096,
	MAX_HEADERS = 64 * 1024, /* of one request, all redirects together */

	BACK_OFF_MS = 5 * 1000, /* after a failure; doubling */
	MAX_BACK_OFF_MS = 10 * 60 * 1000,

	/* For lower limits the receive buffer is made smaller. */
	LIMIT_FOR_BUFFER = 1024 * 1024,
	LEAST_BUFFER = 4096,

	NAP_MS = 1000, /* the torrent's state is looked at so often */

	/* For libcurl and TLS, and the URL. */
	STACK_SIZE = 512 * 1024,
	HOST_SIZE = 128,
};

/* One request under way. */
struct request {
	struct web_seed_request asked;
	uint64_t left; /* bytes still to come */
	size_t header_bytes;
	bool has_range;
	struct content_range range;

	bool judged;
	enum web_seed_answer answer; /* of the whole request, in the end */
	struct error why;            /* unless it is good */

	uint64_t moved_ms;  /* the last STALL_BYTES were whole then, ... */
	uint64_t moved;     /* ... and so much of the next has come */
	uint64_t resume_ms; /* paused by the rate limit until then; 0: not */
};

/* A thread, and the web seed that it uses. */
struct web_seed {
	/* Set before the thread starts. */
	struct web_seeds *all;
	int wake_fd;
	pthread_t thread;

	/* The thread's own. */
	CURL *curl;
	CURLM *multi;
	const char *url; /* the torrent's */
	char host[HOST_SIZE];
	bool connected; /* it has given something, and that was told */
	size_t batch;

	struct torrent_peer peer;
	struct block_id blocks[MAX_BATCH]; /* peer.pick.asked: those left */
	uint8_t *memory;                   /* of the first of them, ... */
	uint32_t filled;                   /* ... and its bytes so far */
	bool needless; /* all that is left has come from others */

	struct rate_turn turn; /* in the line for the rate limit */
	size_t allowed;        /* bytes that it has let pass */

	struct request request;
};

struct web_seeds {
	/* Set before the threads start. */
	struct session_torrent *st;
	const char *const *urls;
	size_t url_count;

	atomic_bool stopping;
	atomic_size_t next; /* which of the URLs is tried next */
	size_t count;       /* threads */
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
static bool of_use(struct web_seed *w)
{
	size_t places[MAX_BATCH];
	size_t left = w->peer.pick.asked_count;

	if (left > 0 &&
		torrent_prune(w->all->st->torrent, &w->peer, places,
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

	(void)torrent_prune(t, &w->peer, NULL, 0); /* a letter that is read */
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

/* ---- what libcurl calls; another value than the length ends the transfer ----
 */

static size_t refuse(
	struct request *r, enum web_seed_answer answer, const char *why)
{
	r->judged = true;
	r->answer = answer;
	error_set(&r->why, "%s", why);
	return 0;
}

static size_t on_header(char *bytes, size_t size, size_t count, void *ctx)
{
	static const char name[] = "content-range:";
	struct web_seed *w = ctx;
	struct request *r = &w->request;
	struct span line = {(const uint8_t *)bytes, size * count};

	r->header_bytes += line.len;
	if (r->header_bytes > MAX_HEADERS)
		return refuse(r, WEB_SEED_NEVER, "headers too long");
	if (line.len >= 5 && memcmp(line.at, "HTTP/", 5) == 0)
		r->has_range = false; /* one more answer: a redirect's before */
	if (line.len >= sizeof(name) - 1 &&
		strncasecmp(bytes, name, sizeof(name) - 1) == 0)
		r->has_range = content_range_read(
			(struct span){line.at + sizeof(name) - 1,
				line.len - (sizeof(name) - 1)},
			&r->range);
	return line.len;
}

static enum web_seed_answer judge(struct web_seed *w)
{
	struct request *r = &w->request;
	long status = 0;

	if (!r->judged) {
		(void)curl_easy_getinfo(
			w->curl, CURLINFO_RESPONSE_CODE, &status);
		r->answer = web_seed_judge(&r->asked, status,
			r->has_range ? &r->range : NULL, &r->why);
		r->judged = true;
	}
	return r->answer;
}

/* False: not now, the transfer is to be paused. */
static bool within_limit(struct web_seed *w, size_t len)
{
	struct rate_limit *limit = w->all->st->session->download_limit;
	struct request *r = &w->request;
	uint64_t now = clock_ms();
	uint64_t wait_ms = NAP_MS;

	if (rate_limit_rate(limit) == 0)
		return true;
	if (w->allowed < len)
		w->allowed += rate_limit_take(
			limit, &w->turn, now, r->left - w->allowed, &wait_ms);
	if (w->allowed < len) {
		r->resume_ms = now + wait_ms;
		return false;
	}
	w->allowed -= len;
	return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct web_seed *w = ctx;
	struct request *r = &w->request;
	struct session_torrent *st = w->all->st;
	size_t len = size * count;

	if (judge(w) != WEB_SEED_GOOD || !of_use(w))
		return 0;
	if (len > r->left)
		return refuse(
			r, WEB_SEED_NEVER, "it sends more than was asked for");
	if (!within_limit(w, len))
		return CURL_WRITEFUNC_PAUSE;
	if (!w->connected) {
		w->connected = true;
		tell(w, PEER_CONNECTED, "");
	}
	r->left -= len;
	r->moved += len;
	if (r->moved >= STALL_BYTES) {
		r->moved = 0;
		r->moved_ms = clock_ms();
	}
	atomic_fetch_add(&st->downloaded, len);
	if (!take_bytes(w, bytes, len))
		return refuse(r, WEB_SEED_LATER, "out of memory");
	return len;
}

/* Under a limit the server must not send ahead of what we read, as far as the
 * socket's buffer goes. */
static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	const struct web_seed *w = ctx;
	uint64_t rate = rate_limit_rate(w->all->st->session->download_limit);

	(void)purpose;
	if (rate > 0 && rate < LIMIT_FOR_BUFFER) {
		int size = (int)(rate / 4); /* for the longest round trips */
		if (size < LEAST_BUFFER)
			size = LEAST_BUFFER;
		(void)setsockopt(
			fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	return CURL_SOCKOPT_OK;
}

/* ---- requests ---- */

/* What is the same for all requests to a web seed. */
static bool set_options(struct web_seed *w)
{
	CURL *curl = w->curl;
	bool ok = http_request_prepare(curl, w->all->st->session->bind);

	ok &= !curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
	ok &= !curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, w);
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEDATA, w);
	ok &= !curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	ok &= !curl_easy_setopt(curl, CURLOPT_HEADERDATA, w);
	return ok;
}

/* Let what the rate limit has held up go on, when it is time or we were woken.
 * Returns how long to wait for more; CURLE_OK in *ret_code unless that ended
 * the transfer. */
static int pace(
	struct web_seed *w, uint64_t now_ms, bool woken, CURLcode *ret_code)
{
	struct request *r = &w->request;

	*ret_code = CURLE_OK;
	if (r->resume_ms != 0 && (woken || now_ms >= r->resume_ms)) {
		r->resume_ms = 0;
		r->moved_ms = now_ms;
		*ret_code = curl_easy_pause(w->curl, CURLPAUSE_CONT);
	}
	uint64_t wait_ms = r->resume_ms > now_ms ? r->resume_ms - now_ms : 0;
	return wait_ms > 0 && wait_ms < NAP_MS ? (int)wait_ms : NAP_MS;
}

/* Run the transfer, which was added to the multi handle, to its end. */
static CURLcode run_transfer(struct web_seed *w)
{
	struct request *r = &w->request;
	struct curl_waitfd wake = {
		.fd = w->wake_fd, .events = CURL_WAIT_POLLIN};
	int running = 1;
	int queued;
	bool woken = false;
	CURLcode code;

	while (curl_multi_perform(w->multi, &running) == CURLM_OK &&
		running > 0) {
		uint64_t now = clock_ms();

		if (!of_use(w))
			return CURLE_ABORTED_BY_CALLBACK;
		if (r->resume_ms == 0 && now - r->moved_ms >= STALL_MS)
			return CURLE_OPERATION_TIMEDOUT;
		int timeout = pace(w, now, woken, &code);
		if (code != CURLE_OK)
			return code;
		(void)curl_multi_poll(w->multi, &wake, 1, timeout, NULL);
		woken = drain(w);
	}

	const CURLMsg *message = curl_multi_info_read(w->multi, &queued);
	return message && message->msg == CURLMSG_DONE ? message->data.result
						       : CURLE_OUT_OF_MEMORY;
}

/* How a request ended that nothing was said against while it ran. */
static enum web_seed_answer conclude(struct web_seed *w, CURLcode code)
{
	struct request *r = &w->request;

	switch ((int)code) {
	case CURLE_OK:
		if (judge(w) != WEB_SEED_GOOD || r->left == 0)
			break;
		(void)refuse(r, WEB_SEED_LATER, "the answer is cut short");
		break;
	case CURLE_TOO_MANY_REDIRECTS:
		(void)refuse(r, WEB_SEED_NEVER, "too many redirects");
		break;
	case CURLE_URL_MALFORMAT:
		(void)refuse(r, WEB_SEED_NEVER, "an unusable URL");
		break;
	case CURLE_UNSUPPORTED_PROTOCOL:
		(void)refuse(r, WEB_SEED_NEVER,
			"redirected to something that is not http or https");
		break;
	case CURLE_OPERATION_TIMEDOUT:
		(void)refuse(r, WEB_SEED_LATER, "timed out");
		break;
	default:
		(void)refuse(r, WEB_SEED_LATER, curl_easy_strerror(code));
		break;
	}
	return r->answer;
}

/* Fetch a stretch of one file.  What was not of use any more, or cut off by our
 * end, is GOOD as far as it came. */
static enum web_seed_answer fetch_part(
	struct web_seed *w, const struct layout_part *part)
{
	const struct metainfo *m = w->all->st->m;
	struct request *r = &w->request;
	char url[WEB_SEED_URL_SIZE];
	char range[48];

	*r = (struct request){
		.asked = {part->offset, part->len, m->files[part->file].length},
		.left = part->len,
		.moved_ms = clock_ms(),
	};
	snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, part->offset,
		part->offset + (part->len - 1));
	if (!web_seed_url(m, w->url, part->file, url) ||
		curl_easy_setopt(w->curl, CURLOPT_URL, url) ||
		curl_easy_setopt(w->curl, CURLOPT_RANGE, range) ||
		curl_multi_add_handle(w->multi, w->curl) != CURLM_OK) {
		(void)refuse(r, WEB_SEED_LATER, "out of memory");
		return r->answer;
	}
	CURLcode code = run_transfer(w);
	(void)curl_multi_remove_handle(w->multi, w->curl);

	if (r->judged && r->answer != WEB_SEED_GOOD)
		return r->answer;
	if (code != CURLE_OK && !of_use(w))
		return WEB_SEED_GOOD;
	return conclude(w, code);
}

/* Fetch the blocks that were reserved, as far as that goes well. */
static enum web_seed_answer fetch(struct web_seed *w)
{
	const struct metainfo *m = w->all->st->m;
	enum web_seed_answer answer = WEB_SEED_GOOD;
	struct layout_part part;

	w->needless = false;
	w->filled = 0;
	while (answer == WEB_SEED_GOOD && w->peer.pick.asked_count > 0 &&
		of_use(w)) {
		struct block_run run = block_run_first(
			m, w->peer.pick.asked, w->peer.pick.asked_count);
		struct layout_walk walk = layout_walk(m, run.offset, run.len);

		while (answer == WEB_SEED_GOOD && of_use(w) &&
			layout_next(&walk, &part)) {
			if (part.file != LAYOUT_NO_FILE) {
				answer = fetch_part(w, &part);
			} else if (!take_bytes(w, NULL, part.len)) {
				(void)refuse(&w->request, WEB_SEED_LATER,
					"out of memory");
				answer = WEB_SEED_LATER;
			}
		}
	}
	return answer;
}

/* ---- one web seed, from start to end ---- */

static void adapt_batch(struct web_seed *w, size_t fetched, uint64_t took_ms)
{
	if (took_ms < QUICK_MS && fetched == w->batch && w->batch < MAX_BATCH)
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

/* Reserve some blocks and fetch them. */
static enum web_seed_answer take_turn(struct web_seed *w)
{
	struct torrent *t = w->all->st->torrent;
	struct picker_peer *pick = &w->peer.pick;
	uint64_t start_ms = clock_ms();
	size_t count = torrent_reserve(t, &w->peer, w->blocks, batch_now(w));

	if (count == 0) {
		wait_for_news(w);
		return WEB_SEED_GOOD;
	}
	block_run_sort(w->blocks, count);
	pick->asked = w->blocks;
	pick->asked_count = count;
	enum web_seed_answer answer = fetch(w);
	if (pick->asked_count > 0)
		torrent_release(t, &w->peer, pick->asked, pick->asked_count,
			answer != WEB_SEED_GOOD);
	else
		adapt_batch(w, count, clock_ms() - start_ms);
	pick->asked_count = 0;
	return answer;
}

static void warn(const struct web_seed *w, const char *then)
{
	struct session_torrent *st = w->all->st;

	pthread_mutex_lock(&st->lock);
	snprintf(st->web_seed_word, sizeof(st->web_seed_word), "%.50s: %.100s",
		w->host, w->request.why.text);
	pthread_mutex_unlock(&st->lock);
	session_torrent_warn(st, "%s: web seed %s: %s%s", st->m->name, w->host,
		w->request.why.text, then);
}

/* Use it until it is not wanted, or found to be none. */
static const char *converse(struct web_seed *w)
{
	uint64_t back_off_ms = 0;

	while (goes_on(w)) {
		if (torrent_peer_corrupt(&w->peer))
			return "banned"; /* the judge has told why */
		switch (take_turn(w)) {
		case WEB_SEED_GOOD:
			back_off_ms = 0;
			break;
		case WEB_SEED_NEVER:
			warn(w, "; it is not used any more");
			return w->request.why.text;
		case WEB_SEED_LATER:
			/* One warning for a row of failures. */
			if (back_off_ms == 0)
				warn(w, "");
			back_off_ms = back_off_ms == 0 ? BACK_OFF_MS
				: back_off_ms < MAX_BACK_OFF_MS / 2
				? back_off_ms * 2
				: MAX_BACK_OFF_MS;
			w->batch = FIRST_BATCH;
			wait_until(w, clock_ms() + back_off_ms);
			break;
		}
	}
	return "stopped";
}

/* Pieces of files that it cannot be asked for it does not have. */
static void fill_has(struct web_seed *w)
{
	const struct metainfo *m = w->all->st->m;
	struct bitfield *has = &w->peer.pick.has;
	char url[WEB_SEED_URL_SIZE];
	uint32_t first, end;

	bitfield_set_all(has);
	for (size_t i = 0; i < m->file_count; i++) {
		if (m->files[i].pad || web_seed_url(m, w->url, i, url))
			continue;
		layout_file_pieces(m, i, &first, &end);
		for (uint32_t p = first; p < end; p++)
			if (bitfield_has(has, p))
				bitfield_clear(has, p);
	}
}

/* See the header: 100::PLACE. */
static struct endpoint identity(size_t place)
{
	struct endpoint e = {.ip = {[0] = 0x01, [15] = (uint8_t)(place + 1)}};

	_Static_assert(METAINFO_MAX_WEB_SEEDS < UINT8_MAX, "");
	return e;
}

static void use(struct web_seed *w, size_t place)
{
	struct session_torrent *st = w->all->st;
	const char *reason;

	w->url = w->all->urls[place];
	web_seed_host(w->url, w->host, sizeof(w->host));
	w->connected = false;
	w->batch = FIRST_BATCH;
	w->peer = (struct torrent_peer){.wake_fd = w->wake_fd};
	w->peer.pick.address = identity(place);
	w->curl = curl_easy_init();
	w->multi = curl_multi_init();
	if (w->curl && w->multi && set_options(w) &&
		bitfield_init(&w->peer.pick.has, st->m->piece_count)) {
		fill_has(w);
		torrent_join(st->torrent, &w->peer);
		torrent_peer_has_many(st->torrent, &w->peer, true);
		reason = converse(w);
		torrent_leave(st->torrent, &w->peer);
		if (w->connected)
			tell(w, PEER_CLOSED, reason);
	} else {
		error_set(&w->request.why, "out of memory");
		warn(w, "");
	}
	rate_limit_leave(st->session->download_limit, &w->turn);
	rate_limit_return(st->session->download_limit, (int64_t)w->allowed);
	w->allowed = 0;
	block_pool_give(st->session->blocks, &w->memory, 1);
	w->memory = NULL;
	bitfield_finish(&w->peer.pick.has);
	curl_easy_cleanup(w->curl);
	curl_multi_cleanup(w->multi);
}

static void *run(void *ctx)
{
	struct web_seed *w = ctx;
	size_t place;

	while (goes_on(w) &&
		(place = atomic_fetch_add(&w->all->next, 1)) <
			w->all->url_count)
		use(w, place);
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
	w->turn.wake_fd = w->wake_fd;
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
		all->url_count = count;
		for (; all->count < wanted; all->count++) {
			all->seeds[all->count].all = all;
			if (!start_thread(&all->seeds[all->count]))
				break;
		}
	}
	if (!all || all->count == 0) {
		session_torrent_warn(
			st, "%s: no thread for its web seeds", st->m->name);
		free(all);
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
	free(seeds);
}
