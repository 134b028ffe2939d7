#include "tracker/redis_nodes.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shared/clock.h"
#include "shared/endpoint.h"
#include "shared/log.h"
#include "shared/text.h"
#include "tracker/redis_link.h"
#include "tracker/redis_redirect.h"
#include "tracker/redis_url.h"

enum {
	/* A slot's node is kept in a byte.  The first node is the one of the
	 * URL, and stays. */
	MAX_NODES = 250,

	/* Of a name, in the order of the resolver. */
	MAX_ADDRESSES = 4,

	WATCH_MS = 1000,     /* the watcher looks at each node so often */
	WATCH_AWAY_MS = 250, /* or so, while one is away */

	/* A node of a cluster that is away for so long has been replaced. */
	FORGET_MS = 60 * 1000,

	FIRST_LOOK_MS = 2 * REDIS_PATIENCE_MS,
	STOP_S = 2, /* the watcher may be held up by a look-up */

	/* The same trouble is told so often at most. */
	TELL_AGAIN_MS = 10 * 1000,
};

struct node {
	bool used;
	bool up;
	bool looked_up; /* `at` is known (a Unix socket needs none) */
	bool told_away;
	char host[REDIS_HOST_SIZE];
	uint16_t port;
	struct endpoint at;
	struct redis_link *idle; /* the last one used first */
	unsigned generation; /* grows when all links to it have become void */
	uint64_t away_since_ms;
	uint64_t told_ms;
};

struct redis_nodes {
	struct redis_url url; /* set once */

	atomic_int_fast64_t time_offset_s;
	atomic_bool cluster; /* a redirection was seen */
	atomic_uchar node_of[REDIS_SLOTS];

	pthread_mutex_t lock;
	pthread_cond_t changed; /* with `lock`: stopping, a node went away, or
				 * the first look is done */

	/* The rest is guarded by `lock`. */
	bool stopping;
	bool looked; /* once */
	struct node nodes[MAX_NODES];

	pthread_t watcher;
};

/* --- Telling --- */

/* The address as people write it, for the log. */
static const char *name_of(const struct redis_nodes *n, const struct node *node,
	char *ret, size_t size)
{
	char plain[REDIS_HOST_SIZE + 16];

	if (n->url.path[0] != '\0')
		return text_escape_str(n->url.path, ret, size);
	snprintf(plain, sizeof(plain),
		strchr(node->host, ':') ? "[%s]:%u" : "%s:%u", node->host,
		node->port);
	return text_escape_str(plain, ret, size);
}

static void tell(const struct redis_nodes *n, const struct node *node,
	const char *what, const char *why)
{
	char name[2 * REDIS_HOST_SIZE], shown[sizeof(struct error)];

	log_warning("redis %s: %s%s", name_of(n, node, name, sizeof(name)),
		text_escape_str(why, shown, sizeof(shown)), what);
}

/* --- Nodes that come and go --- */

/* All links to it are void. */
static struct redis_link *take_all_locked(struct node *node)
{
	struct redis_link *all = node->idle;

	node->idle = NULL;
	node->generation++;
	return all;
}

static void close_all(struct redis_link *links)
{
	while (links) {
		struct redis_link *next = *redis_link_next(links);

		redis_link_close(links);
		links = next;
	}
}

/* It cannot be reached; no more questions until the watcher has. */
static void set_away(struct redis_nodes *n, size_t index, const char *why)
{
	struct node *node = &n->nodes[index];
	uint64_t now_ms = clock_ms();
	struct node told;

	pthread_mutex_lock(&n->lock);
	bool news = node->used && (node->up || node->away_since_ms == 0);
	struct redis_link *links = take_all_locked(node);
	if (news) {
		node->up = false;
		node->away_since_ms = now_ms;
		/* The URL's name may have another address by now. */
		node->looked_up = index > 0 && node->looked_up;
		pthread_cond_broadcast(&n->changed);
	}
	/* Perhaps later than it happened: the watcher comes here again. */
	bool tell_it = node->used && !node->up && !node->told_away &&
		(node->told_ms == 0 || now_ms - node->told_ms >= TELL_AGAIN_MS);
	if (tell_it) {
		node->told_away = true;
		node->told_ms = now_ms;
	}
	told = *node;
	pthread_mutex_unlock(&n->lock);

	close_all(links);
	/* In a cluster another node may know better whose these slots are. */
	for (size_t i = 0; news && index > 0 && i < REDIS_SLOTS; i++) {
		unsigned char here = (unsigned char)index;

		atomic_compare_exchange_strong(&n->node_of[i], &here, 0);
	}
	if (tell_it)
		tell(n, &told, "; announces are refused until it is back", why);
}

