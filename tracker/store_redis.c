#include "tracker/store_redis.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shared/announce.h"
#include "shared/dice.h"
#include "shared/random_bytes.h"
#include "shared/reader.h"
#include "shared/text.h"
#include "shared/writer.h"
#include "tracker/redis_link.h"
#include "tracker/redis_nodes.h"
#include "tracker/redis_scripts.h"
#include "tracker/redis_url.h"
#include "tracker/swarm_store.h"

/* A swarm is one sorted set, `tbt:{INFO HASH in hex}`: so it lies on one node
 * of a cluster, goes as a whole when its time is over, and costs one key.  A
 * member is a peer in its compact form, 6 bytes (IPv4) or 18 (IPv6).  Its score
 * says when it was heard of last, as 2 * seconds, + 1 if its `completed` was
 * counted; that is negative for a seeder.  So the set is sorted into
 *
 *	seeders, the last heard of first | leechers, the first heard of first
 *
 * and those who are due to go are side by side in the middle, however many they
 * are: to count and to skip them needs no look at each.  The member `completed`
 * stands behind all of them; its score is COMPLETED + how many there were, and
 * there is none for 0.
 *
 * Why scripts and not functions of Redis 7: a script is known by what is in it,
 * so trackers of different versions live on one Redis; it needs no right to
 * administrate, and works with older versions and kin of Redis as well. */

enum {
	KEY_SIZE = sizeof("tbt:{}") + 2 * INFO_HASH_SIZE,
	NUMBER_SIZE = 24,

	/* Seconds are counted from here, 2020-01-01: then scores fit in 32
	 * bits till 2054, which is 4 bytes less for each peer in a small
	 * swarm. */
	EPOCH_S = 1577836800,
};

/* As `before_s`, until swarm_store_expire() is called. */
static const int64_t NOBODY_DUE = INT64_MIN;

/* KEYS[1]: the swarm.  ARGV: the peer; `leecher`, `seeder`, `completed` (a
 * seeder, too) or `stopped`; the score of a leecher heard of now, and of one
 * who is just not due to go; how long the swarm is kept, in seconds; how many
 * peers are wanted; a seed for the dice; 1 if a seeder wants seeders, too; 1 if
 * only peers of its own address family are wanted.
 *
 * The reply: seeders, leechers, completed, peers, 1 if the swarm began with
 * this announce, and seeders to make up for leechers missing in peers.  Of both
 * there are at least one more than wanted if there are so many, since the peer
 * itself may be among them.  Of a large swarm they come in up to 17 runs of
 * peers that were heard of one after another, each peer as likely: one by one
 * would take thrice the time.  Of one family there are as many, unless there
 * are so few that they are not among some STEP peers.
 *
 * Of those who are due to go at most STEP do at once, lest one announce takes
 * long. */
