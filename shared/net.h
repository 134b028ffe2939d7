#ifndef SHARED_NET_H
#define SHARED_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "shared/endpoint.h"
#include "shared/error.h"

/* Sockets: listening and dialling, each with an end in sight.  All descriptors
 * are close-on-exec; TCP sockets stay blocking. */

/* A TCP socket that listens on `at` (an unspecified IPv6 address means IPv6
 * only; IPv4 has a socket of its own).  port 0: any; `ret_bound` says which.
 * False: err names the address. */
bool net_listen(const struct endpoint *at, int backlog, int *ret_fd,
	struct endpoint *ret_bound, struct error *err);

/* The same with `count` > 0 sockets on one port, for a thread each: the kernel
 * shares connections out to them.  Nobody else can listen there. */
bool net_listen_many(const struct endpoint *at, int backlog, size_t count,
	int *ret_fds, struct endpoint *ret_bound, struct error *err);

/* A UDP socket at `at`, families as above; it does not block.  False: err names
 * the address. */
bool net_bind_udp(const struct endpoint *at, int *ret_fd, struct error *err);

/* Connect to `to` from `from` (NULL, or of another family: any address; its
 * port is not used).  Gives up after `timeout_ms`, or as soon as `wake_fd` (-1:
 * none) becomes readable (which it is left).  Returns a blocking socket set up
 * as net_accept() does it, or -1 with errno (ECANCELED when woken). */
int net_dial(const struct endpoint *to, const struct endpoint *from,
	unsigned timeout_ms, int wake_fd);

/* accept4 for a listening socket that polled readable: small messages leave at
 * once (TCP_NODELAY), and the kernel takes no more than NET_UNSENT bytes beyond
 * what is on its way (TCP_NOTSENT_LOWAT), so that whoever cancels a block may
 * still be in time.  `ret` says who it is.  -1 with errno. */
enum { NET_UNSENT = 1024 * 1024 };
int net_accept(int listener, struct endpoint *ret);

/* The next datagram of a UDP socket, and who sent it.  -1: there is none, or an
 * error that poll() tells of again. */
ssize_t net_receive(int fd, void *ret, size_t size, struct endpoint *ret_from);

#endif