static void set_up(
	struct redis_nodes *n, size_t index, const struct endpoint *at)
{
	struct node *node = &n->nodes[index];
	struct node told;

	pthread_mutex_lock(&n->lock);
	bool tell_it = node->told_away;
	node->up = true;
	node->at = *at;
	node->looked_up = true;
	node->told_away = false;
	node->away_since_ms = 0;
	told = *node;
	pthread_mutex_unlock(&n->lock);
	if (tell_it)
		tell(n, &told, "", "it is back");
}

/* The number of the node at that place, made known if need be.  False: there
 * are too many. */
static bool find_or_add(
	struct redis_nodes *n, const char *host, uint16_t port, size_t *ret)
{
	struct node *fresh = NULL;
	struct node *found = NULL;

	pthread_mutex_lock(&n->lock);
	for (size_t i = 0; i < MAX_NODES && !found; i++) {
		struct node *node = &n->nodes[i];

		if (!node->used)
			fresh = fresh ? fresh : node;
		else if (node->port == port && strcmp(node->host, host) == 0)
			found = node;
	}
	if (!found && fresh) {
		unsigned generation = fresh->generation;

		found = fresh;
		*found = (struct node){.used = true, .port = port};
		found->generation = generation + 1;
		memcpy(found->host, host, strlen(host) + 1);
		/* Up until it is found to be away; a name is looked up by the
		 * watcher. */
		found->looked_up = endpoint_parse_ip(host, &found->at);
		found->at.port = port;
		found->up = found->looked_up;
		if (!found->up) {
			found->away_since_ms = clock_ms();
			pthread_cond_broadcast(&n->changed);
		}
	}
	pthread_mutex_unlock(&n->lock);
	if (!found)
		return false;
	*ret = (size_t)(found - n->nodes);
	return true;
}

bool redis_nodes_route(struct redis_nodes *n, unsigned slot, size_t *ret)
{
	size_t index =
		atomic_load_explicit(&n->node_of[slot], memory_order_relaxed);

	pthread_mutex_lock(&n->lock);
	bool up = n->nodes[index].up;
	/* Anybody in a cluster can say who has it now. */
	for (size_t i = 0; !up && n->cluster && i < MAX_NODES; i++) {
		up = n->nodes[i].used && n->nodes[i].up;
		if (up)
			index = i;
	}
	pthread_mutex_unlock(&n->lock);
	*ret = index;
	return up;
}

bool redis_nodes_redirect(struct redis_nodes *n, size_t from,
	const struct redis_redirect *r, size_t *ret)
{
	char host[REDIS_HOST_SIZE];
	size_t index;

	memcpy(host, r->host, sizeof(host));
	if (host[0] == '\0') {
		pthread_mutex_lock(&n->lock);
		memcpy(host, n->nodes[from].host, sizeof(host));
		pthread_mutex_unlock(&n->lock);
	}
	n->cluster = true;
	if (!find_or_add(n, host, r->port, &index))
		return false;
	if (!r->ask)
		atomic_store_explicit(&n->node_of[r->slot],
			(unsigned char)index, memory_order_relaxed);
	*ret = index;
	return true;
}

void redis_nodes_look_up_again(struct redis_nodes *n, const char *why)
{
	struct endpoint address;

	if (n->url.path[0] == '\0' && !endpoint_parse_ip(n->url.host, &address))
		set_away(n, 0, why);
}

/* --- One node --- */