static const char announce_text[] =
	"local key, me, state = KEYS[1], ARGV[1], ARGV[2]\n"
	"local stamp, limit = tonumber(ARGV[3]), tonumber(ARGV[4])\n"
	"local want = tonumber(ARGV[6])\n"
	"local COMPLETED, FULL, STEP = 1125899906842624, 131072, 1000\n"
	"local narrow = ARGV[9] == '1'\n"
	"local call = redis.call\n"
	"\n"
	"local card = call('ZCARD', key)\n"
	"local old = tonumber(call('ZSCORE', key, me) or 0)\n"
	"local completed = tonumber(call('ZSCORE', key, 'completed')\n"
	"  or COMPLETED) - COMPLETED\n"
	"local known = old ~= 0 and math.abs(old) >= limit\n"
	"local seeder = state == 'seeder' or state == 'completed'\n"
	"local done = known and old % 2 == 1\n"
	"local fresh = state == 'completed' and not done\n"
	"local mine = 0\n"
	"\n"
	"local function keep()\n"
	"  local score = stamp + ((done or fresh) and 1 or 0)\n"
	"  card = card + call('ZADD', key, seeder and -score or score, me)\n"
	"  if fresh then\n"
	"    completed = completed + 1\n"
	"    card = card + call('ZADD', key, COMPLETED + completed,\n"
	"      'completed')\n"
	"  end\n"
	"  call('EXPIRE', key, ARGV[5])\n"
	"  mine = 1\n"
	"end\n"
	"\n"
	"if state == 'stopped' then\n"
	"  want = 0\n"
	"  card = card - call('ZREM', key, me)\n"
	"elseif old ~= 0 or card < FULL then\n"
	"  keep()\n"
	"end\n"
	"\n"
	"local seeders = call('ZCOUNT', key, '-inf', -limit)\n"
	"local leechers = call('ZCOUNT', key, limit, COMPLETED)\n"
	"if seeders + leechers == mine and card > mine and\n"
	"    (not known or state == 'stopped') then\n"
	"  call('UNLINK', key)\n" /* it had died */
	"  card = 0\n"
	"  if not known then completed = 0 end\n"
	"  if state ~= 'stopped' then\n"
	"    keep()\n"
	"    seeders, leechers = seeder and 1 or 0, seeder and 0 or 1\n"
	"  end\n"
	"end\n"
	"\n"
	"local gap = card - seeders - leechers\n"
	"if completed > 0 then gap = gap - 1 end\n"
	"if gap > 0 then\n"
	"  gap = gap - call('ZREMRANGEBYRANK', key, seeders,\n"
	"    seeders + math.min(gap, STEP) - 1)\n"
	"end\n"
	"\n"
	"local function add(peers, from, to)\n"
	"  for _, peer in ipairs(call('ZRANGE', key, from, to)) do\n"
	"    if not narrow or #peer == #me then peers[#peers + 1] = peer end\n"
	"  end\n"
	"end\n"
	"local function take(peers, from, to)\n" /* skips the gap */
	"  if gap <= 0 or to < seeders then\n"
	"    add(peers, from, to)\n"
	"  else\n"
	"    if from < seeders then add(peers, from, seeders - 1) end\n"
	"    add(peers, math.max(from, seeders) + gap, to + gap)\n"
	"  end\n"
	"end\n"
	"\n"
	"math.randomseed(tonumber(ARGV[7]))\n"
	"local function draw(first, n, want)\n"
	"  local peers = {}\n"
	"  if n <= 2 * (want + 1) then\n"
	"    take(peers, first, first + n - 1)\n"
	"    return peers\n"
	"  end\n"
	"  local run = 1 + math.floor(want / 16)\n"
	"  local shift = math.random(0, run - 1)\n"
	"  local last = math.floor((n - 1 + shift) / run)\n"
	"  local taken = {}\n"
	/* The first and the last run may be shorter than the others. */
	"  local runs = math.floor((want + run) / run) + (run > 1 and 2 or 0)\n"
	"  for j = math.max(0, last - runs + 1), last do\n" /* Floyd's */
	"    local i = math.random(0, j)\n"
	"    if taken[i] then i = j end\n"
	"    taken[i] = true\n"
	"    take(peers, first + math.max(0, i * run - shift),\n"
	"      first + math.min(n, (i + 1) * run - shift) - 1)\n"
	"  end\n"
	"  return peers\n"
	"end\n"
	"local function choose(first, n, want)\n"
	"  if want <= 0 or n == 0 then return {} end\n"
	"  local size, peers = want, draw(first, n, want)\n"
	"  while narrow and #peers <= want and size < STEP\n"
	"      and n > 2 * (size + 1) do\n" /* there are more */
	/* Twice what the share of the family among these asks for. */
	"    size = math.min(STEP,\n"
	"      math.ceil(2 * size * (want + 1) / math.max(1, #peers)))\n"
	"    peers = draw(first, n, size)\n"
	"  end\n"
	"  return peers\n"
	"end\n"
	"\n"
	"local peers, more = nil, {}\n"
	"if seeder then\n"
	"  peers = choose(seeders, leechers, want)\n"
	"  if ARGV[8] == '1' then\n"
	"    more = choose(0, seeders, want - #peers)\n"
	"  end\n"
	"else\n"
	"  peers = choose(0, seeders + leechers, want)\n"
	"end\n"
	"local born = mine == 1 and not known and seeders + leechers == 1\n"
	"return {seeders, leechers, completed, peers, born and 1 or 0, more}\n";

/* KEYS[1]: the swarm.  ARGV[1]: the score of a leecher who is just not due to
 * go. */
static const char scrape_text[] =
	"local key, limit = KEYS[1], tonumber(ARGV[1])\n"
	"local COMPLETED = 1125899906842624\n"
	"local seeders = redis.call('ZCOUNT', key, '-inf', -limit)\n"
	"local leechers = redis.call('ZCOUNT', key, limit, COMPLETED)\n"
	"if seeders + leechers == 0 then return {0, 0, 0} end\n"
	"local completed = redis.call('ZSCORE', key, 'completed')\n"
	"return {seeders, leechers,\n"
	"  tonumber(completed or COMPLETED) - COMPLETED}\n";

struct store_redis {
	struct swarm_store base;
	struct redis_scripts scripts;
	struct redis_script announce;
	struct redis_script scrape;
	uint64_t keep_s;
	bool callers_time;
	atomic_int_fast64_t before_s; /* on the caller's clock: who was not
				       * heard of since is due to go; may be
				       * before 0, or NOBODY_DUE */
	atomic_uint_fast64_t turn;    /* one further for each announce */
};

/* --- Questions --- */

