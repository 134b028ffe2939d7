/* A small torrent, four peers who say whatever they like, finishers that take
 * their time, and the clock: the bytes are a script of what happens.  After
 * each step the parts of the machine agree with each other, and with a plain
 * model; nobody is blamed for what another did; and at the end one honest peer
 * completes the torrent, whatever was said before by those who are still there.
 */

#include <string.h>

#include "client/peer/conversation.h"
#include "client/peer/intake.h"
#include "client/torrent/block_pool.h"
#include "client/torrent/open_piece.h"
#include "client/torrent/selection.h"
#include "client/torrent/torrent.h"
#include "shared/metainfo.h"
#include "shared/random_bytes.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/said.h"

enum {
	PEERS = 5, /* the last one is honest, and comes at the end */
	HONEST = PEERS - 1,
	PIECES = 7,
	BLOCKS = 3, /* of a piece; the last piece has a short one only */
	PIECE_LENGTH = BLOCKS * BLOCK_SIZE,
	LAST_LENGTH = 100,
	LENGTH = (PIECES - 1) * PIECE_LENGTH + LAST_LENGTH,
	STEPS = 400,
	JOINED_MAX = 100,
	SENT_MAX = 64 * 1024, /* by a peer, and not read yet */
	PATIENCE_S = 300,     /* for the end */
	BEGIN_MS = 1000000,
};

/* No dice: the same script is the same play. */
static uint64_t throws;

uint64_t random_u64(void)
{
	throws = throws * 6364136223846793005U + 1442695040888963407U;
	return throws;
}
uint32_t random_u32(void) { return (uint32_t)(random_u64() >> 32); }
void random_bytes(void *ret, size_t len) { memset(ret, 7, len); }

static uint8_t info[20000];
static struct metainfo_file files[] = {
	{.path = "a", .length = PIECE_LENGTH + 10},
	{.path = "b", .offset = PIECE_LENGTH + 10, .length = 2 * PIECE_LENGTH},
	{.path = "c",
		.offset = 3 * PIECE_LENGTH + 10,
		.length = LENGTH - 3 * PIECE_LENGTH - 10},
};
static struct metainfo meta = {
	.name = "fuzz",
	.multi_file = true,
	.length = LENGTH,
	.piece_length = PIECE_LENGTH,
	.piece_count = PIECES,
	.file_count = sizeof(files) / sizeof(files[0]),
	.files = files,
	.info = {info, sizeof(info)},
};

struct peer {
	bool here;
	struct conversation c;
	struct intake intake;
	struct buffer sent; /* by it, and not read yet */
};

struct play {
	struct reader script;
	uint64_t now_ms;
	struct block_pool *pool;
	struct torrent *torrent;
	struct selection selection;
	struct peer peers[PEERS];

	bool have[PIECES]; /* the model */
	bool lost;         /* we have lost a piece that we had */
	size_t full_count; /* pieces that are with finishers */
	struct open_piece *full[PIECES];

	uint8_t joined; /* peers, ever: their addresses */
	bool may_lie[JOINED_MAX + 2];
};

static struct play play;

_Static_assert(HONEST == 4, "two bits of a step say which of the others");

/* ---- the model ---- */

static bool is_wanted(uint32_t piece)
{
	return !play.selection.partial ||
		!bitfield_has(&play.selection.unwanted, piece);
}

static uint32_t block_length(uint32_t piece, uint32_t index)
{
	uint32_t left = metainfo_piece_size(&meta, piece) - index * BLOCK_SIZE;

	return left < BLOCK_SIZE ? left : BLOCK_SIZE;
}

/* The right bytes of a block are all the same. */
static uint8_t right_byte(uint32_t piece, uint32_t index)
{
	return (uint8_t)(1 + piece * BLOCKS + index);
}

static bool is_right(const struct open_piece *piece)
{
	for (uint32_t i = 0; i < piece->block_count; i++) {
		const uint8_t *bytes = piece->blocks[i];

		if (bytes[0] != right_byte(piece->index, i) ||
			memcmp(bytes, bytes + 1,
				block_length(piece->index, i) - 1) != 0)
			return false;
	}
	return true;
}

