/* limit_leech TORRENT CONTENT|- ADDRESS:PORT
 *
 * The least a leecher can do that takes everything from one seeder, in order:
 * it knows what comes next, so headers and blocks are received in place.  Two
 * other threads hash the pieces and write them to CONTENT; with `-` they are
 * dropped, unseen, and what is measured is the seeder. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client/peer/wire.h"
#include "client/torrent/block.h"
#include "shared/net.h"
#include "shared/piece_check.h"
#include "tests/bench/limit.h"

enum {
	IN_FLIGHT = 128, /* blocks that are asked for */
	ASK_AGAIN = 96,  /* when no more than so many are still to come */
	FINISHERS = 2,   /* threads that hash and write */
	PIECE_COUNT = 6, /* in memory; more of them leave the cache */
	DIAL_MS = 10000,
};

static struct metainfo torrent;
static int seeder;

/* ---- pieces, between who receives and who hashes ---- */

struct piece {
	uint32_t index;
	uint8_t *bytes;
};

static struct {
	int content; /* -1: nothing is hashed or written */

	pthread_mutex_t lock;
	pthread_cond_t changed; /* with `lock` */

	/* The rest is guarded by `lock`. */
	struct piece free[PIECE_COUNT];
	size_t free_count;
	struct piece full[PIECE_COUNT];
	size_t full_count;
	bool over; /* no more will come */
} store = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.changed = PTHREAD_COND_INITIALIZER,
};

static struct piece take_free(void)
{
	pthread_mutex_lock(&store.lock);
	while (store.free_count == 0)
		pthread_cond_wait(&store.changed, &store.lock);
	struct piece p = store.free[--store.free_count];
	pthread_mutex_unlock(&store.lock);
	return p;
}

static void give(struct piece *to, size_t *count, struct piece p)
{
	pthread_mutex_lock(&store.lock);
	to[(*count)++] = p;
	pthread_cond_broadcast(&store.changed);
	pthread_mutex_unlock(&store.lock);
}

/* False: there are none, and no more will come. */
static bool take_full(struct piece *ret)
{
	pthread_mutex_lock(&store.lock);
	while (store.full_count == 0 && !store.over)
		pthread_cond_wait(&store.changed, &store.lock);
	bool taken = store.full_count > 0;
	if (taken)
		*ret = store.full[--store.full_count];
	pthread_mutex_unlock(&store.lock);
	return taken;
}

static void *finisher_main(void *arg)
{
	struct piece_check *check = piece_check_create();
	struct piece p;

	(void)arg;
	if (!check)
		limit_fail("memory");
	while (take_full(&p)) {
		uint32_t size = metainfo_piece_size(&torrent, p.index);
		off_t at = (off_t)p.index * torrent.piece_length;

		piece_check_begin(check, &torrent, p.index);
		piece_check_update(check, p.bytes, size);
		if (!piece_check_end(check))
			limit_end("a piece is wrong");
		if (pwrite(store.content, p.bytes, size, at) != (ssize_t)size)
			limit_fail("write");
		give(store.free, &store.free_count, p);
	}
	piece_check_destroy(check);
	return NULL;
}

/* ---- the conversation ---- */

static struct {
	uint32_t piece; /* the next block to ask for */
	uint32_t begin;
	unsigned in_flight;
} asked;

static struct block_ref block_at(uint32_t piece, uint32_t begin)
{
	uint32_t left = metainfo_piece_size(&torrent, piece) - begin;

	return (struct block_ref){
		piece, begin, left < BLOCK_SIZE ? left : BLOCK_SIZE};
}

static void ask_for_more(void)
{
	uint8_t out[IN_FLIGHT * 17];
	struct writer w = writer_of(out, sizeof(out));

	if (asked.in_flight > ASK_AGAIN)
		return;
	while (asked.in_flight < IN_FLIGHT &&
		asked.piece < torrent.piece_count) {
		struct block_ref b = block_at(asked.piece, asked.begin);

		wire_write_block(&w, WIRE_REQUEST, &b);
		asked.in_flight++;
		asked.begin += BLOCK_SIZE;
		if (asked.begin >= metainfo_piece_size(&torrent, asked.piece)) {
			asked.piece++;
			asked.begin = 0;
		}
	}
	if (writer_len(&w) > 0)
		limit_send(seeder, out, writer_len(&w));
}

/* Receive into all of `v`, which holds a header and a block in turn, and ask
 * for more whenever something has come. */
