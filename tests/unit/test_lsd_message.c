#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "client/discovery/lsd_message.h"
#include "shared/writer.h"
#include "tests/unit/guarded.h"

#define HASH "0123456789abcdef0123456789ABCDEF01234567"
#define START "BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n"

static bool read_text(const char *text, struct lsd_message *ret)
{
	return lsd_message_read(guarded_text(text), ret);
}

Test(lsd_message, what_others_send_is_read)
{
	static const struct {
		const char *in;
		bool ok;
		uint16_t port;
		const char *cookie;
		size_t count;
	} cases[] = {
		/* libtorrent */
		{START "Port: 6881\r\nInfohash: " HASH
		       "\r\ncookie: 1a2b\r\n\r\n\r\n",
			true, 6881, "1a2b", 1},
		/* Transmission: no cookie; several hashes, BEP 14 */
		{START "Port: 51413\r\nInfohash: " HASH "\r\nInfohash: " HASH
		       "\r\n\r\n\r\n",
			true, 51413, "", 2},
		/* names in any case, no blank, unknown headers, LF alone */
		{"BT-SEARCH * HTTP/1.0\nPORT:1\nX: y:z\ninfohash:\t" HASH " \n",
			true, 1, "", 1},
		{START "Port: 65535\r\nInfohash: " HASH "\r\n", true, 65535, "",
			1},
		/* a hash of v2 beside one of v1 is passed over */
		{START "Port: 1\r\nInfohash: " HASH HASH "\r\nInfohash: " HASH
		       "\r\n\r\n",
			true, 1, "", 1},
		/* what follows the end is not looked at */
		{START "Port: 1\r\nInfohash: " HASH "\r\n\r\nrubbish", true, 1,
			"", 1},
		{START "Port: 1\r\nInfohash: " HASH
		       "\r\ncookie: 0123456789012345678901234567890123456789"
		       "\r\n\r\n",
			true, 1, "", 1},

		{"", false, 0, "", 0},
		{START, false, 0, "", 0},
		{START "Port: 6881\r\n\r\n\r\n", false, 0, "", 0},
		{START "Infohash: " HASH "\r\n\r\n", false, 0, "", 0},
		{START "Port: 0\r\nInfohash: " HASH "\r\n\r\n", false, 0, "",
			0},
		{START "Port: 65536\r\nInfohash: " HASH "\r\n\r\n", false, 0,
			"", 0},
		{START "Port: -1\r\nInfohash: " HASH "\r\n\r\n", false, 0, "",
			0},
		{START "Port: \r\nInfohash: " HASH "\r\n\r\n", false, 0, "", 0},
		{START "Port: 6881\r\nInfohash: 0123\r\n\r\n", false, 0, "", 0},
		/* the last line has no end */
		{START "Port: 6881\r\nInfohash: " HASH, false, 0, "", 0},
		{START "no colon\r\nPort: 6881\r\nInfohash: " HASH "\r\n\r\n",
			false, 0, "", 0},
		{"M-SEARCH * HTTP/1.1\r\nPort: 1\r\nInfohash: " HASH "\r\n\r\n",
			false, 0, "", 0},
		{"BT-SEARCH * HTTP/1.\r\nPort: 1\r\nInfohash: " HASH "\r\n\r\n",
			false, 0, "", 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lsd_message m = {0};

		cr_expect_eq(read_text(cases[i].in, &m), cases[i].ok, "%zu", i);
		cr_expect_eq(m.port, cases[i].port, "%zu", i);
		cr_expect_str_eq(m.cookie, cases[i].cookie, "%zu", i);
		cr_expect_eq(m.count, cases[i].count, "%zu", i);
		for (size_t j = 0; j < m.count; j++)
			cr_expect_eq(m.torrents[j].bytes[0], 0x01, "%zu", i);
	}
}

Test(lsd_message, a_nul_ends_nothing)
{
	static const char bytes[] =
		START "Port: 1\0002\r\nInfohash: " HASH "\r\n\r\n";
	struct lsd_message m;

	cr_expect_not(
		lsd_message_read(guarded_span(bytes, sizeof(bytes) - 1), &m));
}

Test(lsd_message, no_more_torrents_are_taken_than_there_is_room_for)
{
	char text[4096] = START "Port: 1\r\n";
	struct lsd_message m;

	/* 27 full lines are all that 1500 bytes hold; the names are short. */
	for (int i = 0; i < 27; i++)
		strcat(text, "Infohash:" HASH "\n");
	cr_assert(strlen(text) <= LSD_READ_MAX);
	cr_assert(read_text(text, &m));
	cr_expect_eq(m.count, 27);
	while (strlen(text) <= LSD_READ_MAX)
		strcat(text, "Infohash:" HASH "\n");
	cr_expect_not(read_text(text, &m));
}

Test(lsd_message, what_is_written_reads_the_same_and_fits)
{
	struct lsd_message m = {
		.port = 65535, .cookie = "0123456789abcdef", .count = 24};
	struct lsd_message back;
	uint8_t packet[LSD_PACKET_MAX];

	for (size_t i = 0; i < m.count; i++)
		memset(m.torrents[i].bytes, (int)(i * 10), INFO_HASH_SIZE);
	for (int v4 = 0; v4 < 2; v4++) {
		struct writer w = writer_of(packet, sizeof(packet));

		lsd_message_write(&w, &m, v4);
		cr_assert_not(w.bad);
		cr_assert(lsd_message_read(
			(struct span){packet, writer_len(&w)}, &back));
		cr_expect_eq(back.port, m.port);
		cr_expect_str_eq(back.cookie, m.cookie);
		cr_expect_eq(back.count, m.count);
		cr_expect(memcmp(back.torrents, m.torrents,
				  sizeof(m.torrents)) == 0);
	}
}

Test(lsd_message, its_form_is_that_of_the_bep)
{
	struct lsd_message m = {.port = 6881, .cookie = "c0", .count = 1};
	uint8_t packet[LSD_PACKET_MAX + 1];
	struct writer w = writer_of(packet, sizeof(packet) - 1);

	lsd_message_write(&w, &m, true);
	packet[writer_len(&w)] = '\0';
	cr_expect_str_eq((char *)packet,
		"BT-SEARCH * HTTP/1.1\r\n"
		"Host: 239.192.152.143:6771\r\n"
		"Port: 6881\r\n"
		"Infohash: 0000000000000000000000000000000000000000\r\n"
		"cookie: c0\r\n"
		"\r\n\r\n");
	w = writer_of(packet, sizeof(packet) - 1);
	lsd_message_write(&w, &m, false);
	packet[writer_len(&w)] = '\0';
	cr_expect_not_null(
		strstr((char *)packet, "Host: [ff15::efc0:988f]:6771\r\n"));
}
