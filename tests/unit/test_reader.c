#include <criterion/criterion.h>

#include "tests/unit/guarded.h"

static const uint8_t sample[15] = {
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

Test(reader, integers_are_in_network_byte_order)
{
	struct reader r = guarded(sample, sizeof(sample));

	cr_expect_eq(reader_u8(&r), 0x01);
	cr_expect_eq(reader_u16(&r), 0x0203);
	cr_expect_eq(reader_u32(&r), 0x04050607);
	cr_expect_eq(reader_u64(&r), UINT64_C(0x08090a0b0c0d0e0f));
	cr_expect(reader_done(&r));
}

Test(reader, first_read_that_does_not_fit_stops_all_others)
{
	struct reader r = guarded(sample, 9);

	cr_expect_eq(reader_u16(&r), 0x0102);
	cr_expect_eq(reader_u64(&r), 0);
	cr_expect(r.bad);
	cr_expect_eq(reader_u8(&r), 0, "a byte is left, but it is too late");
	cr_expect_eq(reader_left(&r), 7);
	cr_expect_null(reader_take(&r, 0));
	cr_expect_eq(reader_rest(&r).len, 0);
	cr_expect_not(reader_done(&r));
}

Test(reader, length_near_the_end_of_memory_does_not_wrap)
{
	struct reader r = guarded(sample, 4);

	cr_expect_null(reader_take(&r, SIZE_MAX));
	cr_expect(r.bad);
}

Test(reader, rest_is_what_is_left_and_may_be_nothing)
{
	struct reader r = reader_of_span((struct span){sample, 4});

	reader_u8(&r);
	struct span rest = reader_rest(&r);
	cr_expect_eq(rest.at, sample + 1);
	cr_expect_eq(rest.len, 3);
	cr_expect(reader_done(&r));
	cr_expect_eq(reader_rest(&r).len, 0);
	cr_expect(reader_done(&r));
}
