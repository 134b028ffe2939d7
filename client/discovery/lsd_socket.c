#include "client/discovery/lsd_socket.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/discovery/lsd.h"
#include "shared/clock.h"
#include "shared/net.h"
#include "shared/random_bytes.h"
#include "shared/writer.h"

enum {
	FAMILIES = 2, /* 0: IPv4, 1: IPv6 */
	MAX_LINKS = 64,
	BATCH = 64,          /* packets read before anything else is done */
	LOOK_MS = 60 * 1000, /* for other interfaces */
	/* The groups are of a site, not of a link (BEP 14): some routers may be
	 * between. */
	HOPS = 4,
};

/* An address of ours on an interface. */
struct link {
	struct lsd_link at;
	unsigned interface; /* its index */
};

struct lsd_socket {
	struct lsd_options o;
	struct endpoint bind;
	int sockets[FAMILIES]; /* bound to the group; -1: not there */
	int wake_fd;
	pthread_t thread;
	bool running;
	atomic_bool stopping;

	/* The thread's own. */
	uint64_t look_ms; /* when to look for other interfaces */
	size_t link_count;
	struct link links[MAX_LINKS];

	pthread_mutex_t lock;
	struct lsd *lsd; /* guarded by `lock` */
};

/* ---- interfaces ---- */

static unsigned mask_bits(const struct sockaddr *mask)
{
	struct endpoint e;

	if (!mask || !endpoint_from_sockaddr(mask, &e))
		return 128;
	unsigned bits = endpoint_is_v4(&e) ? 96 : 0;
	while (bits < 128 && (e.ip[bits / 8] << bits % 8 & 0x80) != 0)
		bits++;
	return bits;
}

/* Is this an address to take part from? */
static bool usable(const struct lsd_socket *l, const struct ifaddrs *a,
	struct endpoint *ret)
{
	unsigned wanted = IFF_MULTICAST | IFF_LOOPBACK;

	if (!(a->ifa_flags & IFF_UP) || !(a->ifa_flags & wanted) ||
		!a->ifa_addr || !endpoint_from_sockaddr(a->ifa_addr, ret))
		return false;
	ret->port = 0;
	if (!l->o.bind)
		return true;
	/* All of 127/8 is at home there, though only one address is said. */
	return endpoint_same_ip(ret, &l->bind) ||
		(endpoint_is_loopback(ret) && endpoint_is_loopback(&l->bind) &&
			endpoint_is_v4(ret) == endpoint_is_v4(&l->bind));
}

/* True: they are others than they were. */
static bool look_for_links(struct lsd_socket *l)
{
	struct link before[MAX_LINKS];
	size_t count_before = l->link_count;
	struct ifaddrs *all;

	memcpy(before, l->links, sizeof(before));
	if (getifaddrs(&all) != 0)
		return false;
	memset(l->links, 0, sizeof(l->links));
	l->link_count = 0;
	for (const struct ifaddrs *a = all; a && l->link_count < MAX_LINKS;
		a = a->ifa_next) {
		struct link *link = &l->links[l->link_count];

		if (!usable(l, a, &link->at.address))
			continue;
		link->at.prefix = mask_bits(a->ifa_netmask);
		link->interface = if_nametoindex(a->ifa_name);
		if (l->o.bind)
			link->at.address = l->bind;
		l->link_count++;
	}
	freeifaddrs(all);
	return count_before != l->link_count ||
		memcmp(before, l->links, sizeof(before)) != 0;
}

/* What is joined already fails to be joined again, which is no matter. */
static void join(const struct lsd_socket *l, const struct link *link)
{
	bool v4 = endpoint_is_v4(&link->at.address);
	struct endpoint group = lsd_group(v4);

	if (v4) {
		struct ip_mreqn r = {.imr_ifindex = (int)link->interface};
		memcpy(&r.imr_multiaddr, endpoint_ip(&group).at, 4);
		(void)setsockopt(l->sockets[0], IPPROTO_IP, IP_ADD_MEMBERSHIP,
			&r, sizeof(r));
	} else {
		struct ipv6_mreq r = {.ipv6mr_interface = link->interface};
		memcpy(&r.ipv6mr_multiaddr, group.ip, 16);
		(void)setsockopt(l->sockets[1], IPPROTO_IPV6,
			IPV6_ADD_MEMBERSHIP, &r, sizeof(r));
	}
}

