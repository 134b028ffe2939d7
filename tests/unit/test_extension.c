#include <criterion/criterion.h>
#include <string.h>

#include "client/peer/extension.h"
#include "tests/unit/guarded.h"

static bool read_text(const char *in, struct extended_handshake *ret)
{
	return extension_read_handshake(guarded_text(in), ret);
}

static struct extended_handshake read_good(const char *in)
{
	struct extended_handshake h = {0};

	cr_assert(read_text(in, &h), "'%s'", in);
	return h;
}

Test(extension, handshake_goes_there_and_back)
{
	const struct extended_handshake h = {
		.ids = {3, 1, 255},
		.port = 65535,
		.reqq = EXTENSION_MAX_REQQ,
		.metadata_size = EXTENSION_MAX_METADATA_SIZE,
		.upload_only = true,
		.client = "tbt 0.1.0",
		.yourip = {{0x20, 1, [15] = 7}, 0},
	};
	struct extended_handshake back = {0};
	uint8_t memory[256];
	struct writer w = writer_of(memory, sizeof(memory));

	extension_write_handshake(&w, &h);
	cr_assert_not(w.bad);
	cr_assert(extension_read_handshake(
		guarded_span(memory, writer_len(&w)), &back));
	cr_expect_arr_eq(back.ids, h.ids, EXTENSION_KINDS);
	cr_expect_eq(back.port, h.port);
	cr_expect_eq(back.reqq, h.reqq);
	cr_expect_eq(back.metadata_size, h.metadata_size);
	cr_expect(back.upload_only);
	cr_expect_str_eq(back.client, h.client);
	cr_expect(endpoint_equal(&back.yourip, &h.yourip));
}

