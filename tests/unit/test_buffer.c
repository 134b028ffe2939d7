#include <criterion/criterion.h>
#include <string.h>

#include "shared/buffer.h"

Test(buffer, grows_up_to_its_largest_size)
{
	struct buffer b;

	buffer_init(&b, 1000);
	for (size_t i = 0; i < 100; i++)
		cr_assert(buffer_append(&b, "0123456789", 10));
	cr_expect_eq(b.len, 1000);
	cr_expect_eq(memcmp(b.bytes + 990, "0123456789", 10), 0);
	cr_expect(buffer_append(&b, NULL, 0));
	cr_expect_not(b.failed);

	cr_expect_not(buffer_append(&b, "x", 1));
	cr_expect(b.failed);
	cr_expect_eq(b.len, 1000);
	buffer_finish(&b);
}

Test(buffer, failure_is_remembered)
{
	struct buffer b;

	buffer_init(&b, 4);
	cr_expect_not(buffer_append(&b, "12345", 5));
	cr_expect_not(buffer_append(&b, "1", 1), "a hole would be left");
	cr_expect_eq(b.len, 0);
	buffer_finish(&b);
	buffer_finish(&b);
}

Test(buffer, absurd_length_is_refused_before_memory_is_asked_for)
{
	struct buffer b;

	buffer_init(&b, SIZE_MAX);
	cr_assert(buffer_append(&b, "1", 1));
	cr_expect_not(buffer_append(&b, "1", SIZE_MAX));
	buffer_finish(&b);
}

Test(buffer, drop_moves_the_rest_to_the_front)
{
	struct buffer b;

	buffer_init(&b, 100);
	cr_assert(buffer_append(&b, "abcdef", 6));
	buffer_drop(&b, 2);
	cr_expect_eq(b.len, 4);
	cr_expect_eq(memcmp(b.bytes, "cdef", 4), 0);
	buffer_drop(&b, 0);
	buffer_drop(&b, 4);
	cr_expect_eq(b.len, 0);
	buffer_finish(&b);
}
