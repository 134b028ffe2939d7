#ifndef SHARED_RANDOM_BYTES_H
#define SHARED_RANDOM_BYTES_H

#include <stddef.h>
#include <stdint.h>

/* The only place that throws dice: getrandom(2).  Never fails. */
void random_bytes(void *ret, size_t len);
uint32_t random_u32(void);
uint64_t random_u64(void);

#endif
