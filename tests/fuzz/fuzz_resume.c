#include <stdlib.h>
#include <string.h>

#include "client/storage/resume.h"
#include "shared/digest.h"
#include "tests/fuzz/fuzz.h"

/* Touch everything that the parser hands out. */
static void look_at(const struct resume *r)
{
	unsigned sum = 0;

	for (size_t i = 0; i < ((size_t)r->piece_count + 7) / 8; i++)
		sum += r->have[i];
	for (size_t i = 0; i < r->file_count; i++)
		sum += r->files[i].exists;
	for (size_t i = 0; i < r->info.len; i++)
		sum += r->info.at[i];
	if (r->piece_count % 8 != 0) /* no spare bits */
		require((r->have[r->piece_count / 8] &
				(0xFFU >> (r->piece_count % 8))) == 0);
	__asm__ volatile("" : : "r"(sum));
}

static void parse(const uint8_t *bytes, size_t len)
{
	struct resume r;
	void *memory;
	struct error err;

	if (resume_parse((struct span){bytes, len}, &r, &memory, &err)) {
		look_at(&r);
		free(memory);
	}
}

/* The checksum keeps a fuzzer out, so the bytes are tried as a whole document
 * and as the body of one. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char before[] = "d4:body", between[] = "8:checksum20:",
			  after[] = "7:versioni2ee";

	parse(bytes, len);

	uint8_t *whole = malloc(len + 64);
	if (!whole)
		return 0;
	size_t at = 0;
	memcpy(whole, before, sizeof(before) - 1);
	at += sizeof(before) - 1;
	if (len > 0)
		memcpy(whole + at, bytes, len);
	at += len;
	memcpy(whole + at, between, sizeof(between) - 1);
	at += sizeof(between) - 1;
	digest_sha1(bytes, len, whole + at);
	at += SHA1_SIZE;
	memcpy(whole + at, after, sizeof(after) - 1);
	at += sizeof(after) - 1;
	parse(whole, at);
	free(whole);
	return 0;
}