/* A link, and what it was opened to. */
struct loan {
	size_t index;
	unsigned generation;
	struct redis_link *link;
	bool kept; /* it was idle, and may have been closed meanwhile */
};

static bool borrow(struct redis_nodes *n, size_t index, uint64_t deadline_ms,
	struct loan *ret, struct error *err)
{
	struct node *node = &n->nodes[index];
	struct loan loan = {.index = index};
	struct endpoint at;

	pthread_mutex_lock(&n->lock);
	bool up = node->used && node->up;
	at = node->at;
	loan.generation = node->generation;
	loan.link = up ? node->idle : NULL;
	loan.kept = loan.link;
	if (loan.link)
		node->idle = *redis_link_next(loan.link);
	pthread_mutex_unlock(&n->lock);

	if (!up)
		return error_set(err, "it is away");
	if (!loan.link)
		loan.link = redis_link_open(&at, &n->url, deadline_ms, err);
	*ret = loan;
	return loan.link;
}

static void give_back(struct redis_nodes *n, const struct loan *loan)
{
	struct node *node = &n->nodes[loan->index];

	pthread_mutex_lock(&n->lock);
	bool keep = node->used && node->generation == loan->generation;
	if (keep) {
		*redis_link_next(loan->link) = node->idle;
		node->idle = loan->link;
	}
	pthread_mutex_unlock(&n->lock);
	if (!keep)
		redis_link_close(loan->link);
}

/* Void all that were opened as early as this one. */
static void void_links(struct redis_nodes *n, const struct loan *loan)
{
	struct node *node = &n->nodes[loan->index];
	struct redis_link *links = NULL;

	pthread_mutex_lock(&n->lock);
	if (node->generation == loan->generation)
		links = take_all_locked(node);
	pthread_mutex_unlock(&n->lock);
	close_all(links);
}

static enum redis_received exchange_once(struct redis_link *link,
	const struct redis_command *commands, size_t count,
	uint64_t deadline_ms, redisReply **ret, struct error *err)
{
	enum redis_received received = REDIS_RECEIVED;
	size_t done = 0;

	for (size_t i = 0; i < count; i++) {
		if (!redis_link_send(link, &commands[i])) {
			error_set(err, "out of memory");
			return REDIS_CLOSED;
		}
	}
	while (done < count && received == REDIS_RECEIVED) {
		received =
			redis_link_receive(link, deadline_ms, &ret[done], err);
		done += received == REDIS_RECEIVED;
	}
	if (received != REDIS_RECEIVED)
		redis_replies_free(ret, done);
	return received;
}

bool redis_nodes_exchange(struct redis_nodes *n, size_t index,
	const struct redis_command *commands, size_t count,
	uint64_t deadline_ms, redisReply **ret, struct error *err)
{
	struct loan loan = {.link = NULL};

	for (int tries = 0; tries < 2; tries++) {
		if (!borrow(n, index, deadline_ms, &loan, err))
			break;
		enum redis_received received = exchange_once(
			loan.link, commands, count, deadline_ms, ret, err);
		if (received == REDIS_RECEIVED) {
			give_back(n, &loan);
			return true;
		}
		redis_link_close(loan.link);
		/* Redis was started anew, or closed what was idle for long:
		 * whatever was asked may be asked again. */
		if (received != REDIS_CLOSED || !loan.kept)
			break;
		void_links(n, &loan);
	}
	set_away(n, index, err->text);
	return false;
}

bool redis_nodes_size(struct redis_nodes *n, uint64_t *ret)
{
	uint64_t deadline_ms = clock_ms() + REDIS_PATIENCE_MS;
	struct redis_command c = {0};
	redisReply *reply = NULL;
	struct error err;
	size_t index;

	redis_command_add_text(&c, "DBSIZE");
	if (n->cluster || !redis_nodes_route(n, 0, &index) ||
		!redis_nodes_exchange(
			n, index, &c, 1, deadline_ms, &reply, &err))
		return false;
	bool ok = reply->type == REDIS_REPLY_INTEGER && reply->integer >= 0;
	if (ok)
		*ret = (uint64_t)reply->integer;
	redis_reply_free(reply);
	return ok;
}

