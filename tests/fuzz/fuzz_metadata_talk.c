/* Several peers, of whom a magnet link's metadata is asked, say whatever they
 * like: what is asked of them is bounded, who always told the truth is never
 * taken for a liar, and at the end one honest peer gives the metadata, whatever
 * was said before by those who are still there.
 */

#include <string.h>

#include "client/peer/metadata_talk.h"
#include "shared/digest.h"
#include "shared/reader.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/said.h"

enum {
	PEERS = 5, /* the last one is honest, and comes at the end */
	HONEST = PEERS - 1,
	PIECES = 3,
	SIZE = (PIECES - 1) * METADATA_PIECE_SIZE + 777,
	STEPS = 300,
	JOINED_MAX = 100,
	PATIENCE_S = 120, /* for the end */
	BEGIN_MS = 1000000,
};

static uint8_t info[SIZE];

/* Sizes that peers claim. */
static const uint32_t sizes[] = {SIZE, SIZE, SIZE, SIZE - 1, 1, 2,
	METADATA_PIECE_SIZE, METADATA_MAX_SIZE, METADATA_MAX_SIZE + 1, 20000,
	20001, 20002, 20003, 20004, 0, UINT32_MAX};

struct peer {
	bool here;
	struct metadata_talk talk;
};

struct play {
	struct reader script;
	uint64_t now_ms;
	struct metadata_assembler *assembler;
	struct peer peers[PEERS];
	uint8_t joined; /* peers, ever: their addresses */
	bool may_lie[JOINED_MAX + 2];
};

static struct play play;

static bool is_whole(void)
{
	struct span whole = metadata_assembler_whole(play.assembler);

	require(whole.len == 0 ||
		(whole.len == SIZE && memcmp(whole.at, info, SIZE) == 0));
	return whole.len > 0;
}

static void check(void)
{
	(void)is_whole();
	for (uint8_t i = 1; i <= play.joined; i++) {
		struct endpoint who = {.ip[15] = i, .port = 6881};
		require(play.may_lie[i] ||
			metadata_assembler_trusts(play.assembler, &who));
	}
	for (size_t i = 0; i < PEERS; i++) {
		const struct metadata_talk *t = &play.peers[i].talk;
		if (!play.peers[i].here)
			continue;
		require(t->asked_count <= METADATA_TALK_ASKED);
		require(t->out.len <= METADATA_TALK_MAX_OUT);
		for (size_t n = 0; n < t->asked_count; n++)
			require(metadata_piece_size(t->size, t->asked[n]) > 0);
	}
}

/* ---- a peer, as a worker deals with it ---- */

static void join(struct peer *p, uint8_t options)
{
	struct metadata_talk_start start = {
		.assembler = play.assembler,
		.fast = options & 1,
		.extended = options & 2,
		.pex = options & 4,
		.port = 6882,
	};

	start.from.ip[15] = ++play.joined;
	start.from.port = 6881;
	metadata_talk_begin(&p->talk, &start, play.now_ms);
	p->here = true;
}

static void leave(struct peer *p)
{
	metadata_talk_end(&p->talk);
	p->here = false;
}

static void judge(struct peer *p, enum metadata_talk_verdict verdict)
{
	if (verdict == METADATA_TALK_GOES_ON)
		return;
	require(*p->talk.reason != '\0');
	require((verdict == METADATA_TALK_DONE) == is_whole() ||
		verdict == METADATA_TALK_PROTOCOL_ERROR);
	leave(p);
}

static void say(struct peer *p, uint8_t id, const uint8_t *bytes, size_t len)
{
	judge(p,
		metadata_talk_message(&p->talk,
			&(struct wire_message){.id = WIRE_EXTENDED,
				.extended_id = id,
				.payload = {bytes, len}},
			play.now_ms));
}

/* ---- what peers say ---- */

static void greet(struct peer *p, uint32_t size)
{
	uint8_t bytes[256];
	struct writer w = writer_of(bytes, sizeof(bytes));

	extension_write_handshake(&w,
		&(struct extended_handshake){.ids[EXTENSION_METADATA] = 3,
			.metadata_size = size,
			.port = 6883});
	say(p, EXTENDED_HANDSHAKE_ID, bytes, writer_len(&w));
}

static void give(struct peer *p, enum metadata_kind kind, uint32_t piece,
	uint32_t size, uint8_t error)
{
	static uint8_t bytes[METADATA_MESSAGE_SIZE], data[METADATA_PIECE_SIZE];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct metadata_message m = {
		.kind = kind, .piece = piece, .total_size = size};

	if (kind == METADATA_DATA) {
		m.data.at = data;
		m.data.len = size <= METADATA_MAX_SIZE
			? metadata_piece_size(size, piece)
			: 9;
		memset(data, 'd', m.data.len);
		if (size == SIZE && m.data.len > 0)
			memcpy(data, info + piece * METADATA_PIECE_SIZE,
				m.data.len);
		if (m.data.len > 0) {
			data[m.data.len / 2] ^= error;
			if (size != SIZE)
				data[m.data.len - 1] = 'e';
		}
	}
	metadata_write(&w, &m);
	say(p, extension_our_id(EXTENSION_METADATA), bytes, writer_len(&w));
}

