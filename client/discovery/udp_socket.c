#include "client/discovery/udp_socket.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/discovery/dht.h"
#include "client/discovery/dht_file.h"
#include "client/discovery/dht_message.h"
#include "shared/clock.h"
#include "shared/log.h"
#include "shared/net.h"
#include "shared/random_bytes.h"

enum {
	MAX_LETTERS = 1024,
	BATCH = 64, /* packets read before the others get their turn */
	SAVE_MS = 15 * 60 * 1000,
	DHT_FIRST_BYTE = 'd',
};

struct letter {
	enum { LETTER_WANT, LETTER_FORGET, LETTER_NODE, LETTER_ENTRANCE } kind;
	bool hungry;
	uint16_t port;
	struct info_hash torrent;
	struct endpoint node;
};

struct udp_socket {
	struct udp_options o;
	int sockets[2]; /* IPv4, IPv6; -1: not there */
	int wake_fd;
	pthread_t thread;
	bool running;
	struct dht_entrances *entrances;
	atomic_bool stopping;
	atomic_size_t nodes; /* that the DHT knows */

	/* The thread's own. */
	struct dht *dht;
	uint64_t save_ms;

	pthread_mutex_t lock;
	/* Guarded by `lock`: a ring. */
	size_t head, count;
	struct letter letters[MAX_LETTERS];
};

/* ---- letters ---- */

