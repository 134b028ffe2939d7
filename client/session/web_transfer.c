#include "client/session/web_transfer.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "client/discovery/http_request.h"
#include "client/session/rate_limit.h"
#include "shared/clock.h"

enum {
	/* Less than so much has come in so long: given up. */
	STALL_MS = 30 * 1000,
	STALL_BYTES = 4096,

	/* Read at once.  With a limit libcurl's own size, since what was read
	 * must be let pass as a whole. */
	RECEIVE_SIZE = 256 * 1024,

	/* For lower limits the receive buffer is made smaller. */
	LIMIT_FOR_BUFFER = 1024 * 1024,
	LEAST_BUFFER = 4096,

	LOOK_MS = 1000, /* whether it is still of use is asked so often */
};

/* One request under way. */
struct request {
	struct web_seed_request asked;
	uint64_t left; /* bytes still to come */
	bool has_range;
	struct content_range range;

	bool whole;  /* all of the file comes, and ... */
	uint64_t at; /* ... so much of it has */
	bool enough; /* no more of that is wanted */
	uint64_t *may_pass_over;

	bool judged;
	enum web_seed_answer answer; /* of the whole request, in the end */
	struct error why;            /* unless it is good */

	uint64_t moved_ms;  /* the last STALL_BYTES were whole then, ... */
	uint64_t moved;     /* ... and so much of the next has come */
	uint64_t resume_ms; /* paused by the rate limit until then; 0: not */
};

struct web_transfer {
	struct web_transfer_options options;
	CURL *curl;
	CURLM *multi;
	struct http_notes notes;

	struct rate_turn turn; /* in the line for the rate limit */
	size_t allowed;        /* bytes that it has let pass */

	struct request request;
};

