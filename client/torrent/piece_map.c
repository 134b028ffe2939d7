#include "client/torrent/piece_map.h"

void piece_map(const struct bitfield *have, uint8_t *ret, size_t cells)
{
	uint64_t pieces = have->count;

	for (size_t i = 0; i < cells; i++) {
		uint32_t from = (uint32_t)(i * pieces / cells);
		uint32_t end = (uint32_t)((i + 1) * pieces / cells);
		if (end == from)
			end = from + 1; /* fewer pieces than cells */
		uint32_t had = bitfield_count(have, NULL, NULL, from, end);
		ret[i] = (uint8_t)(had * 255ULL / (end - from));
	}
}

void piece_map_wanted(const struct bitfield *have,
	const struct bitfield *unwanted, uint8_t *ret, size_t cells)
{
	uint64_t wanted = have->count - unwanted->set;
	uint32_t piece = 0;  /* where to look for the next one */
	uint64_t before = 0; /* how many were found */

	for (size_t i = 0; i < cells; i++) {
		uint64_t from = i * wanted / cells;
		uint64_t end = (i + 1) * wanted / cells;
		uint32_t had = 0;

		if (end == from)
			end = from + 1; /* fewer pieces than cells */
		if (before == end) {
			ret[i] = ret[i - 1];
			continue;
		}
		for (; before < end; before++) {
			piece = bitfield_find(
				NULL, unwanted, NULL, piece, have->count);
			had += bitfield_has(have, piece);
			piece++;
		}
		ret[i] = (uint8_t)(had * 255ULL / (end - from));
	}
}
