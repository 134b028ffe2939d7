#include <criterion/criterion.h>
#include <string.h>

#include "client/peer/handshake.h"
#include "tests/unit/guarded.h"

static struct handshake sample(void)
{
	struct handshake h = {0};

	memset(h.info_hash.bytes, 'H', INFO_HASH_SIZE);
	memset(h.peer_id, 'P', PEER_ID_SIZE);
	return h;
}

Test(handshake, goes_there_and_back_with_each_bit)
{
	for (unsigned bits = 0; bits < 16; bits++) {
		struct handshake h = sample();
		struct handshake back;
		uint8_t wire[HANDSHAKE_SIZE];

		h.fast = bits & 1;
		h.extended = bits & 2;
		h.dht = bits & 4;
		h.v2 = bits & 8;
		handshake_write(&h, wire);
		cr_assert(handshake_read(
			guarded_span(wire, sizeof(wire)), &back));
		cr_expect_eq(back.fast, h.fast);
		cr_expect_eq(back.extended, h.extended);
		cr_expect_eq(back.dht, h.dht);
		cr_expect_eq(back.v2, h.v2);
		cr_expect(info_hash_equal(&back.info_hash, &h.info_hash));
		cr_expect_arr_eq(back.peer_id, h.peer_id, PEER_ID_SIZE);
	}
}

Test(handshake, bits_lie_where_the_beps_say)
{
	struct handshake h = sample();
	uint8_t wire[HANDSHAKE_SIZE];

	h.fast = h.extended = h.dht = true;
	handshake_write(&h, wire);
	cr_expect_arr_eq(wire,
		"\x13"
		"BitTorrent protocol\0\0\0\0\0\x10\0\x05HH",
		30);
}

Test(handshake, is_read_up_to_the_hash_or_whole_and_nothing_else)
{
	struct handshake h = sample();
	uint8_t wire[HANDSHAKE_SIZE + 1] = {0};

	handshake_write(&h, wire);
	for (size_t len = 0; len <= sizeof(wire); len++) {
		struct handshake back;
		bool ok = handshake_read(guarded_span(wire, len), &back);

		cr_expect_eq(ok,
			len == HANDSHAKE_UP_TO_HASH || len == HANDSHAKE_SIZE,
			"%zu bytes", len);
		if (ok)
			cr_expect_eq(back.peer_id[0],
				len == HANDSHAKE_SIZE ? 'P' : 0);
	}
}

Test(handshake, stranger_is_told_by_the_first_wrong_byte)
{
	struct handshake h = sample();
	uint8_t wire[HANDSHAKE_SIZE];

	for (size_t wrong = 0; wrong < 20; wrong++) {
		handshake_write(&h, wire);
		wire[wrong] ^= 1;
		for (size_t len = 0; len <= HANDSHAKE_SIZE; len++) {
			struct span s = guarded_span(wire, len);
			struct handshake back;

			cr_expect_eq(handshake_plausible(s), len <= wrong,
				"byte %zu of %zu", wrong, len);
			cr_expect_not(handshake_read(s, &back));
		}
	}
}

Test(handshake, peer_ids_are_random_and_printable)
{
	uint8_t a[PEER_ID_SIZE], b[PEER_ID_SIZE];

	handshake_make_peer_id(a);
	handshake_make_peer_id(b);
	cr_expect_arr_eq(a, "-TB0100-", 8);
	cr_expect_arr_neq(a, b, PEER_ID_SIZE);
	for (size_t i = 0; i < PEER_ID_SIZE; i++)
		cr_expect(a[i] > 0x20 && a[i] < 0x7f);
}

Test(handshake, client_name_is_read_from_the_peer_id)
{
	static const struct {
		const char *id; /* 20 bytes */
		const char *name;
	} cases[] = {
		{"-TB0100-abcdefghijkl", "tbt 0.1.0"},
		{"-TR3000-abcdefghijkl", "Transmission 3.00"},
		{"-TR2940-abcdefghijkl", "Transmission 2.94"},
		{"-TR4060-abcdefghijkl", "Transmission 4.0.6"},
		{"-LT2080-abcdefghijkl", "libtorrent 2.0.8"},
		{"-LT20B0-abcdefghijkl", "libtorrent 2.0.11"},
		{"-qB4521-abcdefghijkl", "qBittorrent 4.5.2.1"},
		{"-DE13F0-abcdefghijkl", "Deluge 1.3.15"},
		{"A2-1-36-0-abcdefghij", "aria2 1.36.0"},
		{"A2-1-36-abcdefghijkl", "A2-1-36-abcdefghijkl"},
		{"A2--1-36-0-abcdefghi", "A2--1-36-0-abcdefghi"},
		{"-TR30 0-abcdefghijkl", "-TR30 0-abcdefghijkl"},
		{"-??0100-abcdefghijkl", "-\?\?0100-abcdefghijkl"},
		{"M7-10-0--abcdefghijk", "M7-10-0--abcdefghijk"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char name[CLIENT_NAME_SIZE];
		const uint8_t *id = guarded(cases[i].id, PEER_ID_SIZE).next;

		cr_expect_str_eq(
			handshake_client_name(id, name), cases[i].name);
	}
}

Test(handshake, client_name_has_no_control_characters)
{
	uint8_t id[PEER_ID_SIZE];

	for (unsigned c = 0; c < 256; c++) {
		char name[CLIENT_NAME_SIZE];

		memset(id, (int)c, sizeof(id));
		handshake_client_name(id, name);
		cr_expect_lt(strlen(name), CLIENT_NAME_SIZE);
		for (size_t i = 0; name[i] != '\0'; i++)
			cr_expect(name[i] >= 0x20 && name[i] < 0x7f, "byte %u",
				c);
	}
}
