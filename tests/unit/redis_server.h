#ifndef TESTS_UNIT_REDIS_SERVER_H
#define TESTS_UNIT_REDIS_SERVER_H

#include <criterion/criterion.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/clock.h"
#include "tests/unit/temp_folder.h"
#include "tracker/redis_link.h"
#include "tracker/redis_url.h"

/* A redis-server of the test's own, on a Unix socket in a folder of its own and
 * with nothing on disk. */
struct redis_server {
	struct temp_folder folder;
	struct redis_url url;
	pid_t pid; /* 0: none is running */
};

/* A reply to a command of a few words; the caller's.  NULL: nobody is there. */
static inline redisReply *redis_server_try(
	const struct redis_server *s, const char *const *words)
{
	uint64_t deadline_ms = clock_ms() + 5000;
	struct redis_command c = {0};
	redisReply *reply = NULL;
	struct error err;
	struct redis_link *link =
		redis_link_open(NULL, &s->url, deadline_ms, &err);

	for (; *words; words++)
		redis_command_add_text(&c, *words);
	if (link && redis_link_send(link, &c) &&
		redis_link_receive(link, deadline_ms, &reply, &err) !=
			REDIS_RECEIVED)
		reply = NULL;
	redis_link_close(link);
	return reply;
}

#define REDIS_WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* A number it replies with; -1: something else. */
static inline long long redis_server_number(
	const struct redis_server *s, const char *const *words)
{
	redisReply *reply = redis_server_try(s, words);

	cr_assert(reply, "redis-server does not answer");
	cr_assert(reply->type != REDIS_REPLY_ERROR, "%s", reply->str);
	long long number =
		reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
	redis_reply_free(reply);
	return number;
}

static inline void redis_server_start(struct redis_server *s)
{
	s->pid = fork();
	cr_assert(s->pid >= 0);
	if (s->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("redis-server", "redis-server", "--port", "0",
			"--unixsocket", s->url.path, "--save", "",
			"--appendonly", "no", "--dir", s->folder.path,
			"--loglevel", "warning", "--logfile", "log", NULL);
		_exit(127);
	}
	for (int tries = 0; tries < 1000; tries++) {
		redisReply *reply = redis_server_try(s, REDIS_WORDS("PING"));

		redis_reply_free(reply);
		if (reply)
			return;
		poll(NULL, 0, 10);
	}
	cr_assert_fail("redis-server does not start");
}

static inline struct redis_server redis_server_make(void)
{
	struct redis_server s = {.folder = temp_folder_make()};

	snprintf(s.url.path, sizeof(s.url.path), "%s/socket", s.folder.path);
	redis_server_start(&s);
	return s;
}

static inline void redis_server_kill(struct redis_server *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
	}
	s->pid = 0;
}

static inline void redis_server_remove(struct redis_server *s)
{
	redis_server_kill(s);
	temp_folder_remove(&s->folder);
}

#endif
