#include <criterion/criterion.h>
#include <string.h>

#include "shared/crc32c.h"

Test(crc32c, knows_the_vectors_of_rfc_3720)
{
	uint8_t zeros[32] = {0}, ones[32], up[32], down[32];

	memset(ones, 0xff, sizeof(ones));
	for (uint8_t i = 0; i < 32; i++) {
		up[i] = i;
		down[i] = 31 - i;
	}
	cr_expect_eq(crc32c(zeros, 32), 0x8a9136aa);
	cr_expect_eq(crc32c(ones, 32), 0x62a8ab43);
	cr_expect_eq(crc32c(up, 32), 0x46dd794e);
	cr_expect_eq(crc32c(down, 32), 0x113fdb5c);
	cr_expect_eq(crc32c(NULL, 0), 0);
}
