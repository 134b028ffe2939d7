#include <criterion/criterion.h>
#include <string.h>

#include "client/torrent/bitfield.h"
#include "tests/unit/guarded.h"

static const uint32_t counts[] = {1, 7, 8, 9, 63, 64, 65, 128, 1000};
enum { COUNTS = sizeof(counts) / sizeof(counts[0]) };

static struct bitfield bitfield_of(uint32_t count)
{
	struct bitfield b;

	cr_assert(bitfield_init(&b, count));
	return b;
}

Test(bitfield, counts_each_piece_once)
{
	for (size_t i = 0; i < COUNTS; i++) {
		struct bitfield b = bitfield_of(counts[i]);
		uint32_t last = counts[i] - 1;

		bitfield_set(&b, last);
		bitfield_set(&b, last);
		cr_expect_eq(b.set, 1);
		cr_expect(bitfield_has(&b, last));
		bitfield_clear(&b, last);
		bitfield_clear(&b, last);
		cr_expect_eq(b.set, 0);
		cr_expect_not(bitfield_has(&b, last));
		bitfield_finish(&b);
	}
}

Test(bitfield, set_all_sets_no_spare_bits)
{
	for (size_t i = 0; i < COUNTS; i++) {
		struct bitfield b = bitfield_of(counts[i]);
		struct bitfield one_by_one = bitfield_of(counts[i]);

		cr_expect_not(bitfield_full(&b));
		bitfield_set_all(&b);
		cr_expect(bitfield_full(&b));
		for (uint32_t p = 0; p < counts[i]; p++)
			bitfield_set(&one_by_one, p);
		cr_expect_arr_eq(b.words, one_by_one.words,
			(counts[i] + 63) / 64 * sizeof(b.words[0]));
		bitfield_clear_all(&b);
		cr_expect_eq(b.set, 0);
		cr_expect_eq(bitfield_find(&b, NULL, NULL, 0, counts[i]),
			BITFIELD_NONE);
		bitfield_finish(&b);
		bitfield_finish(&one_by_one);
	}
}

Test(bitfield, goes_over_the_wire_and_back)
{
	for (size_t i = 0; i < COUNTS; i++) {
		struct bitfield b = bitfield_of(counts[i]);
		struct bitfield back = bitfield_of(counts[i]);
		size_t len = bitfield_wire_size(counts[i]);
		uint8_t wire[125];

		for (uint32_t p = 0; p < counts[i]; p += 3)
			bitfield_set(&b, p);
		bitfield_set(&b, counts[i] - 1);
		bitfield_set(&back, 0);
		bitfield_to_wire(&b, wire);
		cr_assert(bitfield_from_wire(&back, guarded_span(wire, len)));
		cr_expect_eq(back.set, b.set);
		for (uint32_t p = 0; p < counts[i]; p++)
			cr_expect_eq(
				bitfield_has(&back, p), bitfield_has(&b, p));
		bitfield_finish(&b);
		bitfield_finish(&back);
	}
}

Test(bitfield, piece_zero_is_the_high_bit_of_the_first_byte)
{
	struct bitfield b = bitfield_of(9);
	uint8_t wire[2];

	bitfield_set(&b, 0);
	bitfield_set(&b, 8);
	bitfield_to_wire(&b, wire);
	cr_expect_eq(wire[0], 0x80);
	cr_expect_eq(wire[1], 0x80);
	bitfield_finish(&b);
}