static void check_torrent(void)
{
	uint64_t bytes = 0;
	uint32_t count = 0;

	for (uint32_t i = 0; i < PIECES; i++) {
		require(torrent_has(play.torrent, i) == play.have[i]);
		if (!play.have[i] || !is_wanted(i))
			continue;
		count++;
		bytes += play.selection.partial
			? selection_piece_bytes(&play.selection, &meta, i)
			: metainfo_piece_size(&meta, i);
	}
	require(torrent_have_count(play.torrent) == count);
	require(torrent_have_bytes(play.torrent) == bytes);
}

static void check_peer(const struct peer *p)
{
	const struct conversation *c = &p->c;
	const struct asking *a = &c->asking;
	uint32_t useful = 0, has = 0;

	require(a->count <= ASKING_MAX && a->arrival_count == 0);
	require(c->peer.pick.asked == a->asked &&
		c->peer.pick.asked_count == a->count);
	require(a->requests >= a->answered + a->count);
	for (size_t i = 0; i < a->count; i++) {
		require(a->asked[i].piece < PIECES &&
			a->asked[i].index < BLOCKS);
		require(is_wanted(a->asked[i].piece));
		for (size_t n = 0; n < i; n++)
			require(a->asked[n].piece != a->asked[i].piece ||
				a->asked[n].index != a->asked[i].index);
	}
	for (uint32_t i = 0; i < PIECES; i++) {
		bool it_has = bitfield_has(&c->peer.pick.has, i);

		has += it_has;
		useful += it_has && is_wanted(i) &&
			!bitfield_has(&c->pieces.have, i);
	}
	require(c->peer.pick.has.set == has && c->pieces.useful == useful);
	require(c->wanted.count <= WANTED_MAX);
	require(c->out.len <= CONVERSATION_MAX_OUT);
}

/* It has been told what came from others; but the log of news has room for each
 * piece once only. */
static void check_not_asked_in_vain(const struct peer *p)
{
	const struct asking *a = &p->c.asking;

	if (play.lost)
		return;
	for (size_t i = 0; i < a->count; i++)
		require(a->released[i] || !play.have[a->asked[i].piece]);
}

static void check(void)
{
	check_torrent();
	for (size_t i = 0; i < PEERS; i++) {
		if (play.peers[i].here)
			check_peer(&play.peers[i]);
	}
}

/* ---- finishers ---- */

static void finish_piece(size_t which)
{
	struct open_piece *piece = play.full[which];
	uint32_t index = piece->index;
	bool good = is_right(piece);
	struct endpoint guilty[4];

	play.full[which] = play.full[--play.full_count];
	require(!play.have[index]);
	play.have[index] = good;
	size_t count =
		torrent_finish_piece(play.torrent, piece, good, guilty, 4);
	for (size_t i = 0; i < count; i++)
		require(play.may_lie[guilty[i].ip[15]]);
}

/* It could not be written. */
static void abandon_piece(size_t which)
{
	struct open_piece *piece = play.full[which];

	play.full[which] = play.full[--play.full_count];
	torrent_abandon_piece(play.torrent, piece);
}

/* ---- a peer, as a worker deals with it ---- */

static void take_blocks(struct peer *p)
{
	struct open_piece *full[ASKING_MAX_ARRIVALS];
	size_t left;
	size_t count = asking_flush(&p->c.asking, full, &left);

	for (size_t i = 0; i < left; i++)
		intake_return(&p->intake, p->c.asking.arrivals[i].memory);
	for (size_t i = 0; i < count; i++) {
		require(play.full_count < PIECES);
		play.full[play.full_count++] = full[i];
	}
}

static void leave(struct peer *p)
{
	take_blocks(p);
	intake_end(&p->intake);
	conversation_end(&p->c);
	buffer_finish(&p->sent);
	p->here = false;
}

static void judge(struct peer *p, enum conversation_verdict verdict)
{
	if (verdict == CONVERSATION_GOES_ON)
		return;
	require(*p->c.reason != '\0');
	require(verdict != CONVERSATION_CORRUPT ||
		play.may_lie[p->c.peer.pick.address.ip[15]]);
	leave(p);
}

static void join(struct peer *p, uint8_t options)
{
	struct conversation_start start = {
		.torrent = play.torrent,
		.wake_fd = -1,
		.fast = options & 1,
		.extended = options & 2,
		.give_only = options & 4,
		.pex = options & 8,
		.told_nothing = options & 16,
		.dht_port = options & 32 ? 6881 : 0,
		.port = 6882,
	};

	start.address.ip[15] = ++play.joined;
	start.address.port = 6883;
	require(conversation_begin(&p->c, &start, play.now_ms));
	intake_begin(&p->intake, &p->c, play.pool);
	buffer_init(&p->sent, SENT_MAX);
	p->here = true;
}