Test(extension, our_address_is_4_bytes_or_16)
{
	static const struct {
		const char *in, *ip;
	} cases[] = {
		{"d6:yourip4:abcde", "97.98.99.100"},
		{"d6:yourip16:abcdefghijklmnope",
			"6162:6364:6566:6768:696a:6b6c:6d6e:6f70"},
		{"de", "::"},
		{"d6:yourip0:e", "::"},
		{"d6:yourip5:abcdee", "::"},
		{"d6:youripi4ee", "::"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct extended_handshake h = read_good(cases[i].in);
		struct endpoint expected;

		cr_assert(endpoint_parse_ip(cases[i].ip, &expected));
		cr_expect(endpoint_equal(&h.yourip, &expected), "%s",
			cases[i].in);
	}
}

Test(extension, what_is_zero_is_left_out)
{
	const struct extended_handshake h = {.ids[EXTENSION_PEX] = 1};
	uint8_t memory[64];
	struct writer w = writer_of(memory, sizeof(memory));

	extension_write_handshake(&w, &h);
	cr_assert_not(w.bad);
	cr_assert_eq(writer_len(&w), 18);
	cr_expect_arr_eq(memory, "d1:md6:ut_pexi1eee", 18);
}

Test(extension, handshake_that_does_not_fit_makes_the_writer_bad)
{
	const struct extended_handshake h = {.port = 1};
	uint8_t memory[8];
	struct writer w = writer_of(memory, sizeof(memory));

	extension_write_handshake(&w, &h);
	cr_expect(w.bad);
}

Test(extension, numbers_are_clamped_or_not_believed)
{
	static const struct {
		const char *in;
		uint32_t reqq, metadata_size;
		uint16_t port;
	} cases[] = {
		{"de", 250, 0, 0},
		{"d4:reqqi0ee", 1, 0, 0},
		{"d4:reqqi-5ee", 1, 0, 0},
		{"d4:reqqi2000ee", 2000, 0, 0},
		{"d4:reqqi9223372036854775807ee", 2000, 0, 0},
		{"d4:reqq3:500e", 250, 0, 0},
		{"d13:metadata_sizei1ee", 250, 1, 0},
		{"d13:metadata_sizei33554432ee", 250, 33554432, 0},
		{"d13:metadata_sizei33554433ee", 250, 0, 0},
		{"d13:metadata_sizei4294967297ee", 250, 0, 0},
		{"d13:metadata_sizei-1ee", 250, 0, 0},
		{"d1:pi65535ee", 250, 0, 65535},
		{"d1:pi65536ee", 250, 0, 0},
		{"d1:pi-1ee", 250, 0, 0},
		{"d1:plee", 250, 0, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct extended_handshake h = read_good(cases[i].in);

		cr_expect_eq(h.reqq, cases[i].reqq, "'%s'", cases[i].in);
		cr_expect_eq(h.metadata_size, cases[i].metadata_size, "'%s'",
			cases[i].in);
		cr_expect_eq(h.port, cases[i].port, "'%s'", cases[i].in);
	}
}

Test(extension, ids_out_of_bounds_are_not_spoken)
{
	struct extended_handshake h = read_good(
		"d1:md11:lt_donthavei255e11:ut_metadatai256e6:ut_pexi0eee");

	cr_expect_eq(h.ids[EXTENSION_DONTHAVE], 255);
	cr_expect_eq(h.ids[EXTENSION_METADATA], 0);
	cr_expect_eq(h.ids[EXTENSION_PEX], 0);

	h = read_good("d1:mi7ee"); /* not a dictionary */
	cr_expect_eq(h.ids[EXTENSION_PEX], 0);
	h = read_good("d1:md6:ut_pex1:1e1:xlee");
	cr_expect_eq(h.ids[EXTENSION_PEX], 0);
}

Test(extension, later_handshakes_add_to_what_was_said)
{
	struct extended_handshake h = read_good(
		"d1:md11:ut_metadatai3e6:ut_pexi1ee13:metadata_sizei100e"
		"1:pi7e4:reqqi9e11:upload_onlyi1e1:v1:x6:yourip4:abcde");

	cr_assert(read_text("d1:md6:ut_pexi0eee", &h));
	cr_expect_eq(h.ids[EXTENSION_METADATA], 3);
	cr_expect_eq(h.ids[EXTENSION_PEX], 0, "not spoken any more");
	cr_expect_eq(h.metadata_size, 100);
	cr_expect_eq(h.port, 7);
	cr_expect_eq(h.reqq, 9);
	cr_expect(h.upload_only);
	cr_expect_str_eq(h.client, "x");
	cr_expect(endpoint_is_v4(&h.yourip));

	cr_assert(read_text("d1:md6:ut_pexi4ee13:metadata_sizei-1e1:pi0e"
			    "4:reqqi10e11:upload_onlyi0e1:v1:y6:yourip1:ae",
		&h));
	cr_expect_eq(h.ids[EXTENSION_PEX], 4);
	cr_expect_eq(h.metadata_size, 100);
	cr_expect_eq(h.port, 7);
	cr_expect_eq(h.reqq, 10);
	cr_expect_not(h.upload_only);
	cr_expect_str_eq(h.client, "y");
	cr_expect(endpoint_is_v4(&h.yourip));
	cr_expect_not(read_text("d1:pi8e", &h));
	cr_expect_eq(h.port, 7);
}

Test(extension, client_name_is_cut_and_made_valid)
{
	struct extended_handshake h = read_good("d1:v3:a\xff"
						"be");

	cr_expect_str_eq(h.client,
		"a\xef\xbf\xbd"
		"b");
	h = read_good("d1:v60:012345678901234567890123456789"
		      "012345678901234567890123456789e");
	cr_expect_eq(strlen(h.client), CLIENT_NAME_SIZE - 1);
	h = read_good("d1:vi5ee");
	cr_expect_str_eq(h.client, "");
}

Test(extension, what_is_not_one_dictionary_is_refused)
{
	static const char *const cases[] = {"", "d", "le", "i5e", "4:spam",
		"dee", "ded", "d1:pi1e", "di1ei2ee", "d1:vx3:abce"};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct extended_handshake h = {0};

		cr_expect_not(read_text(cases[i], &h), "'%s'", cases[i]);
	}
}

Test(extension, deep_nesting_is_refused)
{
	char deep[2048];
	struct extended_handshake h = {0};

	memset(deep, 'l', 1000);
	memset(deep + 1000, 'e', 1000);
	memcpy(deep, "d1:x", 4);
	deep[2000] = '\0';
	cr_expect_not(read_text(deep, &h));
}