static void wake(struct udp_socket *u)
{
	(void)!write(u->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

static bool post(struct udp_socket *u, const struct letter *letter)
{
	pthread_mutex_lock(&u->lock);
	bool room = u->count < MAX_LETTERS;
	if (room)
		u->letters[(u->head + u->count++) % MAX_LETTERS] = *letter;
	pthread_mutex_unlock(&u->lock);
	if (room)
		wake(u);
	return room;
}

static bool take(struct udp_socket *u, struct letter *ret)
{
	pthread_mutex_lock(&u->lock);
	bool taken = u->count > 0;
	if (taken) {
		*ret = u->letters[u->head];
		u->head = (u->head + 1) % MAX_LETTERS;
		u->count--;
	}
	pthread_mutex_unlock(&u->lock);
	return taken;
}

bool udp_socket_want(struct udp_socket *u, const struct info_hash *torrent,
	uint16_t port, bool hungry)
{
	return post(u,
		&(struct letter){.kind = LETTER_WANT,
			.torrent = *torrent,
			.port = port,
			.hungry = hungry});
}

bool udp_socket_forget(struct udp_socket *u, const struct info_hash *torrent)
{
	return post(u,
		&(struct letter){.kind = LETTER_FORGET, .torrent = *torrent});
}

size_t udp_socket_nodes(const struct udp_socket *u) { return u->nodes; }

void udp_socket_node(struct udp_socket *u, const struct endpoint *node)
{
	(void)post(u, &(struct letter){.kind = LETTER_NODE, .node = *node});
}

static void on_entrance(void *ctx, const struct endpoint *node)
{
	struct udp_socket *u = ctx;

	(void)post(u, &(struct letter){.kind = LETTER_ENTRANCE, .node = *node});
}

static bool on_lonely(void *ctx)
{
	struct udp_socket *u = ctx;

	return u->nodes == 0;
}

static void read_letters(struct udp_socket *u, uint64_t now_ms)
{
	struct letter l;

	while (take(u, &l)) {
		switch (l.kind) {
		case LETTER_WANT:
			/* Too many: the others are found by other ways. */
			(void)dht_want(
				u->dht, &l.torrent, l.port, l.hungry, now_ms);
			break;
		case LETTER_FORGET:
			dht_forget(u->dht, &l.torrent);
			break;
		case LETTER_NODE:
			dht_try_node(u->dht, &l.node);
			break;
		case LETTER_ENTRANCE:
			dht_entrance(u->dht, &l.node);
			break;
		}
	}
}

/* ---- packets ---- */

static void on_send(void *ctx, const struct endpoint *to, struct span packet)
{
	struct udp_socket *u = ctx;
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(to, &sa);
	int fd = u->sockets[endpoint_is_v4(to) ? 0 : 1];

	/* Without a network, or with its queue full, it is as lost on the
	 * way. */
	if (fd >= 0)
		(void)!sendto(fd, packet.at, packet.len, MSG_NOSIGNAL,
			(struct sockaddr *)&sa, len);
}

static void on_peers(void *ctx, const struct info_hash *torrent,
	const struct endpoint *peers, size_t count)
{
	struct udp_socket *u = ctx;

	u->o.peers(u->o.ctx, torrent, peers, count);
}

static void receive(struct udp_socket *u, int fd, uint64_t now_ms)
{
	uint8_t bytes[DHT_PACKET_MAX + 1];

	for (int i = 0; i < BATCH; i++) {
		struct endpoint from;
		ssize_t len = net_receive(fd, bytes, sizeof(bytes), &from);

		if (len < 0)
			return; /* nothing more; or an ICMP error: poll tells */
		if (len > 0 && bytes[0] == DHT_FIRST_BYTE)
			dht_packet(u->dht, &from,
				(struct span){bytes, (size_t)len}, now_ms);
	}
}

/* ---- the state ---- */

static void load(struct udp_socket *u)
{
	struct buffer state;

	buffer_init(&state, DHT_STATE_MAX);
	if (dht_file_load(&state))
		(void)dht_load(u->dht, (struct span){state.bytes, state.len});
	buffer_finish(&state);
}

/* Not when nobody is known: what was saved before is better than that. */
static void save(struct udp_socket *u)
{
	struct buffer state;

	if (dht_node_count(u->dht) == 0)
		return;
	buffer_init(&state, DHT_STATE_MAX);
	dht_save(u->dht, &state);
	if (!state.failed)
		(void)dht_file_save(&state);
	buffer_finish(&state);
}

/* ---- the thread ---- */

static void *run(void *arg)
{
	struct udp_socket *u = arg;
	struct pollfd fds[3] = {{.fd = u->wake_fd, .events = POLLIN}};
	uint64_t ignored;

	/* poll() skips a descriptor of -1. */
	for (int i = 0; i < 2; i++)
		fds[i + 1] =
			(struct pollfd){.fd = u->sockets[i], .events = POLLIN};
	load(u);
	while (!u->stopping) {
		uint64_t now = clock_ms();

		read_letters(u, now);
		unsigned wait_ms = dht_tick(u->dht, now);
		u->nodes = dht_node_count(u->dht);
		if (now >= u->save_ms) {
			u->save_ms = now + SAVE_MS;
			save(u);
		}
		if (poll(fds, 3, (int)wait_ms) <= 0)
			continue;
		now = clock_ms();
		if (fds[0].revents != 0)
			(void)!read(u->wake_fd, &ignored, sizeof(ignored));
		for (int i = 1; i < 3; i++) {
			if (fds[i].revents != 0)
				receive(u, fds[i].fd, now);
		}
	}
	save(u);
	return NULL;
}

/* ---- begin and end ---- */

static bool bind_sockets(struct udp_socket *u, struct error *err)
{
	struct endpoint at[2] = {0}; /* the second one is :: */

	(void)endpoint_parse_ip("0.0.0.0", &at[0]);
	at[0].port = at[1].port = u->o.port;
	if (u->o.bind) {
		int family = endpoint_is_v4(u->o.bind) ? 0 : 1;
		at[family] = *u->o.bind;
		at[family].port = u->o.port;
		return net_bind_udp(&at[family], &u->sockets[family], err);
	}
	/* One will do: there may be no IPv6 here. */
	bool v4 = net_bind_udp(&at[0], &u->sockets[0], err);
	bool v6 = net_bind_udp(&at[1], &u->sockets[1], err);
	if (v4 != v6)
		log_verbose("%s; DHT over IPv%d only", err->text, v4 ? 4 : 6);
	return v4 || v6;
}

static void release(struct udp_socket *u)
{
	for (int i = 0; i < 2; i++) {
		if (u->sockets[i] >= 0)
			close(u->sockets[i]);
	}
	if (u->wake_fd >= 0)
		close(u->wake_fd);
	dht_destroy(u->dht);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

static bool start(struct udp_socket *u, struct error *err)
{
	struct dht_options dht = {
		.v4 = u->sockets[0] >= 0,
		.v6 = u->sockets[1] >= 0,
		.ctx = u,
		.random = random_bytes,
		.send = on_send,
		.peers = on_peers,
	};
	struct dht_entrances_options entrances = {
		.given = u->o.entrances,
		.given_count = u->o.entrance_count,
		.public = u->o.public,
		.ctx = u,
		.found = on_entrance,
		.lonely = on_lonely,
	};
	uint64_t now = clock_ms();

	u->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	u->dht = dht_create(&dht, now);
	u->save_ms = now + SAVE_MS;
	if (!u->dht || u->wake_fd < 0 ||
		pthread_create(&u->thread, NULL, run, u) != 0)
		return error_set(err, "DHT: out of memory or threads");
	u->running = true;
	/* Without it, saved nodes and peers' are left to enter by. */
	u->entrances = dht_entrances_start(&entrances);
	return true;
}

struct udp_socket *udp_socket_open(
	const struct udp_options *options, struct error *err)
{
	struct udp_socket *u = calloc(1, sizeof(*u));

	if (!u) {
		error_set(err, "DHT: out of memory");
		return NULL;
	}
	u->o = *options;
	u->sockets[0] = u->sockets[1] = u->wake_fd = -1;
	pthread_mutex_init(&u->lock, NULL);
	if (!bind_sockets(u, err) || !start(u, err)) {
		release(u);
		return NULL;
	}
	return u;
}

void udp_socket_destroy(struct udp_socket *u)
{
	if (!u)
		return;
	dht_entrances_destroy(u->entrances);
	u->stopping = true;
	wake(u);
	if (u->running)
		pthread_join(u->thread, NULL);
	release(u);
}
