#include "tracker/open_connections.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <utlist.h>

#include "tracker/address_group.h"

enum {
	GROUPS = 1024, /* lists of connections, by a hash of their address */
};

/* A connection is in two lists, that of its server and that of its address;
 * once it was shut down it is in none. */
enum { BY_SERVER, BY_ADDRESS, LISTS };

struct open_connection {
	struct open_connection *prev[LISTS], *next[LISTS];
	struct open_connection **lists[LISTS];
	int fd;
	unsigned server;
	uint64_t address; /* its hash */
	bool shut;
	atomic_uint_fast64_t since_ms; /* renewed without the lock */

	/* What `since_ms` was when it got its place in that list.  A list is in
	 * that order, more or less; who has been renewed meanwhile is moved
	 * when somebody looks for the first. */
	uint64_t placed_ms[LISTS];
};

/* Those of one server. */
struct server {
	struct open_connection *first;
	size_t count;
};

struct open_connections {
	uint64_t seed;
	size_t room;
	unsigned server_count;

	pthread_mutex_t lock;

	/* The rest is guarded by `lock`. */
	struct open_connection *by_address[GROUPS];
	struct server servers[];
};

struct open_connections *open_connections_create(
	unsigned servers, size_t room, uint64_t seed)
{
	struct open_connections *o =
		calloc(1, sizeof(*o) + servers * sizeof(struct server));

	if (!o)
		return NULL;
	o->seed = seed;
	o->room = room;
	o->server_count = servers;
	pthread_mutex_init(&o->lock, NULL);
	return o;
}

void open_connections_destroy(struct open_connections *o)
{
	if (!o)
		return;
	pthread_mutex_destroy(&o->lock);
	free(o);
}

static uint64_t since_of(const struct open_connection *c)
{
	return atomic_load_explicit(&c->since_ms, memory_order_relaxed);
}

static void append_locked(struct open_connection *c, int list)
{
	c->placed_ms[list] = since_of(c);
	DL_APPEND2(*c->lists[list], c, prev[list], next[list]);
}

static void delete_locked(struct open_connection *c, int list)
{
	DL_DELETE2(*c->lists[list], c, prev[list], next[list]);
}

static void leave_locked(struct open_connections *o, struct open_connection *c)
{
	for (int list = 0; list < LISTS; list++)
		delete_locked(c, list);
	o->servers[c->server].count--;
}

/* Under the lock, since the number may be another connection's as soon as this
 * one has left.  shutdown() does not wait. */
static void shut_locked(struct open_connections *o, struct open_connection *c)
{
	leave_locked(o, c);
	c->shut = true;
	(void)shutdown(c->fd, SHUT_RDWR); /* gone: as good */
}

/* Of those in a list, the one that has owed for longest; `address`: NULL, or
 * what it must have. */
static struct open_connection *longest_locked(
	struct open_connection *first, int list, const uint64_t *address)
{
	struct open_connection *c, *next;

	for (c = first; c; c = next) {
		next = c->next[list];
		if (address && c->address != *address)
			continue;
		if (since_of(c) == c->placed_ms[list])
			break;
		delete_locked(c, list);
		append_locked(c, list);
		if (!next)
			next = c; /* it was the last, and is again */
	}
	return c;
}

struct open_connection *open_connections_add(struct open_connections *o,
	unsigned server, int fd, const struct endpoint *who, uint64_t now_ms)
{
	struct open_connection *c = calloc(1, sizeof(*c));
	struct server *s = &o->servers[server];

	if (!c)
		return NULL;
	c->fd = fd;
	c->server = server;
	c->address = address_group_hash(who, o->seed);
	c->lists[BY_SERVER] = &s->first;
	c->lists[BY_ADDRESS] = &o->by_address[c->address % GROUPS];
	atomic_init(&c->since_ms, now_ms);
	pthread_mutex_lock(&o->lock);
	if (s->count >= o->room)
		shut_locked(o, longest_locked(s->first, BY_SERVER, NULL));
	for (int list = 0; list < LISTS; list++)
		append_locked(c, list);
	s->count++;
	pthread_mutex_unlock(&o->lock);
	return c;
}

void open_connection_renew(struct open_connection *c, uint64_t now_ms)
{
	if (c)
		atomic_store_explicit(
			&c->since_ms, now_ms, memory_order_relaxed);
}

void open_connections_remove(
	struct open_connections *o, struct open_connection *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&o->lock);
	if (!c->shut)
		leave_locked(o, c);
	pthread_mutex_unlock(&o->lock);
	free(c);
}

bool open_connections_make_room(
	struct open_connections *o, const struct endpoint *who)
{
	uint64_t address = address_group_hash(who, o->seed);

	pthread_mutex_lock(&o->lock);
	struct open_connection *c = longest_locked(
		o->by_address[address % GROUPS], BY_ADDRESS, &address);
	if (c)
		shut_locked(o, c);
	pthread_mutex_unlock(&o->lock);
	return c;
}

/* At most so many; returns how many. */
static unsigned enforce_locked(struct open_connections *o, struct server *s,
	uint64_t since_ms, unsigned most)
{
	struct open_connection *c, *next;
	unsigned count = 0;

	for (c = s->first; c && count < most; c = next) {
		next = c->next[BY_SERVER];
		if (since_of(c) < since_ms) {
			shut_locked(o, c);
			count++;
		}
	}
	return count;
}

void open_connections_enforce(struct open_connections *o, uint64_t since_ms)
{
	enum { AT_ONCE = 100 }; /* under the lock, which newcomers wait for */
	unsigned count;

	for (unsigned i = 0; i < o->server_count; i++) {
		do {
			pthread_mutex_lock(&o->lock);
			count = enforce_locked(
				o, &o->servers[i], since_ms, AT_ONCE);
			pthread_mutex_unlock(&o->lock);
		} while (count == AT_ONCE);
	}
}
