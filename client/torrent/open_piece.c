#include "client/torrent/open_piece.h"

#include <stdlib.h>

#include "client/torrent/block.h"

struct open_piece *open_piece_create(uint32_t index, uint32_t size)
{
	uint32_t count = (size + BLOCK_SIZE - 1) / BLOCK_SIZE;
	/* One allocation: the struct, then pointers, then bytes. */
	size_t each = sizeof(uint8_t *) + 2;
	struct open_piece *piece = calloc(1, sizeof(*piece) + count * each);

	if (!piece)
		return NULL;
	piece->index = index;
	piece->size = size;
	piece->block_count = count;
	piece->unasked = count;
	piece->blocks = (uint8_t **)(piece + 1);
	piece->askers = (uint8_t *)(piece->blocks + count);
	piece->from = piece->askers + count;
	return piece;
}

void open_piece_destroy(struct open_piece *piece)
{
	if (!piece)
		return;
	free(piece->givers);
	free(piece);
}

void open_piece_note_giver(
	struct open_piece *piece, uint32_t block, const struct endpoint *giver)
{
	uint8_t i = 0;

	while (i < piece->giver_count &&
		!endpoint_equal(&piece->givers[i], giver))
		i++;
	if (i == piece->giver_count && i < OPEN_PIECE_GIVERS) {
		struct endpoint *more =
			realloc(piece->givers, (i + 1U) * sizeof(*more));
		if (more) {
			piece->givers = more;
			piece->givers[piece->giver_count++] = *giver;
		} else {
			i = OPEN_PIECE_GIVERS;
		}
	}
	piece->from[block] = i;
}

const struct endpoint *open_piece_giver(
	const struct open_piece *piece, uint32_t block)
{
	uint8_t i = piece->from[block];

	return i < piece->giver_count ? &piece->givers[i] : NULL;
}

bool open_piece_single_giver(const struct open_piece *piece)
{
	for (uint32_t i = 0; i < piece->block_count; i++) {
		if (piece->from[i] != 0)
			return false;
	}
	return piece->giver_count == 1;
}

uint32_t open_piece_block_size(const struct open_piece *piece, uint32_t block)
{
	uint32_t begin = block * BLOCK_SIZE;

	return piece->size - begin < BLOCK_SIZE ? piece->size - begin
						: BLOCK_SIZE;
}