static void tick(struct peer *p)
{
	enum conversation_verdict verdict =
		conversation_tick(&p->c, play.now_ms);

	if (verdict == CONVERSATION_GOES_ON) {
		check_not_asked_in_vain(p);
		/* Or the worker would spin. */
		require(conversation_deadline(&p->c) > play.now_ms ||
			extension_talk_pex_due(&p->c.extensions, play.now_ms));
	}
	judge(p, verdict);
}

/* The next message that was said to it; as said_next(). */
static bool hear_next(struct peer *p, size_t *at, struct wire_message *ret)
{
	if (!said_next(&p->c.out, at, PIECES, p->c.fast, ret))
		return false;
	if (ret->id == WIRE_REQUEST || ret->id == WIRE_CANCEL)
		require(block_ref_valid(&ret->block,
			metainfo_piece_size(&meta, ret->block.piece)));
	return true;
}

static void hear(struct peer *p)
{
	struct wire_message message;
	size_t at = 0;

	while (hear_next(p, &at, &message))
		;
	p->c.out.len = 0;
}

/* Blocks are read from storage, and sent; or cannot be. */
static void serve(struct peer *p, bool refuse)
{
	struct block_ref wanted[8];
	size_t bytes = wanted_bytes(&p->c.wanted, 8, 4 * BLOCK_SIZE);
	size_t count = wanted_take(&p->c.wanted, wanted, 8, 4 * BLOCK_SIZE);

	for (size_t i = 0; i < count; i++) {
		require(block_ref_valid(&wanted[i],
			metainfo_piece_size(&meta, wanted[i].piece)));
		bytes -= wanted[i].length;
		if (refuse || !play.have[wanted[i].piece])
			conversation_refuse(&p->c, &wanted[i]);
	}
	require(bytes == 0);
}

/* Messages that could not be taken are, once others have gone out. */
static enum conversation_verdict go_on(struct peer *p)
{
	enum conversation_verdict verdict = CONVERSATION_GOES_ON;

	while (verdict == CONVERSATION_GOES_ON && intake_pending(&p->intake)) {
		while (p->c.wanted.count > 0)
			serve(p, false);
		hear(p);
		verdict = intake_resume(&p->intake, play.now_ms);
		take_blocks(p);
	}
	return verdict;
}

/* Read what it has sent, in one read or in small ones. */
static void read_all(struct peer *p, size_t cut)
{
	enum conversation_verdict verdict = go_on(p);
	size_t at = 0;

	while (at < p->sent.len && verdict == CONVERSATION_GOES_ON) {
		struct iovec iov[INTAKE_IOVS];
		size_t count = intake_plan(&p->intake, iov, cut);
		size_t got = 0;

		require(count > 0 && count <= INTAKE_IOVS);
		for (size_t i = 0; i < count && at < p->sent.len; i++) {
			size_t n = iov[i].iov_len;
			if (n > p->sent.len - at)
				n = p->sent.len - at;
			memcpy(iov[i].iov_base, p->sent.bytes + at, n);
			at += n;
			got += n;
		}
		verdict = intake_take(&p->intake, got, play.now_ms);
		take_blocks(p);
		if (verdict == CONVERSATION_GOES_ON)
			verdict = go_on(p);
	}
	p->sent.len = 0;
	judge(p, verdict);
}

/* ---- what peers send ---- */

static void send_block(
	struct peer *p, const struct block_id *block, uint8_t byte)
{
	static uint8_t message[WIRE_PIECE_HEADER_SIZE + BLOCK_SIZE];
	struct block_ref ref = {block->piece, block->index * BLOCK_SIZE,
		block_length(block->piece, block->index)};
	struct writer w = writer_of(message, sizeof(message));

	wire_write_piece_header(&w, &ref);
	memset(message + WIRE_PIECE_HEADER_SIZE, byte, ref.length);
	buffer_append(&p->sent, message, WIRE_PIECE_HEADER_SIZE + ref.length);
}

/* One that was asked for, right or wrong. */
static void give(struct peer *p, uint8_t which, bool lie)
{
	const struct asking *a = &p->c.asking;

	if (a->count == 0)
		return;
	struct block_id block = a->asked[which % a->count];
	uint8_t byte = right_byte(block.piece, block.index);

	if (lie) {
		play.may_lie[p->c.peer.pick.address.ip[15]] = true;
		byte ^= (uint8_t)(0x80 | which);
	}
	send_block(p, &block, byte);
}

