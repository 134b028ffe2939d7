#include "tracker/redis_link.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "shared/buffer.h"
#include "shared/clock.h"
#include "shared/net.h"
#include "tracker/redis_url.h"

enum {
	/* What may wait to be sent: the longest scrape takes 80 KiB. */
	MAX_OUT = 1 << 20,

	/* What may be received for one reply: 400 peers take 10 KiB. */
	MAX_REPLY = 1 << 20,

	READ_SIZE = 16 * 1024,
};

struct redis_link {
	struct redis_link *next;
	int fd;
	redisReader *reader;
	struct buffer out;
	size_t received; /* bytes since the last reply */
};

/* --- Commands --- */

void redis_command_add(struct redis_command *c, struct span word)
{
	if (c->count < REDIS_MAX_WORDS)
		c->words[c->count++] = word;
}

void redis_command_add_text(struct redis_command *c, const char *word)
{
	redis_command_add(
		c, (struct span){(const uint8_t *)word, strlen(word)});
}

bool redis_link_send(struct redis_link *link, const struct redis_command *c)
{
	const char *words[REDIS_MAX_WORDS];
	size_t lens[REDIS_MAX_WORDS];
	char *bytes = NULL;

	for (size_t i = 0; i < c->count; i++) {
		words[i] = (const char *)c->words[i].at;
		lens[i] = c->words[i].len;
	}
	int len = redisFormatCommandArgv(&bytes, (int)c->count, words, lens);
	if (len < 0)
		return false;
	bool ok = buffer_append(&link->out, bytes, (size_t)len);
	redisFreeCommand(bytes);
	return ok;
}

/* --- To and fro --- */

static bool would_wait(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static bool send_some(struct redis_link *link)
{
	ssize_t n = send(link->fd, link->out.bytes, link->out.len,
		MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n > 0)
		buffer_drop(&link->out, (size_t)n);
	return n >= 0 || would_wait(errno);
}

static bool receive_some(struct redis_link *link, struct error *err)
{
	char bytes[READ_SIZE];
	ssize_t n = recv(link->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0)
		return error_set(err, "the connection was closed");
	if (n < 0)
		return would_wait(errno) ||
			error_set_errno(err, "the connection failed");
	link->received += (size_t)n;
	if (link->received > MAX_REPLY)
		return error_set(err, "the reply is too long");
	return redisReaderFeed(link->reader, bytes, (size_t)n) == REDIS_OK ||
		error_set(err, "%s", link->reader->errstr);
}

/* Wait till the socket has something, or takes something. */
static enum redis_received wait_for_it(
	struct redis_link *link, uint64_t deadline_ms, struct error *err)
{
	struct pollfd polled = {.fd = link->fd, .events = POLLIN};
	uint64_t now_ms = clock_ms();

	if (link->out.len > 0)
		polled.events |= POLLOUT;
	/* What has come is read even when it is late: it may be us who were
	 * held up. */
	int n = poll(&polled, 1,
		now_ms < deadline_ms ? (int)(deadline_ms - now_ms) : 0);
	if (n == 0) {
		error_set(err, "no answer");
		return REDIS_LATE;
	}
	if (n < 0 && errno != EINTR) {
		error_set_errno(err, "the connection failed");
		return REDIS_CLOSED;
	}
	return REDIS_RECEIVED;
}

enum redis_received redis_link_receive(struct redis_link *link,
	uint64_t deadline_ms, struct redisReply **ret, struct error *err)
{
	void *reply = NULL;

	for (;;) {
		if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
			error_set(err, "%s", link->reader->errstr);
			return REDIS_CLOSED;
		}
		if (reply)
			break;
		if (link->out.len > 0 && !send_some(link)) {
			error_set_errno(err, "the connection failed");
			return REDIS_CLOSED;
		}
		enum redis_received waited =
			wait_for_it(link, deadline_ms, err);
		if (waited != REDIS_RECEIVED)
			return waited;
		if (!receive_some(link, err))
			return REDIS_CLOSED;
	}
	link->received = 0;
	*ret = reply;
	return REDIS_RECEIVED;
}

void redis_reply_free(struct redisReply *reply)
{
	if (reply)
		freeReplyObject(reply);
}

void redis_replies_free(struct redisReply **replies, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		redis_reply_free(replies[i]);
		replies[i] = NULL;
	}
}

/* --- Opening --- */

static int dial_path(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	_Static_assert(
		sizeof(((struct redis_url *)0)->path) <= sizeof(sa.sun_path),
		"every path fits");
	memcpy(sa.sun_path, path, strlen(path) + 1);
	/* At once, or never: EAGAIN says that too many are waiting there. */
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

static bool introduce(struct redis_link *link, const struct redis_url *url,
	uint64_t deadline_ms, struct error *err)
{
	struct redis_command c = {0};
	unsigned replies = 0;
	char db[16];
	bool ok = true;

	if (url->password[0] != '\0') {
		redis_command_add_text(&c, "AUTH");
		if (url->user[0] != '\0')
			redis_command_add_text(&c, url->user);
		redis_command_add_text(&c, url->password);
		replies += redis_link_send(link, &c);
	}
	if (url->db != 0) {
		c.count = 0;
		redis_command_add_text(&c, "SELECT");
		snprintf(db, sizeof(db), "%" PRIu32, url->db);
		redis_command_add_text(&c, db);
		replies += redis_link_send(link, &c);
	}
	for (; ok && replies > 0; replies--) {
		redisReply *reply = NULL;

		ok = redis_link_receive(link, deadline_ms, &reply, err) ==
			REDIS_RECEIVED;
		if (ok && reply->type == REDIS_REPLY_ERROR)
			ok = error_set(err, "%s", reply->str);
		redis_reply_free(reply);
	}
	return ok;
}

struct redis_link *redis_link_open(const struct endpoint *at,
	const struct redis_url *url, uint64_t deadline_ms, struct error *err)
{
	struct redis_link *link = calloc(1, sizeof(*link));
	uint64_t now_ms = clock_ms();
	unsigned left_ms =
		now_ms < deadline_ms ? (unsigned)(deadline_ms - now_ms) : 0;

	if (!link) {
		error_set(err, "out of memory");
		return NULL;
	}
	buffer_init(&link->out, MAX_OUT);
	link->fd = url->path[0] != '\0' ? dial_path(url->path)
					: net_dial(at, NULL, left_ms, -1);
	link->reader = redisReaderCreate();
	if (link->fd < 0)
		error_set_errno(err, "cannot connect");
	else if (!link->reader)
		error_set(err, "out of memory");
	else if (introduce(link, url, deadline_ms, err))
		return link;
	redis_link_close(link);
	return NULL;
}

void redis_link_close(struct redis_link *link)
{
	if (!link)
		return;
	if (link->fd >= 0)
		close(link->fd);
	if (link->reader)
		redisReaderFree(link->reader);
	buffer_finish(&link->out);
	free(link);
}

struct redis_link **redis_link_next(struct redis_link *link)
{
	return &link->next;
}
