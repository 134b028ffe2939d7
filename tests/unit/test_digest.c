#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "shared/digest.h"
#include "shared/info_hash.h"

static void hex(const uint8_t *bytes, size_t len, char *ret)
{
	for (size_t i = 0; i < len; i++)
		snprintf(ret + 2 * i, 3, "%02x", bytes[i]);
}

Test(digest, knows_the_vectors_of_fips_180)
{
	static const char two_blocks[] =
		"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
	static const struct {
		enum digest_kind kind;
		const char *in;
		const char *out;
	} cases[] = {
		{DIGEST_SHA1, "", "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{DIGEST_SHA1, "abc",
			"a9993e364706816aba3e25717850c26c9cd0d89d"},
		{DIGEST_SHA1, two_blocks,
			"84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
		{DIGEST_SHA256, "",
			"e3b0c44298fc1c149afbf4c8996fb924"
			"27ae41e4649b934ca495991b7852b855"},
		{DIGEST_SHA256, "abc",
			"ba7816bf8f01cfea414140de5dae2223"
			"b00361a396177a9cb410ff61f20015ad"},
		{DIGEST_SHA256, two_blocks,
			"248d6a61d20638b8e5c026930c3e6039"
			"a33ce45964ff2167f6ecedd419db06c1"},
	};
	struct digest *d = digest_create();

	cr_assert(d);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t out[DIGEST_MAX_SIZE];
		char text[2 * DIGEST_MAX_SIZE + 1];
		size_t len = strlen(cases[i].in);

		/* The same digest again and again, in two helpings. */
		digest_begin(d, cases[i].kind);
		digest_update(d, cases[i].in, len / 3);
		digest_update(d, cases[i].in + len / 3, len - len / 3);
		digest_end(d, out);
		hex(out, strlen(cases[i].out) / 2, text);
		cr_expect_str_eq(text, cases[i].out, "case %zu", i);

		if (cases[i].kind == DIGEST_SHA1) {
			digest_sha1(cases[i].in, len, out);
			hex(out, SHA1_SIZE, text);
			cr_expect_str_eq(text, cases[i].out, "case %zu", i);
		}
	}
	digest_destroy(d);
	digest_destroy(NULL);
}

Test(digest, that_was_left_half_done_begins_afresh)
{
	struct digest *d = digest_create();
	uint8_t a[SHA1_SIZE], b[SHA1_SIZE];

	digest_begin(d, DIGEST_SHA1);
	digest_update(d, "left", 4);
	digest_begin(d, DIGEST_SHA1);
	digest_update(d, "abc", 3);
	digest_end(d, a);
	digest_sha1("abc", 3, b);
	cr_expect_arr_eq(a, b, SHA1_SIZE);
	digest_destroy(d);
}

Test(info_hash, goes_to_hex_and_back)
{
	static const char text[] = "00ff10a9993e364706816aba3e25717850c26c9c";
	struct info_hash hash, upper;
	char out[INFO_HASH_HEX_SIZE];

	cr_assert(info_hash_from_hex(text, &hash));
	cr_expect_eq(hash.bytes[1], 0xff);
	info_hash_hex(&hash, out);
	cr_expect_str_eq(out, text);
	cr_assert(info_hash_from_hex(
		"00FF10A9993E364706816ABA3E25717850C26C9C", &upper));
	cr_expect(info_hash_equal(&hash, &upper));
	upper.bytes[19] ^= 1;
	cr_expect_not(info_hash_equal(&hash, &upper));
}

Test(info_hash, wants_exactly_forty_digits)
{
	static const char *const cases[] = {
		"",
		"00ff10a9993e364706816aba3e25717850c26c9",
		"00ff10a9993e364706816aba3e25717850c26c9cc",
		"00ff10a9993e364706816aba3e25717850c26c9g",
		" 0ff10a9993e364706816aba3e25717850c26c9c",
		"0x0f10a9993e364706816aba3e25717850c26c9c",
	};
	struct info_hash hash;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		cr_expect_not(
			info_hash_from_hex(cases[i], &hash), "%s", cases[i]);
}
