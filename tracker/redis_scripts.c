#include "tracker/redis_scripts.h"

#include <hiredis/hiredis.h>
#include <string.h>

#include "shared/clock.h"
#include "shared/digest.h"
#include "shared/log.h"
#include "shared/text.h"
#include "tracker/redis_link.h"
#include "tracker/redis_nodes.h"
#include "tracker/redis_redirect.h"
#include "tracker/wait_budget.h"

enum {
	/* Of one question: a slot that is being moved takes two. */
	MAX_REDIRECTS = 4,

	/* Questions in one round trip: a scrape may have more. */
	BATCH = 64,

	/* An unhealthy store was asked in vain so recently. */
	FAILED_MS = 2000,

	/* The same trouble is told so often at most. */
	TELL_AGAIN_MS = 10 * 1000,
};

static const char away_text[] = "the tracker's database is away, try again "
				"later";
static const char refused_text[] = "the tracker's database refuses, try again "
				   "later";
static const char slow_text[] = "the tracker's database is slow, try again "
				"later";

/* Of this thread, for all it asks. */
static _Thread_local struct wait_budget budget;

/* --- Scripts --- */

struct redis_script redis_script_of(const char *text)
{
	struct redis_script s = {.text = text};
	uint8_t sha[SHA1_SIZE];

	digest_sha1(text, strlen(text), sha);
	text_hex_encode(sha, sizeof(sha), s.sha);
	return s;
}

static struct redis_command command_of(
	const struct redis_question *q, bool whole)
{
	struct redis_command c = {0};

	_Static_assert(REDIS_MAX_ARGUMENTS + 4 <= REDIS_MAX_WORDS,
		"a script with its key and arguments fits in a command");
	redis_command_add_text(&c, whole ? "EVAL" : "EVALSHA");
	redis_command_add_text(&c, whole ? q->script->text : q->script->sha);
	redis_command_add_text(&c, "1");
	redis_command_add(&c, q->key);
	for (size_t i = 0; i < q->argument_count; i++)
		redis_command_add(&c, q->arguments[i]);
	return c;
}

/* --- Asking --- */

static bool is_error(const redisReply *reply, const char *word)
{
	return reply->type == REDIS_REPLY_ERROR &&
		strncmp(reply->str, word, strlen(word)) == 0;
}

/* A question that is not answered by whom we took for the right one. */
struct chase {
	size_t index;
	bool asking; /* say ASKING first */
	bool whole;  /* send the script */
};

/* What to do about an error; false: nothing. */
static bool follow(
	struct redis_nodes *n, const redisReply *reply, struct chase *chase)
{
	struct span text = {(const uint8_t *)reply->str, reply->len};
	struct redis_redirect r;

	if (is_error(reply, "NOSCRIPT")) {
		chase->whole = true; /* and as before: to be asked, or not */
		return true;
	}
	if (!redis_redirect_parse(text, &r) ||
		!redis_nodes_redirect(n, chase->index, &r, &chase->index))
		return false;
	chase->asking = r.ask;
	chase->whole = false;
	return true;
}

/* To the log, but not time and again. */
static void tell(struct redis_scripts *s, uint64_t now_ms, const char *trouble)
{
	uint_fast64_t told_ms = s->refusal_told_ms;
	char shown[256];

	if ((told_ms == 0 || now_ms - told_ms >= TELL_AGAIN_MS) &&
		atomic_compare_exchange_strong(
			&s->refusal_told_ms, &told_ms, now_ms))
		log_warning("redis: %s",
			text_escape_str(trouble, shown, sizeof(shown)));
}

/* Redis answered, but not with what was wanted. */
static bool refused(
	struct redis_scripts *s, const redisReply *reply, struct error *err)
{
	uint64_t now_ms = clock_ms();

	tell(s, now_ms, reply->str);
	/* The URL's name may belong to another machine by now. */
	if (is_error(reply, "READONLY"))
		redis_nodes_look_up_again(s->nodes, reply->str);
	s->failed_ms = now_ms;
	return error_set(err, "%s",
		is_error(reply, "OOM") ? "the tracker is full" : refused_text);
}

static bool is_away(struct redis_scripts *s, struct error *err)
{
	s->failed_ms = clock_ms();
	return error_set(err, "%s", away_text);
}

