#include "tracker/state_format.h"

#include <inttypes.h>
#include <string.h>
#include <xxhash.h>

#include "shared/reader.h"
#include "shared/writer.h"
#include "tracker/swarm_part.h"

static const char MAGIC[8] = "tbtstate";

enum {
	SUMMED = STATE_HEADER_SIZE - 8, /* of the header */

	SEEDER_BIT = 1 << 15,
	COMPLETED_BIT = 1 << 14,

	/* No age that is asked for needs a coarser unit: a day. */
	UNIT_MAX_S = 24 * 3600,
};

_Static_assert(STATE_PART_MAX ==
		INFO_HASH_SIZE + 8 + SWARM_PART_PEERS * (ENDPOINT_V6_SIZE + 2),
	"the largest part");

/* --- Header and frames --- */

void state_write_header(struct writer *w, const struct state_header *h)
{
	const uint8_t *begin = w->next;

	writer_bytes(w, MAGIC, sizeof(MAGIC));
	writer_u32(w, STATE_VERSION);
	writer_u32(w, h->unit_s);
	writer_u64(w, h->saved_at_s);
	writer_u64(w, w->bad ? 0 : XXH3_64bits(begin, SUMMED));
}

bool state_read_header(
	struct reader *r, struct state_header *ret, struct error *err)
{
	const uint8_t *begin = r->next;
	const uint8_t *magic = reader_take(r, sizeof(MAGIC));
	uint32_t version = reader_u32(r);
	struct state_header h;

	h.unit_s = reader_u32(r);
	h.saved_at_s = reader_u64(r);
	uint64_t checksum = reader_u64(r);
	if (r->bad || memcmp(magic, MAGIC, sizeof(MAGIC)) != 0)
		return error_set(err, "not the state of a tracker");
	if (version != STATE_VERSION)
		return error_set(err,
			"of a version, %" PRIu32 ", not known here", version);
	if (checksum != XXH3_64bits(begin, SUMMED) || h.unit_s == 0 ||
		h.unit_s > UNIT_MAX_S)
		return error_set(err, "damaged");
	*ret = h;
	return true;
}

void state_write_frame_head(
	struct writer *w, uint64_t number, struct span payload)
{
	writer_u32(w, (uint32_t)payload.len);
	writer_u64(w, XXH3_64bits_withSeed(payload.at, payload.len, number));
}

bool state_read_frame_head(struct reader *r, struct state_frame_head *ret)
{
	struct state_frame_head head;

	head.len = reader_u32(r);
	head.checksum = reader_u64(r);
	if (r->bad || head.len > STATE_FRAME_MAX)
		return false;
	*ret = head;
	return true;
}

bool state_frame_is_whole(const struct state_frame_head *head, uint64_t number,
	struct span payload)
{
	return payload.len == head->len &&
		XXH3_64bits_withSeed(payload.at, payload.len, number) ==
		head->checksum;
}

/* --- Parts --- */

static uint16_t count_v4(const struct swarm_part *part)
{
	uint16_t count = 0;

	for (size_t i = 0; i < part->peer_count; i++)
		count += endpoint_is_v4(&part->peers[i].address);
	return count;
}

static void write_peer(
	struct writer *w, const struct swarm_part_peer *p, uint32_t unit_s)
{
	uint32_t age = p->age_s / unit_s;

	if (age > STATE_AGE_MAX)
		age = STATE_AGE_MAX;
	if (endpoint_is_v4(&p->address))
		endpoint_write_v4(w, &p->address);
	else
		endpoint_write_v6(w, &p->address);
	writer_u16(w,
		(uint16_t)(age | (p->seeder ? SEEDER_BIT : 0) |
			(p->completed ? COMPLETED_BIT : 0)));
}

void state_write_part(
	struct writer *w, const struct swarm_part *part, uint32_t unit_s)
{
	uint16_t v4 = count_v4(part);

	writer_bytes(w, part->info_hash.bytes, INFO_HASH_SIZE);
	writer_u32(w, part->completed);
	writer_u16(w, v4);
	writer_u16(w, (uint16_t)(part->peer_count - v4));
	for (int want_v4 = 1; want_v4 >= 0; want_v4--) {
		for (size_t i = 0; i < part->peer_count; i++) {
			const struct swarm_part_peer *p = &part->peers[i];

			if (endpoint_is_v4(&p->address) == want_v4)
				write_peer(w, p, unit_s);
		}
	}
}

static bool read_peer(
	struct reader *r, bool v4, uint32_t unit_s, struct swarm_part_peer *ret)
{
	ret->address = v4 ? endpoint_read_v4(r) : endpoint_read_v6(r);
	uint16_t bits = reader_u16(r);
	ret->age_s = (bits & STATE_AGE_MAX) * unit_s;
	ret->seeder = bits & SEEDER_BIT;
	ret->completed = bits & COMPLETED_BIT;
	return !r->bad && endpoint_is_v4(&ret->address) == v4 &&
		endpoint_dialable(&ret->address);
}

bool state_read_part(struct reader *r, uint32_t unit_s, struct swarm_part *ret)
{
	const uint8_t *hash = reader_take(r, INFO_HASH_SIZE);
	uint32_t completed = reader_u32(r);
	uint16_t v4 = reader_u16(r);
	uint16_t v6 = reader_u16(r);

	if (r->bad || v4 + v6 == 0 || v4 + v6 > SWARM_PART_PEERS)
		return false;
	memcpy(ret->info_hash.bytes, hash, INFO_HASH_SIZE);
	ret->completed = completed;
	ret->peer_count = (size_t)v4 + v6;
	for (size_t i = 0; i < ret->peer_count; i++) {
		if (!read_peer(r, i < v4, unit_s, &ret->peers[i]))
			return false;
	}
	return true;
}
