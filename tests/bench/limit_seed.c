/* limit_seed TORRENT CONTENT ADDRESS:PORT
 *
 * The least a seeder of a single file can do: read blocks that lie together
 * with one pread, send headers and blocks with one writev.  Prints the port,
 * and serves each connection in a thread of its own until it is killed. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/peer/wire.h"
#include "client/torrent/bitfield.h"
#include "client/torrent/block.h"
#include "shared/net.h"
#include "tests/bench/limit.h"

static struct metainfo torrent;
static int content;

/* One connection, with the requests that came and are not answered yet. */
struct served {
	int fd;
	size_t len; /* bytes in `in` */
	uint8_t in[64 * 1024];

	size_t count;
	struct block_ref asked[LIMIT_BATCH];
	uint8_t *blocks; /* LIMIT_BATCH_BYTES */
};

static void greet(int fd)
{
	struct bitfield all;

	limit_greet(fd, &torrent.info_hash);
	if (!bitfield_init(&all, torrent.piece_count))
		limit_fail("bitfield");
	bitfield_set_all(&all);

	size_t bits_size = bitfield_wire_size(torrent.piece_count);
	size_t size = bits_size + (size_t)2 * WIRE_PREFIX_SIZE;
	uint8_t *bits = malloc(bits_size);
	uint8_t *out = malloc(size);
	if (!bits || !out)
		limit_fail("bitfield");
	bitfield_to_wire(&all, bits);
	struct writer w = writer_of(out, size);
	wire_write_bitfield(&w, bits, bits_size);
	wire_write_plain(&w, WIRE_UNCHOKE);
	limit_send(fd, out, writer_len(&w));
	free(out);
	free(bits);
	bitfield_finish(&all);
}

static bool follows(const struct block_ref *b, const struct block_ref *before)
{
	return b->piece == before->piece && before->length == BLOCK_SIZE &&
		b->begin == before->begin + BLOCK_SIZE;
}

static void read_blocks(struct served *s)
{
	for (size_t i = 0, end; i < s->count; i = end) {
		const struct block_ref *b = &s->asked[i];
		size_t len = b->length;

		for (end = i + 1; end < s->count &&
			follows(&s->asked[end], &s->asked[end - 1]);
			end++)
			len += s->asked[end].length;

		uint64_t at =
			(uint64_t)b->piece * torrent.piece_length + b->begin;
		if (pread(content, s->blocks + i * BLOCK_SIZE, len,
			    (off_t)at) != (ssize_t)len)
			limit_fail("read");
	}
}

static bool write_all(int fd, struct iovec *v, size_t count)
{
	while (count > 0) {
		struct msghdr message = {.msg_iov = v, .msg_iovlen = count};
		ssize_t n = sendmsg(fd, &message, MSG_NOSIGNAL);
		if (n < 0)
			return false;
		for (; count > 0 && (size_t)n >= v->iov_len; v++, count--)
			n -= (ssize_t)v->iov_len;
		if (count > 0) {
			v->iov_base = (uint8_t *)v->iov_base + n;
			v->iov_len -= (size_t)n;
		}
	}
	return true;
}

/* False: the peer has gone. */
static bool answer(struct served *s)
{
	uint8_t headers[LIMIT_BATCH * WIRE_PIECE_HEADER_SIZE];
	struct writer w = writer_of(headers, sizeof(headers));
	struct iovec v[2 * LIMIT_BATCH];

	read_blocks(s);
	for (size_t i = 0; i < s->count; i++) {
		v[2 * i] = (struct iovec){w.next, WIRE_PIECE_HEADER_SIZE};
		v[2 * i + 1] = (struct iovec){
			s->blocks + i * BLOCK_SIZE, s->asked[i].length};
		wire_write_piece_header(&w, &s->asked[i]);
	}
	size_t count = s->count;
	s->count = 0;
	return write_all(s->fd, v, 2 * count);
}

/* Take the message at the beginning of `bytes`; its size, or 0: not all of it
 * has come. */
static size_t take_message(struct served *s, struct span bytes)
{
	struct wire_prefix prefix;
	struct wire_message message;

	switch (wire_read_prefix(bytes, torrent.piece_count, false, &prefix)) {
	case WIRE_MORE:
		return 0;
	case WIRE_BROKEN:
		limit_end("a message is broken");
	case WIRE_OK:
		break;
	}
	if (prefix.size > bytes.len)
		return 0;
	bytes.len = prefix.size;
	if (!wire_read(&prefix, bytes, &message))
		limit_end("a message is broken");
	if (message.id == WIRE_REQUEST) {
		uint32_t size =
			metainfo_piece_size(&torrent, message.block.piece);
		if (!block_ref_valid(&message.block, size))
			limit_end("a request is wrong");
		s->asked[s->count++] = message.block;
	}
	return prefix.size;
}

/* Answer what has come in full batches, and then the rest. */
static bool serve_some(struct served *s)
{
	size_t used = 0;
	size_t size;

	do {
		size = take_message(
			s, (struct span){s->in + used, s->len - used});
		used += size;
		if (s->count == LIMIT_BATCH && !answer(s))
			return false;
	} while (size > 0);
	s->len -= used;
	memmove(s->in, s->in + used, s->len);
	return s->count == 0 || answer(s);
}

static void *serve(void *arg)
{
	struct served *s = arg;
	ssize_t n;

	greet(s->fd);
	while ((n = recv(s->fd, s->in + s->len, sizeof(s->in) - s->len, 0)) >
		0) {
		s->len += (size_t)n;
		if (!serve_some(s))
			break;
	}
	close(s->fd);
	free(s->blocks);
	free(s);
	return NULL;
}

static void accept_one(int listener)
{
	struct endpoint from;
	struct served *s = calloc(1, sizeof(*s));
	pthread_t thread;

	if (!s)
		limit_fail("memory");
	s->fd = net_accept(listener, &from);
	s->blocks = aligned_alloc(4096, LIMIT_BATCH_BYTES);
	if (s->fd < 0 || !s->blocks ||
		pthread_create(&thread, NULL, serve, s) != 0)
		limit_fail("accept");
	pthread_detach(thread);
}

int main(int argc, char **argv)
{
	struct endpoint at;
	struct error err;
	int listener;

	if (argc != 4 || !endpoint_parse(argv[3], &at)) {
		fputs("limit_seed TORRENT CONTENT ADDRESS:PORT\n", stderr);
		return 2;
	}
	limit_load(argv[1], &torrent);
	content = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (content < 0)
		limit_fail(argv[2]);
	if (!net_listen(&at, 16, &listener, &at, &err))
		limit_end(err.text);
	printf("%u\n", at.port);
	fflush(stdout);
	for (;;)
		accept_one(listener);
}