/* A well-formed message about this torrent, in few bytes. */
static void say(struct peer *p)
{
	static const uint16_t lengths[] = {
		BLOCK_SIZE, LAST_LENGTH, 1, 0, BLOCK_SIZE + 1, 65535};
	uint8_t memory[32];
	struct writer w = writer_of(memory, sizeof(memory));
	uint8_t id = reader_u8(&play.script) % (WIRE_EXTENDED + 1);
	uint8_t number = reader_u8(&play.script);
	struct block_ref block = {
		.piece = number % (PIECES + 1),
		.begin = (number >> 4) % (BLOCKS + 1) * BLOCK_SIZE,
		.length = lengths[(number >> 6) %
			(sizeof(lengths) / sizeof(lengths[0]))],
	};

	switch ((enum wire_id)id) {
	case WIRE_CHOKE:
	case WIRE_UNCHOKE:
	case WIRE_INTERESTED:
	case WIRE_NOT_INTERESTED:
	case WIRE_HAVE_ALL:
	case WIRE_HAVE_NONE:
		wire_write_plain(&w, id);
		break;
	case WIRE_HAVE:
	case WIRE_SUGGEST:
	case WIRE_ALLOWED_FAST:
		wire_write_piece_index(&w, id, block.piece);
		break;
	case WIRE_REQUEST:
	case WIRE_CANCEL:
	case WIRE_REJECT:
		wire_write_block(&w, id, &block);
		break;
	case WIRE_BITFIELD:
		wire_write_bitfield(&w, &number, 1);
		break;
	case WIRE_PORT:
		wire_write_port(&w, number);
		break;
	case WIRE_EXTENDED: /* lt_donthave */
		wire_write_extended(&w, extension_our_id(EXTENSION_DONTHAVE),
			(uint8_t[]){0, 0, 0, number}, 4);
		break;
	case WIRE_PIECE: /* by give() */
	case WIRE_KEEP_ALIVE:
	case WIRE_UNKNOWN:
		wire_write_keep_alive(&w);
		break;
	}
	buffer_append(&p->sent, memory, writer_len(&w));
}

/* Bytes of the script as they are. */
static void send_raw(struct peer *p)
{
	size_t len = reader_u8(&play.script);

	if (len > reader_left(&play.script))
		len = reader_left(&play.script);
	play.may_lie[p->c.peer.pick.address.ip[15]] = true;
	if (len > 0)
		buffer_append(&p->sent, reader_take(&play.script, len), len);
}

/* ---- the play ---- */

static void tell_swarm(struct peer *p)
{
	struct pex_peer swarm[PEERS];
	size_t count = 0;

	for (size_t i = 0; i < PEERS; i++) {
		if (play.peers[i].here)
			swarm[count++].address =
				play.peers[i].c.peer.pick.address;
	}
	conversation_tell_swarm(&p->c, swarm, count, play.now_ms);
}

static void pass_time(uint8_t how)
{
	static const uint32_t steps_ms[] = {
		1, 30, 200, 900, 5000, 16000, 61000, 130000};

	play.now_ms += steps_ms[how % 8];
	for (size_t i = 0; i < PEERS; i++) {
		if (play.peers[i].here && how & 8)
			tick(&play.peers[i]);
	}
}

