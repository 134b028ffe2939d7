#include "client/peer/pex.h"

#include "shared/bencode.h"
#include "shared/bencode_writer.h"
#include "shared/reader.h"

/* ---- reading ---- */

/* A compact list; empty when its length is no multiple of an address'. */
static struct reader open_list(struct span value, size_t address_size)
{
	struct span bytes;

	if (!bencode_as_string(value, &bytes) || bytes.len % address_size != 0)
		return reader_of(NULL, 0);
	return reader_of_span(bytes);
}

static struct endpoint read_address(struct reader *r, size_t address_size)
{
	return address_size == ENDPOINT_V4_SIZE ? endpoint_read_v4(r)
						: endpoint_read_v6(r);
}

static void read_added(struct span value, struct span flags_value,
	size_t address_size, struct pex_message *m)
{
	struct reader r = open_list(value, address_size);
	struct span flags;
	size_t count = reader_left(&r) / address_size;

	/* One flag an address, or none at all. */
	if (!bencode_as_string(flags_value, &flags) || flags.len != count)
		flags.len = 0;
	for (size_t i = 0; i < count && m->added_count < PEX_MAX; i++) {
		struct pex_peer p = {.address = read_address(&r, address_size)};

		if (flags.len > 0)
			p.flags = flags.at[i];
		if (endpoint_dialable(&p.address))
			m->added[m->added_count++] = p;
	}
}

static void read_dropped(
	struct span value, size_t address_size, struct pex_message *m)
{
	struct reader r = open_list(value, address_size);

	while (reader_left(&r) > 0 && m->dropped_count < PEX_MAX) {
		struct endpoint e = read_address(&r, address_size);

		if (endpoint_dialable(&e))
			m->dropped[m->dropped_count++] = e;
	}
}

bool pex_read(struct span payload, struct pex_message *ret)
{
	enum { ADDED, FLAGS, ADDED6, FLAGS6, DROPPED, DROPPED6, KEYS };
	static const char *const keys[KEYS] = {"added", "added.f", "added6",
		"added6.f", "dropped", "dropped6"};
	struct reader r = reader_of_span(payload);
	struct span dict, values[KEYS];

	if (bencode_peek(&r) != 'd' || !bencode_value(&r, &dict) ||
		!reader_done(&r) || !bencode_fields(dict, keys, KEYS, values))
		return false;

	ret->added_count = 0;
	ret->dropped_count = 0;
	read_added(values[ADDED], values[FLAGS], ENDPOINT_V4_SIZE, ret);
	read_added(values[ADDED6], values[FLAGS6], ENDPOINT_V6_SIZE, ret);
	read_dropped(values[DROPPED], ENDPOINT_V4_SIZE, ret);
	read_dropped(values[DROPPED6], ENDPOINT_V6_SIZE, ret);
	return true;
}

/* ---- hearing ---- */

bool pex_may_know_of(
	const struct endpoint *other, const struct endpoint *address)
{
	return !endpoint_is_loopback(address) || endpoint_is_loopback(other);
}

bool pex_hear(struct pex_heard *heard, struct span payload,
	const struct endpoint *from, uint64_t now_ms)
{
	struct pex_message m;

	if (heard->at_ms != 0 && now_ms - heard->at_ms < PEX_AT_MOST_MS)
		return true;
	if (!pex_read(payload, &m))
		return false;
	heard->at_ms = now_ms;
	heard->count = 0;
	for (size_t i = 0; i < m.added_count; i++) {
		if (pex_may_know_of(from, &m.added[i].address))
			heard->addresses[heard->count++] = m.added[i].address;
	}
	return true;
}

/* ---- writing ---- */

/* Those of one family, with the key of the list and (added ones) of the
 * flags. */
static void write_added(struct bencode_writer *b, const char *key,
	const char *flags_key, const struct pex_message *m, bool v4)
{
	uint8_t addresses[PEX_MAX * ENDPOINT_V6_SIZE], flags[PEX_MAX];
	struct writer a = writer_of(addresses, sizeof(addresses));
	struct writer f = writer_of(flags, sizeof(flags));

	for (size_t i = 0; i < m->added_count; i++) {
		if (endpoint_is_v4(&m->added[i].address) != v4)
			continue;
		if (v4)
			endpoint_write_v4(&a, &m->added[i].address);
		else
			endpoint_write_v6(&a, &m->added[i].address);
		writer_u8(&f, m->added[i].flags);
	}
	bencode_write_key(b, key);
	bencode_write_string(b, addresses, writer_len(&a));
	bencode_write_key(b, flags_key);
	bencode_write_string(b, flags, writer_len(&f));
}

static void write_dropped(struct bencode_writer *b, const char *key,
	const struct pex_message *m, bool v4)
{
	uint8_t addresses[PEX_MAX * ENDPOINT_V6_SIZE];
	struct writer a = writer_of(addresses, sizeof(addresses));

	for (size_t i = 0; i < m->dropped_count; i++) {
		if (endpoint_is_v4(&m->dropped[i]) != v4)
			continue;
		if (v4)
			endpoint_write_v4(&a, &m->dropped[i]);
		else
			endpoint_write_v6(&a, &m->dropped[i]);
	}
	bencode_write_key(b, key);
	bencode_write_string(b, addresses, writer_len(&a));
}

void pex_write(struct writer *w, const struct pex_message *m)
{
	struct buffer out;
	struct bencode_writer b;

	buffer_init(&out, writer_left(w));
	bencode_writer_init(&b, &out);
	bencode_dict_open(&b);
	write_added(&b, "added", "added.f", m, true);
	write_added(&b, "added6", "added6.f", m, false);
	write_dropped(&b, "dropped", m, true);
	write_dropped(&b, "dropped6", m, false);
	bencode_dict_close(&b);
	writer_buffer(w, &out);
}

/* ---- what is to be told ---- */

static bool is_told(const struct pex_told *told, const struct endpoint *address)
{
	for (size_t i = 0; i < told->count; i++) {
		if (endpoint_equal(&told->addresses[i], address))
			return true;
	}
	return false;
}

static bool is_there(const struct pex_peer *now, size_t count,
	const struct endpoint *address)
{
	for (size_t i = 0; i < count; i++) {
		if (endpoint_equal(&now[i].address, address))
			return true;
	}
	return false;
}

bool pex_next(struct pex_told *told, const struct pex_peer *now, size_t count,
	struct pex_message *ret)
{
	size_t kept = 0;

	ret->added_count = 0;
	ret->dropped_count = 0;
	for (size_t i = 0; i < told->count; i++) {
		struct endpoint e = told->addresses[i];

		if (ret->dropped_count < PEX_MAX && !is_there(now, count, &e))
			ret->dropped[ret->dropped_count++] = e;
		else
			told->addresses[kept++] = e;
	}
	told->count = kept;
	for (size_t i = 0; i < count && ret->added_count < PEX_MAX &&
		told->count < PEX_MAX_TOLD;
		i++) {
		if (is_told(told, &now[i].address))
			continue;
		ret->added[ret->added_count++] = now[i];
		told->addresses[told->count++] = now[i].address;
	}
	return ret->added_count > 0 || ret->dropped_count > 0;
}
