#include <criterion/criterion.h>
#include <string.h>

#include "shared/buffer.h"
#include "shared/writer.h"

Test(writer, integers_are_in_network_byte_order)
{
	static const uint8_t expected[15] = {
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t out[15];
	struct writer w = writer_of(out, sizeof(out));

	writer_u8(&w, 0x01);
	writer_u16(&w, 0x0203);
	writer_u32(&w, 0x04050607);
	writer_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
	cr_expect_not(w.bad);
	cr_expect_eq(writer_len(&w), sizeof(out));
	cr_expect_eq(writer_left(&w), 0);
	cr_expect_arr_eq(out, expected, sizeof(out));
}

Test(writer, first_write_that_does_not_fit_stops_all_others)
{
	uint8_t out[4] = "....";
	struct writer w = writer_of(out, 3);

	writer_u8(&w, 'a');
	writer_u32(&w, 0);
	cr_expect(w.bad);
	writer_u8(&w, 'b');
	cr_expect_eq(writer_len(&w), 1);
	cr_expect_eq(memcmp(out, "a...", 4), 0);
}

Test(writer, text_is_written_without_its_nul)
{
	char out[6] = "......";
	struct writer w = writer_of(out, 5);

	writer_text(&w, "ab");
	writer_format(&w, "%d", 123); /* ends at the very end */
	cr_expect_not(w.bad);
	cr_expect_eq(memcmp(out, "ab123.", 6), 0);
	writer_text(&w, "");
	writer_bytes(&w, NULL, 0);
	cr_expect_not(w.bad);
	writer_format(&w, "%d", 1);
	cr_expect(w.bad);
}

Test(writer, numbers_are_decimal)
{
	static const struct {
		uint64_t number;
		const char *text;
	} cases[] = {
		{0, "0"},
		{9, "9"},
		{10, "10"},
		{UINT32_MAX, "4294967295"},
		{UINT64_MAX, "18446744073709551615"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[21] = {0};
		struct writer w = writer_of(out, strlen(cases[i].text));

		writer_number(&w, cases[i].number);
		cr_expect_not(w.bad);
		cr_expect_str_eq(out, cases[i].text);
		w = writer_of(out, strlen(cases[i].text) - 1);
		writer_number(&w, cases[i].number);
		cr_expect(w.bad);
	}
}

Test(writer, a_buffer_goes_in_whole_or_not_at_all)
{
	static const struct {
		size_t most; /* that the buffer may hold of its four bytes */
		size_t room;
		bool fits;
	} cases[] = {
		{4, 4, true},
		{5, 5, true},
		{4, 3, false},
		{3, 9, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char out[10] = {0};
		struct writer w = writer_of(out, cases[i].room);
		struct buffer b;

		buffer_init(&b, cases[i].most);
		buffer_append(&b, "sp", 2);
		buffer_append(&b, "am", 2);
		writer_buffer(&w, &b);
		cr_expect_eq(w.bad, !cases[i].fits);
		cr_expect_str_eq(out, cases[i].fits ? "spam" : "");
	}
}