static struct span span_of(const char *text)
{
	return (struct span){(const uint8_t *)text, strlen(text)};
}

static struct span key_of(const struct info_hash *hash, char ret[KEY_SIZE])
{
	char hex[2 * INFO_HASH_SIZE + 1];

	text_hex_encode(hash->bytes, INFO_HASH_SIZE, hex);
	snprintf(ret, KEY_SIZE, "tbt:{%s}", hex);
	return span_of(ret);
}

/* The score of a leecher heard of at that time: never 0, which is nobody's. */
static uint64_t score_of(const struct store_redis *s, int64_t time_s)
{
	if (!s->callers_time)
		time_s += redis_nodes_time_offset(s->scripts.nodes) - EPOCH_S;
	return 2 * ((uint64_t)(time_s > 0 ? time_s : 0) + 1);
}

/* 0: nobody is due to go yet. */
static uint64_t limit_of(const struct store_redis *s)
{
	int64_t before_s = s->before_s;

	return before_s != NOBODY_DUE ? score_of(s, before_s) : 0;
}

static struct span number(uint64_t value, char ret[NUMBER_SIZE])
{
	snprintf(ret, NUMBER_SIZE, "%" PRIu64, value);
	return span_of(ret);
}

static struct span compact_of(
	const struct endpoint *e, uint8_t ret[ENDPOINT_V6_SIZE])
{
	struct writer w = writer_of(ret, ENDPOINT_V6_SIZE);

	if (endpoint_is_v4(e))
		endpoint_write_v4(&w, e);
	else
		endpoint_write_v6(&w, e);
	return (struct span){ret, writer_len(&w)};
}

static const char *state_of(const struct announce *a)
{
	if (a->event == ANNOUNCE_STOPPED)
		return "stopped";
	if (a->left > 0)
		return "leecher";
	return a->event == ANNOUNCE_COMPLETED ? "completed" : "seeder";
}

/* --- Answers --- */

/* What is no number there counts as 0, what is too large as the largest. */
static uint32_t count_at(const redisReply *reply, size_t i)
{
	if (reply->type != REDIS_REPLY_ARRAY || i >= reply->elements ||
		reply->element[i]->type != REDIS_REPLY_INTEGER ||
		reply->element[i]->integer < 0)
		return 0;
	return reply->element[i]->integer < UINT32_MAX
		? (uint32_t)reply->element[i]->integer
		: UINT32_MAX;
}

static struct swarm_counts counts_of(const redisReply *reply)
{
	return (struct swarm_counts){
		.seeders = count_at(reply, 0),
		.leechers = count_at(reply, 1),
		.completed = count_at(reply, 2),
	};
}

/* False: it is no peer. */
static bool read_peer(const redisReply *reply, struct endpoint *ret)
{
	if (reply->type != REDIS_REPLY_STRING)
		return false;

	struct reader r = reader_of(reply->str, reply->len);
	if (reply->len == ENDPOINT_V4_SIZE)
		*ret = endpoint_read_v4(&r);
	else if (reply->len == ENDPOINT_V6_SIZE)
		*ret = endpoint_read_v6(&r);
	else
		return false;
	return true;
}

/* As many of the peers in that element of the reply as are wanted, in random
 * order, but not `self`.  They are drawn one by one. */
static size_t draw_peers(const redisReply *reply, size_t element,
	const struct endpoint *self, size_t wanted, uint64_t *dice,
	struct endpoint *ret)
{
	if (reply->type != REDIS_REPLY_ARRAY || element >= reply->elements ||
		reply->element[element]->type != REDIS_REPLY_ARRAY)
		return 0;

	redisReply *peers = reply->element[element];
	uint32_t left = peers->elements < UINT32_MAX ? (uint32_t)peers->elements
						     : UINT32_MAX;
	size_t count = 0;
	while (left > 0 && count < wanted) {
		uint32_t at = dice_below(dice, left--);
		redisReply *drawn = peers->element[at];

		peers->element[at] = peers->element[left];
		peers->element[left] = drawn;
		if (read_peer(drawn, &ret[count]) &&
			!endpoint_equal(&ret[count], self))
			count++;
	}
	return count;
}

/* --- The store --- */

