#ifndef CLIENT_PEER_STREAM_H
#define CLIENT_PEER_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Bytes to and from a peer.  TCP now; uTP (BEP 29) and MSE will be further
 * kinds behind the same calls, for which `struct stream` then gets a table.
 *
 * The socket is a blocking one, but neither receive nor send waits: a worker
 * that sat in a send while its peer does the same would stand still for ever.
 * It waits in stream_wait() for both directions, its wake-up and a deadline. */
struct stream {
	int socket;
};

enum stream_result {
	STREAM_MOVED,   /* some bytes */
	STREAM_BLOCKED, /* none can be moved now */
	STREAM_CLOSED,  /* the other side went, or an error */
};

/* Fill `iov` as far as bytes have come. */
enum stream_result stream_receive(struct stream *s, const struct iovec *iov,
	size_t count, size_t *ret_len);

/* Send of `iov` what can be sent. */
enum stream_result stream_send(struct stream *s, const struct iovec *iov,
	size_t count, size_t *ret_len);

/* Wait until it can be read from (if `read`), written to (if `write`), was
 * closed (if either), `wake_fd` is readable, or `timeout_ms` have passed. */
struct stream_ready {
	bool readable; /* or closed */
	bool writable;
	bool woken;
};
struct stream_ready stream_wait(struct stream *s, bool read, bool write,
	int wake_fd, uint64_t timeout_ms);

/* Bytes that have come and were not received yet. */
size_t stream_unread(const struct stream *s);

void stream_close(struct stream *s);

#endif