/* Follow one question to its answer: `*reply` is the error it got so far. */
static bool chase(struct redis_scripts *s, const struct redis_question *q,
	size_t index, uint64_t deadline_ms, redisReply **reply,
	struct error *err)
{
	struct chase c = {.index = index};

	for (int i = 0; i < MAX_REDIRECTS && follow(s->nodes, *reply, &c);
		i++) {
		struct redis_command commands[2] = {{0}};
		redisReply *replies[2] = {NULL};
		size_t count = 0;
		struct error why;

		if (c.asking)
			redis_command_add_text(&commands[count++], "ASKING");
		commands[count++] = command_of(q, c.whole);
		redis_reply_free(*reply);
		*reply = NULL;
		if (!redis_nodes_exchange(s->nodes, c.index, commands, count,
			    deadline_ms, replies, &why))
			return is_away(s, err);
		*reply = replies[count - 1];
		if (count == 2)
			redis_reply_free(replies[0]);
		if ((*reply)->type != REDIS_REPLY_ERROR)
			return true;
	}
	return refused(s, *reply, err);
}

/* Ask one node what is for it among those not answered yet, beginning with the
 * first. */
static bool ask_node(struct redis_scripts *s, const struct redis_question *q,
	size_t count, uint64_t deadline_ms, redisReply **ret, struct error *err)
{
	struct redis_command commands[BATCH];
	redisReply *replies[BATCH] = {NULL};
	size_t numbers[BATCH];
	size_t mine = 0;
	size_t index = 0, other;
	struct error why;
	bool ok = true;

	for (size_t i = 0; i < count && mine < BATCH; i++) {
		if (ret[i])
			continue;
		bool there = redis_nodes_route(
			s->nodes, redis_slot_of(q[i].key), &other);
		if (mine == 0) {
			if (!there)
				return is_away(s, err);
			index = other;
		}
		if (!there || other != index)
			continue;
		commands[mine] = command_of(&q[i], false);
		numbers[mine++] = i;
	}
	if (!redis_nodes_exchange(s->nodes, index, commands, mine, deadline_ms,
		    replies, &why))
		return is_away(s, err);
	for (size_t i = 0; i < mine; i++)
		ret[numbers[i]] = replies[i];
	for (size_t i = 0; i < mine && ok; i++) {
		if (replies[i]->type == REDIS_REPLY_ERROR)
			ok = chase(s, &q[numbers[i]], index, deadline_ms,
				&ret[numbers[i]], err);
	}
	return ok;
}

/* Answer all, one node after the other. */
static bool ask_nodes(struct redis_scripts *s, const struct redis_question *q,
	size_t count, uint64_t deadline_ms, struct redisReply **ret,
	struct error *err)
{
	size_t first = 0;

	for (size_t i = 0; i < count; i++)
		ret[i] = NULL;
	while (first < count) {
		if (!ask_node(s, q + first, count - first, deadline_ms,
			    ret + first, err)) {
			redis_replies_free(ret, count);
			return false;
		}
		while (first < count && ret[first])
			first++;
	}
	return true;
}

bool redis_scripts_ask(struct redis_scripts *s, const struct redis_question *q,
	size_t count, struct redisReply **ret, struct error *err)
{
	uint64_t now_ms = clock_ms();

	if (!wait_budget_left(&budget, now_ms)) {
		tell(s, now_ms, "it is slow; some announces are refused");
		return error_set(err, "%s", slow_text);
	}
	if (!ask_nodes(s, q, count, now_ms + REDIS_PATIENCE_MS, ret, err))
		return false; /* and nobody waits for that node any more */
	wait_budget_spend(&budget, now_ms, clock_ms());
	return true;
}

bool redis_scripts_size(struct redis_scripts *s, uint64_t *ret)
{
	uint64_t now_ms = clock_ms();

	if (!wait_budget_left(&budget, now_ms))
		return false;
	bool ok = redis_nodes_size(s->nodes, ret);
	wait_budget_spend(&budget, now_ms, clock_ms());
	return ok;
}

bool redis_scripts_healthy(struct redis_scripts *s, struct error *err)
{
	uint64_t failed_ms = s->failed_ms;
	size_t index;

	if (!redis_nodes_route(s->nodes, 0, &index))
		return error_set(err, "%s", away_text);
	if (failed_ms != 0 && clock_ms() - failed_ms < FAILED_MS)
		return error_set(err, "%s", refused_text);
	return true;
}