int64_t redis_nodes_time_offset(struct redis_nodes *n)
{
	return n->time_offset_s;
}

/* --- The watcher --- */

/* Where a node may be.  0: `err` says why nobody knows. */
static size_t look_up(const struct node *node,
	struct endpoint ret[MAX_ADDRESSES], struct error *err)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	size_t count = 0;

	if (node->looked_up) {
		ret[0] = node->at;
		return 1;
	}
	int status = getaddrinfo(node->host, NULL, &hints, &list);
	if (status != 0) {
		error_set(err, "%s", gai_strerror(status));
		return 0;
	}
	for (struct addrinfo *a = list; a && count < MAX_ADDRESSES;
		a = a->ai_next) {
		if (!endpoint_from_sockaddr(a->ai_addr, &ret[count]))
			continue;
		ret[count++].port = node->port;
	}
	freeaddrinfo(list);
	if (count == 0)
		error_set(err, "the host has no address");
	return count;
}

/* Its reply to TIME, in seconds; false: it is something else. */
static bool read_time(const redisReply *reply, int64_t *ret, struct error *err)
{
	uint64_t seconds;

	if (reply->type == REDIS_REPLY_ERROR)
		return error_set(err, "%s", reply->str);
	if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 1 ||
		reply->element[0]->type != REDIS_REPLY_STRING ||
		!text_parse_number(
			reply->element[0]->str, 0, INT64_MAX, &seconds))
		return error_set(err, "this is no Redis");
	*ret = (int64_t)seconds - (int64_t)(clock_ms() / 1000);
	return true;
}

/* Try one address of a node that is away. */
static bool try_address(struct redis_nodes *n, size_t index,
	const struct endpoint *at, const struct redis_command *c,
	int64_t *ret_offset_s, struct error *err)
{
	uint64_t deadline_ms = clock_ms() + REDIS_PATIENCE_MS;
	struct redis_link *link =
		redis_link_open(at, &n->url, deadline_ms, err);
	redisReply *reply = NULL;

	if (!link)
		return false;
	bool ok = exchange_once(link, c, 1, deadline_ms, &reply, err) ==
			REDIS_RECEIVED &&
		read_time(reply, ret_offset_s, err);
	redis_reply_free(reply);
	redis_link_close(link);
	if (ok)
		set_up(n, index, at);
	return ok;
}

/* Is it there?  And what time is it there? */
static bool look(struct redis_nodes *n, size_t index, const struct node *node,
	int64_t *ret_offset_s)
{
	uint64_t deadline_ms = clock_ms() + REDIS_PATIENCE_MS;
	struct endpoint addresses[MAX_ADDRESSES] = {{.port = 0}};
	struct redis_command c = {0};
	redisReply *reply = NULL;
	size_t count = 1;
	struct error err;
	bool ok = false;

	redis_command_add_text(&c, "TIME");
	if (node->up) {
		if (!redis_nodes_exchange(
			    n, index, &c, 1, deadline_ms, &reply, &err))
			return false; /* and it counts as away */
		ok = read_time(reply, ret_offset_s, &err);
		redis_reply_free(reply);
	} else {
		if (n->url.path[0] == '\0')
			count = look_up(node, addresses, &err);
		for (size_t i = 0; i < count && !ok; i++)
			ok = try_address(n, index, &addresses[i], &c,
				ret_offset_s, &err);
	}
	if (!ok)
		set_away(n, index, err.text);
	return ok;
}

/* A clock that is set is followed, but one that ticks at another fraction of a
 * second than ours is not. */
static void keep_time(struct redis_nodes *n, int64_t offset_s)
{
	int64_t kept_s = n->time_offset_s;

	if (offset_s > kept_s + 1 || offset_s < kept_s - 1)
		n->time_offset_s = offset_s;
}

/* What the node is now.  False: nothing to look at. */
static bool node_to_look_at(
	struct redis_nodes *n, size_t index, bool all, struct node *ret)
{
	struct node *node = &n->nodes[index];
	uint64_t now_ms = clock_ms();