static bool look(struct lsd_socket *l, uint64_t now_ms)
{
	if (now_ms < l->look_ms)
		return false;
	l->look_ms = now_ms + LOOK_MS;
	if (!look_for_links(l))
		return false;
	for (size_t i = 0; i < l->link_count; i++)
		join(l, &l->links[i]);
	return true;
}

/* ---- sending ---- */

/* Once for each interface, by its first address of the family. */
static bool is_first(const struct lsd_socket *l, size_t index)
{
	const struct link *link = &l->links[index];

	for (size_t i = 0; i < index; i++) {
		if (l->links[i].interface == link->interface &&
			endpoint_is_v4(&l->links[i].at.address) ==
				endpoint_is_v4(&link->at.address))
			return false;
	}
	return true;
}

static void send_by(
	const struct lsd_socket *l, const struct link *link, struct span packet)
{
	bool v4 = endpoint_is_v4(&link->at.address);
	int fd = l->sockets[v4 ? 0 : 1];
	struct endpoint group = lsd_group(v4);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&group, &sa);

	if (fd < 0)
		return;
	if (v4) {
		struct ip_mreqn r = {.imr_ifindex = (int)link->interface};
		memcpy(&r.imr_address, endpoint_ip(&link->at.address).at, 4);
		if (setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &r,
			    sizeof(r)) != 0)
			return;
	} else if (setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF,
			   &link->interface, sizeof(link->interface)) != 0) {
		return;
	}
	/* An interface that cannot send it now has another chance later. */
	(void)!sendto(fd, packet.at, packet.len, MSG_NOSIGNAL,
		(struct sockaddr *)&sa, len);
}

static void send_to_all(const struct lsd_socket *l, struct lsd_message *m)
{
	uint8_t packet[LSD_PACKET_MAX];

	m->port = l->o.port;
	for (size_t i = 0; i < l->link_count; i++) {
		struct writer w = writer_of(packet, sizeof(packet));

		if (!is_first(l, i))
			continue;
		lsd_message_write(
			&w, m, endpoint_is_v4(&l->links[i].at.address));
		send_by(l, &l->links[i], (struct span){packet, writer_len(&w)});
	}
}

/* ---- receiving ---- */

static bool is_near(const struct lsd_socket *l, const struct endpoint *from)
{
	struct lsd_link links[MAX_LINKS];

	for (size_t i = 0; i < l->link_count; i++)
		links[i] = l->links[i].at;
	return lsd_is_near(from, links, l->link_count);
}

static void take_packet(struct lsd_socket *l, const struct endpoint *from,
	struct span packet, uint64_t now_ms)
{
	struct lsd_message m;
	struct info_hash ours[LSD_TORRENTS_MAX];
	struct endpoint peer = *from;

	if (!is_near(l, from) || !lsd_message_read(packet, &m))
		return;
	peer.port = m.port;
	if (!endpoint_dialable(&peer))
		return;
	pthread_mutex_lock(&l->lock);
	size_t count = lsd_heard(l->lsd, from, &m, now_ms, ours);
	pthread_mutex_unlock(&l->lock);
	for (size_t i = 0; i < count; i++)
		l->o.peer(l->o.ctx, &ours[i], &peer);
}

static void receive(struct lsd_socket *l, int fd, uint64_t now_ms)
{
	uint8_t bytes[LSD_READ_MAX + 1];

	for (int i = 0; i < BATCH; i++) {
		struct endpoint from;
		ssize_t len = net_receive(fd, bytes, sizeof(bytes), &from);

		if (len < 0)
			return; /* nothing more */
		take_packet(
			l, &from, (struct span){bytes, (size_t)len}, now_ms);
	}
}

/* ---- the thread ---- */

static int tell(struct lsd_socket *l, uint64_t now_ms)
{
	struct lsd_message m;
	uint64_t due_ms;
	bool changed = look(l, now_ms);

	pthread_mutex_lock(&l->lock);
	if (changed)
		lsd_network_changed(l->lsd, now_ms);
	bool go = lsd_next(l->lsd, now_ms, &m, &due_ms);
	pthread_mutex_unlock(&l->lock);
	if (go)
		send_to_all(l, &m);
	if (go || due_ms > l->look_ms)
		due_ms = l->look_ms;
	return due_ms > now_ms ? (int)(due_ms - now_ms) : 0;
}

