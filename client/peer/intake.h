#ifndef CLIENT_PEER_INTAKE_H
#define CLIENT_PEER_INTAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "client/peer/conversation.h"

struct block_pool;

/* Bytes of the stream to messages and blocks, with the blocks received straight
 * into the memory they stay in.
 *
 * While requests are under way, what comes next is nearly always PIECE after
 * PIECE, each a header of 13 bytes and a whole block.  So the next read is laid
 * out that way: rest of the block under way, header, block, header, block...
 * Which block it is matters not, since any memory will do for any block; only
 * when another message comes between (a HAVE, a short last block) is the rest
 * of what was read copied together and read in line.  One system call thus
 * brings up to INTAKE_AHEAD blocks, and hardly a byte is moved twice.
 *
 * No socket here: intake_plan() says where the next bytes belong, the caller
 * reads, intake_take() deals with what came.  Belongs to one worker. */
enum {
	INTAKE_AHEAD = 16, /* blocks in one read */
	INTAKE_IOVS = 2 + 2 * INTAKE_AHEAD,
	INTAKE_LINE = 16 * 1024, /* bytes in one read when no block is due */
	/* No extension that we speak needs more in one message.  Longer ones,
	 * which are allowed (WIRE_MAX_EXTENDED), are skipped: they would be
	 * memory that a peer holds as long as it likes. */
	INTAKE_MAX_EXTENDED = 64 * 1024,
};

struct intake {
	struct conversation *conversation;
	struct block_pool *pool;

	/* The block under way, or something else that is skipped. */
	bool in_block;
	bool skipping; /* nobody needs it: its bytes are dropped */
	struct block_ref block;
	uint32_t filled;
	uint8_t *memory; /* NULL when skipping */

	/* What is read ahead: headers, the first perhaps begun, and memory. */
	uint8_t headers[INTAKE_AHEAD][WIRE_PIECE_HEADER_SIZE];
	size_t header_filled; /* of headers[0] */
	uint8_t *ahead[INTAKE_AHEAD];
	size_t ahead_count; /* blocks of memory in hand */
	size_t planned;     /* of these, in the plan */

	/* Messages in line. */
	uint8_t *line;
	size_t line_capacity;
	size_t line_start, line_len;

	uint8_t *skipped; /* BLOCK_SIZE bytes: where skipped ones go */
};

/* The conversation and the pool outlive it. */
void intake_begin(struct intake *in, struct conversation *conversation,
	struct block_pool *pool);

/* Gives memory back. */
void intake_end(struct intake *in);

/* Where the next bytes belong, at most `max_bytes` of them (> 0): fills `ret`
 * and returns how many entries; 0: out of memory. */
size_t intake_plan(
	struct intake *in, struct iovec ret[INTAKE_IOVS], size_t max_bytes);

/* `len` > 0 bytes came, as planned.  Messages go to the conversation, whole
 * blocks to asking_arrived(); the caller flushes after each call.  Stops
 * early when the conversation can take no more: intake_pending(). */
enum conversation_verdict intake_take(
	struct intake *in, size_t len, uint64_t now_ms);

/* These bytes, whole messages perhaps with the beginning of one more, came
 * before there was a conversation: they are next in line, before anything is
 * read.  False: out of memory. */
bool intake_replay(struct intake *in, struct span bytes);

/* Whole messages wait in line that the conversation could not take: nothing may
 * be read before intake_resume() has dealt with them. */
bool intake_pending(const struct intake *in);
enum conversation_verdict intake_resume(struct intake *in, uint64_t now_ms);

/* Memory that was not used is kept for the next blocks, or given back. */
void intake_return(struct intake *in, uint8_t *memory);

/* No blocks are due: give back what is held ready. */
void intake_rest(struct intake *in);

#endif