	pthread_mutex_lock(&n->lock);
	if (index > 0 && node->used && !node->up &&
		now_ms - node->away_since_ms > FORGET_MS)
		node->used = false;
	bool wanted = node->used && !n->stopping && (all || !node->up);
	*ret = *node;
	pthread_mutex_unlock(&n->lock);
	return wanted;
}

static void look_round(struct redis_nodes *n, bool all)
{
	bool timed = false;

	for (size_t i = 0; i < MAX_NODES; i++) {
		struct node node;
		int64_t offset_s;

		if (!node_to_look_at(n, i, all, &node) ||
			!look(n, i, &node, &offset_s))
			continue;
		if (!timed)
			keep_time(n, offset_s);
		timed = true;
	}
}

static bool any_away_locked(const struct redis_nodes *n)
{
	for (size_t i = 0; i < MAX_NODES; i++) {
		if (n->nodes[i].used && !n->nodes[i].up)
			return true;
	}
	return false;
}

static struct timespec in_ms(clockid_t clock, unsigned ms)
{
	struct timespec t;

	clock_gettime(clock, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000L;
	if (t.tv_nsec >= 1000000000L) {
		t.tv_sec++;
		t.tv_nsec -= 1000000000L;
	}
	return t;
}

static void *watch(void *arg)
{
	struct redis_nodes *n = arg;
	uint64_t all_ms = 0;
	bool stopping = false;

	while (!stopping) {
		bool all = clock_ms() - all_ms >= WATCH_MS;

		look_round(n, all);
		if (all)
			all_ms = clock_ms();

		pthread_mutex_lock(&n->lock);
		n->looked = true;
		pthread_cond_broadcast(&n->changed);
		struct timespec until = in_ms(CLOCK_MONOTONIC,
			any_away_locked(n) ? WATCH_AWAY_MS : WATCH_MS);
		int waited = 0;
		while (!n->stopping && waited != ETIMEDOUT)
			waited = pthread_cond_timedwait(
				&n->changed, &n->lock, &until);
		stopping = n->stopping;
		pthread_mutex_unlock(&n->lock);
	}
	return NULL;
}

/* --- Life --- */

static void wait_for_first_look(struct redis_nodes *n)
{
	struct timespec until = in_ms(CLOCK_MONOTONIC, FIRST_LOOK_MS);
	int waited = 0;

	pthread_mutex_lock(&n->lock);
	while (!n->looked && waited != ETIMEDOUT)
		waited = pthread_cond_timedwait(&n->changed, &n->lock, &until);
	pthread_mutex_unlock(&n->lock);
}

struct redis_nodes *redis_nodes_create(
	const struct redis_url *url, struct error *err)
{
	struct redis_nodes *n = calloc(1, sizeof(*n));
	pthread_condattr_t monotonic;
	struct node *node;

	if (!n) {
		error_set(err, "store: out of memory");
		return NULL;
	}
	n->url = *url;
	node = &n->nodes[0];
	node->used = true;
	node->port = url->port;
	memcpy(node->host, url->host, sizeof(node->host));

	pthread_mutex_init(&n->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&n->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	errno = pthread_create(&n->watcher, NULL, watch, n);
	if (errno != 0) {
		error_set_errno(err, "cannot start a thread");
		free(n);
		return NULL;
	}
	wait_for_first_look(n);
	return n;
}

void redis_nodes_destroy(struct redis_nodes *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->stopping = true;
	pthread_cond_broadcast(&n->changed);
	pthread_mutex_unlock(&n->lock);

	/* Held up by the look-up of a name it may take long; the process ends
	 * before that, so then all is left to the system. */
	struct timespec until = in_ms(CLOCK_REALTIME, STOP_S * 1000);
	if (pthread_timedjoin_np(n->watcher, NULL, &until) != 0)
		return;
	for (size_t i = 0; i < MAX_NODES; i++)
		close_all(n->nodes[i].idle);
	pthread_cond_destroy(&n->changed);
	pthread_mutex_destroy(&n->lock);
	free(n);
}