Test(bitfield, wrong_length_or_spare_bits_change_nothing)
{
	static const struct {
		uint32_t count;
		const char *wire;
		size_t len;
		bool ok;
	} cases[] = {
		{1, "\x80", 1, true},
		{1, "\x00", 1, true},
		{1, "\x40", 1, false},
		{1, "\x01", 1, false},
		{1, "", 0, false},
		{1, "\x80\x00", 2, false},
		{8, "\xff", 1, true},
		{8, "\xff\x00", 2, false},
		{9, "\xff\x80", 2, true},
		{9, "\xff\xc0", 2, false},
		{9, "\xff", 1, false},
		{63, "\xff\xff\xff\xff\xff\xff\xff\xfe", 8, true},
		{63, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, false},
		{64, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, true},
		{65, "\xff\xff\xff\xff\xff\xff\xff\xff\x80", 9, true},
		{65, "\xff\xff\xff\xff\xff\xff\xff\xff\x81", 9, false},
		{65, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bitfield b = bitfield_of(cases[i].count);
		struct span wire = guarded_span(cases[i].wire, cases[i].len);

		bitfield_set(&b, 0);
		cr_expect_eq(bitfield_from_wire(&b, wire), cases[i].ok,
			"case %zu", i);
		if (!cases[i].ok)
			cr_expect(b.set == 1 && bitfield_has(&b, 0), "case %zu",
				i);
		bitfield_finish(&b);
	}
}

/* The definition, one piece at a time. */
static uint32_t find_slowly(const struct bitfield *in,
	const struct bitfield *not_in, const struct bitfield *nor_in,
	uint32_t from, uint32_t end)
{
	for (uint32_t i = from; i < end; i++) {
		if ((!in || bitfield_has(in, i)) &&
			!(not_in && bitfield_has(not_in, i)) &&
			!(nor_in && bitfield_has(nor_in, i)))
			return i;
	}
	return BITFIELD_NONE;
}

static uint32_t count_slowly(const struct bitfield *in,
	const struct bitfield *not_in, const struct bitfield *nor_in,
	uint32_t from, uint32_t end)
{
	uint32_t count = 0;

	for (uint32_t i = from; i < end; i++)
		count += find_slowly(in, not_in, nor_in, i, i + 1) == i;
	return count;
}

Test(bitfield, find_and_count_agree_with_their_definition)
{
	struct bitfield a = bitfield_of(130);
	struct bitfield b = bitfield_of(130);
	struct bitfield c = bitfield_of(130);

	for (uint32_t i = 0; i < 130; i++) {
		if (i % 5 == 0 || i == 63 || i == 64 || i == 129)
			bitfield_set(&a, i);
		if (i % 2 == 0 && i != 64)
			bitfield_set(&b, i);
		if (i > 20 && i < 60)
			bitfield_set(&c, i);
	}

	for (unsigned masks = 0; masks < 8; masks++) {
		const struct bitfield *in = masks & 1 ? &a : NULL;
		const struct bitfield *not_in = masks & 2 ? &b : NULL;
		const struct bitfield *nor_in = masks & 4 ? &c : NULL;

		for (uint32_t from = 0; from <= 130; from++) {
			for (uint32_t end = 0; end <= 130; end++) {
				cr_assert_eq(bitfield_find(in, not_in, nor_in,
						     from, end),
					find_slowly(
						in, not_in, nor_in, from, end),
					"masks %u, [%u, %u)", masks, from, end);
				if (!in)
					continue;
				cr_assert_eq(bitfield_count(in, not_in, nor_in,
						     from, end),
					count_slowly(
						in, not_in, nor_in, from, end),
					"masks %u, [%u, %u)", masks, from, end);
			}
		}
	}
	bitfield_finish(&a);
	bitfield_finish(&b);
	bitfield_finish(&c);
}

Test(bitfield, a_copy_has_the_same_in_it_and_nothing_else)
{
	struct bitfield a = bitfield_of(65);
	struct bitfield b = bitfield_of(65);

	bitfield_set(&a, 3);
	bitfield_set(&b, 64);
	bitfield_copy(&a, &b);
	cr_expect_eq(a.set, 1);
	cr_expect(bitfield_has(&a, 64));
	cr_expect_not(bitfield_has(&a, 3));
	bitfield_finish(&a);
	bitfield_finish(&b);
}

Test(bitfield, zeroed_memory_can_be_finished)
{
	struct bitfield b = {0};

	bitfield_finish(&b);
	bitfield_finish(&b);
}