static bool of_use(const struct web_transfer *t)
{
	return t->options.of_use(t->options.ctx);
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
	struct web_transfer *t = ctx;
	struct request *r = &t->request;
	struct span line = {(const uint8_t *)bytes, size * count};

	if (!http_request_count_header(&t->notes, line.len))
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

static enum web_seed_answer judge(struct web_transfer *t)
{
	struct request *r = &t->request;
	struct web_seed_head head = {
		.has_range = r->has_range, .range = r->range, .len = -1};
	curl_off_t len = -1;

	if (r->judged)
		return r->answer;
	(void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &head.status);
	(void)curl_easy_getinfo(
		t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &len);
	head.len = len;
	r->answer = web_seed_judge(&r->asked, &head, &r->why);
	r->judged = true;
	r->whole = r->answer == WEB_SEED_WHOLE;
	if (r->whole)
		r->answer = WEB_SEED_GOOD;
	return r->answer;
}

/* False: not now, the transfer is to be paused. */
static bool within_limit(struct web_transfer *t, size_t len)
{
	struct rate_limit *limit = t->options.limit;
	struct request *r = &t->request;
	uint64_t now = clock_ms();
	uint64_t wait_ms = LOOK_MS;

	if (rate_limit_rate(limit) == 0)
		return true;
	if (t->allowed < len)
		t->allowed += rate_limit_take(limit, &t->turn, now,
			(len > r->left ? len : r->left) - t->allowed, &wait_ms);
	if (t->allowed < len) {
		if (r->resume_ms == 0)
			atomic_fetch_add(t->options.limited, 1);
		r->resume_ms = now + wait_ms;
		return false;
	}
	t->allowed -= len;
	return true;
}

/* Of a file that comes as a whole: what is wanted of these bytes.  False: end
 * the transfer. */
static bool pick_out(struct web_transfer *t, const char *bytes, size_t len)
{
	struct request *r = &t->request;

	while (len > 0 && !r->enough) {
		bool before = r->at < r->asked.offset;
		uint64_t most = before ? r->asked.offset - r->at : r->left;
		size_t part = len < most ? len : (size_t)most;

		if (before && part > *r->may_pass_over)
			return refuse(
				r, WEB_SEED_LACKS, "it does not serve ranges");
		if (before)
			*r->may_pass_over -= part;
		else if (!t->options.take(t->options.ctx, bytes, part))
			return refuse(r, WEB_SEED_LATER, "out of memory");
		else
			r->left -= part;
		r->at += part;
		bytes += part;
		len -= part;
		if (r->left > 0)
			continue;
		r->enough = !of_use(t) ||
			!t->options.next(t->options.ctx, r->at, &r->asked);
		r->left = r->enough ? 0 : r->asked.len;
		r->moved_ms = clock_ms(); /* that may have been a long wait */
	}
	return !r->enough;
}

static bool take(struct web_transfer *t, const char *bytes, size_t len)
{
	struct request *r = &t->request;

	if (r->whole)
		return pick_out(t, bytes, len);
	r->left -= len;
	return t->options.take(t->options.ctx, bytes, len) ||
		refuse(r, WEB_SEED_LATER, "out of memory");
}

static size_t on_body(char *bytes, size_t size, size_t count, void *ctx)
{
	struct web_transfer *t = ctx;
	struct request *r = &t->request;
	size_t len = size * count;

	if (judge(t) != WEB_SEED_GOOD || !of_use(t))
		return 0;
	if (len > r->left && !r->whole)
		return refuse(
			r, WEB_SEED_NEVER, "it sends more than was asked for");
	if (!within_limit(t, len))
		return CURL_WRITEFUNC_PAUSE;
	r->moved += len;
	if (r->moved >= STALL_BYTES) {
		r->moved = 0;
		r->moved_ms = clock_ms();
	}
	return take(t, bytes, len) ? len : 0;
}

/* Under a limit the server must not send ahead of what we read, as far as the
 * socket's buffer goes. */
static int on_socket(void *ctx, curl_socket_t fd, curlsocktype purpose)
{
	const struct web_transfer *t = ctx;
	uint64_t rate = rate_limit_rate(t->options.limit);

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

/* ---- one request ---- */

/* Let what the rate limit has held up go on, when it is time or we were woken.
 * Returns how long to wait for more; CURLE_OK in *ret_code unless that ended
 * the transfer. */
static int pace(
	struct web_transfer *t, uint64_t now_ms, bool woken, CURLcode *ret_code)
{
	struct request *r = &t->request;

	*ret_code = CURLE_OK;
	if (r->resume_ms != 0 && (woken || now_ms >= r->resume_ms)) {
		r->resume_ms = 0;
		atomic_fetch_sub(t->options.limited, 1);
		r->moved_ms = now_ms;
		*ret_code = curl_easy_pause(t->curl, CURLPAUSE_CONT);
	}
	uint64_t wait_ms = r->resume_ms > now_ms ? r->resume_ms - now_ms : 0;
	return wait_ms > 0 && wait_ms < LOOK_MS ? (int)wait_ms : LOOK_MS;
}

/* Returns whether somebody has woken us. */
static bool drain(const struct web_transfer *t)
{
	uint64_t ignored;

	return read(t->options.wake_fd, &ignored, sizeof(ignored)) > 0;
}

/* Run the transfer, which was added to the multi handle, to its end. */
static CURLcode run_transfer(struct web_transfer *t)
{
	struct request *r = &t->request;
	struct curl_waitfd wake = {
		.fd = t->options.wake_fd, .events = CURL_WAIT_POLLIN};
	int running = 1;
	int queued;
	bool woken = false;
	CURLcode code;

	while (curl_multi_perform(t->multi, &running) == CURLM_OK &&
		running > 0) {
		uint64_t now = clock_ms();

		if (!of_use(t))
			return CURLE_ABORTED_BY_CALLBACK;
		if (r->resume_ms == 0 && now - r->moved_ms >= STALL_MS)
			return CURLE_OPERATION_TIMEDOUT;
		int timeout = pace(t, now, woken, &code);
		if (code != CURLE_OK)
			return code;
		(void)curl_multi_poll(t->multi, &wake, 1, timeout, NULL);
		woken = drain(t);
	}

	const CURLMsg *message = curl_multi_info_read(t->multi, &queued);
	return message && message->msg == CURLMSG_DONE ? message->data.result
						       : CURLE_OUT_OF_MEMORY;
}

/* How a request ended that nothing was said against while it ran. */
static void conclude(struct web_transfer *t, CURLcode code)
{
	struct request *r = &t->request;
	struct error why;

	if (http_request_tls_failed(code, &t->notes, &why)) {
		(void)refuse(r, WEB_SEED_LATER, why.text);
		return;
	}
	switch ((int)code) {
	case CURLE_OK:
		if (judge(t) == WEB_SEED_GOOD && r->left > 0)
			(void)refuse(
				r, WEB_SEED_LATER, "the answer is cut short");
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
}

static void fetch(struct web_transfer *t, const char *url)
{
	struct request *r = &t->request;
	char range[48];

	snprintf(range, sizeof(range), "%" PRIu64 "-%" PRIu64, r->asked.offset,
		r->asked.offset + (r->asked.len - 1));
	if (curl_easy_setopt(t->curl, CURLOPT_URL, url) ||
		curl_easy_setopt(t->curl, CURLOPT_RANGE, range) ||
		curl_multi_add_handle(t->multi, t->curl) != CURLM_OK) {
		(void)refuse(r, WEB_SEED_LATER, "out of memory");
		return;
	}
	CURLcode code = run_transfer(t);
	(void)curl_multi_remove_handle(t->multi, t->curl);

	if (r->judged && r->answer != WEB_SEED_GOOD)
		return;
	if (r->enough || (code != CURLE_OK && !of_use(t)))
		r->answer = WEB_SEED_GOOD; /* as far as it came */
	else
		conclude(t, code);
}

enum web_seed_answer web_transfer_run(struct web_transfer *t, const char *url,
	const struct web_seed_request *request, uint64_t *may_pass_over,
	struct error *err)
{
	t->request = (struct request){
		.asked = *request,
		.left = request->len,
		.may_pass_over = may_pass_over,
		.moved_ms = clock_ms(),
	};
	t->notes.header_bytes = 0;
	fetch(t, url);
	if (t->request.resume_ms != 0)
		atomic_fetch_sub(t->options.limited, 1);
	/* What one does not wait for must not hold up those behind it. */
	rate_limit_leave(t->options.limit, &t->turn);
	rate_limit_return(t->options.limit, (int64_t)t->allowed);
	t->allowed = 0;
	if (t->request.answer != WEB_SEED_GOOD)
		*err = t->request.why;
	return t->request.answer;
}

uint64_t web_transfer_retry_ms(const struct web_transfer *t)
{
	curl_off_t seconds = 0;

	(void)curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &seconds);
	if (seconds <= 0 || seconds > INT32_MAX)
		return 0;
	return (uint64_t)seconds * 1000;
}

/* ---- beginning and end ---- */

/* What is the same for all requests. */
static bool set_options(struct web_transfer *t)
{
	CURL *curl = t->curl;
	bool ok = http_request_prepare(curl, t->options.bind, &t->notes);

	if (rate_limit_rate(t->options.limit) == 0)
		ok &= !curl_easy_setopt(
			curl, CURLOPT_BUFFERSIZE, (long)RECEIVE_SIZE);
	ok &= !curl_easy_setopt(curl, CURLOPT_SOCKOPTFUNCTION, on_socket);
	ok &= !curl_easy_setopt(curl, CURLOPT_SOCKOPTDATA, t);
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	ok &= !curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
	ok &= !curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	ok &= !curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
	return ok;
}

struct web_transfer *web_transfer_create(
	const struct web_transfer_options *options)
{
	struct web_transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->options = *options;
	t->turn.wake_fd = options->wake_fd;
	t->curl = curl_easy_init();
	t->multi = curl_multi_init();
	if (!t->curl || !t->multi || !set_options(t)) {
		web_transfer_destroy(t);
		return NULL;
	}
	return t;
}

void web_transfer_destroy(struct web_transfer *t)
{
	if (!t)
		return;
	curl_easy_cleanup(t->curl);
	curl_multi_cleanup(t->multi);
	free(t);
}