static void receive(struct iovec *v, size_t count)
{
	while (count > 0) {
		ask_for_more();
		ssize_t n = readv(seeder, v, (int)count);
		if (n <= 0)
			limit_fail("receive");
		for (; count > 0 && (size_t)n >= v->iov_len; v++, count--) {
			n -= (ssize_t)v->iov_len;
			if (count % 2 == 1)
				asked.in_flight--;
		}
		if (count > 0) {
			v->iov_base = (uint8_t *)v->iov_base + n;
			v->iov_len -= (size_t)n;
		}
	}
}

/* Receive up to LIMIT_BATCH blocks of a piece, from `begin` on; where the next
 * one begins. */
static uint32_t receive_batch(const struct piece *p, uint32_t begin)
{
	uint8_t wanted[LIMIT_BATCH * WIRE_PIECE_HEADER_SIZE];
	uint8_t come[sizeof(wanted)];
	struct writer w = writer_of(wanted, sizeof(wanted));
	struct iovec v[2 * LIMIT_BATCH];
	uint32_t size = metainfo_piece_size(&torrent, p->index);
	size_t count = 0;

	for (; begin < size && count < LIMIT_BATCH; count++) {
		struct block_ref b = block_at(p->index, begin);

		v[2 * count] = (struct iovec){
			come + writer_len(&w), WIRE_PIECE_HEADER_SIZE};
		v[2 * count + 1] = (struct iovec){p->bytes + begin, b.length};
		wire_write_piece_header(&w, &b);
		begin += b.length;
	}
	receive(v, 2 * count);
	if (memcmp(come, wanted, writer_len(&w)) != 0)
		limit_end("not the block that was asked for");
	return begin;
}

static void receive_piece(const struct piece *p)
{
	uint32_t size = metainfo_piece_size(&torrent, p->index);

	for (uint32_t begin = 0; begin < size;)
		begin = receive_batch(p, begin);
}

static void greet(void)
{
	uint8_t interested[WIRE_PREFIX_SIZE];
	struct writer w = writer_of(interested, sizeof(interested));
	uint8_t head[WIRE_PREFIX_SIZE];
	uint8_t *body = malloc(METAINFO_MAX_PIECES / 8);

	if (!body)
		limit_fail("memory");
	limit_greet(seeder, &torrent.info_hash);
	wire_write_plain(&w, WIRE_INTERESTED);
	limit_send(seeder, interested, sizeof(interested));
	for (;;) {
		struct wire_prefix prefix;

		limit_receive(seeder, head, sizeof(head));
		if (wire_read_prefix((struct span){head, sizeof(head)},
			    torrent.piece_count, false, &prefix) != WIRE_OK)
			limit_end("a message is broken");
		if (prefix.size > sizeof(head))
			limit_receive(seeder, body, prefix.size - sizeof(head));
		if (prefix.id == WIRE_UNCHOKE)
			break;
	}
	free(body);
}

static void leech(void)
{
	greet();
	for (uint32_t i = 0; i < torrent.piece_count; i++) {
		struct piece p = take_free();
		p.index = i;
		receive_piece(&p);
		if (store.content < 0)
			give(store.free, &store.free_count, p);
		else
			give(store.full, &store.full_count, p);
	}
}

static void leech_and_write(const char *path)
{
	pthread_t threads[FINISHERS];

	store.content =
		open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (store.content < 0 ||
		ftruncate(store.content, (off_t)torrent.length) != 0)
		limit_fail(path);
	for (size_t i = 0; i < FINISHERS; i++) {
		if (pthread_create(&threads[i], NULL, finisher_main, NULL))
			limit_fail("thread");
	}
	leech();
	pthread_mutex_lock(&store.lock);
	store.over = true;
	pthread_cond_broadcast(&store.changed);
	pthread_mutex_unlock(&store.lock);
	for (size_t i = 0; i < FINISHERS; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	struct endpoint to;

	if (argc != 4 || !endpoint_parse(argv[3], &to)) {
		fputs("limit_leech TORRENT CONTENT|- ADDRESS:PORT\n", stderr);
		return 2;
	}
	limit_load(argv[1], &torrent);
	seeder = net_dial(&to, NULL, DIAL_MS, -1);
	if (seeder < 0)
		limit_fail(argv[3]);
	for (; store.free_count < PIECE_COUNT; store.free_count++) {
		uint8_t *bytes = aligned_alloc(4096,
			((size_t)torrent.piece_length + 4095) / 4096 * 4096);
		if (!bytes)
			limit_fail("memory");
		store.free[store.free_count].bytes = bytes;
	}
	if (strcmp(argv[2], "-") != 0) {
		leech_and_write(argv[2]);
	} else {
		store.content = -1;
		leech();
	}
	return 0;
}