static void *run(void *arg)
{
	struct lsd_socket *l = arg;
	struct pollfd fds[1 + FAMILIES] = {
		{.fd = l->wake_fd, .events = POLLIN}};
	uint64_t ignored;

	/* poll() skips a descriptor of -1. */
	for (int i = 0; i < FAMILIES; i++)
		fds[i + 1] =
			(struct pollfd){.fd = l->sockets[i], .events = POLLIN};
	while (!l->stopping) {
		if (poll(fds, 1 + FAMILIES, tell(l, clock_ms())) <= 0)
			continue;
		if (fds[0].revents != 0)
			(void)!read(l->wake_fd, &ignored, sizeof(ignored));
		for (int i = 1; i <= FAMILIES; i++) {
			if (fds[i].revents != 0)
				receive(l, fds[i].fd, clock_ms());
		}
	}
	return NULL;
}

/* ---- from outside ---- */

static void wake(struct lsd_socket *l)
{
	(void)!write(l->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
}

bool lsd_socket_want(struct lsd_socket *l, const struct info_hash *torrent)
{
	pthread_mutex_lock(&l->lock);
	bool room = lsd_want(l->lsd, torrent, clock_ms());
	pthread_mutex_unlock(&l->lock);
	wake(l);
	return room;
}

void lsd_socket_forget(struct lsd_socket *l, const struct info_hash *torrent)
{
	pthread_mutex_lock(&l->lock);
	lsd_forget(l->lsd, torrent);
	pthread_mutex_unlock(&l->lock);
}

/* ---- begin and end ---- */

/* Other clients of this machine have the port, too.  Bound to the group itself
 * it hears nothing that is sent to us alone, and so nobody from afar. */
static int open_group(bool v4, const struct endpoint *from)
{
	struct endpoint group = lsd_group(v4);
	struct sockaddr_storage sa;
	socklen_t len = endpoint_to_sockaddr(&group, &sa);
	int on = 1, off = 0, hops = HOPS;
	int fd = socket(
		sa.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool ok = fd >= 0 &&
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0;

	if (ok && v4)
		ok = setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops,
			     sizeof(hops)) == 0 &&
			setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off,
				sizeof(off)) == 0;
	else if (ok)
		ok = setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops,
			     sizeof(hops)) == 0 &&
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on,
				sizeof(on)) == 0;
	if (ok && !v4 && from) {
		struct in6_pktinfo source = {0};
		memcpy(&source.ipi6_addr, from->ip, 16);
		ok = setsockopt(fd, IPPROTO_IPV6, IPV6_PKTINFO, &source,
			     sizeof(source)) == 0;
	}
	if (ok && bind(fd, (struct sockaddr *)&sa, len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static void release(struct lsd_socket *l)
{
	for (int i = 0; i < FAMILIES; i++) {
		if (l->sockets[i] >= 0)
			close(l->sockets[i]);
	}
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	lsd_destroy(l->lsd);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

struct lsd_socket *lsd_socket_open(
	const struct lsd_options *options, struct error *err)
{
	struct lsd_socket *l = calloc(1, sizeof(*l));

	if (!l) {
		error_set(err, "LSD: out of memory");
		return NULL;
	}
	l->o = *options;
	if (options->bind)
		l->bind = *options->bind;
	l->bind.port = 0;
	pthread_mutex_init(&l->lock, NULL);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (int i = 0; i < FAMILIES; i++) {
		bool v4 = i == 0;
		bool out = l->o.bind && endpoint_is_v4(&l->bind) != v4;

		l->sockets[i] = out ? -1 : open_group(v4, options->bind);
	}
	l->lsd = lsd_create(options->torrents, random_u64());
	if (l->sockets[0] < 0 && l->sockets[1] < 0) {
		error_set_errno(err, "LSD: cannot bind port %d", LSD_PORT);
		goto fail;
	}
	if (!l->lsd || l->wake_fd < 0 ||
		pthread_create(&l->thread, NULL, run, l) != 0) {
		error_set(err, "LSD: out of memory, descriptors or threads");
		goto fail;
	}
	l->running = true;
	return l;

fail:
	release(l);
	return NULL;
}

void lsd_socket_destroy(struct lsd_socket *l)
{
	if (!l)
		return;
	l->stopping = true;
	wake(l);
	if (l->running)
		pthread_join(l->thread, NULL);
	release(l);
}
