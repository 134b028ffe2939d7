#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/torrent/magnet.h"

#define HEX "00ff10a9993e364706816aba3e25717850c26c9c"
#define BASE32 "AD7RBKMZHY3EOBUBNK5D4JLRPBIME3E4" /* the same */
#define LINK "magnet:?xt=urn:btih:" HEX

static struct magnet parsed(const char *text)
{
	struct magnet m;
	struct error err = {0};

	cr_assert(magnet_parse(text, &m, &err), "%s: %s", text, err.text);
	return m;
}

Test(magnet, hash_is_hexadecimal_or_base32)
{
	static const char *const cases[] = {
		LINK,
		"MAGNET:?XT=URN:BTIH:00FF10A9993E364706816ABA3E25717850C26C9C",
		"magnet:?xt=urn:btih:" BASE32,
		"magnet:?xt=urn:btih:ad7rbkmzhy3eobubnk5d4jlrpbime3e4",
		"magnet:?xt.1=urn:btih:" HEX,
		"magnet:?xt=urn%3Abtih%3A" HEX,
		"magnet:?dn=x&xt=urn:sha1:abc&xt=urn:btih:" HEX,
		"magnet:?xt=urn:btmh:1220abc&xt=urn:btih:" HEX,
		LINK "&xt=urn:btih:" BASE32,
		LINK "&&=&x&=y&so=0-2&unknownkey=1",
		"magnet:?dn=x&amp;xt=urn:btih:" HEX "&amp;",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct magnet m = parsed(cases[i]);
		char hex[INFO_HASH_HEX_SIZE];

		info_hash_hex(&m.info_hash, hex);
		cr_expect_str_eq(hex, HEX, "%s", cases[i]);
		magnet_finish(&m);
		magnet_finish(&m);
	}
}

