#include "shared/sha1_two.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

bool sha1_two_works(void)
{
	enum { SSSE3 = 1 << 9, SSE4_1 = 1 << 19, SHA = 1 << 29 };
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & SSSE3) || !(c & SSE4_1))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & SHA);
}

#define WITH_SHA __attribute__((target("sha,sse4.1,ssse3"), always_inline))

/* One message's chain.  The instructions want the first of four words in the
 * highest place. */
struct chain {
	__m128i abcd, e;
	__m128i abcd_before, e_before; /* the block */
	__m128i words[4];              /* the 16 latest of the schedule */
};

static inline WITH_SHA __m128i load(const void *at)
{
	return _mm_loadu_si128((const __m128i *)at);
}

static inline WITH_SHA void start(struct chain *c, const uint32_t *state)
{
	c->abcd = _mm_shuffle_epi32(load(state), 0x1b);
	c->e = _mm_set_epi32((int)state[4], 0, 0, 0);
}

static inline WITH_SHA void end(const struct chain *c, uint32_t *state)
{
	_mm_storeu_si128(
		(__m128i *)(void *)state, _mm_shuffle_epi32(c->abcd, 0x1b));
	state[4] = (uint32_t)_mm_extract_epi32(c->e, 3);
}

static inline WITH_SHA void begin_block(struct chain *c, const uint8_t *block)
{
	const __m128i big_endian =
		_mm_set_epi64x(0x0001020304050607, 0x08090a0b0c0d0e0f);

	c->abcd_before = c->abcd;
	c->e_before = c->e;
	for (int i = 0; i < 4; i++)
		c->words[i] =
			_mm_shuffle_epi8(load(block + 16 * i), big_endian);
}

/* Rounds 4 * i to 4 * i + 3; `function` is one of the four of SHA-1. */
#define FOUR_ROUNDS(c, i, function)                                            \
	do {                                                                   \
		__m128i *w = (c)->words;                                       \
		__m128i abcd = (c)->abcd;                                      \
		__m128i e = (i) == 0                                           \
			? _mm_add_epi32((c)->e, w[0])                          \
			: _mm_sha1nexte_epu32((c)->e, w[(i) % 4]);             \
                                                                               \
		(c)->abcd = _mm_sha1rnds4_epu32(abcd, e, function);            \
		(c)->e = abcd; /* SHA1NEXTE makes e of the a of before */      \
		if ((i) < 16)                                                  \
			w[(i) % 4] = _mm_sha1msg2_epu32(                       \
				_mm_xor_si128(_mm_sha1msg1_epu32(w[(i) % 4],   \
						      w[((i) + 1) % 4]),       \
					w[((i) + 2) % 4]),                     \
				w[((i) + 3) % 4]);                             \
	} while (0)

static inline WITH_SHA void end_block(struct chain *c)
{
	c->e = _mm_sha1nexte_epu32(c->e, c->e_before);
	c->abcd = _mm_add_epi32(c->abcd, c->abcd_before);
}

/* Step by step in turns: while one chain waits for its last step, the processor
 * is at the other's. */
#define BOTH(i, function)                                                      \
	do {                                                                   \
		FOUR_ROUNDS(&one, i, function);                                \
		FOUR_ROUNDS(&two, i, function);                                \
	} while (0)

#define TWENTY_ROUNDS(function)                                                \
	do {                                                                   \
		BOTH(5 * (function), function);                                \
		BOTH(5 * (function) + 1, function);                            \
		BOTH(5 * (function) + 2, function);                            \
		BOTH(5 * (function) + 3, function);                            \
		BOTH(5 * (function) + 4, function);                            \
	} while (0)

__attribute__((target("sha,sse4.1,ssse3"))) void sha1_two_blocks(
	uint32_t (*states)[SHA1_WORDS], const uint8_t *a, const uint8_t *b,
	size_t blocks)
{
	struct chain one, two;

	start(&one, states[0]);
	start(&two, states[1]);
	for (; blocks > 0; blocks--, a += 64, b += 64) {
		begin_block(&one, a);
		begin_block(&two, b);
		TWENTY_ROUNDS(0);
		TWENTY_ROUNDS(1);
		TWENTY_ROUNDS(2);
		TWENTY_ROUNDS(3);
		end_block(&one);
		end_block(&two);
	}
	end(&one, states[0]);
	end(&two, states[1]);
}

#else

#include <stdlib.h>

bool sha1_two_works(void) { return false; }

void sha1_two_blocks(uint32_t (*states)[SHA1_WORDS], const uint8_t *a,
	const uint8_t *b, size_t blocks)
{
	(void)states;
	(void)a;
	(void)b;
	(void)blocks;
	abort();
}

#endif