/* An answer to one of our requests; a lie as the low bits of `how` say. */
static void answer(struct peer *p, uint8_t how)
{
	const struct metadata_talk *t = &p->talk;

	if (t->asked_count == 0)
		return;
	if (how & 7 || t->size != SIZE)
		play.may_lie[t->from.ip[15]] = true;
	give(p, METADATA_DATA, t->asked[(how >> 3) % t->asked_count],
		how & 4 ? sizes[how >> 4] : t->size, how & 3);
}

static void send_raw(struct peer *p)
{
	uint8_t id = reader_u8(&play.script) % 4;
	size_t len = reader_u8(&play.script);

	if (len > reader_left(&play.script))
		len = reader_left(&play.script);
	play.may_lie[p->talk.from.ip[15]] = true;
	if (len > 0)
		say(p, id, reader_take(&play.script, len), len);
}

/* What was said to it is well-formed. */
static void hear(struct peer *p)
{
	struct wire_message message;
	size_t at = 0;

	while (said_next(&p->talk.out, &at, 0, true, &message))
		;
	p->talk.out.len = 0;
}

/* ---- the play ---- */

static void tick(struct peer *p)
{
	judge(p, metadata_talk_tick(&p->talk, play.now_ms));
}

static void pass_time(uint8_t how)
{
	static const uint32_t steps_ms[] = {
		1, 100, 500, 3000, 5000, 11000, 31000, 100000};

	play.now_ms += steps_ms[how & 7];
	for (size_t i = 0; i < PEERS; i++) {
		if (play.peers[i].here && how & 8)
			tick(&play.peers[i]);
	}
}

static void step(void)
{
	enum { GREET, ANSWER, REJECT, ASK, RAW, TICK, HEAR, LEAVE };
	uint8_t what = reader_u8(&play.script);
	uint8_t how = reader_u8(&play.script);
	struct peer *p = &play.peers[what >> 3 & 3];

	if (what & 32) {
		pass_time(how);
	} else if (!p->here) {
		if (play.joined < JOINED_MAX)
			join(p, how);
	} else {
		switch (what & 7) {
		case GREET:
			greet(p, sizes[how & 15]);
			break;
		case ANSWER:
			answer(p, how);
			break;
		case REJECT:
			give(p, METADATA_REJECT, how & 3, 0, 0);
			break;
		case ASK:
			give(p, METADATA_REQUEST, how & 3, 0, 0);
			break;
		case RAW:
			send_raw(p);
			break;
		case TICK:
			tick(p);
			break;
		case HEAR:
			hear(p);
			break;
		case LEAVE:
			leave(p);
			break;
		}
	}
}

/* The others stay as they are, and keep what they were asked for. */
static void complete(void)
{
	struct peer *honest = &play.peers[HONEST];

	for (unsigned ms = 0; !is_whole(); ms += METADATA_TALK_LOOK_MS) {
		require(ms < PATIENCE_S * 1000);
		play.now_ms += METADATA_TALK_LOOK_MS;
		if (!honest->here) {
			/* Dialled again. */
			play.joined = JOINED_MAX;
			join(honest, 2);
			greet(honest, SIZE);
		}
		for (size_t i = 0; i < PEERS; i++) {
			if (play.peers[i].here)
				tick(&play.peers[i]);
		}
		if (honest->here && honest->talk.asked_count > 0)
			give(honest, METADATA_DATA, honest->talk.asked[0], SIZE,
				0);
		if (honest->here)
			hear(honest);
		check();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct info_hash hash;

	for (size_t i = 0; i < SIZE; i++)
		info[i] = (uint8_t)(i * i >> 8);
	info[0] = 'd';
	info[SIZE - 1] = 'e';
	digest_sha1(info, SIZE, hash.bytes);
	play = (struct play){
		.script = reader_of(bytes, len),
		.now_ms = BEGIN_MS,
		.assembler = metadata_assembler_create(&hash),
	};
	require(play.assembler != NULL);
	for (unsigned i = 0; i < STEPS && reader_left(&play.script) > 0; i++) {
		step();
		check();
	}
	complete();
	for (size_t i = 0; i < PEERS; i++) {
		if (play.peers[i].here)
			leave(&play.peers[i]);
	}
	metadata_assembler_destroy(play.assembler);
	return 0;
}
