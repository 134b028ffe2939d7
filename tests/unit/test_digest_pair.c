#include "shared/digest_pair.h"

#include <criterion/criterion.h>
#include <string.h>

#include "tests/unit/guarded.h"

enum { MOST = 64 * DIGEST_PAIR_BLOCK };

static void fill(uint8_t *bytes, size_t len, uint32_t seed)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(seed >> 24);
	}
}

/* Both digests are those of each message by itself, given in `step`s. */
static void expect_both(struct digest_pair *p, size_t len, size_t step)
{
	static uint8_t a[MOST], b[MOST];
	uint8_t got[2][SHA1_SIZE], expected[2][SHA1_SIZE];

	fill(a, len, (uint32_t)len);
	fill(b, len, (uint32_t)(len + step));
	/* So that a byte too far is noticed. */
	const uint8_t *end_a = guarded(a, len).next;
	const uint8_t *end_b = guarded(b, len).next;
	digest_sha1(a, len, expected[0]);
	digest_sha1(b, len, expected[1]);

	digest_pair_begin(p);
	for (size_t at = 0; at < len; at += step)
		digest_pair_update(p, end_a + at, end_b + at,
			len - at < step ? len - at : step);
	digest_pair_end(p, got[0], got[1]);
	cr_expect_arr_eq(got[0], expected[0], SHA1_SIZE, "%zu", len);
	cr_expect_arr_eq(got[1], expected[1], SHA1_SIZE, "%zu", len);
}

Test(digest_pair, both_are_what_each_would_be_alone)
{
	struct digest_pair *pairs[] = {
		digest_pair_create(),
		digest_pair_create_portable(),
	};

	for (size_t i = 0; i < 2; i++) {
		cr_assert(pairs[i]);
		for (size_t blocks = 0; blocks <= 64; blocks++) {
			size_t len = blocks * DIGEST_PAIR_BLOCK;

			expect_both(pairs[i], len, MOST);
			expect_both(pairs[i], len, 3 * DIGEST_PAIR_BLOCK);
		}
		digest_pair_destroy(pairs[i]);
	}
	digest_pair_destroy(NULL);
}

Test(digest_pair, that_was_left_half_done_begins_afresh)
{
	struct digest_pair *p = digest_pair_create();
	uint8_t left[DIGEST_PAIR_BLOCK] = {1};

	digest_pair_begin(p);
	digest_pair_update(p, left, left, sizeof(left));
	expect_both(p, 2 * DIGEST_PAIR_BLOCK, MOST);
	digest_pair_destroy(p);
}