static bool redis_announce(struct swarm_store *store, const struct announce *a,
	uint64_t now_s, struct swarm_reply *ret, struct error *err)
{
	struct store_redis *s = (struct store_redis *)store;
	uint32_t wanted =
		a->numwant < SWARM_MAX_PEERS ? a->numwant : SWARM_MAX_PEERS;
	uint64_t turn =
		atomic_fetch_add_explicit(&s->turn, 1, memory_order_relaxed);
	/* Rolled, so that no two announces roll the same numbers. */
	uint64_t dice = dice_roll(&turn);
	uint8_t compact[ENDPOINT_V6_SIZE];
	char key[KEY_SIZE], stamp[NUMBER_SIZE], limit[NUMBER_SIZE];
	char keep[NUMBER_SIZE], want[NUMBER_SIZE], seed[NUMBER_SIZE];
	redisReply *reply;

	const struct span arguments[] = {
		compact_of(&a->peer, compact),
		span_of(state_of(a)),
		number(score_of(s, (int64_t)now_s), stamp),
		number(limit_of(s), limit),
		number(s->keep_s, keep),
		number(wanted, want),
		number(dice_below(&dice, INT32_MAX), seed),
		span_of(a->numwant_named ? "1" : "0"),
		span_of(a->one_family ? "1" : "0"),
	};
	const struct redis_question q = {
		.script = &s->announce,
		.key = key_of(&a->info_hash, key),
		.arguments = arguments,
		.argument_count = sizeof(arguments) / sizeof(arguments[0]),
	};
	if (!redis_scripts_ask(&s->scripts, &q, 1, &reply, err))
		return false;
	ret->counts = counts_of(reply);
	ret->is_new = count_at(reply, 4) == 1;
	ret->peer_count =
		draw_peers(reply, 3, &a->peer, wanted, &dice, ret->peers);
	ret->peer_count += draw_peers(reply, 5, &a->peer,
		wanted - ret->peer_count, &dice, ret->peers + ret->peer_count);
	redis_reply_free(reply);
	return true;
}

static bool redis_scrape(struct swarm_store *store,
	const struct info_hash *hashes, size_t count, struct swarm_counts *ret,
	struct error *err)
{
	enum { BATCH = 64 }; /* in one round trip */
	struct store_redis *s = (struct store_redis *)store;
	struct redis_question questions[BATCH];
	redisReply *replies[BATCH];
	char keys[BATCH][KEY_SIZE];
	char limit[NUMBER_SIZE];
	const struct span argument = number(limit_of(s), limit);

	for (size_t done = 0; done < count; done += BATCH) {
		size_t some = count - done < BATCH ? count - done : BATCH;

		for (size_t i = 0; i < some; i++) {
			questions[i] = (struct redis_question){
				.script = &s->scrape,
				.key = key_of(&hashes[done + i], keys[i]),
				.arguments = &argument,
				.argument_count = 1,
			};
		}
		if (!redis_scripts_ask(
			    &s->scripts, questions, some, replies, err))
			return false;
		for (size_t i = 0; i < some; i++) {
			ret[done + i] = counts_of(replies[i]);
			redis_reply_free(replies[i]);
		}
	}
	return true;
}

/* Nothing is looked through: from now on each announce and scrape leaves out
 * who is due to go, announces remove them, and a swarm that nobody announces
 * any more goes by itself. */
static bool redis_expire(
	struct swarm_store *store, uint64_t before_s, struct error *err)
{
	struct store_redis *s = (struct store_redis *)store;

	(void)err;
	if ((int64_t)before_s > s->before_s)
		s->before_s = (int64_t)before_s;
	return true;
}

static bool redis_totals(
	struct swarm_store *store, struct swarm_totals *ret, struct error *err)
{
	struct store_redis *s = (struct store_redis *)store;

	(void)err; /* not to know is no failure */
	*ret = (struct swarm_totals){
		.seeders = SWARM_UNKNOWN, .leechers = SWARM_UNKNOWN};
	if (!redis_scripts_size(&s->scripts, &ret->swarms))
		ret->swarms = SWARM_UNKNOWN;
	return true;
}

static bool redis_healthy(struct swarm_store *store, struct error *err)
{
	return redis_scripts_healthy(
		&((struct store_redis *)store)->scripts, err);
}

static void redis_destroy(struct swarm_store *store)
{
	struct store_redis *s = (struct store_redis *)store;

	redis_nodes_destroy(s->scripts.nodes);
	free(s);
}

static const struct swarm_store_kind redis_kind = {
	.announce = redis_announce,
	.scrape = redis_scrape,
	.expire = redis_expire,
	.totals = redis_totals,
	.healthy = redis_healthy,
	.destroy = redis_destroy,
};

struct swarm_store *store_redis_create(
	const struct store_redis_options *o, struct error *err)
{
	struct store_redis *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(err, "store: out of memory");
		return NULL;
	}
	s->base.kind = &redis_kind;
	s->announce = redis_script_of(announce_text);
	s->scrape = redis_script_of(scrape_text);
	s->keep_s = o->keep_s;
	s->callers_time = o->callers_time;
	s->before_s = NOBODY_DUE;
	s->turn = random_u64();
	s->scripts.nodes = redis_nodes_create(o->url, err);
	if (!s->scripts.nodes) {
		free(s);
		return NULL;
	}
	return &s->base;
}