Test(magnet, without_a_good_hash_is_refused)
{
	static const struct {
		const char *in;
		const char *why;
	} cases[] = {
		{"", "does not begin"},
		{"magnet:", "does not begin"},
		{"http://x/?xt=urn:btih:" HEX, "does not begin"},
		{"magnet:?", "no info hash"},
		{"magnet:?dn=x", "no info hash"},
		{"magnet:?xt=", "no info hash"},
		{"magnet:?xt=urn:sha1:" HEX, "no info hash"},
		{"magnet:?xt=urn:btih:%0", "no info hash"},
		{"magnet:?xt=urn:btih:", "neither"},
		{"magnet:?xt=urn:btih:abcd", "neither"},
		{"magnet:?xt=urn:btih:" HEX "a", "neither"},
		{"magnet:?xt=urn:btih:g0ff10a9993e364706816aba3e25717850c26c9c",
			"neither"},
		{"magnet:?xt=urn:btih:11111111111111111111111111111111",
			"neither"},
		{LINK "&xt=urn:btih:11ff10a9993e364706816aba3e25717850c26c9c",
			"two info hashes"},
		{"magnet:?xt=urn:btmh:1220" HEX, "not supported yet"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct magnet m;
		struct error err = {0};

		cr_expect_not(
			magnet_parse(cases[i].in, &m, &err), "%s", cases[i].in);
		cr_expect(strstr(err.text, cases[i].why), "%s: %s", cases[i].in,
			err.text);
	}
}

Test(magnet, says_more_than_the_hash)
{
	struct magnet m = parsed(LINK
		"&dn=a+b%20%c3%a4%ff&xl=12345"
		"&tr=http%3A%2F%2Fa%2Fx%3Fk%3D1&tr=udp://b:1"
		"&tr=http%3A%2F%2Fa%2Fx%3Fk%3D1&tr=ftp://c&tr=%zz&tr.2=http://d"
		"&ws=http://e/a%20b&ws=udp://f:1&x.pe=127.0.0.1:6881"
		"&x.pe=[::1]:1");

	cr_expect_str_eq(m.name, "a b \xc3\xa4\xef\xbf\xbd");
	cr_expect_eq(m.length, 12345);
	cr_assert_eq(m.tracker_count, 3);
	cr_expect_str_eq(m.trackers[0], "http://a/x?k=1");
	cr_expect_str_eq(m.trackers[1], "udp://b:1");
	cr_expect_str_eq(m.trackers[2], "http://d");
	cr_assert_eq(m.web_seed_count, 1);
	cr_expect_str_eq(m.web_seeds[0], "http://e/a%20b");
	cr_assert_eq(m.peer_count, 2);
	cr_expect_str_eq(m.peers[1], "[::1]:1");
	magnet_finish(&m);

	m = parsed(LINK "&amp;dn=a;b&AMP;x.pe=a:1&amp;tr.1=http%3A%2F%2Fa"
			"&amp;tr.2=http://b/?x%26amp;y");
	cr_expect_str_eq(m.name, "a;b");
	cr_assert_eq(m.peer_count, 1);
	cr_expect_str_eq(m.peers[0], "a:1");
	cr_assert_eq(m.tracker_count, 2);
	cr_expect_str_eq(m.trackers[1], "http://b/?x&amp;y");
	magnet_finish(&m);

	m = parsed(LINK "&xl=-1&xl=x&xl=99999999999999999999");
	cr_expect_eq(m.length, 0);
	cr_expect_str_eq(m.name, "");
	magnet_finish(&m);
}

Test(magnet, selects_files_if_it_says_so_rightly)
{
	static const struct {
		const char *so, *kept;
	} cases[] = {
		{"&so=0,2,4,6-8", "0,2,4,6-8"},
		{"&so=0%2C2", "0,2"},
		{"&SO=1", "1"},
		{"&so=3&so=4", "4"},
		{"", NULL},
		{"&so=", NULL},
		{"&so=-1", NULL},
		{"&so=2-1", NULL},
		{"&so=1,", NULL},
		{"&so=*", NULL},
		{"&so=99999999999999999999", NULL},
		{"&so=1&so=x", "1"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char link[256], again[256];
		struct buffer b;

		snprintf(link, sizeof(link), "%s%s", LINK, cases[i].so);
		struct magnet m = parsed(link);
		if (cases[i].kept)
			cr_expect_str_eq(
				m.select_only, cases[i].kept, "%s", link);
		else
			cr_expect_null(m.select_only, "%s", link);

		buffer_init(&b, SIZE_MAX);
		cr_assert(magnet_write(&m, &b));
		snprintf(again, sizeof(again), "%s%s%s", LINK,
			cases[i].kept ? "&so=" : "",
			cases[i].kept ? cases[i].kept : "");
		cr_expect_eq(b.len, strlen(again));
		cr_expect_eq(memcmp(b.bytes, again, b.len), 0);
		buffer_finish(&b);
		magnet_finish(&m);
	}
}

Test(magnet, lists_are_bounded)
{
	struct buffer b;
	char text[64];

	buffer_init(&b, 100000);
	buffer_append(&b, LINK, strlen(LINK));
	for (unsigned i = 0; i < 300; i++) {
		int n = snprintf(text, sizeof(text),
			"&tr=http://%u&ws=http://%u&x.pe=%u", i, i, i);
		buffer_append(&b, text, (size_t)n);
	}
	buffer_append(&b, "", 1);
	struct magnet m = parsed((const char *)b.bytes);
	cr_expect_eq(m.tracker_count, 100);
	cr_expect_eq(m.web_seed_count, 16);
	cr_expect_eq(m.peer_count, MAGNET_MAX_PEERS);
	magnet_finish(&m);
	buffer_finish(&b);
}

Test(magnet, is_written_as_it_is_read)
{
	static const char link[] =
		LINK "&dn=a%20%26%C3%A4&xl=7&tr=http%3A%2F%2Fa%2F%3Fk%3D1"
		     "&ws=http%3A%2F%2Fb%2F&x.pe=127.0.0.1:1&x.pe=[::1]:2"
		     "&x.pe=%26%3A3";
	struct magnet m = parsed(link);
	struct buffer b;

	buffer_init(&b, 1000);
	cr_assert(magnet_write(&m, &b));
	buffer_append(&b, "", 1);
	cr_expect_str_eq((const char *)b.bytes, link);
	buffer_finish(&b);
	magnet_finish(&m);
}

Test(magnet, is_told_from_a_file)
{
	cr_expect(magnet_looks_like("magnet:?xt=x"));
	cr_expect(magnet_looks_like("Magnet:"));
	cr_expect_not(magnet_looks_like("./magnet:x"));
	cr_expect_not(magnet_looks_like("magnet"));
}
