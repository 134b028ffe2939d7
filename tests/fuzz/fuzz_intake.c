#include <string.h>

#include "client/peer/conversation.h"
#include "client/peer/intake.h"
#include "client/torrent/block_pool.h"
#include "client/torrent/open_piece.h"
#include "client/torrent/torrent.h"
#include "shared/metainfo.h"
#include "tests/fuzz/fuzz.h"

/* A byte of choices, a byte for how the rest is cut, then what a peer sends
 * after the handshake, to a conversation about a small torrent: whatever it is,
 * memory is given back, counts stay within their limits, and the same bytes
 * mean the same however they are cut. */

enum {
	PIECES = 10,
	PIECE_LENGTH = 2 * BLOCK_SIZE,
	LAST_LENGTH = BLOCK_SIZE + 100,
	BEGIN_MS = 1000000,
};

static const struct metainfo meta = {
	.name = "fuzz",
	.length = (PIECES - 1) * PIECE_LENGTH + LAST_LENGTH,
	.piece_length = PIECE_LENGTH,
	.piece_count = PIECES,
};

struct outcome {
	enum conversation_verdict verdict;
	uint32_t have;
	uint64_t payload;
	unsigned unasked;
	size_t wanted;
	bool interested, choking;
};

struct run {
	struct block_pool *pool;
	struct torrent *torrent;
	struct conversation c;
	struct intake intake;
};

static void flush(struct run *r)
{
	struct open_piece *full[ASKING_MAX_ARRIVALS];
	struct endpoint guilty[4];
	size_t left;
	size_t count = asking_flush(&r->c.asking, full, &left);

	for (size_t i = 0; i < left; i++)
		intake_return(&r->intake, r->c.asking.arrivals[i].memory);
	for (size_t i = 0; i < count; i++)
		torrent_finish_piece(r->torrent, full[i], true, guilty, 4);
}

/* As a worker does it, with at most `cut` bytes a read. */
static enum conversation_verdict converse(
	struct run *r, const uint8_t *bytes, size_t len, size_t cut)
{
	enum conversation_verdict verdict = CONVERSATION_GOES_ON;

	while (len > 0 && verdict == CONVERSATION_GOES_ON) {
		struct iovec iov[INTAKE_IOVS];
		size_t count = intake_plan(&r->intake, iov, cut);
		size_t got = 0;

		require(count > 0 && count <= INTAKE_IOVS);
		for (size_t i = 0; i < count && len > 0; i++) {
			size_t n = iov[i].iov_len;
			if (n > len)
				n = len;
			memcpy(iov[i].iov_base, bytes, n);
			bytes += n;
			len -= n;
			got += n;
		}
		require(got <= cut);
		verdict = intake_take(&r->intake, got, BEGIN_MS);
		flush(r);
		require(r->c.wanted.count <= WANTED_MAX);
		require(r->c.asking.count <= ASKING_MAX);
		require(r->c.out.len <= CONVERSATION_MAX_OUT);
		if (intake_pending(&r->intake))
			break; /* the peer is not read from any more */
	}
	return verdict;
}

static struct outcome run(
	uint8_t choices, const uint8_t *bytes, size_t len, size_t cut)
{
	static struct run r;
	struct conversation_start start = {
		.fast = choices & 1,
		.extended = choices & 2,
		.wake_fd = -1,
	};
	uint8_t good[PIECES] = {0};

	r.pool = block_pool_create();
	r.torrent = torrent_create(
		&meta, r.pool, PIECE_ORDER_SEQUENTIAL, UINT64_MAX);
	require(r.pool && r.torrent);
	memset(good, 1, choices & 4 ? PIECES : 5);
	torrent_set_have(r.torrent, good);
	start.torrent = r.torrent;
	require(conversation_begin(&r.c, &start, BEGIN_MS));
	intake_begin(&r.intake, &r.c, r.pool);
	if (choices & 8)
		conversation_choke(&r.c, false);
	if (choices & 16) {
		/* It has all and was asked for what is lacking. */
		for (uint32_t i = 0; i < PIECES; i++)
			conversation_message(&r.c,
				&(struct wire_message){
					.id = WIRE_HAVE, .piece = i},
				BEGIN_MS);
		conversation_message(&r.c,
			&(struct wire_message){.id = WIRE_UNCHOKE}, BEGIN_MS);
		require(conversation_tick(&r.c, BEGIN_MS) ==
			CONVERSATION_GOES_ON);
	}

	struct outcome result = {.verdict = converse(&r, bytes, len, cut)};
	result.have = torrent_have_count(r.torrent);
	result.payload = r.c.asking.payload;
	result.unasked = r.c.asking.unasked;
	result.wanted = r.c.wanted.count;
	result.interested = r.c.peer_interested;
	result.choking = r.c.peer_choking;
	require(result.have >= (choices & 4 ? PIECES : 5));

	/* A worker ticks all the time; with the bytes gone that must go well
	 * at any later moment. */
	for (uint64_t s = 0; s <= 200; s += 5)
		(void)conversation_tick(&r.c, BEGIN_MS + s * 1000);

	intake_end(&r.intake);
	conversation_end(&r.c);
	torrent_destroy(r.torrent);
	block_pool_destroy(r.pool); /* asserts that all was given back */
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len < 2)
		return 0;

	size_t cut = 1 + (size_t)bytes[1] * bytes[1];
	struct outcome one = run(bytes[0], bytes + 2, len - 2, SIZE_MAX);
	struct outcome two = run(bytes[0], bytes + 2, len - 2, cut);

	require(one.verdict == two.verdict);
	if (one.verdict == CONVERSATION_GOES_ON)
		require(one.have == two.have && one.payload == two.payload &&
			one.unasked == two.unasked &&
			one.wanted == two.wanted &&
			one.interested == two.interested &&
			one.choking == two.choking);
	return 0;
}