static void step(void)
{
	enum {
		SAY,
		RAW,
		GIVE,
		LIE,
		READ,
		TICK,
		TIME,
		FINISH,
		ABANDON,
		TRADE,
		SERVE,
		HEAR,
		LOSE,
		LEAVE,
		SWARM,
		LIMIT,
	};
	uint8_t what = reader_u8(&play.script);
	struct peer *p = &play.peers[(what >> 4) & 3];

	if (!p->here) {
		if (play.joined < JOINED_MAX)
			join(p, reader_u8(&play.script));
		return;
	}
	switch (what & 15) {
	case SAY:
		say(p);
		break;
	case RAW:
		send_raw(p);
		break;
	case GIVE:
	case LIE:
		give(p, reader_u8(&play.script), (what & 15) == LIE);
		break;
	case READ:
		read_all(p, 1 + (size_t)reader_u8(&play.script) * 100);
		return;
	case TICK:
		tick(p);
		return;
	case TIME:
		pass_time(reader_u8(&play.script));
		return;
	case FINISH:
		if (play.full_count > 0)
			finish_piece(what % play.full_count);
		return;
	case ABANDON:
		if (play.full_count > 0)
			abandon_piece(what % play.full_count);
		return;
	case TRADE:
		conversation_choke(&p->c, !p->c.am_choking);
		return;
	case SERVE:
		serve(p, reader_u8(&play.script) & 1);
		return;
	case HEAR:
		hear(p);
		return;
	case LOSE: {
		uint32_t piece = reader_u8(&play.script) % PIECES;

		torrent_lose(play.torrent, piece);
		play.lost |= play.have[piece];
		play.have[piece] = false;
		return;
	}
	case LEAVE:
		leave(p);
		return;
	case SWARM:
		tell_swarm(p);
		return;
	case LIMIT:
		p->c.asking.may_ask = reader_u8(&play.script);
		if (p->c.asking.may_ask > 9)
			p->c.asking.may_ask = SIZE_MAX;
		return;
	}
	/* Said, and read at once unless it is to wait for more. */
	if (!(what & 64))
		read_all(p, SIZE_MAX);
}

/* It answers what it is asked, and nothing but the truth. */
static void answer(struct peer *p)
{
	struct wire_message message;
	size_t at = 0;

	while (hear_next(p, &at, &message)) {
		const struct block_ref *b = &message.block;
		struct block_id block = {b->piece, b->begin / BLOCK_SIZE};

		if (message.id != WIRE_REQUEST)
			continue;
		if (SENT_MAX - p->sent.len < 2 * BLOCK_SIZE) {
			/* As much as a socket takes. */
			read_all(p, SIZE_MAX);
			require(p->here);
		}
		send_block(p, &block, right_byte(block.piece, block.index));
	}
	p->c.out.len = 0;
}

static void finish_all(void)
{
	while (play.full_count > 0)
		finish_piece(play.full_count - 1);
}

/* The others stay as they are, and keep what they were asked for. */
static void complete(void)
{
	struct peer *honest = &play.peers[HONEST];

	join(honest, 0);
	buffer_append(&honest->sent, "\0\0\0\2\5\xfe\0\0\0\1\1", 11);
	read_all(honest, SIZE_MAX);
	for (unsigned s = 0; !torrent_complete(play.torrent); s++) {
		require(s < PATIENCE_S && honest->here);
		play.now_ms += 1000;
		for (size_t i = 0; i < PEERS; i++) {
			if (play.peers[i].here)
				tick(&play.peers[i]);
		}
		require(honest->here || torrent_complete(play.torrent));
		if (honest->here) {
			answer(honest);
			buffer_append(&honest->sent, "\0\0\0\0", 4);
			read_all(honest, SIZE_MAX);
		}
		finish_all();
		check();
	}
}

static void set_up(uint8_t choices)
{
	static struct selection_list first_and_last;
	struct error err;
	uint8_t good[PIECES] = {0};

	if (first_and_last.count == 0)
		require(selection_list_add(&first_and_last, "1,3", &err));
	throws = choices;
	play = (struct play){.now_ms = BEGIN_MS};
	meta.private = choices & 1;
	play.pool = block_pool_create();
	play.torrent = torrent_create(&meta, play.pool,
		choices & 2 ? PIECE_ORDER_RAREST : PIECE_ORDER_SEQUENTIAL,
		choices & 4 ? 2 * PIECE_LENGTH : UINT64_MAX);
	require(play.pool && play.torrent);
	if (choices & 8) {
		require(selection_choose(
			&first_and_last, &meta, &play.selection, &err));
		require(torrent_select(play.torrent, &play.selection));
	}
	for (uint32_t i = 0; i < PIECES; i++)
		good[i] = play.have[i] = choices & 16 && i % 3 == 0;
	torrent_set_have(play.torrent, good);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	if (len == 0)
		return 0;

	set_up(bytes[0]);
	play.script = reader_of(bytes + 1, len - 1);
	for (unsigned i = 0; i < STEPS && reader_left(&play.script) > 0; i++) {
		step();
		check();
	}
	finish_all();
	complete();
	for (size_t i = 0; i < PEERS; i++) {
		if (play.peers[i].here)
			leave(&play.peers[i]);
	}
	finish_all();
	torrent_destroy(play.torrent);
	selection_finish(&play.selection);
	block_pool_destroy(play.pool); /* asserts that all was given back */
	return 0;
}
